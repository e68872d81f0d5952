"""An Envoy that starts while the manager is away: its node's engine has the last good resources."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.envoy.als_sink import AlsSink
from tests.envoy.harness import NETWORK, Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.cache.cache import SnapshotCache
from xds_server.cache.snapshot import Snapshot, make_snapshot
from xds_server.config import XdsSettings
from xds_server.model.network import Address
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.server import XdsServer


@asynccontextmanager
async def engine(snapshot: Snapshot, sink: AlsSink) -> AsyncIterator[XdsServer]:
    """Serve the snapshot beside the access log's end, as an analysis engine does."""
    cache = SnapshotCache()
    cache.set(NETWORK, snapshot)
    server = XdsServer(
        settings=XdsSettings(port=0),
        cache=cache,
        grouping=lambda node: node.cluster,
        board=StatusBoard(),
        extra_handlers=sink.handlers(),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0.2)


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_an_envoy_that_starts_without_the_manager_serves_the_original_and_then_finds_the_manager(
    mesh: Mesh, mode: str
) -> None:
    mirrored = active(profile(), shadow(port=mesh.shadow.port))
    whole = state(component(port=mesh.original.port), profiles=(mirrored,))
    nothing = active(profile(percentage=0.0), shadow(port=mesh.shadow.port))
    off = state(component(port=mesh.original.port), profiles=(nothing,))
    manager = mesh.xds.port
    await mesh.xds.stop(0.1)
    async with engine(make_snapshot(mesh.resources(off)), mesh.sink) as failover:
        mesh.options = {"mode": mode, "engine": Address("127.0.0.1", failover.port)}
        await mesh.start_envoy()
        async with await mesh.client() as client:
            assert (await client.get("/ok")).json() == {"from": "original"}
            mesh.cache.set(NETWORK, make_snapshot(mesh.resources(whole)))
            await mesh.serve(port=manager)
        await failover.stop(0.2)
        await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > 1, seconds=30)
        async with await mesh.client() as client:
            assert (await client.get("/ok")).json() == {"from": "original"}


async def test_an_envoy_has_its_runtime_layer_when_it_begins_to_serve(mesh: Mesh) -> None:
    """Once of five times at least: it waits for half a second, which a busy machine may take."""
    mirrored = active(profile(), shadow(port=mesh.shadow.port))
    whole = state(component(port=mesh.original.port), profiles=(mirrored,))
    for _ in range(5):
        await mesh.start_envoy(whole)
        in_time = "initial fetch timed out" not in mesh.envoy.log.read_text()
        async with await mesh.client() as client:
            await client.get("/ok")
        if in_time:
            await mesh.sink.pairs(1)
            return
        await mesh.envoy.__aexit__()
        mesh.envoy._admin.unlink()
    pytest.fail("the runtime layer is always late")
