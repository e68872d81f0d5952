"""The part as a whole, on fakes: looks, restarts, stops."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.unit.alerts.made import START, alert, instance, seen, until, watched
from tests.unit.alerts.test_courier import FakeSink
from xds_server.alerts import memory
from xds_server.alerts.service import Alerts
from xds_server.alerts.sinks.log import LogSink
from xds_server.alerts.watched import Watched
from xds_server.analysis.windows.tally import Tally
from xds_server.config import AlertSettings

SETTINGS = AlertSettings(interval=0.01)


def now() -> datetime:
    return datetime.fromtimestamp(START + 5, UTC)


def differing() -> Watched:
    return watched({"i1": seen(Tally("p", "i1"), START, differ=1)})


async def lived(path: Path, sink: FakeSink, *profiles: Watched) -> Alerts:
    """Run a life of the part until the sink has heard everything, and stop it."""
    alerts = Alerts(SETTINGS, [sink], now=now, path=path / "alerts.json")
    looks = 0

    def look() -> Iterator[Watched]:
        nonlocal looks
        looks += 1
        yield from profiles

    alerts.start(look)
    await until(lambda: looks >= 3)
    await alerts.stop()
    return alerts


async def test_a_restart_tells_nothing_twice_and_a_stop_resolves_nothing(tmp_path: Path) -> None:
    sink = FakeSink()
    for _ in range(2):
        await lived(tmp_path, sink, differing())
    assert sink.sent == [["$.price"]]


async def test_what_ended_while_the_manager_was_away_is_resolved_by_the_next_one(tmp_path: Path) -> None:
    sink = FakeSink()
    await lived(tmp_path, sink, differing())
    await lived(tmp_path, sink)
    await lived(tmp_path, sink)
    assert sink.sent == [["$.price"], ["-$.price"]]


async def test_a_receiver_that_was_not_reached_before_the_stop_is_told_by_the_next_life(tmp_path: Path) -> None:
    dead = FakeSink()
    dead.fails = [OSError("away")] * 1000
    await lived(tmp_path, dead, differing())
    again = FakeSink()
    await lived(tmp_path, again, differing())
    assert again.sent == [["$.price"]]


async def test_what_fires_is_shown_by_network_with_the_sinks(tmp_path: Path) -> None:
    alerts = await lived(tmp_path, FakeSink(), differing())
    assert [a.label("field") for a in alerts.firing("shop")] == ["$.price"]
    assert alerts.firing("other") == []
    assert [(s.name, s.ok, s.pending) for s in alerts.sinks()] == [("fake", True, 0)]


async def test_a_profile_that_cannot_be_looked_at_keeps_no_other_from_it(tmp_path: Path) -> None:
    broken = watched({"i1": None}, profile="broken")  # type: ignore[dict-item]
    sink = FakeSink()
    await lived(tmp_path, sink, broken, differing())
    assert sink.sent == [["$.price"]]


async def test_what_could_not_be_looked_at_is_not_resolved(tmp_path: Path) -> None:
    sink = FakeSink()
    await lived(tmp_path, sink, differing())
    await lived(tmp_path, sink, watched({"i1": None}))  # type: ignore[dict-item]

    def breaks() -> Iterator[Watched]:
        yield watched(profile="another")
        raise RuntimeError("a bug")

    alerts = Alerts(SETTINGS, [sink], now=now, path=tmp_path / "alerts.json")
    alerts.start(breaks)
    await asyncio.sleep(0.05)
    await alerts.stop()
    assert sink.sent == [["$.price"]]
    assert [a.label("field") for a in alerts.firing("shop")] == ["$.price"]


async def test_a_round_that_broke_off_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    sink = FakeSink()
    rounds = 0

    def look() -> Iterator[Watched]:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            yield differing()
            raise RuntimeError("a bug")

    alerts = Alerts(SETTINGS, [sink], now=now, path=tmp_path / "alerts.json")
    alerts.start(look)
    await until(lambda: rounds > 2)
    await alerts.stop()
    assert sink.sent == []


async def test_the_log_says_when_an_alert_begins_and_ends() -> None:
    with capture_logs() as lines:
        await LogSink().send([alert(field="$.a"), alert(field="$.a", ended=START + 9)])
    assert [(line["event"], line["log_level"], line["field"]) for line in lines] == [
        ("alert", "warning", "$.a"),
        ("alert resolved", "info", "$.a"),
    ]


async def test_a_dead_receiver_keeps_no_other_from_hearing_of_it(tmp_path: Path) -> None:
    dead, well = FakeSink(), FakeSink()
    dead.name = "dead"
    dead.open.clear()
    alerts = Alerts(AlertSettings(interval=0.01, timeout=0.05), [dead, well], now=now, path=tmp_path / "alerts.json")
    alerts.start(lambda: [differing(), watched(instances=(instance(status="Failed"),), profile="q")])
    await until(lambda: well.sent and not alerts.sinks()[0].ok)
    await alerts.stop()
    assert alerts.sinks()[0].error == "no answer within 0.05 s"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 9}', b'{"version":1,"firing":[[1]],"told":{}}'])
async def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "alerts.json").write_bytes(data)
    sink = FakeSink()
    await lived(tmp_path, sink, differing())
    assert sink.sent == [["$.price"]]
    assert memory.read(tmp_path / "alerts.json").firing != ()


async def test_a_disk_that_takes_nothing_keeps_no_alert_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sink = FakeSink()
    await lived(tmp_path / "file", sink, differing())
    assert sink.sent == [["$.price"]]
