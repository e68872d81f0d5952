"""The time of TTLs: not moved by setting the machine's clock, the same over a restart of the manager."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from xds_server.lifecycle.deadlines import Deadlines
from xds_server.lifecycle.steady_clock import FILE, SteadyClock

EPOCH = 1_800_000_000.0
HOUR = 3600.0


class Machine:
    """A machine whose clock can be set, and which can be started again."""

    def __init__(self) -> None:
        self.wall, self.boottime, self.boot = EPOCH, 500.0, "first"

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.boottime += seconds

    def clock(self, folder: Path) -> SteadyClock:
        return SteadyClock(
            folder / FILE, wall=lambda: self.wall, boottime=lambda: self.boottime, boot_id=lambda: self.boot
        )


@pytest.fixture
def machine() -> Machine:
    return Machine()


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + seconds, UTC)


def test_it_begins_with_the_wall_clock_and_goes_on_as_time_passes(machine: Machine, tmp_path: Path) -> None:
    clock = machine.clock(tmp_path)
    assert clock.now() == at(0)
    machine.passes(90.0)
    assert clock.now() == at(90)
    assert clock.wall(clock.now()) == at(90)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_setting_the_machines_clock_moves_it_neither_way(machine: Machine, tmp_path: Path, step: float) -> None:
    clock = machine.clock(tmp_path)
    machine.wall += step
    machine.passes(1.0)
    assert clock.now() == at(1)
    assert clock.wall(clock.now()) == at(1 + step)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_next_manager_of_the_same_boot_goes_on_with_the_same_time(
    machine: Machine, tmp_path: Path, step: float
) -> None:
    machine.clock(tmp_path)
    machine.wall += step
    machine.passes(10.0)
    assert machine.clock(tmp_path).now() == at(10)


def test_after_a_restart_of_the_machine_the_wall_clock_counts(machine: Machine, tmp_path: Path) -> None:
    machine.clock(tmp_path)
    machine.wall += HOUR
    machine.boot, machine.boottime = "second", 3.0
    clock = machine.clock(tmp_path)
    assert clock.now() == at(HOUR)
    machine.passes(5.0)
    assert machine.clock(tmp_path).now() == at(HOUR + 5)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"boot": "first", "begin": "x"}', '{"boot": "first"}'])
def test_a_record_that_cannot_be_read_is_made_anew(machine: Machine, tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert machine.clock(tmp_path).now() == at(0)
    machine.wall += HOUR
    assert machine.clock(tmp_path).now() == at(0)


def test_a_state_folder_that_cannot_be_written_costs_no_start(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert machine.clock(tmp_path / "file").now() == at(0)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_deadline_comes_when_its_time_has_passed_whatever_the_clock_is_set_to(
    machine: Machine, tmp_path: Path, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, fired = machine.clock(tmp_path), list[str]()
    monkeypatch.setattr("xds_server.lifecycle.clock.SLICE", 0.001)
    deadlines = Deadlines(clock=clock, due=fired.append)
    deadlines.set("shadow", clock.now() + timedelta(seconds=60))
    running = asyncio.create_task(deadlines.run())
    try:
        machine.wall += step
        machine.passes(59.0)
        await asyncio.sleep(0.02)
        assert fired == []
        machine.passes(1.0)
        await _until(lambda: fired == ["shadow"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a clock of ours tells nobody
            await asyncio.sleep(0.001)
