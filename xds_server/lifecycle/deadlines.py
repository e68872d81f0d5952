"""Moments that are waited for: the TTL of instances, the end of faults. One task for all of them.

Guarantees: a key has one moment at most; what was cancelled or moved does not fire. A moment in the past fires at once.
Not guaranteed: an order among keys that are due at the same moment.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import datetime

import structlog

from xds_server.lifecycle.clock import Clock

SLACK = 100
"""Forgotten moments that may lie about before they are cleared away."""

log = structlog.get_logger(__name__)


class Deadlines:
    """Calls back when the clock says so.

    Args:
        clock: whose time counts.
        due: called with a key whose moment has come; must not wait.
    """

    def __init__(self, *, clock: Clock, due: Callable[[str], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[datetime, int, str]] = []
        self._current: dict[str, int] = {}
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: str, when: datetime) -> None:
        """Wait for `when`; an earlier moment of the same key is forgotten."""
        number = next(self._numbers)
        self._current[key] = number
        heapq.heappush(self._heap, (when, number, key))
        if len(self._heap) > SLACK + 2 * len(self._current):
            self._heap = [entry for entry in self._heap if not self._stale(entry)]
            heapq.heapify(self._heap)
        self._changed.set()

    def cancel(self, key: str) -> None:
        """Forget a key; one that is not there is none."""
        self._current.pop(key, None)

    async def run(self) -> None:
        """Fire until cancelled."""
        while True:
            self._changed.clear()
            self._fire()
            if not self._heap:
                await self._changed.wait()
                continue
            alarm = asyncio.create_task(self._clock.sleep_until(self._heap[0][0]))
            change = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait((alarm, change), return_when=asyncio.FIRST_COMPLETED)
            finally:
                alarm.cancel()
                change.cancel()
                await asyncio.gather(alarm, change, return_exceptions=True)

    def _fire(self) -> None:
        now = self._clock.now()
        while self._heap and (self._heap[0][0] <= now or self._stale(self._heap[0])):
            _, number, key = heapq.heappop(self._heap)
            if self._current.get(key) == number:
                del self._current[key]
                try:
                    self._due(key)
                except Exception:
                    log.exception("a deadline could not be handled", key=key)

    def _stale(self, entry: tuple[datetime, int, str]) -> bool:
        return self._current.get(entry[2]) != entry[1]
