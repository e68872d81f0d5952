"""Every golden network and bootstrap is taken by a real Envoy: no NACK, no complaint, no deprecated field."""

import subprocess
from pathlib import Path

import pytest

from tests.envoy.harness import Mesh
from tests.unit.translate.scenarios import SCENARIOS
from tests.unit.translate.test_golden import BOOTSTRAPS
from xds_server.envoy_binary import find_envoy
from xds_server.translate import bootstrap


@pytest.mark.parametrize("name", SCENARIOS)
async def test_envoy_takes_the_network(name: str, mesh: Mesh) -> None:
    envoy = await mesh.start_envoy(SCENARIOS[name])
    assert await mesh.board.settled(["shop"], 15)
    mesh.assert_no_nack()
    [status] = mesh.board.envoys()
    assert {r.state.name for r in status.resources} == {"ACKED"}
    stats = await envoy.stats("deprecated_feature_use|listener_create_failure|config.*update_rejected")
    assert not any(stats.values()), stats


@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_envoy_takes_the_bootstrap(name: str, tmp_path: Path) -> None:
    config = tmp_path / "bootstrap.yaml"
    config.write_text(bootstrap(BOOTSTRAPS[name]))
    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "deprecat" not in done.stderr.lower()
