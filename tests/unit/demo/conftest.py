"""A catalogue on a real socket, and a server that answers what a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from xds_server.demo.catalogue import Catalogue, _Connection

Scripted = Callable[[bytes], Awaitable[int]]


@pytest.fixture
async def catalogue_port() -> AsyncIterator[int]:
    open_now: set[_Counted] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Counted(Catalogue(1).answer, open_now), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    # Before Python 3.12 the line above does not wait for connections.
    async with asyncio.timeout(5):
        while open_now:  # noqa: ASYNC110 - the protocol has no event for it
            await asyncio.sleep(0.01)


class _Counted(_Connection):
    """A connection that is in a set while it is open."""

    def __init__(self, answer: Callable[..., Any], open_now: set["_Counted"]) -> None:
        super().__init__(answer)
        self._open_now = open_now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_now.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_now.discard(self)
        super().connection_lost(error)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    servers: list[asyncio.Server] = []
    handled: list[asyncio.Task[None]] = []

    async def handle(answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except (EOFError, OSError):
            pass  # the client went before it had asked
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def start(answer: bytes) -> int:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handled.append(asyncio.create_task(handle(answer, reader, writer)))

        servers.append(await asyncio.start_server(connected, "127.0.0.1", 0))
        return int(servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()
    await asyncio.wait_for(asyncio.gather(*handled), 5)
