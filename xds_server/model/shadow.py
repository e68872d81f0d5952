"""A shadow instance: a short-lived copy of a component, in another version."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address


class InstanceStatus(StrEnum):
    """The specification's three, and `Pending` before the instance has answered its health check."""

    PENDING = "Pending"
    RUNNING = "Running"
    STOPPED = "Stopped"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class ShadowInstance:
    """One instance. `address` is set from RUNNING on; `reason` says why it is STOPPED or FAILED.

    Of one that is PENDING, `reason` says which nodes could not start it, and how far a pull is. `handle` is what its
    runtime needs to find it again after a restart (opaque to all others).
    """

    id: InstanceID
    network_id: NetworkID
    profile_id: ProfileID
    component_name: str
    variant: str
    node: str
    status: InstanceStatus
    created_at: datetime
    expires_at: datetime
    address: Address | None = None
    reason: str = ""
    log_tail: tuple[str, ...] = ()
    handle: dict[str, str] = field(default_factory=dict)
    stopped_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """True once it cannot come back."""
        return self.status in {InstanceStatus.STOPPED, InstanceStatus.FAILED}
