"""What a network owes the disk: changes that are in effect although the disk did not take them.

Guarantees: what is owed is told by name, and written as it is at the moment of the writing, so nothing old is ever
written over something newer; what the audit trail is told of it stays in order.
Not guaranteed: that it outlives the manager; it is in memory alone until the disk takes it (`books`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from xds_server.model.audit import AuditEvent
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.profile import ShadowingProfile
from xds_server.model.shadow import ShadowInstance
from xds_server.store.base import Changes


@dataclass(slots=True)
class Owed:
    """See the module. Dicts instead of sets where there is nothing to remember: they keep their order."""

    network: NetworkID | None = None
    """It was deleted."""
    profiles: dict[ProfileID, None] = field(default_factory=dict)
    """Their definition changed."""
    instances: dict[InstanceID, None] = field(default_factory=dict)
    verdicts: dict[ProfileID, Callable[[], bytes]] = field(default_factory=dict)
    """What was done about a verdict; gives the row."""
    ending_profiles: dict[ProfileID, None] = field(default_factory=dict)
    """They were deleted."""
    faults: dict[FaultID, None] = field(default_factory=dict)
    """They were lifted."""
    events: list[AuditEvent] = field(default_factory=list)
    """What is told of all that, oldest first."""

    def __bool__(self) -> bool:
        return self.network is not None or any(
            (self.profiles, self.instances, self.verdicts, self.ending_profiles, self.faults, self.events)
        )

    def add(self, more: "Owed") -> None:
        """Owe this too."""
        self.network = more.network or self.network
        self.profiles |= more.profiles
        self.instances |= more.instances
        self.verdicts |= more.verdicts
        self.ending_profiles |= more.ending_profiles
        self.faults |= more.faults
        self.events += more.events

    def before(
        self,
        changes: Changes,
        *,
        profiles: Mapping[ProfileID, ShadowingProfile],
        instances: Mapping[InstanceID, ShadowInstance],
    ) -> Changes:
        """Return what is owed, as it is now, and after it `changes`, as one step."""
        rows = {profile: row() for profile, row in self.verdicts.items() if profile in profiles}
        return replace(
            changes,
            profiles=(*(profiles[i] for i in self.profiles if i in profiles), *changes.profiles),
            instances=(*(instances[i] for i in self.instances if i in instances), *changes.instances),
            verdicts={**rows, **changes.verdicts},
            ending_networks=(*((self.network,) if self.network is not None else ()), *changes.ending_networks),
            ending_profiles=(*self.ending_profiles, *changes.ending_profiles),
            drop_faults=(*self.faults, *changes.drop_faults),
            events=(*self.events, *changes.events),
        )
