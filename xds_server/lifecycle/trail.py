"""The audit trail: who does what just now, and how it gets to the disk.

A change hands its events to `apply` with what it changes, so they are written with it or not at all. What happens
without anything being written (a shadow that was found alive, for one) is noted, and rides in the next transaction of
whomever, or in one of its own after `EVERY` seconds: nobody waits for it.

Guarantees: whoever reads the store here gets what it has. What was noted and could not be written is tried again.
Not guaranteed: after a kill of the manager, what was noted in the last `EVERY` seconds. More than `MOST_NOTED` events
that could not be written: the oldest go, which is logged.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime

import structlog

from xds_server.errors import StoreError
from xds_server.lifecycle.clock import Clock
from xds_server.model.audit import SYSTEM, AuditEvent, EventPage, EventQuery, Who
from xds_server.model.ids import NetworkID, ProfileID
from xds_server.store.base import Changes, Contents, IdempotencyRecord, Store

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds after which what was noted is written, when nothing else is."""
MOST_NOTED = 10_000
"""Events that wait to be written."""

_acting: ContextVar[tuple[Who, str]] = ContextVar("acting", default=(SYSTEM, ""))


@contextmanager
def acting(who: Who, *, reason: str = "") -> Iterator[None]:
    """Have what is done within it, and in tasks that are begun within it, told as done by somebody for a reason."""
    token = _acting.set((who, reason))
    try:
        yield
    finally:
        _acting.reset(token)


def who_acts() -> Who:
    """Return who does what is done just now: the manager itself, unless it is within `acting`."""
    return _acting.get()[0]


def reason_given() -> str:
    """Return the reason that whoever acts has given; empty: none."""
    return _acting.get()[1]


class Trail:
    """A `Store` that takes along what was noted; see the module.

    Args:
        store: where everything is kept.
        clock: when it is time to write.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: deque[AuditEvent] = deque()

    def note(self, *events: AuditEvent) -> None:
        """Have events written soon, with something else."""
        self._noted.extend(events)
        self._bound()

    async def run(self) -> None:
        """Write what was noted and nothing took along, until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted; a failure is logged, and tried again later."""
        if not self._noted:
            return
        try:
            await self.apply(Changes())
        except StoreError as error:
            log.warning("the audit trail could not be written", error=str(error), waiting=len(self._noted))

    async def apply(self, changes: Changes) -> None:
        """See `Store`."""
        noted = tuple(self._noted)
        self._noted.clear()
        try:
            await self._store.apply(replace(changes, events=(*noted, *changes.events)) if noted else changes)
        except StoreError:
            self._noted.extendleft(reversed(noted))
            self._bound()
            raise

    def _bound(self) -> None:
        surplus = len(self._noted) - MOST_NOTED
        if surplus > 0:
            log.warning("events of the audit trail lost: the disk takes none", events=surplus)
        for _ in range(surplus):
            self._noted.popleft()

    # The rest of a store.

    async def open(self) -> None:
        """See `Store`."""
        await self._store.open()

    async def close(self) -> None:
        """See `Store`."""
        await self._store.close()

    async def load(self) -> Contents:
        """See `Store`."""
        return await self._store.load()

    async def recall(self, network_id: NetworkID, key: str, *, since: datetime) -> IdempotencyRecord | None:
        """See `Store`."""
        return await self._store.recall(network_id, key, since=since)

    async def archived(self, profile_id: ProfileID) -> bytes | None:
        """See `Store`."""
        return await self._store.archived(profile_id)

    async def events(self, query: EventQuery) -> EventPage:
        """See `Store`. What was noted is written first, so a reader finds it."""
        await self.flush()
        return await self._store.events(query)

    async def events_of(self, ref: str) -> NetworkID | None:
        """See `Store`."""
        return await self._store.events_of(ref)
