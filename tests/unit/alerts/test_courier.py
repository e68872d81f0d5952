"""Delivery to one sink: told once, told again, told in the end; and never in the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tests.unit.alerts.made import START, alert, until
from xds_server.alerts import courier as module
from xds_server.alerts.alert import Alert, Labels
from xds_server.alerts.courier import Courier
from xds_server.alerts.sinks.base import SinkFailedError


class FakeSink:
    name = "fake"
    target = "nowhere"
    batch = 2

    def __init__(self, *, resend: float | None = None) -> None:
        self.resend = resend
        self.sent: list[list[str]] = []
        self.tries = 0
        self.fails: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, alerts: Sequence[Alert]) -> None:
        self.tries += 1
        if self.fails:
            raise self.fails.pop(0)
        await self.open.wait()
        self.sent.append([("" if a.firing else "-") + a.label("field") for a in alerts])

    async def close(self) -> None: ...


class Time:
    def __init__(self) -> None:
        self.now = datetime.fromtimestamp(START, UTC)

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def running(
    sink: FakeSink, time: Time, told: Sequence[Labels] = (), *, patience: float = 10.0
) -> AsyncIterator[Courier]:
    made = Courier(sink, timeout=patience, now=time, chance=Random(1), told=told)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def firing(*fields: str) -> dict[Labels, Alert]:
    return {one.labels: one for one in (alert(field=field) for field in fields)}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.004)


async def test_what_fires_is_told_once_in_batches_and_its_end_once() -> None:
    sink = FakeSink()
    async with running(sink, Time()) as courier:
        for _ in range(3):
            courier.offer(firing("a", "b", "c"), ())
            await courier.drained(1)
        courier.offer(firing("b", "c"), [alert(field="a", ended=START + 9)])
        await courier.drained(1)
    assert sink.sent == [["a", "b"], ["c"], ["-a"]]


async def test_a_sink_that_wants_to_hear_again_does_at_its_interval() -> None:
    sink, time = FakeSink(resend=60), Time()
    async with running(sink, time) as courier:
        for seconds in (0, 30, 61):
            time.now = datetime.fromtimestamp(START, UTC) + timedelta(seconds=seconds)
            courier.offer(firing("a"), ())
            await courier.drained(1)
    assert sink.sent == [["a"], ["a"]]


async def test_failures_are_tried_again_and_shown_until_it_works() -> None:
    sink = FakeSink()
    sink.fails = [SinkFailedError("answered 503"), OSError("away"), RuntimeError("a bug of the sink")]
    async with running(sink, Time()) as courier:
        courier.offer(firing("a"), ())
        assert courier.status.pending == 1
        await until(lambda: sink.sent)
        assert courier.status.ok
        assert (courier.status.failures, courier.status.delivered, courier.status.failing_since) == (3, 1, None)
    assert sink.sent == [["a"]]


async def test_a_receiver_that_does_not_answer_is_given_up_in_time_and_says_so() -> None:
    sink = FakeSink()
    sink.open.clear()
    async with running(sink, Time(), patience=0.2) as courier:
        courier.offer(firing("a"), ())
        await until(lambda: not courier.status.ok)
        assert courier.status.error == "no answer within 0.2 s"
        # A stop does not wait for it.
        async with asyncio.timeout(0.1):
            await courier.drained(5)


async def test_while_a_receiver_is_away_the_newest_state_of_each_alert_is_kept() -> None:
    sink = FakeSink()
    sink.fails = [OSError("away")] * 50
    async with running(sink, Time()) as courier:
        for _ in range(40):
            courier.offer(firing("a"), ())
            courier.offer({}, [alert(field="a", ended=START + 9)])
            await asyncio.sleep(0)
        assert courier.status.pending == 1
        sink.fails = []
        await until(lambda: not courier.status.pending)
    assert sink.sent == [["-a"]]


async def test_what_changed_while_it_was_being_told_is_told_next() -> None:
    sink = FakeSink()
    sink.open.clear()
    async with running(sink, Time()) as courier:
        courier.offer(firing("a"), ())
        await until(lambda: sink.tries)
        courier.offer({}, [alert(field="a", ended=START + 9)])
        sink.open.set()
        await courier.drained(1)
    assert sink.sent == [["a"], ["-a"]]


async def test_what_goes_on_while_it_is_being_told_is_not_told_twice() -> None:
    sink = FakeSink()
    sink.open.clear()
    async with running(sink, Time()) as courier:
        courier.offer(firing("a"), ())
        await until(lambda: sink.tries)
        courier.offer(firing("a"), ())
        sink.open.set()
        await courier.drained(1)
    assert sink.sent == [["a"]]


async def test_what_a_receiver_calls_malformed_is_dropped_and_does_not_hold_up_the_rest() -> None:
    sink = FakeSink()
    sink.fails = [SinkFailedError("answered 400", useless=True)]
    async with running(sink, Time()) as courier:
        courier.offer(firing("a", "b", "c"), ())
        await until(lambda: sink.sent)
        assert (courier.status.dropped, courier.status.pending) == (2, 0)
    assert sink.sent == [["c"]]


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 3)
    sink = FakeSink()
    sink.fails = [OSError("away")] * 1000
    async with running(sink, Time()) as courier:
        courier.offer(firing(*"abcdefgh"), ())
        courier.offer({}, [alert(field="z", ended=START + 9)])
        assert (courier.status.pending, courier.status.dropped) == (3, 1)
        sink.fails = []
        await courier.drained(1)
        await until(lambda: not courier.status.pending)
        # Those that found no room come with the next look.
        courier.offer(firing(*"abcdef"), ())
        await courier.drained(1)
    assert sorted(field for sent in sink.sent for field in sent) == list("abcdef")


async def test_what_was_told_in_an_earlier_life_is_not_told_again() -> None:
    sink = FakeSink()
    async with running(sink, Time(), told=[alert(field="a").labels]) as courier:
        courier.offer(firing("a", "b"), ())
        await courier.drained(1)
    assert sink.sent == [["b"]]
