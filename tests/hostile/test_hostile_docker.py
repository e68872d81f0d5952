"""A shadow that means harm to its machine: what it may take is the runtime's to say, so it is a container."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.engines import engine, load
from tests.hostile import shadows
from tests.hostile.ground import Ground, Trial, ground
from tests.hostile.test_hostile import unhurt
from xds_server.runtime.docker.root_fs import PYTHON

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

IMAGE = "smhostile:1"
MEMORY = 64
"""MiB that the shadow may have."""
PROCESSES = 30
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, trials: list[Trial]) -> Iterator[Ground]:
    with engine() as one:
        load(one, IMAGE, {"/shadows.py": Path(shadows.__file__).read_bytes()})
        with ground(tmp_path_factory.mktemp("hostile"), "--docker-host", one.url) as made:
            yield made
            trials.extend(made.trials)
        assert one.containers() == []


async def test_a_shadow_that_forks_and_eats_memory_hurts_nobody_and_is_confined(place: Ground) -> None:
    confined = {
        "image": IMAGE,
        "port": 8080,
        "entrypoint": [PYTHON, "-u", "-I", "/shadows.py"],
        "command": ["forks_and_eats_memory", "{port}"],
        "env": {"HOST": "0.0.0.0"},
        "memory": f"{MEMORY}Mi",
        "pids": PROCESSES,
        "cpus": 0.5,
    }
    trial = await place.trial("forks_and_eats_memory", variants=[{"name": "v2", "docker": confined}])
    unhurt(place, trial)
    assert trial.comparison["pairs"] > 0
    (shadow,) = trial.instances
    measured = shadow["performanceData"]
    # Whom the kernel chooses is its own matter: those that eat, or who forked them, which is the shadow's end.
    assert measured.get("oomKills") or "out of memory" in shadow["reason"]
    assert measured.get("memory", {"latest": 0})["latest"] <= MEMORY * MEBIBYTE
