"""One task a live instance: it performs, one after the other, what the table says.

Guarantees: an event changes the status at once (no wait between "it exited" and "it is no longer among what is mirrored
to"), its actions follow in order; what a runtime has spawned is ended or recorded, whatever comes between.
Not guaranteed: that a runtime ends what it was told to end: after `STOP_TRIES` the handle stays on record, and the
sweeper tries again, now and then.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from xds_server.errors import RuntimeFailedError, ShadowmeshError, StoreError, UnavailableError
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.transitions import Action, Event, transition
from xds_server.model.ids import InstanceID
from xds_server.model.profile import VariantSpec
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.runtime.base import Condition, Ending, Preparing, Runtime, Started

log = structlog.get_logger(__name__)

SPARE = 30.0
"""Seconds that a runtime lets an instance live beyond its TTL: the manager, if there is one, takes the mirroring away
first; the runtime's own deadline is for when there is none."""
STOP_TRIES = 3
"""Times that a runtime is asked to end an instance."""
TELL = 1.0
"""Seconds between two looks at how far a start is."""
RETRY_AFTER = 1.0
"""Seconds between two tries."""

REASONS: Mapping[Event, str] = {
    Event.READINESS_FAILED: "it never got ready",
    Event.EXITED: "it exited",
    Event.TTL_OVER: "its time to live was over",
    Event.PROFILE_DELETED: "its profile was deleted",
    Event.NETWORK_DELETED: "its network was deleted",
    Event.COMPONENT_REMOVED: "its component was removed",
    Event.MANAGER_STOPPING: "the manager stopped",
    Event.FOUND_DEAD: "it had ended while the manager was away",
}
"""What `reason` says when the event itself brings no better words."""


class Desk(Protocol):
    """What an actor needs of the rest: the records and the Envoys."""

    def instance(self, instance: InstanceID) -> ShadowInstance:
        """Return the instance as it is now."""
        ...

    def update(self, instance: InstanceID, **changes: Any) -> ShadowInstance:
        """Change fields of it in memory."""
        ...

    async def record(self, instance: InstanceID) -> None:
        """Write it to the store as it is now. Raises: StoreError."""

    def publish(self, instance: InstanceID) -> None:
        """Give the Envoys of its network what the records say now. Never raises."""

    async def settle(self, instance: InstanceID) -> None:
        """Wait (bounded) until they have ACKed it."""

    async def drain(self, instance: InstanceID) -> None:
        """Let what it still does for real users come to its end (bounded)."""

    def tell(self, instance: InstanceID, event: str, *, before: InstanceStatus, reason: str, recorded: bool) -> None:
        """Have the audit trail say what happened to it; `recorded`: in one step with the row that is written next."""

    def ended(self, instance: InstanceID, *, before: InstanceStatus) -> None:
        """It has just got a status from which nothing comes back."""

    def started(self, instance: InstanceID) -> None:
        """Its node has started it."""

    async def elsewhere(self, instance: InstanceID, error: UnavailableError, tried: Mapping[str, str]) -> "Site":
        """Find it another place, on record before anything is started there.

        Args:
            instance: its id.
            error: why its node could not start it.
            tried: all nodes that could not, this one with them, and why.

        Raises:
            UnavailableError: no other node can take it; with what each of them said.
            StoreError: it could not be recorded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where and what an actor's instance runs."""

    runtime: Runtime
    spec: VariantSpec


def runtime_deadline(expires_at: datetime) -> datetime:
    """Return when a runtime ends an instance by itself."""
    return expires_at + timedelta(seconds=SPARE)


