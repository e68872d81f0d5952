"""A stream over a fake RPC: what a socket cannot show."""

import asyncio
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from tests.xds_resources import cluster
from xds_server.cache import make_snapshot
from xds_server.cache.resource import CLUSTER
from xds_server.protocol.session import Mode, Session
from xds_server.protocol.stream import INBOX, Stream


class Rpc:
    """A client that sends without end and whose window is closed."""

    def __init__(self) -> None:
        self.reads = 0
        self.writing = asyncio.Event()

    async def read(self) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        return bytes(discovery_pb2.DiscoveryRequest(type_url=CLUSTER, node={"id": "x"}).SerializeToString())

    async def write(self, _response: bytes) -> None:
        self.writing.set()
        await asyncio.Event().wait()


async def test_a_client_that_sends_without_reading_is_not_read_from_for_ever() -> None:
    rpc: Any = Rpc()
    session = Session(Mode.SOTW, removal_timeout=1.0)
    session.adopt(make_snapshot([cluster("a")]), 0.0)
    stream = Stream(
        rpc,
        mode=Mode.SOTW,
        implied=None,
        opened=lambda _stream, _node: session,
        seen=lambda _stream: None,
        progressed=lambda: None,
    )
    running = asyncio.create_task(stream.run())
    await rpc.writing.wait()
    for _ in range(20 * INBOX):
        await asyncio.sleep(0)
    assert rpc.reads <= 2 * INBOX
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
