"""What was accepted or has happened, and could not be written: tried again until the disk takes it.

Guarantees: what is noted here is tried about every second until it is done, the newest state of it each time; so a disk
that was full and has room again needs no restart. What is still here when the manager ends is found half done by the
next start (see `restore`).
Not guaranteed: an order among them.
"""

from collections.abc import Awaitable, Callable

import structlog

from xds_server.errors import StoreError
from xds_server.lifecycle.clock import Clock

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two tries."""


class Unfinished:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: dict[str, Callable[[], Awaitable[None]]] = {}

    def __len__(self) -> int:
        return len(self._works)

    def note(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` done later. It takes the place of what was noted of the same thing; it may raise StoreError."""
        self._works[what] = work

    async def run(self) -> None:
        """Try until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            await self.try_all()

    async def try_all(self) -> None:
        """Try each once."""
        for what, work in list(self._works.items()):
            try:
                await work()
            except StoreError:
                continue
            except Exception:
                log.exception("what was left could not be finished", what=what)
            else:
                log.info("what the disk had not taken is written now", what=what)
            if self._works.get(what) is work:
                del self._works[what]
