"""Clients under chaos: each answer is known in advance, and each request is on record with its time.

Guarantees: a request that got another status, body or content header than the known one, or none within `PATIENCE`, is
on record as wrong with its beginning and its end, so that what Envoy's own absence explains can be told apart.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from xds_server.demo.load import harm
from xds_server.stage.client import Connection, Reply, ReplyError, Request

PATIENCE = 15.0
CONNECTIONS = 4
SLOW = 0.25
"""Seconds beyond which a right answer is on record with its time."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A request that was not answered as it must be; times are monotonic."""

    began: float
    ended: float
    what: str


@dataclass
class Callers:
    """Send requests at a rate through a port until they are stopped; `pause` and `go_on` in between.

    Args:
        port: Envoy's listener.
        expected: the right answer to each request.
        rate: requests a second.
        chance: chooses requests.
    """

    port: int
    expected: Mapping[Request, Reply]
    rate: float
    chance: Random
    sent: int = 0
    slow: list[tuple[float, float]] = field(default_factory=list)
    """Beginning and end of the right answers since `begin` that took longer than `SLOW`."""
    slowest: float = 0.0
    """Seconds of the slowest of those that took no longer."""
    wrong: list[Wrong] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _going: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: int = 0

    def start(self) -> None:
        self._going.set()
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(CONNECTIONS)]

    def begin(self) -> None:
        """Begin a new record."""
        self.sent, self.slowest, self.slow, self.wrong = 0, 0.0, [], []

    async def pause(self) -> None:
        """Send nothing any more; returns when nothing is under way."""
        self._going.clear()
        while self._busy:  # noqa: ASYNC110 - four clients
            await asyncio.sleep(0.01)

    def go_on(self) -> None:
        self._going.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, number: int) -> None:
        step = CONNECTIONS / self.rate
        due = time.monotonic() + number / self.rate
        requests = list(self.expected)
        async with Connection(self.port, timeout=PATIENCE) as connection:
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._going.wait()
                self._busy += 1
                try:
                    await self._one(connection, self.chance.choice(requests))
                finally:
                    self._busy -= 1
                due = max(due + step, time.monotonic() - step)

    async def _one(self, connection: Connection, request: Request) -> None:
        began = time.monotonic()
        try:
            reply = await connection.send(request)
        except ReplyError as error:
            what = str(error)
            await asyncio.sleep(0.02)  # who is refused asks again, and not as fast as it can
        else:
            what = harm(self.expected[request], reply)
        self.sent += 1
        if what:
            self.wrong.append(Wrong(began, time.monotonic(), f"{request.method} {request.target}: {what}"))
        elif (ended := time.monotonic()) - began > SLOW:
            self.slow.append((began, ended))
        else:
            self.slowest = max(self.slowest, ended - began)
