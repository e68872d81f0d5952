"""A catalogue on a real socket, and a server that answers what a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from xds_server.demo.catalogue import Catalogue, _Connection

Scripted = Callable[[bytes], Awaitable[int]]


@pytest.fixture
async def catalogue_port() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(Catalogue(1).answer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    servers: list[asyncio.Server] = []

    async def start(answer: bytes) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        return int(servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()
