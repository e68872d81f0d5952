"""The fault schedule: injected, in force, lifted early or when their time is over.

Guarantees: a fault with a duration is lifted at its end, also after a restart: from the Envoys first, then from disk.
The profile's own faults live as long as the instance, or until the profile has others.
Not guaranteed: that Envoys lift it at that very moment; they do when the change has reached them.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from xds_server.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    ShadowmeshError,
    UnavailableError,
    UnrecordedError,
)
from xds_server.lifecycle.disturbances import Disturbances
from xds_server.lifecycle.entries import of_fault
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.shadows import Parts
from xds_server.lifecycle.validation import MAX_FAULTS, MAX_TTL
from xds_server.model.ids import FaultID, InstanceID
from xds_server.model.profile import Fault, FaultParameters, ShadowingProfile
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.store.base import Changes
from xds_server.translate import check_profile

log = structlog.get_logger(__name__)

FAULT_KEY = "fault/"
"""Prefix of the deadlines of faults."""
DOWN = 1.0
"""Seconds that an instance is killed for, unless it is said."""
AGAIN = timedelta(seconds=5)
"""Until a lift that failed is tried again."""
OVER = "its time was over"
"""Why a fault that has a duration was lifted."""


def new_fault(
    instance: InstanceID, parameters: FaultParameters, *, now: datetime, duration: float | None = None
) -> Fault:
    """Return a fault that a user injects."""
    return Fault(
        id=FaultID(str(uuid4())),
        instance_id=instance,
        parameters=parameters,
        created_at=now,
        expires_at=None if duration is None else now + timedelta(seconds=duration),
    )


def profile_faults(profile: ShadowingProfile, instances: Iterable[ShadowInstance], *, now: datetime) -> list[Fault]:
    """Return the faults that a profile puts on its instances: one each, or none; a control never has one."""
    if not profile.faults:
        return []
    return [
        replace(new_fault(i.id, profile.faults, now=now), from_profile=True)
        for i in instances
        if not profile.is_control(i.variant)
    ]


class Faults:
    """Injects and lifts; the deadlines call `over`.

    Args:
        parts: the records, the disk, the Envoys, the clock.
        disturbances: faults of instances themselves.
    """

    def __init__(self, parts: Parts, disturbances: Disturbances) -> None:
        self._parts = parts
        self._disturbances = disturbances
        self._doubtful: dict[FaultID, str] = {}
        """Those that may have been done although that failed, and why it did."""

    async def inject(
        self, record: NetworkRecord, instance: str, parameters: FaultParameters, *, duration: float | None
    ) -> Fault:
        """Put a fault on an instance; the caller holds the network's lock.

        Raises:
            NotFoundError: there is no such instance.
            InvalidError: nothing to inject, or a duration out of range.
            ConflictError: the instance has ended, has too many faults, or serves real users.
        """
        target = record.instance(instance)
        _check(record, target, parameters, duration=duration)
        if parameters.on_instance:
            _check_running(target)
            self._disturbances.check(record, target)
        if parameters.kill and duration is None:
            duration = DOWN
        fault = new_fault(target.id, parameters, now=self._parts.clock.now(), duration=duration)
        self._parts.publisher.check(_with(record, fault).state())
        told = of_fault(record, fault, "injected", at=self._parts.clock.now())
        await self._parts.books.apply(record, Changes(faults=(fault,), events=(told,)))
        if record.instances[target.id].ended:  # it ended while this was written
            await self._drop(record, fault, "lifted", why="its instance ended meanwhile")
            raise _ended(record.instances[target.id])
        record.faults[fault.id] = fault
        self.schedule(fault)
        self._parts.publisher.publish(record.state())
        if parameters.on_instance:
            try:
                await self._disturbances.settle(record, target.id)
            except UnavailableError as error:
                # It may have been done all the same, so it is lifted as one that was.
                self._doubtful[fault.id] = f"it could not be done: {error}"
                self._parts.deadlines.set(FAULT_KEY + fault.id, self._parts.clock.now() + AGAIN)
                raise
            except ShadowmeshError as error:
                self._gone(record, fault.id)
                await self._drop(record, fault, "lifted", why=f"it could not be done: {error}")
                raise
        return fault

    async def lift(self, record: NetworkRecord, fault: str, *, event: str = "lifted", why: str = "") -> None:
        """Take a fault away; the caller holds the network's lock.

        Args:
            record: its network.
            fault: its id.
            event: what the audit trail calls it.
            why: the cause, when nobody asked for it.

        Raises:
            NotFoundError: there is none, or its time is over.
            UnrecordedError: it is lifted, and that is not on record yet.
        """
        found = record.faults.get(FaultID(fault))
        if found is None:
            raise NotFoundError(
                f'network "{record.network.name}" has no fault "{fault}" in force', hint="it may be over already"
            )
        # Lifting is always safe, so Envoys come first: a full disk must not keep a fault in force.
        self._gone(record, found.id)
        if found.parameters.on_instance:
            try:
                await self._disturbances.settle(record, found.instance_id)
            except ShadowmeshError:
                # Not forgotten, but tried again: what is done to it must be lifted.
                record.faults[found.id] = found
                self._parts.deadlines.set(FAULT_KEY + found.id, self._parts.clock.now() + AGAIN)
                self._parts.publisher.publish(record.state())
                raise
            self._parts.publisher.publish(record.state())  # calm since now
        self._doubtful.pop(found.id, None)
        await self._drop(record, found, event, why=why)

    def schedule(self, fault: Fault) -> None:
        """Wait for the end of a fault that has one."""
        if fault.expires_at is not None:
            self._parts.deadlines.set(FAULT_KEY + fault.id, fault.expires_at)

    def over(self, key: str) -> tuple[NetworkRecord, Fault] | None:
        """Handle a deadline of ours: the Envoys are told now; return what is to be finished."""
        fault = FaultID(key.removeprefix(FAULT_KEY))
        for record in self._parts.registry:
            found = record.faults.get(fault)
            if found is not None:
                if not found.parameters.on_instance:
                    self._gone(record, fault)
                return record, found
        return None

    async def finish(self, record: NetworkRecord, fault: Fault) -> None:
        """Lift what is over from its instance, and from disk; the caller holds the network's lock.

        What fails is tried again later.
        """
        try:
            if fault.id in record.faults:
                doubt = self._doubtful.get(fault.id, "")
                await self.lift(record, fault.id, event="lifted" if doubt else "over", why=doubt or OVER)
            else:
                await self._drop(record, fault, "over", why=OVER)
        except UnrecordedError:
            pass  # the books have said so, and see to it
        except ShadowmeshError as error:
            log.warning("a fault could not be lifted yet", fault=fault.id, error=str(error))

    async def _drop(self, record: NetworkRecord, fault: Fault, event: str, *, why: str) -> None:
        told = of_fault(record, fault, event, at=self._parts.clock.now(), why=why)
        await self._parts.books.taken(record, Owed(faults={fault.id: None}, events=[told]))

    def _gone(self, record: NetworkRecord, fault: FaultID) -> None:
        record.faults.pop(fault, None)
        self._parts.deadlines.cancel(FAULT_KEY + fault)
        self._parts.publisher.publish(record.state())


def _check(
    record: NetworkRecord, target: ShadowInstance, parameters: FaultParameters, *, duration: float | None
) -> None:
    if not parameters:
        raise InvalidError(
            "there is nothing to inject",
            field="faultInjectionParameters",
            hint="at least one of delay, abort, responseRateLimit, pause, kill, stress",
        )
    if duration is not None and not (math.isfinite(duration) and 0.0 < duration <= MAX_TTL):
        raise InvalidError(f"{duration:g} s", field="duration", hint="above 0, 24h at most")
    if target.ended:
        raise _ended(target)
    if len(record.faults_of(target.id)) >= MAX_FAULTS:
        raise ConflictError(
            f"{MAX_FAULTS} faults are in force on it already", field="instanceID", hint="lift some of them first"
        )
    # What the profile's component cannot have (a gRPC status over HTTP/1, for one) is refused in the same words.
    profile = record.profiles[target.profile_id]
    if profile.splits:
        raise ConflictError(
            "real users are sent to it, now or in a step to come",
            field="instanceID",
            hint="faults are for copies: an instance of a profile that only mirrors",
        )
    others = [p for p in record.living_profiles() if p.id != profile.id]
    check_profile(record.network, others, replace(profile, faults=parameters))


def _check_running(target: ShadowInstance) -> None:
    if target.status is not InstanceStatus.RUNNING:
        raise ConflictError(
            f"the instance is {target.status.value}", field="instanceID", hint="wait until it is Running"
        )


def _with(record: NetworkRecord, fault: Fault) -> NetworkRecord:
    return replace(record, faults={**record.faults, fault.id: fault})


def _ended(instance: ShadowInstance) -> ConflictError:
    why = f": {instance.reason}" if instance.reason else ""
    return ConflictError(
        f"the instance is {instance.status.value}{why}", field="instanceID", hint="choose one that is Running"
    )
