"""Everything the manager knows, in memory: one record a network.

Guarantees: what is here is what the store has, but for an instance's status while an actor is about to record it, and
for what is `owed`.
Not guaranteed: anything across threads; all of it belongs on the event loop.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from xds_server.errors import NotFoundError
from xds_server.lifecycle.controls import first_start, why_over
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.places import Wanted
from xds_server.lifecycle.rollout import silenced
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, SelfSpec, ShadowingProfile, VariantSpec
from xds_server.model.rollout import Mode
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState
from xds_server.runtime.base import Disturbance

KEPT_ENDED = 10
"""Ended instances of a profile that are kept, so that their end can be read; older ones are dropped."""


@dataclass(slots=True)
class NetworkRecord:
    """One network with all that belongs to it. `lock` is held from the first check to the last write of a change."""

    network: VirtualNetwork
    profiles: dict[ProfileID, ShadowingProfile] = field(default_factory=dict)
    instances: dict[InstanceID, ShadowInstance] = field(default_factory=dict)
    faults: dict[FaultID, Fault] = field(default_factory=dict)
    ending: bool = False
    ending_profiles: set[ProfileID] = field(default_factory=set)
    trouble: str = ""
    """What went wrong on our side (the disk, for one); shown in the status."""
    draining: set[InstanceID] = field(default_factory=set)
    """Instances of splits that were Running, are Stopped now, and may finish what they have begun."""
    disturbed: dict[InstanceID, Disturbance] = field(default_factory=dict)
    """What is done to instances themselves, as far as is known; nothing is done to the others."""
    calm_since: dict[InstanceID, datetime] = field(default_factory=dict)
    """When the last fault was lifted that was done to an instance itself."""
    owed: Owed = field(default_factory=Owed)
    """What is in effect, and not on disk."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def live_profiles(self) -> list[ShadowingProfile]:
        """Return the profiles that nobody has deleted, oldest first."""
        return [p for p in self.profiles.values() if p.id not in self.ending_profiles]

    def living_profiles(self) -> list[ShadowingProfile]:
        """Return those of them that have a shadow Pending or Running, oldest first: they alone claim a sample."""
        living = {(i.profile_id, i.variant) for i in self.instances.values() if not i.ended}
        return [p for p in self.live_profiles() if any((p.id, v.name) in living for v in p.variants)]

    def profile(self, ref: str) -> ShadowingProfile:
        """Return a profile by id or name. Raises: NotFoundError."""
        live = self.live_profiles()
        found = next((p for p in live if p.id == ref), None) or next(
            (p for p in live if p.name and p.name == ref), None
        )
        if found is None:
            raise NotFoundError(
                f'network "{self.network.name}" has no shadowing profile "{ref}"',
                hint=_known("profiles", [p.name or p.id for p in live]),
            )
        return found

    def owes_deletion(self, profile: str | None) -> bool:
        """Tell whether the deletion of a profile (by id or name), or None of the network, is not on disk."""
        if profile is None:
            return self.owed.network is not None
        gone = (self.profiles[i] for i in self.owed.ending_profiles if i in self.profiles)
        live = {name for p in self.live_profiles() for name in (p.id, p.name)}
        return profile not in live and any(profile in {p.id, p.name} for p in gone)

    def instance(self, ref: str) -> ShadowInstance:
        """Return an instance by id. Raises: NotFoundError."""
        found = self.instances.get(InstanceID(ref))
        if found is None or found.profile_id in self.ending_profiles:
            raise NotFoundError(
                f'network "{self.network.name}" has no shadow instance "{ref}"',
                field="instanceID",
                hint=_known("live instances", [i.id for i in self.instances.values() if not i.ended]),
            )
        return found

    def instances_of(self, profile: ProfileID) -> list[ShadowInstance]:
        """Return a profile's instances, oldest first."""
        return [i for i in self.instances.values() if i.profile_id == profile]

    def faults_of(self, instance: InstanceID) -> tuple[Fault, ...]:
        """Return the faults on an instance, oldest first."""
        return tuple(f for f in self.faults.values() if f.instance_id == instance)

    def spec_of(self, instance: ShadowInstance) -> VariantSpec:
        """Return what an instance runs."""
        versions = self.profiles[instance.profile_id].versions
        return next(v.spec for v in versions if v.name == instance.variant)

    def wanted(self, instance: ShadowInstance) -> Wanted | None:
        """Return for whom an instance needs a place; None when its component is gone."""
        component = self.network.component(instance.component_name)
        placement = self.profiles[instance.profile_id].placement
        return None if component is None else Wanted(self.network.id, component, placement)

    def why_over(self, instance: ShadowInstance) -> str:
        """Return what is said when an instance's time is over; empty: the usual words."""
        return why_over(self.profiles[instance.profile_id], instance)

    def forget(self, instance: InstanceID) -> None:
        """Forget what was done to an instance that has ended."""
        self.disturbed.pop(instance, None)
        self.calm_since.pop(instance, None)

    def update(self, instance: InstanceID, **changes: Any) -> ShadowInstance:
        """Change fields of an instance in memory; return what it is now."""
        self.instances[instance] = updated = replace(self.instances[instance], **changes)
        return updated

    def state(self, *, silent: bool = False) -> NetworkState:
        """Return what the translation is given; `silent`: with every percentage and every weight at 0.

        Of what was deleted, a split is left until its instances have drained, with all weights at 0.
        """
        active = []
        for profile in self.profiles.values():
            ending = self.ending or profile.id in self.ending_profiles
            shadows = self._active(profile, ending=ending)
            if shadows or not ending:
                quiet = silent or ending
                now = replace(silenced(profile), percentage=0.0) if quiet else profile
                active.append(ActiveProfile(profile=now, shadows=shadows))
        return NetworkState(network=self.network, profiles=tuple(active))

    def _active(self, profile: ShadowingProfile, *, ending: bool) -> tuple[ActiveShadow, ...]:
        """Return what is mirrored to, or gets users.

        A control alone is not mirrored to: there is nothing to tell noise from. In a split it has no part, and what
        drains is still there.
        """
        split = profile.mode is Mode.SPLIT
        of_it = [i for i in self.instances_of(profile.id) if not (split and profile.is_control(i.variant))]
        running = [i for i in of_it if i.status is InstanceStatus.RUNNING and not ending]
        taken = {i.variant for i in running}
        drains = [i for i in of_it if split and i.id in self.draining and i.variant not in taken]
        running = [i for i in of_it if i.address is not None and (i in running or i in drains)]
        if all(profile.is_control(i.variant) for i in running):
            return ()
        return tuple(
            ActiveShadow(
                instance_id=i.id,
                variant=i.variant,
                address=i.address,
                faults=tuple(f for f in self.faults_of(i.id) if f.parameters.on_copies),
                original=isinstance(self.spec_of(i), SelfSpec),
                draining=i.id in self.draining,
                since=i.created_at,
                disturbed=i.id in self.disturbed or any(f.parameters.on_instance for f in self.faults_of(i.id)),
                calm_since=self.calm_since.get(i.id),
            )
            for i in running
            if i.address is not None
        )

    def surplus(self, profile: ProfileID) -> list[InstanceID]:
        """Return the ended instances of a profile that are too many to keep, oldest first."""
        of_it = self.instances_of(profile)
        # The first control tells when its duration began.
        first = first_start(self.profiles[profile], of_it)
        done = [i.id for i in of_it if i.ended and not i.handle and i.created_at != first]
        return done[: max(0, len(done) - KEPT_ENDED)]


