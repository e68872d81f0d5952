"""The manager's book of evidence about one profile: blocks of time, arms, orders of appearance, since when.

Counts are in the tallies themselves (`EndpointTally.evidence`); here is what they do not hold, and the view of both.

Guarantees: what was packed goes on as if nothing had been. Endpoints and fields are numbered as they first come,
whichever version shows them, and keep their numbers: each number belongs to one of them.
Blocks of one version are added up only where they are of different times: what happens in a moment, at several of its
instances, counts once. Which blocks are left out depends on when they were and how many, never on what they came to.
Losses that are reported before a shadow is warm are of copies that are no evidence, so they are left out.
Not guaranteed: that windows which were on their way at `restart` are left out, nor that losses of the warm-up are which
are reported after it.
Units: seconds.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xds_server.analysis.windows.arm_pairs import ArmPairs
from xds_server.analysis.windows.arms import ORIGINAL, ArmTally
from xds_server.analysis.windows.blocks import Blocks, merged_ratios
from xds_server.analysis.windows.cohorts import Cohorts
from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.outcomes import Outcomes, together
from xds_server.analysis.windows.profile_evidence import (
    ALLOWANCE,
    CONTROL_ALLOWANCE,
    ArmPair,
    EndpointEvidence,
    ProfileEvidence,
    VersionEvidence,
)
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally, Tally

ALL = ""
"""Stands for all endpoints together."""
_NO_FIELDS: Mapping[Field, FieldTally] = {}
_NO_WEIGHTS: Mapping[str, int] = {}


class _Timed:
    """The blocks of one endpoint at one instance, and the time they are of (0: none yet)."""

    __slots__ = ("by_control", "by_original", "outcomes", "since", "until")

    def __init__(self) -> None:
        self.by_original = Blocks(ALLOWANCE)
        self.by_control = Blocks(CONTROL_ALLOWANCE)
        self.outcomes = Outcomes()
        self.since = self.until = 0.0

    def add(
        self,
        evidence: Evidence,
        since: float,
        until: float,
        *,
        length: float,
        fields: Mapping[Field, FieldTally] = _NO_FIELDS,
    ) -> None:
        self.since = min(self.since, since) if self.since else since
        self.until = max(self.until, until)
        self.by_original.add(evidence.times, since)
        self.by_control.add(evidence.control_times, since)
        if evidence.pairs or evidence.trios or evidence.missing:
            self.outcomes.add(
                since,
                length=length,
                # For a FAIL each missing copy is the best: it did not fail where its original did.
                errors=evidence.error_up - evidence.error_down - evidence.missing_errors,
                quiet=evidence.quiet_up - evidence.quiet_down,
                fields=[(name, field.alone - field.control) for name, field in fields.items()] if fields else (),
            )

    def close(self, until: float, *, length: float, quantiles: Sequence[float]) -> None:
        self.by_original.close(until, length=length, quantiles=quantiles)
        self.by_control.close(until, length=length, quantiles=quantiles)
        self.outcomes.close(until, length=length)

    @property
    def blocks(self) -> int:
        """How many there are, whatever they came to."""
        return self.outcomes.errors.seen

    def overlaps(self, other: "_Timed") -> bool:
        """Whether some blocks may be of the same seconds: what happened then must not count twice."""
        return self.since <= other.until and other.since <= self.until

    def pack(self) -> list[Any]:
        blocks = self.by_original.pack(), self.by_control.pack(), self.outcomes.pack()
        return [*blocks, [self.since, self.until]]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "_Timed":
        timed = cls()
        by_original, by_control, outcomes, (since, until) = packed
        timed.since, timed.until = float(since), float(until)
        timed.by_original = Blocks.unpack(by_original, ALLOWANCE)
        timed.by_control = Blocks.unpack(by_control, CONTROL_ALLOWANCE)
        timed.outcomes = Outcomes.unpack(outcomes)
        return timed


class EvidenceBook:
    """One profile's. `generator` draws for arms of unequal size."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._since = 0.0
        self._until = 0.0
        self._endpoints = 0
        """The last number given to an endpoint."""
        self._fields = 0
        self._whole: dict[str, Evidence] = {}
        """By instance: all endpoints together, to have it at once."""
        self._timed: dict[str, dict[str, _Timed]] = {}
        """By instance and endpoint."""
        self._arm_pairs = ArmPairs()
        self._cohorts = Cohorts()
        self._lost_before: dict[str, Counter[str]] = {}

    def take(
        self,
        window: Tally,
        *,
        length: float,
        quantiles: Sequence[float],
        warming: bool = False,
        weights: Mapping[str, int] = _NO_WEIGHTS,
    ) -> None:
        """Take in a window, before it is merged with others; the users of its arms are the book's from then on.

        Args:
            window: with the names that the profile's tallies use.
            length: of a block.
            quantiles: of the response time, that are judged.
            warming: the warm-up of its instance is not over now.
            weights: of the arms of a split, by which users are sent now.
        """
        if warming and window.lost:
            self._lost_before.setdefault(window.instance, Counter()).update(window.lost)
        if window.since:
            self._since = min(self._since, window.since) if self._since else window.since
            self._until = max(self._until, window.until)
        if window.arms:
            self._arm_pairs.take(window.arms, window.since, self._generator)
            self._cohorts.take(window.arms, weights, since=window.since, until=window.until)
        self._arm_pairs.close(window.until, length=length, quantiles=quantiles)
        if window.control or not window.endpoints:
            return
        whole = Evidence()
        timed = self._timed.setdefault(window.instance, {})
        for name, endpoint in window.endpoints.items():
            whole.merge(endpoint.evidence)
            each = _at(timed, name)
            each.add(endpoint.evidence, window.since, window.until, length=length, fields=endpoint.fields)
        _at(timed, ALL).add(whole, window.since, window.until, length=length)
        self._whole.setdefault(window.instance, Evidence()).merge(whole)
        for each in timed.values():
            each.close(window.until, length=length, quantiles=quantiles)

    def number(self, names: Mapping[str, Collection[Field]], mine: Tally, tallies: Collection[Tally]) -> None:
        """Give what has come its numbers.

        Args:
            names: the endpoints of a window, and the fields of each.
            mine: the tally that it was merged into.
            tallies: all of the profile.
        """
        if mine.control or not mine.instance:
            return
        for name, fields in names.items():
            endpoint = mine.endpoints[name]
            # A version that shows what another has shown before uses its number.
            others = [tally.endpoints[name] for tally in tallies if tally is not mine and name in tally.endpoints]
            self._endpoints = _numbered(endpoint, others, self._endpoints)
            for field in fields:
                alike = (other.fields[field] for other in others if field in other.fields)
                self._fields = _numbered(endpoint.fields[field], alike, self._fields)

    def moved(self, names: Mapping[str, str]) -> None:
        """Take note that endpoints are called otherwise now; the tallies know it already.

        Of several that become one, the blocks of that with most of them stay: they are of the same seconds.
        """
        for timed in self._timed.values():
            for old in [name for name in timed if name in names]:
                each = timed.pop(old)
                there = timed.get(names[old])
                if there is None or each.blocks > there.blocks:
                    timed[names[old]] = each

    def restart(self, tallies: Iterable[Tally]) -> None:
        """Let nothing be evidence that was seen up to now; the numbers stay."""
        for tally in tallies:
            for endpoint in tally.endpoints.values():
                endpoint.restart_evidence()
            tally.arms = {}
            self._lost_before[tally.instance] = Counter(tally.lost)
        self._since = self._until = 0.0
        self._whole, self._timed, self._arm_pairs, self._cohorts = {}, {}, ArmPairs(), Cohorts()

    def pack(self) -> dict[str, Any]:
        """Return it for the disk; `whole` follows from the tallies."""
        return {
            "since": self._since,
            "until": self._until,
            "numbers": [self._endpoints, self._fields],
            "timed": {
                instance: {name: each.pack() for name, each in timed.items()} for instance, timed in self._timed.items()
            },
            "arm_pairs": self._arm_pairs.pack(),
            "cohorts": self._cohorts.pack(),
            "lost_before": {
                instance: {str(k): n for k, n in lost.items()} for instance, lost in self._lost_before.items()
            },
        }

    def load(self, packed: Mapping[str, Any], tallies: Iterable[Tally]) -> None:
        """Go on from what `pack` returned, in place of what is here, and from the tallies that belong to it.

        Raises: KeyError, TypeError, ValueError when it is something else.
        """
        timed = {
            str(instance): {str(name): _Timed.unpack(each) for name, each in of_it.items()}
            for instance, of_it in packed["timed"].items()
        }
        arm_pairs = ArmPairs.unpack(packed["arm_pairs"])
        cohorts = Cohorts.unpack(packed["cohorts"])
        lost_before = {str(instance): Counter(lost) for instance, lost in packed["lost_before"].items()}
        self._endpoints, self._fields = map(int, packed["numbers"])
        self._since, self._until = float(packed["since"]), float(packed["until"])
        self._timed, self._arm_pairs, self._cohorts, self._lost_before = timed, arm_pairs, cohorts, lost_before
        self._whole = {}
        for tally in tallies:
            if not tally.control and tally.endpoints:
                self._whole[tally.instance] = _together(each.evidence for each in tally.endpoints.values())

    def view(
        self, tallies: Sequence[Tally], variants: Mapping[str, str], *, controlled: bool = False
    ) -> ProfileEvidence:
        """Return the evidence as it is now.

        Args:
            tallies: of the profile.
            variants: the version of each instance; one that is not there is a version of its own.
            controlled: whether the profile has a control now.
        """
        found: dict[str, list[Tally]] = {}
        arms: dict[str, ArmTally] = {}
        lost: Counter[str] = Counter()
        for tally in tallies:
            if not tally.control and tally.instance:
                found.setdefault(variants.get(tally.instance, tally.instance), []).append(tally)
            elif not tally.instance:
                arms = tally.arms
            if not tally.control:
                lost.update(self._lost(tally))
        return ProfileEvidence(
            versions={variant: self._version(variant, parts) for variant, parts in found.items()},
            arms=arms,
            arm_pairs={
                (reference, candidate): ArmPair(
                    reference,
                    candidate,
                    each.errors,
                    each.worst,
                    each.blocks.ratios,
                    users=self._cohorts.of(candidate) if reference == ORIGINAL else None,
                )
                for (reference, candidate), each in self._arm_pairs.found.items()
            },
            lost=lost,
            controlled=controlled or any(tally.control for tally in tallies),
            since=self._since,
            until=self._until,
        )

    def _lost(self, tally: Tally) -> Counter[str]:
        lost = Counter(tally.lost)
        lost.subtract(self._lost_before.get(tally.instance, ()))
        return Counter({str(kind): count for kind, count in lost.items() if count > 0})

    def _version(self, variant: str, parts: Sequence[Tally]) -> VersionEvidence:
        names = dict.fromkeys(name for tally in parts for name in tally.endpoints)
        lost: Counter[str] = Counter()
        for tally in parts:
            lost.update(self._lost(tally))
        timed = [self._timed.get(tally.instance, {}) for tally in parts]
        wholes = [self._whole[tally.instance] for tally in parts if tally.instance in self._whole]
        return VersionEvidence(
            variant=variant,
            instances=tuple(tally.instance for tally in parts),
            endpoints={
                name: _endpoint([t.endpoints[name] for t in parts if name in t.endpoints], _named(timed, name))
                for name in names
            },
            whole=_evidence(wholes, _named(timed, ALL)),
            lost=lost,
        )


