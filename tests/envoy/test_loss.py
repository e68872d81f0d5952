"""Losses of the access log on the real Envoy: what its own counters say is what the engine finds (CORRECTIONS 17)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.envoy.harness import Mesh
from tests.envoy.values import INSTANCE, PROFILE, active, component, profile, shadow, state
from tests.unit.analysis.conftest import Manager, until
from xds_server.analysis.engine import AnalysisEngine
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.config import EngineSettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.model.network import Address

CONFIG = ProfileConfig(PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"})


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.GRACE", 0.5)


@asynccontextmanager
async def engine(manager: Manager, folder: Path, *, port: int = 0) -> AsyncIterator[AnalysisEngine]:
    settings = EngineSettings(port=port, manager=f"127.0.0.1:{manager.port}", window=0.1, pair_timeout=1.0)
    made = AnalysisEngine(settings=settings, node="local", state=folder / "engine", clock=SystemClock())
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def ask(mesh: Mesh, times: int) -> None:
    async with await mesh.client() as client:
        await asyncio.gather(*(client.get("/ok") for _ in range(times)))


async def mirroring(mesh: Mesh, one: AnalysisEngine) -> None:
    mesh.options = {"engine": Address("127.0.0.1", one.port)}
    each = active(profile(), shadow(port=mesh.shadow.port))
    await mesh.start_envoy(state(component(port=mesh.original.port), profiles=(each,)))


async def opened(mesh: Mesh, one: AnalysisEngine) -> None:
    """Send a request and wait for its pair: from then on Envoy's stream to the engine is open."""
    pairs = one.analyser.pairs
    await ask(mesh, 1)
    await until(lambda: one.analyser.pairs > pairs)


async def test_what_envoy_logged_while_the_engine_was_away_is_counted_exactly(mesh: Mesh, tmp_path: Path) -> None:
    async with Manager() as manager:
        manager.collector.configure([CONFIG])

        def known() -> int:
            summary = manager.collector.summary(PROFILE)
            # Of the copies whose record came, some lost their original's.
            return summary.pairs + summary.lost.get("als_gap", 0) + summary.lost.get("unpaired_shadow", 0)

        async with engine(manager, tmp_path) as one:
            port = one.port
            await mirroring(mesh, one)
            await ask(mesh, 20)
            await until(lambda: manager.collector.summary(PROFILE).pairs == 20)
        await ask(mesh, 300)
        async with engine(manager, tmp_path, port=port) as one:
            await ask(mesh, 10)
            # What Envoy still had in a buffer may come; every other one is counted.
            await until(lambda: known() == 330)
            assert manager.collector.summary(PROFILE).lost["als_gap"] > 0
            # And it stays so, while Envoy goes on counting.
            await ask(mesh, 10)
            await until(lambda: known() == 340)
            before = one.ledger._nodes["envoy-1"].last_at
            await until(lambda: one.ledger._nodes["envoy-1"].last_at > before + 1)
            await until(lambda: known() == 340)


async def test_with_the_engine_there_nothing_is_lost_under_load_and_over_a_restart_of_envoy(
    mesh: Mesh, tmp_path: Path
) -> None:
    async with Manager() as manager, engine(manager, tmp_path) as one:
        manager.collector.configure([CONFIG])
        await mirroring(mesh, one)
        await opened(mesh, one)
        for _ in range(5):
            await ask(mesh, 100)
        await until(lambda: manager.collector.summary(PROFILE).pairs == 501)
        mesh.envoy.kill()
        await asyncio.to_thread(mesh.envoy._process.wait)
        # The next one would be taken for ready at the address of this one.
        mesh.envoy._admin.unlink()
        await mesh.start_envoy()
        await opened(mesh, one)
        await ask(mesh, 49)
        await until(lambda: manager.collector.summary(PROFILE).pairs == 551)
        before = one.ledger._nodes["envoy-1"].last_at
        await until(lambda: one.ledger._nodes["envoy-1"].last_at > before + 1)
        series = one.ledger._nodes["envoy-1"].series[INSTANCE]
        # On a busy machine some come after the short grace; each is taken back from the losses as it comes.
        await until(lambda: (series.counted, series.received) == (50, 50))
        await until(lambda: manager.collector.summary(PROFILE).lost == {})
        assert one.ledger.missing() == {"envoy-1": 0}
