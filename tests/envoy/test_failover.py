"""An Envoy that starts while the manager is away serves the original, and mirrors nothing (CORRECTIONS 2)."""

from pathlib import Path

from tests.envoy.harness import NETWORK, Mesh
from tests.envoy.test_loss import engine
from tests.envoy.values import active, component, profile, shadow, state
from tests.unit.analysis.conftest import Manager, until
from xds_server.cache.snapshot import make_snapshot
from xds_server.model.network import Address


async def test_an_envoy_that_starts_without_the_manager_serves_the_original(mesh: Mesh, tmp_path: Path) -> None:
    each = active(profile(), shadow(port=mesh.shadow.port))
    resources = mesh.resources(state(component(port=mesh.original.port), profiles=(each,)))
    async with Manager() as manager, engine(manager, tmp_path) as one:
        manager.collector.offer_last_good({NETWORK: make_snapshot(resources)})
        await until(lambda: one._cache.groups() == (NETWORK,))
        port = one.port
        # Manager and engine go; the engine alone comes back, with what it has on disk.
    await mesh.xds.stop(0.1)
    async with engine(manager, tmp_path, port=port) as one:
        mesh.options = {"engine": Address("127.0.0.1", one.port)}
        await mesh.start_envoy()
        async with await mesh.client() as client:
            for _ in range(20):
                assert (await client.get("/ok")).text == '{"from": "original"}'
        assert len(mesh.original.asked) == 20
        assert mesh.shadow.asked == []
        assert one.analyser.records == 0
