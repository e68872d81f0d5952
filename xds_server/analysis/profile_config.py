"""What an engine must know of a profile; pushed by the manager, kept on the engine's disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xds_server.analysis.compare import Rules
from xds_server.analysis.headers import IGNORED


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """One profile, as the analysis sees it.

    `shadows` maps each instance that copies are sent to now to its variant's name; an original waits for the copies of
    all of them. `ignore_headers` are names, `ignore_fields` fields as `byClass` and `differences` report them.
    """

    profile_id: str
    network: str
    component: str
    protocol: str = "http1"
    shadows: Mapping[str, str] = field(default_factory=dict)
    head_bytes: int = 16 * 1024
    ignore_headers: tuple[str, ...] = ()
    ignore_fields: tuple[str, ...] = ()
    keep_credentials: bool = False
    patience: float = 0.0
    """Seconds that a copy may take: its timeout, and what faults hold it back."""

    @property
    def rules(self) -> Rules:
        """Return what the comparison leaves out."""
        return Rules(
            ignore_headers=IGNORED | {name.lower() for name in self.ignore_headers},
            ignore_fields=frozenset(self.ignore_fields),
            keep_credentials=self.keep_credentials,
        )

    def pack(self) -> dict[str, Any]:
        """Return it for the link and the disk."""
        return {
            "profile_id": self.profile_id,
            "network": self.network,
            "component": self.component,
            "protocol": self.protocol,
            "shadows": dict(self.shadows),
            "head_bytes": self.head_bytes,
            "ignore_headers": list(self.ignore_headers),
            "ignore_fields": list(self.ignore_fields),
            "keep_credentials": self.keep_credentials,
            "patience": self.patience,
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
        ignore_headers=tuple(packed.get("ignore_headers", ())),
        ignore_fields=tuple(packed.get("ignore_fields", ())),
        keep_credentials=bool(packed.get("keep_credentials", False)),
        patience=float(packed.get("patience", 0.0)),
    )
