"""CPU, memory, and metrics of the user's own: readings that come from elsewhere, one of each leg at a time.

Guarantees: pure; without a reading, nothing passes. Not guaranteed: anything about missing copies, which no reading is
made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import log

from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.verdict.measured import Measured, Need
from xds_server.analysis.verdict.rates import ORIGINAL
from xds_server.analysis.verdict.words import RATIO
from xds_server.model.judging import Metric

ELSEWHERE = frozenset({Metric.CPU, Metric.MEMORY, Metric.PROMETHEUS})
"""Metrics that are not made of pairs."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one metric of one variant, so far.

    `reference` and `candidate` are of the newest readings; `evidence` has a block for each time at which both could be
    read. `reason`: why one could not (then nothing is decided on it), or what else is to know of it.
    """

    reference: float | None = None
    candidate: float | None = None
    evidence: Ratios = field(default_factory=Ratios)
    reason: str = ""
    blocks: int = 0
    of: str = ORIGINAL
    """What it is read against: the original, or its control."""


Readings = Mapping[tuple[str, str], Reading]
"""By label of the check and name of the variant."""


def reading(found: Reading | None, *, margin: float, alpha: float, name: str) -> Measured:
    """Return what the readings of a metric say, candidate over reference, against a limit of the ratio."""
    if found is None:
        return Measured(margin, RATIO, 0, said=f"{name}: nothing was read so far", possible=False)
    if found.reference is None or found.candidate is None:
        said = f"{name}: {found.reason or 'nothing was read so far'}"
        return Measured(
            margin, RATIO, found.blocks, original=found.reference, shadow=found.candidate, said=said, possible=False
        )
    return Measured(
        threshold=margin,
        unit=RATIO,
        pairs=found.blocks,
        log_fail=found.evidence.log_evidence_above(margin),
        log_pass=found.evidence.log_evidence_below(margin),
        original=found.reference,
        shadow=found.candidate,
        effect=found.candidate / found.reference if found.reference else None,
        reference=found.of,
        interval=partial(found.evidence.interval, alpha),
        needed=partial(_needed, found.evidence, margin, alpha),
        said=found.reason,
    )


def _needed(blocks: Ratios, margin: float, alpha: float, log_fail: float) -> Need | None:
    ways = blocks.more_above(margin, log_fail), blocks.more_below(margin, log(1 / alpha))
    more = min((each for each in ways if each is not None), default=None)
    return None if more is None else Need(more)
