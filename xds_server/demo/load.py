"""Clients: real requests over keep-alive connections, each answer compared with the one that is known in advance.

Guarantees: every request that was sent is counted once; a client counts as hurt when its answer is missing, late beyond
the timeout, or differs in status, body or a content header, by one bit; of the noise in it by more than chance can
explain (`settle`). Memory is bounded by the number of requests.
Not guaranteed: that the rate is reached on a busy machine; it is a pace, not a promise.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from xds_server.demo.catalogue import COST, REQUEST_ID
from xds_server.demo.settle import UntrueError, settle
from xds_server.stage.client import Connection, Reply, ReplyError, Request

CONTENT_HEADERS = (
    *("content-type", "content-length", "content-encoding", "cache-control", "vary", "etag", "location"),
    *(REQUEST_ID, COST),
)
"""What the service says about its answer, in contrast to what a proxy says about the connection."""
KEPT = 5
"""Hurt clients described in words; the others are only counted."""


@dataclass(slots=True)
class Phase:
    """What clients saw during one part of the run. `seconds` are the response times of whole answers."""

    name: str
    requests: int = 0
    hurt: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """What clients saw, phase by phase."""

    phases: list[Phase] = field(default_factory=list)
    hurt_examples: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All requests sent."""
        return sum(phase.requests for phase in self.phases)

    @property
    def hurt(self) -> int:
        """All clients that got a wrong, failed or changed answer."""
        return sum(phase.hurt for phase in self.phases)


def content(reply: Reply) -> tuple[int, tuple[tuple[str, str | None], ...], bytes]:
    """Return the part of an answer that must be the same, bit for bit."""
    return reply.status, tuple((name, reply.header(name)) for name in CONTENT_HEADERS), reply.body


def harm(expected: Reply, got: Reply, *, within: tuple[float, float] | None = None) -> str:
    """Tell in words how an answer differs from the expected one; empty when it does not.

    Args:
        expected: without its noise.
        got: as it came.
        within: when it was asked for and came, in seconds since the epoch; not looked at when None.
    """
    if got.status != expected.status:
        return f"status {got.status} instead of {expected.status}"
    try:
        got = settle(got, within=within)
    except UntrueError as error:
        return str(error)
    if got.body != expected.body:
        return f"another body ({len(got.body)} bytes, expected {len(expected.body)})"
    for name in CONTENT_HEADERS:
        if got.header(name) != expected.header(name):
            return f"{name} {got.header(name)!r} instead of {expected.header(name)!r}"
    return ""


async def ask(port: int, requests: Sequence[Request]) -> dict[Request, Reply]:
    """Return what the service at `port` answers to each of `requests`, asked directly.

    Raises:
        ReplyError: it did not answer one of them.
    """
    async with Connection(port) as connection:
        return {request: await connection.send(request) for request in requests}


class Clients:
    """Clients that send requests through one port until they are stopped.

    Args:
        port: Envoy's listener.
        expected: the right answer to each request; these are the requests that are sent.
        connections: how many clients at once.
        rate: requests a second, all clients together.
        chance: chooses the next request.
    """

    def __init__(
        self,
        *,
        port: int,
        expected: Mapping[Request, Reply],
        chance: Random,
        connections: int = 8,
        rate: float = 300.0,
    ) -> None:
        self.tally = Tally([Phase("start")])
        self._port = port
        self._expected = {request: settle(reply) for request, reply in expected.items()}
        self._by_endpoint = _grouped(expected)
        self._chance = chance
        self._pause = connections / rate
        self._connections = connections
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def phase(self, name: str) -> None:
        """Count what is sent from now on under `name`."""
        self.tally.phases.append(Phase(name))

    def start(self) -> None:
        """Start sending."""
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self._connections)]

    async def stop(self) -> None:
        """Let each client finish the request it waits for, then end. Raises what a client raised unexpectedly."""
        self._stopping.set()
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def abandon(self) -> None:
        """End at once; a request under way is not counted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def _next(self) -> Request:
        return self._chance.choice(self._chance.choice(self._by_endpoint))

    async def _client(self, number: int) -> None:
        due = time.monotonic() + number * self._pause / self._connections
        async with Connection(self._port) as connection:
            while not self._stopping.is_set():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._one(connection, self._next())
                due = max(due + self._pause, time.monotonic() - self._pause)

    async def _one(self, connection: Connection, request: Request) -> None:
        phase = self.tally.phases[-1]
        started, sent = time.monotonic(), time.time()
        try:
            reply = await connection.send(request)
        except ReplyError as error:
            wrong = str(error)
        else:
            phase.seconds.append(time.monotonic() - started)
            wrong = harm(self._expected[request], reply, within=(sent, time.time()))
        phase.requests += 1
        if wrong:
            phase.hurt += 1
            if len(self.tally.hurt_examples) < KEPT:
                self.tally.hurt_examples.append(f"{request.method} {request.target} ({phase.name}): {wrong}")


def _grouped(requests: Mapping[Request, Reply]) -> list[list[Request]]:
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.endpoint, []).append(request)
    return list(groups.values())


def catalogue_requests(ids: Sequence[int]) -> Iterator[Request]:
    """Yield the requests of the demo's clients: each endpoint of the catalogue, for each of the items `ids`."""
    for number in ids:
        yield Request("GET", f"/api/items/{number}", "GET /api/items/{id}")
        yield Request("GET", f"/api/recommendations/{number}", "GET /api/recommendations/{id}")
        yield Request("GET", f"/api/stock/{number}", "GET /api/stock/{id}")
        yield Request("POST", "/api/orders", "POST /api/orders", b'{"item": %d, "count": 2}' % number)
    for page in (1, 2, 3):
        yield Request("GET", f"/api/items?page={page}", "GET /api/items")
    for word in ("chair", "oak", "la", "mirror", "nothing"):
        yield Request("GET", f"/api/search?q={word}", "GET /api/search")
    yield Request("GET", "/api/export", "GET /api/export")
    yield Request("GET", "/api/items/999", "GET /api/items/{id}")
