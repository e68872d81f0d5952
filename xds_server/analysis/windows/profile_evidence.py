"""All the evidence about a profile's versions at one moment, as verdicts are reached from it.

Guarantees: nothing of it was seen before `since` (`Collector.restart_evidence`); all numbers belong to one moment.
Not guaranteed: that it stays as it is: it shows the collector's own tallies, so it is read at once (before the next
`await`) and never changed.
Units: seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.windows.arms import ArmTally
from xds_server.analysis.windows.cohorts import Users
from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.tally import Field, FieldTally

ALLOWANCE = 0.001
"""What our own path and the smaller load may add to a shadow's response time beside its original's, and the making of
copies to a mirrored request's beside a plain one's: Envoy reads an answer when it has sent the copies. Up to 0.5 ms
were seen at the median of a version beside itself (`hack/bench even`), and 0.3 ms of a mirrored request."""
CONTROL_ALLOWANCE = 0.0005
"""The same beside a control: its copy is the last to be sent, so it waits for no other's. Up to 0.25 ms were seen."""


@dataclass(frozen=True, slots=True)
class EndpointEvidence:
    """The evidence about one version at one endpoint, or at all of them together (`VersionEvidence.whole`)."""

    evidence: Evidence
    """Counts of pairs, trios and missing copies; the times as sketches, for display."""
    fields: Mapping[Field, FieldTally]
    """What differs here. `both`, `alone` and `control` count of the trios of `evidence` those in which the field
    differs, from its second trio on; `appeared` is its order in the profile. Empty for all endpoints together."""
    appeared: int
    """Order of appearance in the profile, from 1; no two endpoints have the same. 0: all endpoints together."""
    times: Mapping[float, Ratios]
    """By quantile: shadow against original, which is given `ALLOWANCE` more. Missing: no time block is complete yet."""
    control_times: Mapping[float, Ratios]
    """By quantile: shadow against control, which is given `CONTROL_ALLOWANCE` more. Empty without a control."""
    error_blocks: Symmetric
    """Of each block of time: the errors of the shadow alone, less those of the original alone."""
    quiet_blocks: Symmetric
    """The same of unexplained differences of shadow and control (`Evidence.quiet_up`)."""
    field_blocks: Mapping[Field, Symmetric]
    """The same of each field; one that is not there was in balance in every block."""

    @property
    def pairs(self) -> int:
        """Pairs that are evidence."""
        return self.evidence.pairs

    @property
    def not_judged(self) -> Mapping[str, int]:
        """Return the pairs that came, would be evidence, and are not judged, by `Reason`."""
        return self.evidence.not_judged


@dataclass(frozen=True, slots=True)
class VersionEvidence:
    """The evidence about one version: all its instances together."""

    variant: str
    instances: tuple[str, ...]
    endpoints: Mapping[str, EndpointEvidence]
    whole: EndpointEvidence
    """All endpoints together."""
    lost: Mapping[str, int]
    """What was lost of its instances, by `Lost`; the kinds overlap. Missing copies are in `Evidence.missing`, by the
    endpoint; those of which not even the original came (`als_gap`, `overflow`) are only here."""


@dataclass(frozen=True, slots=True)
class ArmPair:
    """Two arms beside each other. `up`: only the candidate's request failed, in a matching made at random."""

    reference: str
    candidate: str
    errors: Paired
    """Of requests that the version of each arm was asked itself."""
    worst: Paired
    """Of all: those that the original answered, as the candidate had been ejected, are the candidate's errors."""
    times: Mapping[float, Ratios]
    """By quantile: candidate against reference; a plain request is given `ALLOWANCE` more than a mirrored one."""
    users: Users | None = None
    """Of a split's candidate beside the original; None: they are not known."""


@dataclass(frozen=True, slots=True)
class ProfileEvidence:
    """The evidence about a profile. `since` and `until` are seconds since the epoch, 0 while nothing was seen."""

    versions: Mapping[str, VersionEvidence]
    """By the variant's name; without the control."""
    arms: Mapping[str, ArmTally]
    arm_pairs: Mapping[tuple[str, str], ArmPair]
    """By reference and candidate: `("plain", "mirrored")` for harm, `("original", variant)` and each two variants, in
    the order of their names, for a split."""
    lost: Mapping[str, int]
    """What was lost of all versions, and what belongs to none."""
    controlled: bool
    """Whether a control answers, or has answered."""
    since: float
    until: float
