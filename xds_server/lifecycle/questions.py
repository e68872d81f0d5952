"""Checks of the metric `prometheus`: each query asked for each version and its reference, one window after the other.

Guarantees: a window begins when the one before has ended, so no two overlap; both legs are asked at the same time. A
check is under way at most once, however slowly Prometheus answers. Once something could not be read `MISSES` times in a
row there are no values, and nothing is decided on old ones.
Not guaranteed: that windows are independent of each other. A rate over a window smooths; what drifts with the time of
day drifts for both legs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.verdict.readings import Reading
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.promql import QueryError, filled
from xds_server.lifecycle.resources import scores
from xds_server.model.ids import ProfileID
from xds_server.model.judging import Check

log = structlog.get_logger(__name__)

MISSES = 3
NOT_ASKED = "not asked yet"
SAME = "the query has no {variant}: it asks the same of both"
NOTHING = "it is 0 for both: nothing to compare"


class Asked(Protocol):
    """What gives numbers (`Prometheus`)."""

    async def number(self, query: str) -> float:
        """Return what a query gives. Raises: QueryError."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """A check of a profile as it is asked now."""

    check: Check
    network: str
    component: str
    reference: str
    """Name that `{variant}` has for the reference: `original` or `control`."""
    variants: Sequence[str]
    """Those that have run for long enough."""
    waiting: Mapping[str, str]
    """Why others are not asked yet."""
    window: float

    def text(self, variant: str) -> str:
        """Return the query for a version."""
        return filled(
            self.check.query, network=self.network, component=self.component, variant=variant, window=self.window
        )


@dataclass(slots=True)
class _Answers:
    """What was read of one check and version."""

    of: str
    evidence: Ratios = field(default_factory=Ratios)
    reference: float | None = None
    candidate: float | None = None
    reason: str = NOT_ASKED
    misses: int = 0

    def add(self, reference: float | QueryError, candidate: float | QueryError) -> None:
        for leg, value in (("", candidate), (self.of, reference)):
            if isinstance(value, QueryError):
                self.reason = f"{leg}: {value}" if leg else str(value)
                self.misses += 1
                return
        assert not isinstance(reference, QueryError)  # noqa: S101 - for the type checker
        assert not isinstance(candidate, QueryError)  # noqa: S101
        self.misses, self.reason = 0, ""
        self.reference, self.candidate = reference, candidate
        if reference > 0 or candidate > 0:
            self.evidence.add(scores(reference, candidate))
        elif not self.evidence.count:
            self.reason = NOTHING

    def reading(self) -> Reading:
        known = self.misses < MISSES and self.evidence.count > 0
        return Reading(
            reference=self.reference if known else None,
            candidate=self.candidate if known else None,
            evidence=self.evidence,
            reason=self.reason,
            blocks=self.evidence.count,
            of=self.of,
        )


@dataclass(slots=True)
class _Profile:
    answers: dict[tuple[str, str], _Answers] = field(default_factory=dict)
    next: dict[str, float] = field(default_factory=dict)
    """By label of the check: when its next window has passed."""
    under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Questions:
    """See the module. All methods belong on the event loop."""

    def __init__(self, asked: Asked, *, clock: Clock) -> None:
        self._asked = asked
        self._clock = clock
        self._profiles: dict[ProfileID, _Profile] = {}

    def ask(self, profile_id: ProfileID, question: Question) -> None:
        """Ask if it is time to; returns at once."""
        profile = self._profiles.setdefault(profile_id, _Profile())
        label = question.check.label
        for variant, why in question.waiting.items():
            self._answers(profile, question, variant).reason = why
        if not question.variants or label in profile.under_way:
            return
        if self._clock.monotonic() < profile.next.get(label, float("-inf")):
            return
        task = asyncio.create_task(self._ask(profile, question), name="promql-check")
        profile.under_way[label] = task
        task.add_done_callback(lambda _: profile.under_way.pop(label, None))

    def readings(self, profile_id: ProfileID) -> Mapping[tuple[str, str], Reading]:
        """Return what was read, by label of the check and version."""
        profile = self._profiles.get(profile_id)
        return {key: answers.reading() for key, answers in profile.answers.items()} if profile else {}

    def restart(self, profile_id: ProfileID) -> None:
        """Begin the evidence of a profile anew; what is under way still belongs to the old."""
        self._drop(self._profiles.pop(profile_id, None))

    def keep(self, profiles: Sequence[ProfileID]) -> None:
        """Drop all other profiles."""
        for gone in set(self._profiles).difference(profiles):
            self.restart(gone)

    async def close(self) -> None:
        """Ask nothing more."""
        tasks = [task for profile in self._profiles.values() for task in profile.under_way.values()]
        self.keep(())
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self, profile: _Profile | None) -> None:
        for task in list(profile.under_way.values()) if profile else ():
            task.cancel()

    async def _ask(self, profile: _Profile, question: Question) -> None:
        label = question.check.label
        texts = [question.text(name) for name in (question.reference, *question.variants)]
        values: list[float | QueryError]
        if len(set(texts)) < len(texts):
            values = [QueryError(SAME) for _ in texts]
        else:
            values = await asyncio.gather(*map(self._number, texts))
        reference, *candidates = values
        profile.next[label] = self._clock.monotonic() + question.window
        for variant, candidate in zip(question.variants, candidates, strict=True):
            self._answers(profile, question, variant).add(reference, candidate)

    def _answers(self, profile: _Profile, question: Question, variant: str) -> _Answers:
        key = (question.check.label, variant)
        answers = profile.answers.get(key)
        if answers is None or answers.of != question.reference:
            answers = profile.answers[key] = _Answers(question.reference)
        return answers

    async def _number(self, query: str) -> float | QueryError:
        try:
            return await self._asked.number(query)
        except QueryError as error:
            return error
        except Exception as error:
            log.exception("a query could not be asked", error=str(error))
            return QueryError("it could not be asked; the manager's log says why")
