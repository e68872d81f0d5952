"""Constant traffic of clients that know each answer in advance; what they saw, part by part of a run."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.hostile.original import content, summed
from xds_server.demo.load import harm
from xds_server.stage.client import Connection, Reply, ReplyError, Request

KILOBYTE = 1024
MEGABYTE = 1024 * KILOBYTE
PATIENCE = 30.0
"""Seconds that a client waits for an answer: whoever waits longer was hurt."""


@dataclass
class Seen:
    """What clients saw in one part of a run: seconds of each request, and what was wrong with those that were."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    @property
    def longest(self) -> float:
        return max(self.seconds)

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(self.seconds + other.seconds, self.wrong + other.wrong)


def download(size: int) -> tuple[Request, Reply]:
    return Request("GET", f"/size/{size}", "GET /size/{n}"), _answer(content(size))


def upload(size: int) -> tuple[Request, Reply]:
    body = Random(size).randbytes(min(size, MEGABYTE)) * max(1, size // MEGABYTE)
    return Request("POST", "/sum", "POST /sum", body), _answer(summed(len(body), zlib.crc32(body)))


def _answer(body: bytes) -> Reply:
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Reply(200, headers, body)


ORDINARY = dict(
    [*(download(size) for size in (20, 2000, 2000, 30_000)), *(upload(s * KILOBYTE) for s in (1, 1, 8, 64, 900, 3072))]
)
"""What ordinary clients send: small answers, uploads below and above the default cap of a copy (1 MiB)."""


@asynccontextmanager
async def traffic(
    port: int, *, expected: Mapping[Request, Reply] = ORDINARY, rate: float = 200.0, connections: int = 8
) -> AsyncIterator[Seen]:
    """Send requests at an even rate for the length of a `with`."""
    seen, stopping = Seen(), asyncio.Event()

    async def client(number: int) -> None:
        chance, pause = Random(number), connections / rate
        due = time.monotonic() + number * pause / connections
        async with Connection(port, timeout=PATIENCE) as connection:
            while not stopping.is_set():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await _one(seen, connection, *chance.choice(list(expected.items())))
                due = max(due + pause, time.monotonic() - pause)

    tasks = [asyncio.create_task(client(number)) for number in range(connections)]
    try:
        yield seen
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def _one(seen: Seen, connection: Connection, request: Request, expected: Reply) -> None:
    started = time.monotonic()
    try:
        wrong = harm(expected, await connection.send(request))
    except ReplyError as error:
        wrong = str(error)
    seen.seconds.append(time.monotonic() - started)
    if wrong:
        seen.wrong.append(f"{request.method} {request.target} ({len(request.body)} bytes): {wrong}")
