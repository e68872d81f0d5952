"""This machine as a node."""

import os
from pathlib import Path

import pytest

from xds_server.config import NodeSettings
from xds_server.placement import local
from xds_server.placement.local import LocalInventory, Measured, read_machine

SETTINGS = NodeSettings(name="here", region="r", zone="z", max_shadows=7)


async def test_it_is_one_node_with_its_settings_and_what_runs_there() -> None:
    (node,) = await LocalInventory(SETTINGS).nodes({"here": 3, "there": 9})
    assert (node.name, node.region, node.zone, node.max_shadows, node.running) == ("here", "r", "z", 7, 3)
    assert node.cpus == len(os.sched_getaffinity(0))
    assert 0.0 <= node.cpu_load <= 1.0
    assert 0 < node.memory_free_bytes <= node.memory_bytes


async def test_load_is_measured_over_a_second_at_least() -> None:
    moments = iter([(0.0, 0.0, 0.0), (0.5, 9.0, 10.0), (1.0, 10.0, 20.0), (1.5, 20.0, 30.0), (2.0, 30.0, 40.0)])
    now, measured = [0.0], [Measured(0, 0, 10, 5)]
    inventory = LocalInventory(SETTINGS, measure=lambda: measured[0], clock=lambda: now[0])
    loads = []
    for at, busy, total in moments:
        now[0], measured[0] = at, Measured(busy, total, 10, 5)
        loads.append((await inventory.nodes({}))[0].cpu_load)
    assert loads[0] == loads[1], "no second has passed"
    assert loads[2:] == [0.5, 0.5, 1.0]


def test_the_limit_of_a_container_is_the_memory_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    monkeypatch.setattr(local, "_LIMITS", ((str(limit), str(used)),))
    whole = read_machine().memory
    limit.write_text("max\n")
    used.write_text("5000\n")
    assert read_machine().memory == whole
    limit.write_text("8000\n")
    assert (read_machine().memory, read_machine().memory_free) == (8000, 3000)
    used.write_text("9000\n")
    assert read_machine().memory_free == 0
