"""Bursts, on a clock of the test's own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from xds_server.protocol.debounce import Debouncer


class Clock:
    """As much of a loop as a debouncer needs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, action: Callable[[], None]) -> Any:
        self.due.append((when, action))
        return self

    def cancel(self) -> None:
        self.due.clear()

    def pass_to(self, now: float) -> None:
        self.now = now
        for when, action in tuple(self.due):
            if when <= now:
                self.due.remove((when, action))
                action()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


def test_each_change_starts_the_quiet_time_anew_up_to_the_longest_wait(clock: Clock) -> None:
    acted: list[float] = []
    debouncer = Debouncer(lambda: acted.append(clock.now), quiet=1.0, longest=3.0)
    for tenth in range(0, 60, 5):
        clock.pass_to(tenth / 10)
        debouncer.trigger()
    clock.pass_to(20.0)
    # The burst lasts 5.5: once at its longest wait, once after it.
    assert acted == [3.0, 20.0]


def test_the_action_comes_once_the_quiet_time_after_the_last_change(clock: Clock) -> None:
    acted: list[float] = []
    debouncer = Debouncer(lambda: acted.append(clock.now), quiet=1.0, longest=9.0)
    for moment in (0.0, 0.9, 1.8):
        clock.pass_to(moment)
        debouncer.trigger()
    for moment in (2.7, 2.8, 3.9):
        clock.pass_to(moment)
    assert acted == [2.8]


def test_what_is_cancelled_never_happens(clock: Clock) -> None:
    debouncer = Debouncer(lambda: pytest.fail("it happened"), quiet=1.0, longest=3.0)
    debouncer.trigger()
    debouncer.cancel()
    clock.pass_to(10.0)
