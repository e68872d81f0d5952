"""CPU, memory, and metrics of the user's own: readings that come from elsewhere, one of each leg at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xds_server.analysis.statistics.ratio import Ratios


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
    of: str = "original"
    """What it is read against: the original, or its control."""


Readings = Mapping[tuple[str, str], Reading]
"""By label of the check and name of the variant."""
