"""Evidence made by hand, for the tests of the verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.statistics.ratio import GRID, Ratios
from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.verdict.case import Case
from xds_server.analysis.windows.arms import ArmTally
from xds_server.analysis.windows.cohorts import Users
from xds_server.analysis.windows.evidence import Evidence, Times
from xds_server.analysis.windows.profile_evidence import (
    ALLOWANCE,
    CONTROL_ALLOWANCE,
    ArmPair,
    EndpointEvidence,
    ProfileEvidence,
    VersionEvidence,
)
from xds_server.analysis.windows.sketch import Sketch
from xds_server.analysis.windows.tally import Field, FieldTally
from xds_server.model.judging import Check, Judging, Metric, checks_of

ERRORS = Check(Metric.ERROR_RATE, max_increase=0.01, critical=True)
DIFFERENCES = Check(Metric.DIFFERENCE_RATE, max_rate=0.01, critical=True)
P50 = Check(Metric.RESPONSE_TIME, quantile=0.5, max_ratio=1.25, critical=True)
P99 = Check(Metric.RESPONSE_TIME, quantile=0.99, max_ratio=1.5)
MEMORY = Check(Metric.MEMORY, max_ratio=1.5)
DEFAULTS = checks_of(Judging(), ["error_rate", "difference_rate", "response_time", "cpu", "memory"])
NOW = 1_750_000_000.0
BLOCKS = 100
"""Blocks of time that outcomes are spread over, where nothing else is said."""
TOOK = 0.012
"""Seconds that the original and the control take."""
SUMMED = (
    *("pairs", "up", "down", "both", "differing", "trios", "quiet_up", "quiet_down", "missing", "missing_errors"),
    *("times", "control_times"),
)
"""What of all traffic is the sum of the endpoints."""


def blocks(ratio: float, count: int, *, size: float = 2.0) -> Ratios:
    """Return blocks in which the candidate is just `ratio` times as slow: scores balance there."""
    gamma = math.log(1.01 / 0.99)
    ratios = Ratios()
    for number in range(count):
        wobble = 0.5 if number % 2 else -0.5
        ratios.add([size * math.tanh(4 * (math.log(ratio) - j * gamma)) + wobble for j in GRID])
    return ratios


def timed(ratio: float, count: int, allowance: float = 0.0) -> dict[float, Ratios]:
    """Return such blocks by quantile, of a candidate that took `ratio` times the `TOOK` of its reference."""
    beside = ratio * TOOK / (TOOK + allowance)
    return {q: blocks(beside, count) for q in (0.5, 0.99)} if count else {}


def outcomes(up: float, down: float, count: int = BLOCKS) -> Symmetric:
    """Return so many blocks with the outcomes spread evenly over them, those of the one leg between the other's."""
    sums = [0] * count
    for number in range(round(up)):
        sums[number * count // round(up)] += 1
    for number in range(round(down)):
        sums[(number * count // round(down) + count // (2 * round(down) or 1)) % count] -= 1
    made = Symmetric()
    for each in sums:
        made.add(each)
    return made


def sketch(value: float, count: int) -> Sketch:
    bucket = Sketch([value]).as_json()[0]
    return Sketch.from_json([bucket, count] if count else [])


@dataclass
class Seen:
    """What was seen at one endpoint."""

    pairs: int = 0
    up: int = 0
    down: int = 0
    both: int = 0
    blocks: int = BLOCKS
    """Blocks of time that the outcomes are spread over."""
    differing: int = 0
    trios: int = 0
    quiet_up: int = 0
    quiet_down: int = 0
    missing: int = 0
    missing_errors: int = 0
    ratio: float = 1.0
    times: int = 0
    """Time blocks."""
    control_times: int = 0
    fields: Mapping[Field, tuple[int, int, int]] = field(default_factory=dict)
    """Alone, control, order of appearance."""
    faulted: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Pairs, errors, differing, aborted."""
    faulted_trios: tuple[int, int] = (0, 0)
    """Trios, and in how many of them the control does not explain the difference."""
    slow: float = 0.0
    """Seconds, under faults."""
    not_judged: Mapping[str, int] = field(default_factory=dict)
    appeared: int = 0

    def endpoint(self) -> EndpointEvidence:
        e = Evidence()
        e.pairs, e.error_up, e.error_down, e.differing = self.pairs, self.up, self.down, self.differing
        e.trios, e.quiet_up, e.quiet_down = self.trios, self.quiet_up, self.quiet_down
        e.error_both = self.both
        e.not_judged = dict(self.not_judged)
        e.missing, e.missing_errors = self.missing, self.missing_errors
        f = e.faulted
        f.pairs, f.errors, f.differing, f.aborted = self.faulted
        f.trios, f.quiet = self.faulted_trios
        if self.slow:
            f.times = sketch(self.slow, f.pairs)
        e.times = Times.of(sketch(TOOK, self.pairs), sketch(TOOK * self.ratio, self.pairs))
        e.control_times = Times.of(sketch(TOOK, self.trios), sketch(TOOK * self.ratio, self.trios))
        fields = {}
        for name, (alone, control, order) in self.fields.items():
            tally = fields[name] = FieldTally(alone)
            tally.alone, tally.control, tally.appeared = alone, control, order
        return EndpointEvidence(
            evidence=e,
            fields=fields,
            appeared=self.appeared,
            times=timed(self.ratio, self.times, ALLOWANCE),
            control_times=timed(self.ratio, self.control_times, CONTROL_ALLOWANCE),
            error_blocks=outcomes(self.up, self.down + self.missing_errors, self.blocks),
            quiet_blocks=outcomes(self.quiet_up, self.quiet_down, self.blocks),
            field_blocks={f: outcomes(alone, control, self.blocks) for f, (alone, control, _) in self.fields.items()},
        )


def version(
    endpoints: Mapping[str, Seen], *, name: str = "v2", lost: Mapping[str, int] | None = None, **whole: Any
) -> VersionEvidence:
    """Return a version; all traffic is the sum of its endpoints, but for `whole`."""
    together = Seen()
    for order, seen in enumerate(endpoints.values(), 1):
        seen.appeared = seen.appeared or order
        for each in SUMMED:
            setattr(together, each, getattr(together, each) + getattr(seen, each))
        together.ratio = max(together.ratio, seen.ratio)
        reasons = {*together.not_judged, *seen.not_judged}
        together.not_judged = {r: together.not_judged.get(r, 0) + seen.not_judged.get(r, 0) for r in reasons}
    for each, value in whole.items():
        setattr(together, each, value)
    found = {key: seen.endpoint() for key, seen in endpoints.items()}
    return VersionEvidence(name, (f"{name}-1",), found, together.endpoint(), lost or {})


def profile(
    *versions: VersionEvidence,
    arms: Mapping[str, tuple[int, int]] | None = None,
    arm_pairs: Sequence[ArmPair] = (),
    controlled: bool = False,
) -> ProfileEvidence:
    tallies = {}
    for name, (count, errors) in (arms or {}).items():
        arm = tallies[name] = ArmTally()
        arm.count, arm.errors, arm.times = count, errors, sketch(TOOK, min(count, 100))
    return ProfileEvidence(
        versions={v.variant: v for v in versions},
        arms=tallies,
        arm_pairs={(p.reference, p.candidate): p for p in arm_pairs},
        lost={},
        controlled=controlled,
        since=NOW - 600,
        until=NOW,
    )


def arm_pair(
    reference: str,
    candidate: str,
    errors: Paired,
    *,
    ratio: float = 1.0,
    times: int = 0,
    worst: Paired | None = None,
    users: Users | None = None,
) -> ArmPair:
    return ArmPair(
        reference=reference,
        candidate=candidate,
        errors=errors,
        worst=errors if worst is None else worst,
        times=timed(ratio, times, ALLOWANCE if reference == "plain" else 0.0),
        users=users,
    )


def case(*versions: VersionEvidence, checks: Sequence[Check] = (ERRORS,), **facts: Any) -> Case:
    evidence = facts.pop("evidence", None) or profile(*versions)
    variants = facts.pop("variants", tuple(evidence.versions) or ("v2",))
    facts = {"judging": Judging(), "now": NOW, **facts}
    return Case(checks=tuple(checks), variants=variants, evidence=evidence, **facts)
