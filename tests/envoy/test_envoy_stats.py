"""A real Envoy's own counters, found by what its bootstrap tells the manager."""

import asyncio
from dataclasses import replace

import httpx

from tests.alerts.running import free_port
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.config import EnvoySettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.envoy_stats import EnvoyStats, Wanted
from xds_server.model.names import component_cluster, shadow_cluster, shadow_in_cluster
from xds_server.model.network import Address

SHADOW = shadow().instance_id
ORIGINAL, COPIES, WAY_IN = component_cluster("catalog"), shadow_cluster(SHADOW), shadow_in_cluster(SHADOW)
NETWORK = profile().network_id
WANTED = {NETWORK: Wanted(frozenset({"shop"}), frozenset({ORIGINAL, COPIES, WAY_IN}))}
OPEN = EnvoySettings(admin_interval=0.1)


async def read(stats: EnvoyStats) -> None:
    """Return once there has been one more reading."""
    async with asyncio.timeout(10):
        while not await stats.poll(WANTED):  # noqa: ASYNC110 - nobody tells when it is time again
            await asyncio.sleep(0.02)


async def requests(client: httpx.AsyncClient, path: str, count: int) -> None:
    await asyncio.gather(*(client.get(path) for _ in range(count)))


async def test_both_clusters_are_read_and_requests_are_counted_while_the_envoy_lives(mesh: Mesh) -> None:
    mesh.options = {"admin": Address("127.0.0.1", free_port())}
    mesh.shadow.instead["/ok"] = "/status/503"
    mirrored = active(profile(), replace(shadow(), address=Address("127.0.0.1", mesh.shadow.port)))
    await mesh.start_envoy(state(component(port=mesh.original.port), profiles=(mirrored,)))
    stats = EnvoyStats(board=mesh.board, settings=OPEN, clock=SystemClock())
    async with await mesh.client() as client:
        await requests(client, "/ok", 3)
        await mesh.sink.pairs(3)
        await read(stats)
        assert (stats.reason(NETWORK), stats.count(NETWORK, [ORIGINAL])) == ("", 0)
        await requests(client, "/ok", 5)
        await mesh.sink.pairs(8)
    await read(stats)
    original, copies = stats.counters(NETWORK, [ORIGINAL]), stats.counters(NETWORK, [COPIES])
    assert (original["upstream_rq_completed"], original["upstream_rq_2xx"]) == (8, 8)
    assert (copies["upstream_rq_completed"], copies["upstream_rq_5xx"]) == (8, 8)
    assert stats.counters(NETWORK, [WAY_IN])["upstream_rq_total"] == 8
    assert (stats.count(NETWORK, [ORIGINAL]), stats.count(NETWORK, [COPIES])) == (5, 5)
    # Somebody who gives the same address is not taken for this Envoy.
    (there,) = mesh.board.envoys()
    stranger = replace(there, node=replace(there.node, id="stranger"))

    class Board:
        def envoys(self, _: object = None) -> list[object]:
            return [stranger]

    board: object = Board()
    fooled = EnvoyStats(board=board, settings=OPEN, clock=SystemClock())  # type: ignore[arg-type]
    await read(fooled)
    assert "is node envoy-1" in fooled.reason(NETWORK)
    await fooled.close()
    await stats.close()


async def test_an_envoy_that_tells_no_admin_interface_is_said(mesh: Mesh) -> None:
    await mesh.start_envoy(state(component(port=mesh.original.port)))
    stats = EnvoyStats(board=mesh.board, settings=OPEN, clock=SystemClock())
    await read(stats)
    assert stats.reason(NETWORK) == (
        "the Envoy could not be read: envoy-1: its bootstrap names no admin interface "
        "(shadowmesh bootstrap --admin HOST:PORT)"
    )
    assert stats.count(NETWORK, [ORIGINAL]) is None
    await stats.close()
