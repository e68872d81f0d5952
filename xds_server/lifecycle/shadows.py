"""The actors of all live instances, and the desk that they work at.

Guarantees: one actor an instance; what it changes is written under the lock of its network, so it never crosses a
change of a user. Not guaranteed: that a record reaches a full disk at once; the network's `trouble` says so, the
shadow is ended all the same, and it is written once there is room (`Unfinished`).
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from xds_server.config import Settings
from xds_server.errors import StoreError, UnavailableError
from xds_server.lifecycle.actor import Actor, Site
from xds_server.lifecycle.books import Books
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.deadlines import Deadlines
from xds_server.lifecycle.entries import of_fault, of_instance
from xds_server.lifecycle.places import Places
from xds_server.lifecycle.publisher import Publisher
from xds_server.lifecycle.registry import NetworkRecord, Registry
from xds_server.lifecycle.sampler import Sampler
from xds_server.lifecycle.trail import Trail
from xds_server.lifecycle.transitions import Event
from xds_server.lifecycle.unfinished import Unfinished
from xds_server.model.audit import AuditEvent
from xds_server.model.ids import InstanceID, NetworkID
from xds_server.model.rollout import Mode
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.protocol.board import StatusBoard
from xds_server.runtime.base import Runtime
from xds_server.runtime.fleet import Fleet
from xds_server.store.base import Changes

log = structlog.get_logger(__name__)

DRAIN = 3.0
"""Seconds that an instance of a split goes on after the Envoys know that nobody new is sent to it."""
TTL_KEY = "ttl/"
"""Prefix of the deadlines of instances."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the life cycle is put together from."""

    store: Trail
    fleet: Fleet
    publisher: Publisher
    board: StatusBoard
    clock: Clock
    settings: Settings
    registry: Registry
    deadlines: Deadlines
    places: Places
    unfinished: Unfinished
    books: Books

    async def settled(self, network: NetworkID) -> bool:
        """Wait until a network's Envoys have answered everything, `xds.removal_timeout` at most; tell whether."""
        return await self.board.settled(self.publisher.groups(network), self.settings.xds.removal_timeout)


