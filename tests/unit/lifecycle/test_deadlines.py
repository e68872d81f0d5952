"""Moments that are waited for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.lifecycle.fakes import START, FakeClock, settle
from xds_server.lifecycle import clock as clock_module
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.deadlines import SLACK, Deadlines


class Fired:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keys: list[str] = []
        self.deadlines = Deadlines(clock=self.clock, due=self.due)

    def due(self, key: str) -> None:
        if key == "bad":
            raise ZeroDivisionError(key)
        self.keys.append(key)

    def set(self, key: str, seconds: float) -> None:
        self.deadlines.set(key, START + timedelta(seconds=seconds))


@pytest.fixture
async def fired() -> AsyncIterator[Fired]:
    fired = Fired()
    task = asyncio.create_task(fired.deadlines.run())
    yield fired
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_fires_at_its_moment(fired: Fired) -> None:
    fired.set("late", 20)
    fired.set("early", 10)
    await fired.clock.advance(9)
    assert fired.keys == []
    await fired.clock.advance(1)
    assert fired.keys == ["early"]
    await fired.clock.advance(10)
    assert fired.keys == ["early", "late"]
    assert len(fired.deadlines) == 0


async def test_an_earlier_one_that_comes_later_is_not_missed(fired: Fired) -> None:
    fired.set("late", 20)
    await fired.clock.advance(1)
    fired.set("early", 5)
    await fired.clock.advance(5)
    assert fired.keys == ["early"]


async def test_one_that_was_moved_fires_at_its_new_moment_only(fired: Fired) -> None:
    fired.set("a", 10)
    fired.set("a", 30)
    await fired.clock.advance(20)
    assert fired.keys == []
    fired.set("a", 25)
    await fired.clock.advance(100)
    assert fired.keys == ["a"]


async def test_one_that_was_cancelled_does_not_fire(fired: Fired) -> None:
    fired.set("a", 10)
    fired.deadlines.cancel("a")
    fired.deadlines.cancel("never there")
    await fired.clock.advance(20)
    assert fired.keys == []


async def test_one_in_the_past_fires_at_once(fired: Fired) -> None:
    fired.set("a", -100)
    await settle()
    assert fired.keys == ["a"]


async def test_one_that_cannot_be_handled_does_not_stop_the_others(
    fired: Fired, capsys: pytest.CaptureFixture[str]
) -> None:
    fired.set("bad", 10)
    fired.set("good", 10)
    await fired.clock.advance(10)
    assert fired.keys == ["good"]


async def test_moving_one_for_ever_takes_no_memory(fired: Fired) -> None:
    for number in range(10_000):
        fired.set("a", 1000 + number)
    assert len(fired.deadlines._heap) <= SLACK + 3


async def test_the_system_clock_notices_that_it_was_set_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "SLICE", 0.001)
    clock = SystemClock()
    ahead = timedelta(0)
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + ahead)
    sleeper = asyncio.create_task(clock.sleep_until(clock.now() + timedelta(hours=1)))
    await asyncio.sleep(0.005)
    assert not sleeper.done()
    ahead = timedelta(hours=2)
    async with asyncio.timeout(5):
        await sleeper


async def test_the_system_clock_counts_seconds() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.001)
    assert clock.monotonic() > before
    assert clock.now().tzinfo is UTC
