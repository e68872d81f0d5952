import orjson
import pytest

from tests.unit.analysis.entries import START, batch, pair_entries
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.kinds import Lost
from xds_server.analysis.link import outbox as module
from xds_server.analysis.link.outbox import Outbox, Parcel
from xds_server.analysis.windows.comparison import comparison_of
from xds_server.analysis.windows.tally import Tally
from xds_server.config import EngineSettings


def tally(profile: str = "p", lost: int = 1) -> Tally:
    made = Tally(profile, "i")
    made.lost[Lost.LATE] = lost
    return made


def sent(outbox: Outbox) -> list[Parcel]:
    parcels = []
    while (parcel := outbox.next()) is not None:
        parcels.append(parcel)
    return parcels


def drained(outbox: Outbox) -> list[Parcel]:
    """Send and acknowledge until nothing is left."""
    parcels = []
    while found := sent(outbox):
        parcels += found
        outbox.acknowledge(found[-1].number)
    return parcels


def late(parcels: list[Parcel]) -> int:
    return sum(orjson.loads(parcel.data)["window"]["lost"].get("late", 0) for parcel in parcels)


def test_windows_are_numbered_and_name_the_one_before_of_their_profile() -> None:
    outbox = Outbox()
    for profile in "pqp":
        outbox.put(tally(profile))
    messages = [orjson.loads(parcel.data) for parcel in sent(outbox)]
    assert [(m["seq"], m["before"]) for m in messages] == [(1, 0), (2, 0), (3, 1)]


def test_what_was_not_acknowledged_is_sent_again_unchanged() -> None:
    outbox = Outbox()
    for _ in range(3):
        outbox.put(tally())
    first = sent(outbox)
    outbox.acknowledge(1)
    outbox.reconnected()
    assert sent(outbox) == first[1:]
    outbox.acknowledge(3)
    assert outbox.empty


def test_while_the_manager_is_away_windows_are_merged_and_nothing_is_lost() -> None:
    outbox = Outbox()
    for _ in range(10_000):
        outbox.put(tally())
        assert len(outbox) <= module.MAX_UNSENT
    assert late(drained(outbox)) == 10_000


def test_what_was_sent_is_never_merged() -> None:
    outbox = Outbox()
    outbox.put(tally(lost=7))
    (first,) = sent(outbox)
    for _ in range(1000):
        outbox.put(tally())
    outbox.reconnected()
    again = drained(outbox)
    assert again[0] == first
    assert late(again[1:]) == 1000


def test_no_more_than_the_window_of_messages_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 64)
    outbox = Outbox()
    for _ in range(module.MAX_IN_FLIGHT + 5):
        outbox.put(tally())
    assert len(sent(outbox)) == module.MAX_IN_FLIGHT
    outbox.acknowledge(5)
    assert len(sent(outbox)) == 5


def test_the_oldest_closing_that_is_not_with_the_manager_is_known() -> None:
    outbox = Outbox()
    assert outbox.oldest is None
    for closing in (1, 2, 2, 3):
        outbox.put(tally(), closing)
    parcels = sent(outbox)
    outbox.put(tally(), 4)
    found = []
    for parcel in parcels:
        found.append(outbox.oldest)
        outbox.acknowledge(parcel.number)
    assert (found, outbox.oldest) == ([1, 2, 2, 3], 4)
    drained(outbox)
    assert outbox.oldest is None


def test_no_more_bytes_than_the_bound_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1)
    outbox = Outbox()
    for _ in range(3):
        outbox.put(tally())
    (first,) = sent(outbox)
    assert sent(outbox) == []
    outbox.acknowledge(first.number)
    assert len(drained(outbox)) == 2


def test_windows_beyond_the_bound_are_dropped_and_counted_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT", 2)
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    outbox = Outbox()
    for profile in "abc":
        outbox.put(tally(profile))
    outbox.put(tally("a"))
    windows = [orjson.loads(parcel.data)["window"] for parcel in sent(outbox)]
    assert {w["profile"]: w["lost"].get("engine_windows_dropped", 0) for w in windows}["a"] == 1


@pytest.mark.parametrize("limit", [1, 500, 5_000])
def test_a_window_too_large_for_a_message_goes_in_parts_that_add_up(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    analyser = Analyser(EngineSettings(), wall=lambda: START)
    for word in "abcdefgh":
        bodies = ({"path": f"/{word}", "body": orjson.dumps({f"f{n}": v for n in range(9)})} for v in (1, "1"))
        analyser.feed(batch(*pair_entries(*bodies)), 0.0)
    analyser.lost(Lost.LATE, "prof1", "inst1", 3)
    (window,) = analyser.take()
    whole = comparison_of(Tally.unpack(orjson.loads(orjson.dumps(window.pack())))).as_json()
    monkeypatch.setattr(module, "MAX_PARCEL", limit)
    outbox = Outbox()
    outbox.put(window)
    parts = [orjson.loads(parcel.data) for parcel in drained(outbox)]
    assert len(parts) > 1
    assert [(p["seq"], p["before"]) for p in parts] == [(n + 1, n) for n in range(len(parts))]
    again = Tally("prof1", "inst1")
    for part in parts:
        again.merge(Tally.unpack(part["window"]))
    assert comparison_of(again).as_json() == whole
