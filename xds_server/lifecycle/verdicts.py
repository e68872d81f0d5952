"""The verdict on each live profile, always the newest: judged twice a second, kept on disk, handed to what acts on it.

Guarantees: a profile is judged at most every `EVERY` seconds (later when that takes long), when its evidence, its
definition, its instances or its readings changed, and every `AGAIN` seconds in any case (a warm-up that ends is no
event). Other work gets its turn between two profiles, and no more than half of the time is spent on judging. A profile
that cannot be judged (a bug) is said in the log and shown as INCONCLUSIVE with the reason, keeps what was latched, and
keeps no other from being judged.
A change of the decision is on disk within that look, the rest of the judge's state within `SAVE` seconds, so what was
latched survives a restart.
Not guaranteed: that a verdict is younger than `EVERY` seconds, plus the windows that are still on their way.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import orjson
import structlog

from xds_server.analysis.verdict.readings import Reading
from xds_server.analysis.windows.profile_evidence import ProfileEvidence
from xds_server.errors import StoreError, cut
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.ruling import Decision, nothing_judged
from xds_server.model.ids import ProfileID
from xds_server.model.profile import ShadowingProfile
from xds_server.model.shadow import ShadowInstance
from xds_server.store.base import Changes, Store

log = structlog.get_logger(__name__)

EVERY = 0.5
"""Seconds between two looks."""
PATIENCE = 4.0
"""Times as long as it took to judge a profile, until it is judged again: one with hundreds of endpoints takes long."""
AGAIN = 5.0
"""Seconds after which a profile is judged again although nothing changed."""
SAVE = 5.0
"""Seconds between two writes of states that changed without a change of the decision."""
_ROUNDING = 0.001

Verdict = Mapping[str, Any]
"""The JSON form, as the status shows it."""
ReadingsOf = Callable[[ProfileID], Mapping[tuple[str, str], Reading]]
CountersOf = Callable[[ProfileID], Mapping[str, Any]]
S = TypeVar("S")


def nothing(_profile: ProfileID) -> Mapping[Any, Any]:
    """Return what is measured where nothing is."""
    return {}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a verdict on a profile is reached from."""

    profile: ShadowingProfile
    network: str
    """Its name."""
    instances: tuple[ShadowInstance, ...]
    """Oldest first."""
    faulted: bool
    """Faults are in force on one of them."""
    evidence: ProfileEvidence
    readings: Mapping[tuple[str, str], Reading]
    """CPU, memory and the user's own metrics."""
    envoy: Mapping[str, Any]
    """Envoy's counters of both clusters, to be shown."""
    now: datetime


class Judge(Protocol[S]):
    """Reaches verdicts. `S` is what it has to remember of a profile from one to the next; None: nothing yet."""

    def judge(self, inputs: Inputs, state: S | None) -> tuple[Verdict, S]:
        """Return the verdict now, and what is to be remembered."""
        ...

    def pack(self, state: S) -> Any:
        """Return the JSON form of what is to be remembered."""
        ...

    def unpack(self, packed: Any) -> S:
        """Return what `pack` described. Raises: KeyError, TypeError, ValueError."""
        ...