def _endpoint(parts: Sequence[EndpointTally], timed: Sequence[_Timed]) -> EndpointEvidence:
    fields = parts[0].fields if len(parts) == 1 else _fields_of(parts)
    return _evidence([part.evidence for part in parts], timed, fields=fields, appeared=_given(parts))


def _fields_of(parts: Iterable[EndpointTally]) -> dict[Field, FieldTally]:
    fields: dict[Field, FieldTally] = {}
    for part in parts:
        for field, tally in part.fields.items():
            fields.setdefault(field, FieldTally()).merge(tally, 0)
    return fields


def _evidence(
    parts: Sequence[Evidence],
    timed: Sequence[_Timed],
    *,
    fields: Mapping[Field, FieldTally] = _NO_FIELDS,
    appeared: int = 0,
) -> EndpointEvidence:
    timed = _apart(timed)
    outcomes = together([each.outcomes for each in timed])
    return EndpointEvidence(
        evidence=parts[0] if len(parts) == 1 else _together(parts),
        fields=fields,
        appeared=appeared,
        times=merged_ratios([each.by_original.ratios for each in timed]),
        control_times=merged_ratios([each.by_control.ratios for each in timed]),
        error_blocks=outcomes.errors,
        quiet_blocks=outcomes.quiet,
        field_blocks=outcomes.fields,
    )


