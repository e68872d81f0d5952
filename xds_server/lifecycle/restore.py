"""After a restart: find again what was running, finish what was half done (`sweeper` ends what belongs to nobody).

Guarantees: when `restore` returns, every instance has a status that was checked against the world (a look that takes
longer than `LOOK_TIMEOUT` counts as dead), so the first thing an Envoy is served is what it had before. Half-done work
(a start without a handle, an end that was not finished, a deletion) is taken up by the actors. A full disk is no
reason not to start.
Not guaranteed: that half-done work is finished when it returns.
"""

import asyncio
import contextlib

import structlog

from xds_server.errors import ShadowmeshError, UnrecordedError
from xds_server.lifecycle.actor import Actor
from xds_server.lifecycle.disturbances import Disturbances, together
from xds_server.lifecycle.entries import of_fault, of_instance
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.shadows import Parts, Shadows
from xds_server.lifecycle.transitions import Event
from xds_server.model.ids import InstanceID, NetworkID
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.runtime.base import CALM, Condition, Life, Runtime
from xds_server.runtime.fleet import kind_of
from xds_server.store.base import Contents

log = structlog.get_logger(__name__)

LOOK_TIMEOUT = 5.0
"""Longest look at one instance, in seconds."""
LOOKS = 32
"""Instances that are looked at side by side."""


def fill(contents: Contents, parts: Parts) -> None:
    """Make the records of what was on disk."""
    records: dict[NetworkID, NetworkRecord] = {}
    for network in contents.networks:
        records[network.id] = record = NetworkRecord(network, ending=network.id in contents.ending_networks)
        parts.registry.add(record)
    for profile in contents.profiles:
        record = records[profile.network_id]
        record.profiles[profile.id] = profile
        if profile.id in contents.ending_profiles or record.ending:
            record.ending_profiles.add(profile.id)
    homes: dict[InstanceID, NetworkRecord] = {}
    for instance in contents.instances:
        homes[instance.id] = records[instance.network_id]
        records[instance.network_id].instances[instance.id] = instance
    for fault in contents.faults:
        homes[fault.instance_id].faults[fault.id] = fault


async def _take_dead_faults(parts: Parts) -> None:
    """Forget the faults whose time, or whose instance, was over while the manager was away.

    What they did to instances themselves is noted, and lifted by the first look at them.
    """
    now = parts.clock.now()
    for record in parts.registry:
        owed = Owed()
        for instance in record.instances.values():
            if not instance.ended and (done := together(record.faults_of(instance.id))) != CALM:
                record.disturbed[instance.id] = done
        for fault in list(record.faults.values()):
            over = fault.expires_at is not None and fault.expires_at <= now
            if over or record.instances[fault.instance_id].ended:
                owed.faults[record.faults.pop(fault.id).id] = None
                if not fault.from_profile:
                    why = "its time was over while the manager was away" if over else "its instance ended"
                    owed.events.append(of_fault(record, fault, "over", at=now, why=why))
        await _write(parts, record, owed)


async def _write(parts: Parts, record: NetworkRecord, owed: Owed) -> None:
    """Write it, now or later: a full disk keeps no manager from serving what was on it."""
    async with record.lock:
        with contextlib.suppress(UnrecordedError):
            await parts.books.taken(record, owed)


async def restore(parts: Parts, shadows: Shadows) -> list[Actor]:
    """Look at every instance and post what was found; return the actors, to be launched after the first publish."""
    await _give_up_strangers(parts)
    await _take_dead_faults(parts)
    unfinished = [
        (record, instance)
        for record in parts.registry
        for instance in list(record.instances.values())
        if not instance.ended or instance.handle
    ]
    silent: set[Runtime] = set()
    looks = asyncio.Semaphore(LOOKS)
    found = await asyncio.gather(*(_look(parts, record, instance, looks, silent) for record, instance in unfinished))
    actors = []
    for (record, instance), condition in zip(unfinished, found, strict=True):
        actor = shadows.take(record, instance)
        _post(actor, instance, condition)
        if instance.profile_id in record.ending_profiles:
            actor.post(Event.PROFILE_DELETED)
        elif record.network.component(instance.component_name) is None:
            actor.post(Event.COMPONENT_REMOVED)
        elif instance.expires_at <= parts.clock.now():
            actor.post(Event.TTL_OVER, reason=record.why_over(instance))
        actors.append(actor)
    return actors


async def _give_up_strangers(parts: Parts) -> None:
    """Fail what ran in a runtime that this manager does not have; it can neither be looked at nor ended from here."""
    for record in parts.registry:
        for instance in list(record.instances.values()):
            spec = record.spec_of(instance)
            if parts.fleet.find(instance.node, spec) is not None or (instance.ended and not instance.handle):
                continue
            reason = f'this manager has no {kind_of(spec)} runtime on node "{instance.node}"'
            log.warning("shadow: given up", instance=instance.id, reason=reason)
            status = instance.status if instance.ended else InstanceStatus.FAILED
            now = record.update(
                instance.id, status=status, reason=instance.reason or reason, handle={}, stopped_at=parts.clock.now()
            )
            at, before = parts.clock.now(), instance.status
            told = of_instance(record, now, "given up", at=at, before=before, why=reason)
            await _write(parts, record, Owed(instances={now.id: None}, events=[told]))


def _post(actor: Actor, instance: ShadowInstance, condition: Condition | None) -> None:
    if condition is None:
        actor.post(Event.FOUND_DEAD if instance.status is not InstanceStatus.PENDING else Event.FOUND_UNSTARTED)
    elif condition.alive:
        actor.post(Event.FOUND_ALIVE)
    else:
        actor.post(
            Event.FOUND_DEAD,
            reason=f"while the manager was away: {condition.describe()}",
            log_tail=condition.log,
        )


async def _look(
    parts: Parts, record: NetworkRecord, instance: ShadowInstance, looks: asyncio.Semaphore, silent: set[Runtime]
) -> Condition | None:
    """Return how an instance is; None when nothing was started. `silent`: runtimes that did not answer in time."""
    if not instance.handle:
        return None
    async with looks:
        runtime = parts.fleet.of(instance.node, record.spec_of(instance))
        if runtime in silent:  # Envoys wait, and hundreds of shadows may have been there
            return Condition(Life.UNKNOWN, detail=f'node "{instance.node}" does not answer')
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                if instance.id in record.disturbed:
                    await Disturbances(fleet=parts.fleet, clock=parts.clock).settle(record, instance.id, anew=True)
                return await runtime.adopt(instance.handle)
        except TimeoutError:
            silent.add(runtime)
            return Condition(Life.UNKNOWN, detail=f"it could not be looked at within {LOOK_TIMEOUT:g} s")
        except (ShadowmeshError, OSError) as error:
            log.warning("shadow: it could not be looked at", instance=instance.id, error=str(error))
            return Condition(Life.UNKNOWN, detail=f"it could not be looked at: {error}")