class Evident(Protocol):
    """The part of the collector that is meant here."""

    def revision(self, profile_id: str) -> int:
        """Return a number that changes with what is known of a profile."""
        ...

    def evidence(self, profile_id: str, *, variants: Mapping[str, str]) -> ProfileEvidence:
        """Return what is evidence; `variants`: the version of each instance."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A profile to be judged, with what it is judged by."""

    profile: ShadowingProfile
    network: str
    instances: tuple[ShadowInstance, ...]
    faulted: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A verdict as views show it."""

    verdict: Verdict

    def as_json(self) -> Verdict:
        """Return its JSON form."""
        return self.verdict


@dataclass(frozen=True, slots=True)
class Acted:
    """What was done about a verdict, and stays done until a person undoes it."""

    out: frozenset[str] = frozenset()
    """Variants that get no weight any more."""
    reason: str = ""
    at: str = ""


@dataclass(slots=True)
class _Docket(Generic[S]):
    """What is known of one profile."""

    state: S | None = None
    verdict: Verdict | None = None
    acted: Acted = field(default_factory=Acted)
    seen: Any = None
    """What it was judged by last."""
    judged_at: float = float("-inf")
    took: float = 0.0
    """Seconds that it took."""
    changed: bool = False
    """Not all of it is on disk."""
    urgent: bool = False
    trouble: str = ""


class Verdicts(Generic[S]):
    """See the module. All methods belong on one event loop.

    Args:
        clock: when to judge.
        store: where verdicts are kept.
        collector: the evidence.
        judge: reaches the verdicts.
        subjects: the live profiles.
        act: told of each verdict, each time; must not wait.
        readings: what was measured of a profile besides.
        envoy: Envoy's counters.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        collector: Evident,
        judge: Judge[S],
        subjects: Callable[[], Iterable[Subject]],
        act: Callable[[ShadowingProfile, Verdict], None],
        readings: ReadingsOf = nothing,
        envoy: CountersOf = nothing,
    ) -> None:
        self._clock = clock
        self._store = store
        self._collector = collector
        self._judge = judge
        self._subjects = subjects
        self._act = act
        self._readings = readings
        self._envoy = envoy
        self._dockets: dict[ProfileID, _Docket[S]] = {}
        self._saved_at = float("-inf")

    # What others ask.

    def of(self, profile: ProfileID) -> Verdict | None:
        """Return the newest verdict, with what was done about it among its reasons; None before the first one."""
        docket = self._dockets.get(profile)
        if docket is None or docket.verdict is None:
            return None
        if not docket.acted.reason:
            return docket.verdict
        return {**docket.verdict, "reasons": [docket.acted.reason, *docket.verdict["reasons"]]}

    def latest(self, profile: ProfileID) -> Verdict | None:
        """Return the newest verdict as it was reached; the same object until it is judged again."""
        docket = self._dockets.get(profile)
        return docket.verdict if docket else None

    def acted(self, profile: ProfileID) -> Acted:
        """Return what was done about the verdicts on a profile."""
        docket = self._dockets.get(profile)
        return docket.acted if docket else Acted()

    def row(self, profile: ProfileID, acted: Acted, *, anew: bool = False) -> bytes:
        """Return what is written of a profile when it is this that was done; `anew`: and a new judgement begins."""
        docket = self._dockets.get(profile)
        if docket is None or anew:
            docket = _Docket()
        return self._packed(replace(docket, acted=acted))

    def did(self, profile: ProfileID, acted: Acted, *, anew: bool = False) -> None:
        """Take note of what was done; `anew`: the evidence begins anew, and nothing is latched any more."""
        before = self._dockets.get(profile)
        docket = _Docket[S]() if before is None or anew else before
        docket.acted = acted
        self._dockets[profile] = docket

    def load(self, profile: ProfileID, data: bytes) -> None:
        """Take up what an earlier manager wrote; what cannot be read (an older form) is left out and said."""
        try:
            packed = orjson.loads(data)
            acted = packed["acted"]
            self._dockets[profile] = _Docket(
                state=None if packed["state"] is None else self._judge.unpack(packed["state"]),
                verdict=packed["verdict"],
                acted=Acted(frozenset(acted["out"]), acted["reason"], acted["at"]),
            )
        except Exception as error:
            log.exception("a verdict could not be read and begins anew", profile=profile, error=str(error))

    def forget(self, profile: ProfileID) -> None:
        """Drop a profile."""
        self._dockets.pop(profile, None)

    # The loop.

    async def run(self) -> None:
        """Judge until cancelled."""
        while True:
            begun = self._clock.monotonic()
            await self.look()
            spent = self._clock.monotonic() - begun
            await self._clock.sleep(min(max(EVERY, spent), AGAIN))

    async def look(self) -> None:
        """Judge every profile that may be judged otherwise than last time; write what must not be lost."""
        for subject in self._subjects():
            if self._look_at(subject):
                await asyncio.sleep(0)
        now = self._clock.monotonic()
        if now - self._saved_at >= SAVE or any(docket.urgent for docket in self._dockets.values()):
            self._saved_at = now
            await self.save()

    async def save(self) -> None:
        """Write what has changed; a failure is logged, and tried again next time."""
        changed = {profile: docket for profile, docket in self._dockets.items() if docket.changed}
        if not changed:
            return
        rows = {profile: self._packed(docket) for profile, docket in changed.items()}
        for docket in changed.values():
            docket.changed = docket.urgent = False
        try:
            await self._store.apply(Changes(verdicts=rows))
        except StoreError as error:
            log.warning("verdicts could not be written", error=str(error))
            for docket in changed.values():
                docket.changed = True

    def _look_at(self, subject: Subject) -> bool:
        """Judge one profile, if there is anything new, and have done what follows; tell whether it was judged."""
        profile = subject.profile
        docket = self._dockets.setdefault(profile.id, _Docket())
        before = docket.judged_at
        try:
            self._hear(subject, docket)
        except Exception as error:  # noqa: BLE001 - one profile's trouble stays with it; `_failed` logs it
            self._failed(docket, profile, error)
        if docket.verdict is not None:
            # Each time, for the steps go by the clock as well.
            self._act(profile, docket.verdict)
        return docket.judged_at != before

    def _hear(self, subject: Subject, docket: _Docket[S]) -> None:
        now = self._clock.monotonic()
        if now - docket.judged_at < max(EVERY, PATIENCE * docket.took) - _ROUNDING:
            return
        inputs = self._inputs(subject, docket, now)
        if inputs is None:
            return
        docket.judged_at = now
        verdict, state = self._judge.judge(inputs, docket.state)
        docket.took = self._clock.monotonic() - now
        self._note(docket, verdict, state)

    def _inputs(self, subject: Subject, docket: _Docket[S], now: float) -> Inputs | None:
        """Return what there is to judge; None: nothing that was not judged already."""
        profile = subject.profile
        readings, envoy = self._readings(profile.id), self._envoy(profile.id)
        seen = (self._collector.revision(profile.id), subject, readings)
        if seen == docket.seen and now - docket.judged_at < AGAIN:
            return None
        docket.seen = seen
        return Inputs(
            profile=profile,
            network=subject.network,
            instances=subject.instances,
            faulted=subject.faulted,
            evidence=self._collector.evidence(profile.id, variants={i.id: i.variant for i in subject.instances}),
            readings=readings,
            envoy=envoy,
            now=self._clock.now(),
        )

    def _note(self, docket: _Docket[S], verdict: Verdict, state: S) -> None:
        before = docket.verdict
        docket.trouble = ""
        docket.changed = docket.changed or state != docket.state or before is None
        if before is None or _told(before) != _told(verdict):
            docket.changed = docket.urgent = True
        docket.state, docket.verdict = state, verdict

    def _failed(self, docket: _Docket[S], profile: ShadowingProfile, error: Exception) -> None:
        trouble = cut(f"it could not be judged: {type(error).__name__}: {error}", 200)
        if docket.trouble == trouble:
            return
        docket.trouble = trouble
        log.error("a profile could not be judged", profile=profile.id, exc_info=error)
        before = docket.verdict
        if before is not None and before.get("latched") and before["decision"] == Decision.FAIL.value:
            docket.verdict = {**before, "reasons": [*before["reasons"], trouble]}
        else:
            docket.verdict = nothing_judged(trouble, alpha=profile.analysis.judging.alpha, now=self._clock.now())

    def _packed(self, docket: _Docket[S]) -> bytes:
        acted = docket.acted
        return orjson.dumps(
            {
                "state": None if docket.state is None else self._judge.pack(docket.state),
                "verdict": docket.verdict,
                "acted": {"out": sorted(acted.out), "reason": acted.reason, "at": acted.at},
            }
        )


def _told(verdict: Verdict) -> tuple[Any, ...]:
    """Return what of a verdict must not be lost."""
    variants: Sequence[Mapping[str, Any]] = verdict.get("variants", ())
    harm: Mapping[str, Any] = verdict.get("harm") or {}
    decisions = tuple((each["variant"], each["decision"]) for each in variants)
    return verdict["decision"], verdict.get("latched"), decisions, harm.get("decision")