class Registry:
    """All records. An ending network is found by nobody, and its name stays taken until it is gone."""

    def __init__(self) -> None:
        self._records: dict[NetworkID, NetworkRecord] = {}
        self._by_name: dict[str, NetworkID] = {}

    def __iter__(self) -> Iterator[NetworkRecord]:
        return iter(list(self._records.values()))

    def add(self, record: NetworkRecord) -> None:
        """Put a network in."""
        self._records[record.network.id] = record
        self._by_name[record.network.name] = record.network.id

    def remove(self, record: NetworkRecord) -> None:
        """Take a network out."""
        self._records.pop(record.network.id, None)
        self._by_name.pop(record.network.name, None)

    def get(self, network: NetworkID) -> NetworkRecord | None:
        """Return a network by id, also one that is ending; None when there is none."""
        return self._records.get(network)

    def get_by_ref(self, ref: str) -> NetworkRecord | None:
        """Return a network by id or name, also one that is ending; None when there is none."""
        return self._records.get(NetworkID(ref)) or self._records.get(self._by_name.get(ref, NetworkID("")))

    def ending(self, ref: str) -> NetworkRecord | None:
        """Return a network that is ending, by id or name; None: there is none."""
        record = self.get_by_ref(ref)
        return record if record is not None and record.ending else None

    def taken(self, ref: str) -> bool:
        """Tell whether a name or id is in use, also by a network that is ending."""
        return ref in self._by_name or ref in self._records

    def find(self, ref: str) -> NetworkRecord:
        """Return a network by id or name. Raises: NotFoundError."""
        record = self.get_by_ref(ref)
        if record is None or record.ending:
            names = [r.network.name for r in self._records.values() if not r.ending]
            raise NotFoundError(f'there is no network "{ref}"', hint=_known("networks", names))
        return record


def _known(what: str, names: list[str], limit: int = 10) -> str:
    if not names:
        return f"there are no {what} yet"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{what}: {', '.join(names[:limit])}{more}"