class Shadows:
    """All actors; also their `Desk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._actors: dict[InstanceID, Actor] = {}
        self._home: dict[InstanceID, NetworkRecord] = {}
        self._untold: dict[InstanceID, list[AuditEvent]] = {}
        """What the audit trail gets with the next row of an instance."""
        self.sampler = Sampler(clock=parts.clock, running=self._running)

    def __len__(self) -> int:
        return len(self._actors)

    def alive(self) -> Collection[InstanceID]:
        """Return the instances that have an actor."""
        return self._actors.keys()

    def take(self, record: NetworkRecord, instance: ShadowInstance) -> Actor:
        """Return the new actor of an instance; it does nothing until something is posted and it is launched."""
        spec = record.spec_of(instance)
        site = Site(self._parts.fleet.of(instance.node, spec), spec)
        actor = Actor(instance.id, site=site, desk=self, clock=self._parts.clock)
        self._actors[instance.id] = actor
        self._home[instance.id] = record
        wanted = record.wanted(instance)
        if wanted is not None:
            starting = instance.status is InstanceStatus.PENDING
            self._parts.places.taken(instance.id, instance.node, wanted, spec, starting=starting)
        if not instance.ended:
            self._parts.deadlines.set(TTL_KEY + instance.id, instance.expires_at)
        return actor

    def launch(self, actor: Actor) -> None:
        """Let an actor begin; it is forgotten when it is done."""
        actor.launch(done=self._done)

    def create(self, record: NetworkRecord, instances: Iterable[ShadowInstance]) -> None:
        """Bring up instances whose rows have just been written as Pending."""
        for instance in instances:
            actor = self.take(record, instance)
            actor.created()
            self.launch(actor)

    def post(self, instances: Iterable[ShadowInstance], event: Event) -> None:
        """Let something happen to instances; those without an actor have nothing left to happen to."""
        for instance in instances:
            actor = self._actors.get(instance.id)
            if actor is not None:
                actor.post(event)

    def post_all(self, event: Event) -> None:
        """Let something happen to every instance."""
        for actor in list(self._actors.values()):
            actor.post(event)

    def reschedule(self, instance: ShadowInstance) -> None:
        """Take note of a new TTL."""
        if instance.id in self._actors:
            self._parts.deadlines.set(TTL_KEY + instance.id, instance.expires_at)
            self._actors[instance.id].post(Event.TTL_CHANGED)

    def ttl_over(self, key: str) -> None:
        """Handle a deadline of ours."""
        actor = self._actors.get(InstanceID(key.removeprefix(TTL_KEY)))
        if actor is not None:
            actor.post(Event.TTL_OVER, reason=self._home[actor.id].why_over(self.instance(actor.id)))

    async def gone(self, instances: Iterable[ShadowInstance] | None = None) -> None:
        """Return when nothing is left to do for these (all without)."""
        wanted = set(self._actors) if instances is None else {i.id for i in instances}
        await asyncio.gather(*(actor.gone() for id_, actor in list(self._actors.items()) if id_ in wanted))

    async def abandon(self) -> None:
        """Leave what is still under way as a kill would; the next manager finishes or undoes it."""
        await asyncio.gather(*(actor.abandon() for actor in list(self._actors.values())))

    # The desk.

    def instance(self, instance: InstanceID) -> ShadowInstance:
        """See `Desk`."""
        return self._home[instance].instances[instance]

    def update(self, instance: InstanceID, **changes: Any) -> ShadowInstance:
        """See `Desk`."""
        if changes.get("status") is InstanceStatus.RUNNING:
            self._parts.places.up(instance)
        return self._home[instance].update(instance, **changes)

    async def record(self, instance: InstanceID) -> None:
        """See `Desk`. The faults of an ended instance go with it, and ended instances beyond those that are kept."""
        await self._record(self._home[instance], instance)

    async def _record(self, record: NetworkRecord, instance: InstanceID) -> None:
        async with record.lock:
            now = record.instances.get(instance)
            if now is None or self._parts.registry.get(record.network.id) is not record:
                return  # what the disk had not taken has been deleted since
            faults = tuple(f.id for f in record.faults_of(instance)) if now.ended else ()
            surplus = tuple(i for i in record.surplus(now.profile_id) if i not in self._actors)
            untold = self._untold.pop(instance, [])
            events = (*untold, *self._lifted(record, instance)) if now.ended else tuple(untold)
            try:
                changes = Changes(instances=(now,), drop_faults=faults, drop_instances=surplus, events=events)
                await self._parts.books.apply(record, changes)
            except StoreError as error:
                self._untold[instance] = [*untold, *self._untold.get(instance, ())]
                record.trouble = str(error)
                self._parts.unfinished.note(f"shadow {instance}", partial(self._record, record, instance))
                raise
            record.trouble = ""
            for fault in faults:
                record.faults.pop(fault, None)
            if now.ended:
                record.forget(instance)
            for old in surplus:
                record.instances.pop(old, None)
                self.sampler.drop(old)

    def tell(
        self, instance: InstanceID, event: str, *, before: InstanceStatus, reason: str, recorded: bool, what: str = ""
    ) -> None:
        """See `Desk`."""
        record, now = self._home[instance], self._parts.clock.now()
        told = of_instance(record, record.instances[instance], event, at=now, before=before, why=reason, what=what)
        if recorded or instance in self._untold:  # nothing is told before what came before it
            self._untold.setdefault(instance, []).append(told)
        elif record.owed:
            record.owed.events.append(told)
        else:
            self._parts.store.note(told)

    def _lifted(self, record: NetworkRecord, instance: InstanceID) -> list[AuditEvent]:
        """Return what is told of injected faults that end with their instance."""
        now, why = self._parts.clock.now(), "its instance ended"
        own = [fault for fault in record.faults_of(instance) if not fault.from_profile]
        return [of_fault(record, fault, "over", at=now, why=why) for fault in own]

    def started(self, instance: InstanceID) -> None:
        """See `Desk`."""
        record = self._home[instance]
        now = record.instances[instance]
        self._parts.places.started(now.node, record.spec_of(now))

    async def elsewhere(self, instance: InstanceID, error: UnavailableError, tried: Mapping[str, str]) -> Site:
        """See `Desk`."""
        record, places = self._home[instance], self._parts.places
        now = record.instances[instance]
        spec, wanted = record.spec_of(now), record.wanted(now)
        places.could_not(now.node, spec, error)
        log.warning("shadow: its node could not start it", instance=instance, node=now.node, reason=str(error))
        if wanted is None:
            raise error
        node = await places.moved(instance, wanted, spec, tried=tried)
        told = "; ".join(f"{name} could not start it: {why}" for name, why in tried.items())
        record.update(instance, node=node, reason=told)
        what = f"{now.variant} moves from node {now.node} to node {node}"
        self.tell(instance, "moved", before=now.status, reason=told, recorded=True, what=what)
        await self.record(instance)
        return Site(self._parts.fleet.of(node, spec), spec)

    def publish(self, instance: InstanceID) -> None:
        """See `Desk`."""
        self._parts.publisher.publish(self._home[instance].state())

    async def settle(self, instance: InstanceID) -> None:
        """See `Desk`."""
        await self._parts.settled(self._home[instance].network.id)

    async def drain(self, instance: InstanceID) -> None:
        """See `Desk`."""
        record = self._home[instance]
        if instance not in record.draining:
            return
        try:
            self._parts.publisher.publish(record.state())
            await self._parts.settled(record.network.id)
            await self._parts.clock.sleep(DRAIN)
        finally:
            record.draining.discard(instance)

    def ended(self, instance: InstanceID, *, before: InstanceStatus) -> None:
        """See `Desk`. Of a split, what ends in order drains first; what failed can finish nothing."""
        self._parts.deadlines.cancel(TTL_KEY + instance)
        record = self._home[instance]
        now = record.instances[instance]
        profile = record.profiles[now.profile_id]
        live = before is InstanceStatus.RUNNING and now.status is InstanceStatus.STOPPED
        if live and profile.mode is Mode.SPLIT and not profile.is_control(now.variant):
            record.draining.add(instance)

    def _done(self, actor: Actor) -> None:
        self._actors.pop(actor.id, None)
        self._home.pop(actor.id, None)
        self._parts.store.note(*self._untold.pop(actor.id, ()))
        self._parts.places.left(actor.id)

    def _running(self) -> Iterator[tuple[ShadowInstance, Runtime]]:
        for instance_id in list(self._actors):
            record = self._home.get(instance_id)
            if record is None:
                continue
            instance = record.instances[instance_id]
            if instance.status is InstanceStatus.RUNNING:
                yield instance, self._parts.fleet.of(instance.node, record.spec_of(instance))
