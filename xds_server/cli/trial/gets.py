"""Requests for who has no traffic at hand: GETs of some paths, one after the other, at a steady pace.

Guarantees: an answer that does not come is counted and stops nothing.
Not guaranteed: the rate; it is a pace, not a promise. Real traffic finds more.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence

from xds_server.stage.client import Connection, ReplyError, Request

CONNECTIONS = 4


class Gets:
    """Sends GETs to 127.0.0.1:`port` until it is stopped.

    Args:
        port: where to.
        paths: asked in turn.
        rate: requests a second.
    """

    def __init__(self, port: int, paths: Sequence[str], *, rate: float) -> None:
        self.failed = 0
        """Requests that were not answered."""
        self._port = port
        self._targets = itertools.cycle(paths)
        self._pause = CONNECTIONS / rate
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start sending."""
        self._tasks = [asyncio.create_task(self._send(number)) for number in range(CONNECTIONS)]

    async def stop(self) -> None:
        """Stop at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, number: int) -> None:
        due = time.monotonic() + number * self._pause / CONNECTIONS
        async with Connection(self._port) as connection:
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                try:
                    await connection.send(Request("GET", next(self._targets), ""))
                except ReplyError:
                    self.failed += 1
                due = max(due + self._pause, time.monotonic() - self._pause)
