"""Nodes that are left alone for a while."""

from datetime import UTC, datetime, timedelta

from xds_server.placement.backoff import Backoff

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clocks:
    """A monotonic clock and one on the wall."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.wall = START
        self.backoff = Backoff(monotonic=lambda: self.seconds, now=lambda: self.wall)

    def go(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)

    def left(self, node: str = "a", kind: str = "docker") -> float:
        off = self.backoff.now().get(node, {}).get(kind)
        return (off.until - self.wall).total_seconds() if off else 0.0


def test_it_is_10_s_then_twice_as_long_each_time_and_5_minutes_at_most() -> None:
    clocks = Clocks()
    lasted = []
    for _ in range(8):
        clocks.backoff.failed("a", "docker", "away")
        lasted.append(clocks.left())
        clocks.go(clocks.left())
        assert clocks.left() == 0.0
    assert lasted == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_a_success_forgets_all_failures() -> None:
    clocks = Clocks()
    for _ in range(3):
        clocks.backoff.failed("a", "docker", "away")
        clocks.go(100.0)
    clocks.backoff.succeeded("a", "docker")
    clocks.backoff.failed("a", "docker", "away")
    assert clocks.left() == 10.0


def test_starts_that_fail_side_by_side_are_one_failure() -> None:
    clocks = Clocks()
    for _ in range(5):
        clocks.backoff.failed("a", "docker", "away")
    assert clocks.left() == 10.0


def test_it_is_the_runtime_of_a_node_that_is_left_alone() -> None:
    clocks = Clocks()
    clocks.backoff.failed("a", "docker", "away")
    assert clocks.left("a", "process") == clocks.left("b") == 0.0
    assert clocks.backoff.now()["a"]["docker"].reason == "away"


def test_a_wall_clock_that_is_set_changes_nothing_but_the_time_that_is_shown() -> None:
    clocks = Clocks()
    clocks.backoff.failed("a", "docker", "away")
    clocks.wall -= timedelta(days=1)
    clocks.seconds += 4.0
    assert clocks.left() == 6.0
