"""What a store is: everything that must survive a restart, changed in whole steps.

Guarantees that each store gives: `apply` is all or nothing and durable when it returns; calls take effect in the order
in which they were made. Not guaranteed: that two processes may use one store at once; the second is refused at `open`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from xds_server.model.audit import AuditEvent, EventPage, EventQuery
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, ShadowingProfile
from xds_server.model.shadow import ShadowInstance


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What was created under a key that the client chose. `body_hash` tells a retry from a mistake."""

    network_id: NetworkID
    key: str
    body_hash: str
    profile_id: ProfileID
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRecord:
    """The comparison of a profile that was deleted, without the comparison itself (`Store.archived` has it)."""

    profile_id: ProfileID
    network_id: NetworkID
    name: str
    component_name: str
    variants: Mapping[InstanceID, str]
    """Variant of each instance."""
    created_at: datetime | None
    ended_at: datetime
    expires_at: datetime
    pairs: int
    discrepancies: int
    size: int
    """Bytes on disk."""
    verdict: Mapping[str, Any] | None = None
    """The last one; None when nothing was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One step: what is written and what is dropped, in one transaction.

    Dropping a network drops its profiles and its archive, dropping a profile its instances and its verdict, dropping an
    instance its faults. What is archived replaces what is there of the same profile. A network or profile that is
    `ending` was deleted by a user and waits only for its shadows to be gone; a restart finishes it.
    """

    networks: tuple[VirtualNetwork, ...] = ()
    profiles: tuple[ShadowingProfile, ...] = ()
    instances: tuple[ShadowInstance, ...] = ()
    faults: tuple[Fault, ...] = ()
    summaries: Mapping[ProfileID, bytes] = field(default_factory=dict)
    verdicts: Mapping[ProfileID, bytes] = field(default_factory=dict)
    archive: tuple[tuple[ArchiveRecord, bytes], ...] = ()
    remember: IdempotencyRecord | None = None
    ending_networks: tuple[NetworkID, ...] = ()
    ending_profiles: tuple[ProfileID, ...] = ()
    drop_networks: tuple[NetworkID, ...] = ()
    drop_profiles: tuple[ProfileID, ...] = ()
    drop_instances: tuple[InstanceID, ...] = ()
    drop_faults: tuple[FaultID, ...] = ()
    drop_archive: tuple[ProfileID, ...] = ()
    events: tuple[AuditEvent, ...] = ()
    """What of this, and of what was before, goes into the audit trail. It outlives what it tells of."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything but idempotency keys and archived comparisons; each sort in the order of its first writing."""

    networks: tuple[VirtualNetwork, ...] = ()
    profiles: tuple[ShadowingProfile, ...] = ()
    instances: tuple[ShadowInstance, ...] = ()
    faults: tuple[Fault, ...] = ()
    summaries: Mapping[ProfileID, bytes] = field(default_factory=dict)
    verdicts: Mapping[ProfileID, bytes] = field(default_factory=dict)
    archive: tuple[ArchiveRecord, ...] = ()
    ending_networks: frozenset[NetworkID] = frozenset()
    ending_profiles: frozenset[ProfileID] = frozenset()


class Store(Protocol):
    """See the module. Every method may raise StoreError."""

    async def open(self) -> None:
        """Open it, bring its schema up to date and check it."""

    async def close(self) -> None:
        """Finish what was asked for and let go of it. Idempotent."""

    async def load(self) -> Contents:
        """Return everything."""
        ...

    async def apply(self, changes: Changes) -> None:
        """Make one step durable."""

    async def recall(self, network_id: NetworkID, key: str, *, since: datetime) -> IdempotencyRecord | None:
        """Return what was created under this key at `since` or later."""
        ...

    async def archived(self, profile_id: ProfileID) -> bytes | None:
        """Return the comparison of a deleted profile; None when it is not (or no longer) in the archive."""
        ...

    async def events(self, query: EventQuery) -> EventPage:
        """Return a stretch of the audit trail of a network, living or deleted."""
        ...

    async def events_of(self, ref: str) -> NetworkID | None:
        """Return the id of a network that the audit trail knows, by id or name; None: it knows none."""
        ...