class Actor:
    """Carries one instance from its creation (or from where an earlier manager left it) to its end."""

    def __init__(self, instance: InstanceID, *, site: Site, desk: Desk, clock: Clock) -> None:
        self.id = instance
        self._site = site
        self._desk = desk
        self._clock = clock
        self._todo: asyncio.Queue[Action] = asyncio.Queue()
        self._starting: asyncio.Task[Started] | None = None
        self._deadline: datetime | None = None
        """Of its TTL, as the runtime was told it at the start."""
        self._side: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._perform: Mapping[Action, Callable[[], Coroutine[Any, Any, None]]] = {
            Action.START: self._start,
            Action.AWAIT: self._await_ready,
            Action.WATCH: self._watch,
            Action.RECORD: self._record,
            Action.PUBLISH: self._publish,
            Action.DRAIN: self._drain,
            Action.SETTLE: self._settle,
            Action.STOP: self._stop,
            Action.EXTEND: self._extend,
            Action.FORGET: self._forget,
            Action.LEAVE: self._leave,
        }

    def launch(self, *, done: Callable[["Actor"], None]) -> None:
        """Begin to perform what was posted; `done` is called when there is nothing left to do."""
        # Not in the context of whoever created it: what happens to it from now on, they did not do.
        self._task = asyncio.create_task(self._run(done), name=f"shadow {self.id}", context=Context())

    def created(self) -> None:
        """Begin the life of an instance whose row has just been written as Pending."""
        self._enqueue(transition(None, Event.CREATED).actions)

    def post(self, event: Event, *, reason: str = "", log_tail: tuple[str, ...] = ()) -> None:
        """Let something happen to it: the status changes now, the actions follow.

        Raises:
            ConflictError: it cannot happen to an instance of this status.
        """
        before = self._desk.instance(self.id)
        step = transition(before.status, event)
        if step.to is not None and step.to is not before.status:
            changes: dict[str, Any] = {"status": step.to, "reason": reason or REASONS.get(event, "")}
            if log_tail:
                changes["log_tail"] = log_tail
            after = self._desk.update(self.id, **changes)
            if after.ended:
                self._desk.update(self.id, stopped_at=self._clock.now())
                self._desk.ended(self.id, before=before.status)
            log.info("shadow", instance=self.id, cause=str(event), status=str(step.to), reason=after.reason)
        if step.actions:  # else it came too late to mean anything
            told, recorded = reason or REASONS.get(event, ""), Action.RECORD in step.actions
            self._desk.tell(self.id, str(event), before=before.status, reason=told, recorded=recorded)
        self._enqueue(step.actions)

    async def gone(self) -> None:
        """Return when there is nothing left to do for it."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def abandon(self) -> None:
        """Leave it as a kill of this manager would: the next one sees by its row what was under way."""
        tasks = [task for task in (self._starting, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enqueue(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            self._todo.put_nowait(action)

    async def _run(self, done: Callable[["Actor"], None]) -> None:
        try:
            while True:
                action = await self._todo.get()
                try:
                    await self._perform[action]()
                except Exception:
                    # An action that fails must not keep the next ones (ending the process, for one) from being done.
                    log.exception("shadow: an action failed", instance=self.id, action=str(action))
                if action in {Action.FORGET, Action.LEAVE}:
                    return
        finally:
            await self._cancel_side()
            done(self)

    # The actions.

    async def _start(self) -> None:
        self._begin()
        self._aside(self._bring_up)

    def _begin(self) -> None:
        expires_at = self._desk.instance(self.id).expires_at
        # A task of its own: the runtime is never interrupted between spawning and telling the handle.
        self._starting = asyncio.create_task(
            self._site.runtime.start(self.id, self._site.spec, deadline=runtime_deadline(expires_at)),
            name=f"shadow {self.id}, start",
        )
        self._deadline = expires_at

    async def _bring_up(self) -> None:
        try:
            started = await self._started()
            await self._note(started)
            if self._desk.instance(self.id).expires_at != self._deadline:
                await self._extend()
        except ShadowmeshError as error:
            self._not_ready(error)
            return
        await self._until_ready(started)

    async def _started(self) -> Started:
        """Return when a node has started it: its own, or if it is that node's fault, one after the other."""
        tried: dict[str, str] = {}
        while True:
            assert self._starting is not None  # noqa: S101 - `_start` made it
            try:
                await self._tell_how_far(self._starting)
                started = await asyncio.shield(self._starting)
            except UnavailableError as error:
                now = self._desk.instance(self.id)
                if now.ended:
                    raise
                tried[now.node] = str(error)
                self._site = await self._desk.elsewhere(self.id, error, tried)
                if self._desk.instance(self.id).ended:
                    raise  # its end came while this was written; nothing is started any more
                self._begin()
            else:
                self._desk.started(self.id)
                return started

    async def _tell_how_far(self, starting: "asyncio.Task[Started]") -> None:
        """Return when the start is over; until then `reason` says what it is at, in memory alone."""
        runtime = self._site.runtime
        if not isinstance(runtime, Preparing):
            return
        before = self._desk.instance(self.id).reason
        while not starting.done() and not self._desk.instance(self.id).ended:
            if said := runtime.preparing(self.id):
                self._desk.update(self.id, reason="; ".join(part for part in (before, said) if part))
            await asyncio.wait((starting,), timeout=TELL)
        if not self._desk.instance(self.id).ended:
            self._desk.update(self.id, reason=before)

    def _give_up(self) -> bool:
        """Give up a start that only prepares; return whether it did."""
        runtime = self._site.runtime
        if self._starting is None or not isinstance(runtime, Preparing) or not runtime.preparing(self.id):
            return False
        runtime.give_up(self.id)
        return True

    async def _note(self, started: Started) -> None:
        self._desk.update(self.id, handle=dict(started.handle), address=started.address)
        await self._desk.record(self.id)

    async def _await_ready(self) -> None:
        now = self._desk.instance(self.id)
        if now.address is None:
            self.post(Event.READINESS_FAILED, reason="its address is not known any more")
            return
        started = Started(address=now.address, handle=dict(now.handle))
        self._aside(lambda: self._until_ready(started))

    async def _until_ready(self, started: Started) -> None:
        try:
            await self._site.runtime.ready(started, self._site.spec)
        except ShadowmeshError as error:
            self._not_ready(error)
        else:
            self.post(Event.READY)

    def _not_ready(self, error: ShadowmeshError) -> None:
        self.post(
            Event.READINESS_FAILED,
            reason=str(error),
            log_tail=error.log if isinstance(error, RuntimeFailedError) else (),
        )

    async def _watch(self) -> None:
        self._aside(self._until_exit)

    async def _until_exit(self) -> None:
        end = await self._site.runtime.wait(self._desk.instance(self.id).handle)
        self.post(_event_of(end), reason=end.describe(), log_tail=end.log)

    async def _record(self) -> None:
        await self._desk.record(self.id)

    async def _publish(self) -> None:
        self._desk.publish(self.id)

    async def _drain(self) -> None:
        await self._desk.drain(self.id)

    async def _settle(self) -> None:
        await self._desk.settle(self.id)

    async def _stop(self) -> None:
        self._give_up()
        handle = await self._handle()
        await self._cancel_side()
        if not handle:
            return
        for left in reversed(range(STOP_TRIES)):
            try:
                await self._site.runtime.stop(handle, self._site.spec)
            except ShadowmeshError as error:
                log.warning("shadow: it could not be ended", instance=self.id, error=str(error), tries_left=left)
                if left:
                    await self._clock.sleep(RETRY_AFTER)
            else:
                self._desk.update(self.id, handle={})
                return

    async def _handle(self) -> dict[str, str]:
        """Return the handle, also that of a start which is under way; empty when there is none."""
        waited: asyncio.Task[Started] | None = None
        while (starting := self._starting) is not None and starting is not waited:
            await asyncio.wait((starting,))
            waited = starting  # it may be tried on one node after the other
        if waited is not None and not waited.cancelled() and waited.exception() is None:
            return dict(waited.result().handle)
        return self._desk.instance(self.id).handle

    async def _extend(self) -> None:
        now = self._desk.instance(self.id)
        if now.handle:
            await self._site.runtime.extend(now.handle, runtime_deadline(now.expires_at))

    async def _forget(self) -> None:
        try:
            await self._desk.record(self.id)
        except StoreError as error:
            log.warning("shadow: its end could not be recorded", instance=self.id, error=str(error))

    async def _leave(self) -> None:
        if self._give_up():
            await self._cancel_side()  # for the next manager it is still to be started, not failed
        handle = await self._handle()
        await self._cancel_side()
        if handle:
            self._desk.update(self.id, handle=handle)
            await self._desk.record(self.id)

    # Tasks beside the queue: bringing up, watching.

    def _aside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.create_task(self._guarded(work), name=f"shadow {self.id}, beside")
        self._side.add(task)
        task.add_done_callback(self._side.discard)

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:
            log.exception("shadow: an unexpected error", instance=self.id)
            now = self._desk.instance(self.id)
            event = Event.EXITED if now.address is not None else Event.READINESS_FAILED
            self.post(event, reason=f"an error of Shadowmesh itself: {type(error).__name__}")

    async def _cancel_side(self) -> None:
        tasks = list(self._side)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _event_of(end: Condition) -> Event:
    return Event.TTL_OVER if end.ending is Ending.DEADLINE else Event.EXITED
