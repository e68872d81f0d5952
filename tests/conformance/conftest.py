"""A server on a free port, a cache to fill, clients that are closed at the end."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from tests.conformance.client import Client
from xds_server.cache import Resource, SnapshotCache, make_snapshot
from xds_server.config import XdsSettings
from xds_server.protocol import StatusBoard, XdsServer

GROUP = "shop"


@dataclass
class World:
    """One server with its cache and board."""

    cache: SnapshotCache
    board: StatusBoard
    server: XdsServer
    channel: grpc.aio.Channel
    groupings: int = 0
    clients: list[Client] = field(default_factory=list)
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def serve(self, *resources: Resource) -> None:
        """Put these resources in force."""
        self.cache.set(GROUP, make_snapshot(resources))

    def client(self, mode: str, *, alone: bool = False, **options: Any) -> Client:
        """Open a stream; `alone`: over a connection of its own, with the smallest windows, as another Envoy would."""
        channel = self.channel
        if alone:
            tight = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", options=tight)
            self.channels.append(channel)
        client = Client(channel, mode, **options)
        self.clients.append(client)
        return client


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start servers with the settings that a test names."""
    worlds: list[World] = []

    async def begin(**settings: Any) -> World:
        cache = SnapshotCache()
        board = StatusBoard()
        world: World

        def grouping(node: Any) -> str:
            world.groupings += 1
            return str(node.cluster)

        chosen = {"port": 0, "debounce": 0.002, "removal_timeout": 0.5, **settings}
        server = XdsServer(settings=XdsSettings(**chosen), cache=cache, grouping=grouping, board=board)
        await server.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        world = World(cache, board, server, channel)
        worlds.append(world)
        return world

    yield begin
    for world in worlds:
        for client in world.clients:
            await client.close()
        for channel in (world.channel, *world.channels):
            await channel.close()
        await world.server.stop(0.5)


@pytest.fixture
async def world(start: Start) -> World:
    """A server with the usual settings."""
    return await start()


@pytest.fixture(params=["sotw", "delta"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both variants of the protocol."""
    return str(request.param)