def _at(timed: dict[str, _Timed], name: str) -> _Timed:
    found = timed.get(name)
    if found is None:
        found = timed[name] = _Timed()
    return found


def _named(timed: Iterable[Mapping[str, _Timed]], name: str) -> list[_Timed]:
    return [each[name] for each in timed if name in each]


def _apart(timed: Iterable[_Timed]) -> list[_Timed]:
    """Return those whose blocks may be added up, as they are of different times: of two, the one with more blocks."""
    chosen: list[_Timed] = []
    for each in sorted(timed, key=lambda one: -one.blocks):
        if not any(each.overlaps(other) for other in chosen):
            chosen.append(each)
    return chosen


def _together(parts: Iterable[Evidence]) -> Evidence:
    whole = Evidence()
    for part in parts:
        whole.merge(part)
    return whole


def _given(parts: Iterable[EndpointTally | FieldTally]) -> int:
    """Return the number that one of them has already; 0 when none has."""
    return min((part.appeared for part in parts if part.appeared), default=0)


def _numbered(one: EndpointTally | FieldTally, others: Iterable[EndpointTally | FieldTally], last: int) -> int:
    """Give it the number of others that are the same, or the next one; return the last number that is given."""
    if not one.appeared:
        one.appeared = _given(others) or last + 1
    return max(last, one.appeared)
