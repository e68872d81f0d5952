"""This machine as a node."""

import os
from pathlib import Path

import pytest

from xds_server.config import NodeSettings
from xds_server.errors import UnavailableError
from xds_server.model.nodes import Capacity
from xds_server.placement import local
from xds_server.placement.local import LocalLook, Measured, local_entry, read_machine


async def test_it_is_seen_with_its_processors_and_memory() -> None:
    look = await LocalLook()()
    assert look.cpus == len(os.sched_getaffinity(0))
    assert 0.0 <= look.cpu_load <= 1.0
    assert 0 < look.memory_free_bytes <= look.memory_bytes
    assert look.away == {}


async def test_load_is_measured_over_a_second_at_least() -> None:
    moments = iter([(0.0, 0.0, 0.0), (0.5, 9.0, 10.0), (1.0, 10.0, 20.0), (1.5, 20.0, 30.0), (2.0, 30.0, 40.0)])
    now, measured = [0.0], [Measured(0, 0, 10, 5)]
    look = LocalLook(measure=lambda: measured[0], clock=lambda: now[0])
    loads = []
    for at, busy, total in moments:
        now[0], measured[0] = at, Measured(busy, total, 10, 5)
        loads.append((await look()).cpu_load)
    assert loads[0] == loads[1], "no second has passed"
    assert loads[2:] == [0.5, 0.5, 1.0]


async def test_an_engine_that_is_away_is_told_and_the_machine_is_seen_all_the_same() -> None:
    async def away() -> None:
        raise UnavailableError("no such socket")

    async def there() -> None:
        return None

    look = await LocalLook(beside={"docker": away, "other": there})()
    assert look.away == {"docker": "no such socket"}
    assert look.memory_bytes > 0


def test_without_an_inventory_it_is_the_one_node_with_its_settings() -> None:
    entry = local_entry(NodeSettings(name="here", region="r", zone="z", max_shadows=7, cpus=8.0))
    assert (entry.name, entry.region, entry.zone, entry.local, entry.docker) == ("here", "r", "z", True, None)
    assert entry.capacity == Capacity(cpus=8.0, shadows=7)


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
