"""What an engine must know of a profile; pushed by the manager, kept on the engine's disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xds_server.model.analysis import DEFAULT_ANALYSIS, Analysis, analysis_from, analysis_to

QUANTILES = (0.5, 0.99)
"""Of the response time, when no check names others."""


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """One profile, as the analysis sees it.

    `shadows` maps each instance that copies are sent to now to its variant's name; an original waits for the copies of
    all of them. `control` is the instance among them that is the control; empty when there is none now. `warm` says of
    an instance from when on its answers are evidence, in seconds since the epoch; of one that is not there: at once.
    """

    profile_id: str
    network: str
    component: str
    protocol: str = "http1"
    shadows: Mapping[str, str] = field(default_factory=dict)
    head_bytes: int = 16 * 1024
    keep_credentials: bool = False
    patience: float = 0.0
    """Seconds that a copy may take: its timeout, and what faults hold it back."""
    analysis: Analysis = DEFAULT_ANALYSIS
    control: str = ""
    warm: Mapping[str, float] = field(default_factory=dict)
    quantiles: tuple[float, ...] = QUANTILES
    """Of the response time, that are judged."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Of the arms of a split, by which users are sent now; empty when it is not chance that sends them."""

    def pack(self) -> dict[str, Any]:
        """Return it for the link and the disk."""
        return {
            "profile_id": self.profile_id,
            "network": self.network,
            "component": self.component,
            "protocol": self.protocol,
            "shadows": dict(self.shadows),
            "head_bytes": self.head_bytes,
            "keep_credentials": self.keep_credentials,
            "patience": self.patience,
            "analysis": analysis_to(self.analysis),
            "control": self.control,
            "warm": dict(self.warm),
            "quantiles": list(self.quantiles),
            "weights": dict(self.weights),
        }


def unpack_profile(packed: Mapping[str, Any]) -> ProfileConfig:
    """Return what `pack` described, without what a newer manager added. Raises: KeyError when it is something else."""
    return ProfileConfig(
        profile_id=str(packed["profile_id"]),
        network=str(packed["network"]),
        component=str(packed["component"]),
        protocol=str(packed.get("protocol", "http1")),
        shadows=dict(packed.get("shadows", {})),
        head_bytes=int(packed.get("head_bytes", 0)),
        keep_credentials=bool(packed.get("keep_credentials", False)),
        patience=float(packed.get("patience", 0.0)),
        analysis=analysis_from(packed["analysis"]) if "analysis" in packed else DEFAULT_ANALYSIS,
        control=str(packed.get("control", "")),
        warm=dict(packed.get("warm", {})),
        quantiles=tuple(packed.get("quantiles", QUANTILES)),
        weights=dict(packed.get("weights", {})),
    )
