from typing import Any

import orjson
import pytest

from tests.unit.analysis.entries import START, batch, pair_entries
from tests.unit.analysis.kept import of_shadows
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


def windows(parcels: list[Parcel]) -> list[dict[str, Any]]:
    messages = [orjson.loads(parcel.data) for parcel in parcels]
    return [message for message in messages if "window" in message]


def late(parcels: list[Parcel]) -> int:
    return sum(message["window"]["lost"].get("late", 0) for message in windows(parcels))


def form(parcels: list[Parcel]) -> str:
    """Return it in short: a `w` for a window, the number of a closing for its marker."""
    return "".join("w" if parcel.closing is None else str(parcel.closing) for parcel in parcels)


class Filled(Outbox):
    """Closings of one window each, numbered."""

    closing = 0

    def add(self, *tallies: Tally) -> None:
        self.closing += 1
        self.put(tallies or [tally()], self.closing)


def test_windows_are_numbered_and_name_the_one_before_of_their_profile() -> None:
    outbox = Filled()
    outbox.add(tally("p"), tally("q"))
    outbox.add(tally("p"))
    parcels = sent(outbox)
    assert [(m["seq"], m["before"]) for m in windows(parcels)] == [(1, 0), (2, 0), (4, 1)]
    markers = [orjson.loads(parcel.data) for parcel in parcels if parcel.closing is not None]
    assert markers == [{"closing": 1, "seq": 3}, {"closing": 2, "seq": 5}]


def test_what_was_not_acknowledged_is_sent_again_unchanged() -> None:
    outbox = Filled()
    for _ in range(3):
        outbox.add()
    first = sent(outbox)
    outbox.acknowledge(2)
    outbox.reconnected()
    assert sent(outbox) == first[2:]
    outbox.acknowledge(6)
    assert outbox.empty


def test_while_the_manager_is_away_windows_are_merged_and_nothing_is_lost() -> None:
    outbox = Filled()
    for _ in range(10_000):
        outbox.add()
        assert len(outbox) <= module.MAX_UNSENT
        assert len(outbox.pending) <= module.MAX_CLOSINGS
    parcels = drained(outbox)
    assert late(parcels) == 10_000
    assert parcels[-1].closing == 10_000


def test_the_windows_of_many_instances_are_merged_under_the_newest_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT", 3)
    outbox = Filled()
    for _ in range(2):
        outbox.add(tally("p"), tally("q"))
    assert outbox.pending == {2}
    assert form(sent(outbox)) == "ww2"


def test_what_was_sent_is_never_merged() -> None:
    outbox = Filled()
    outbox.add(tally(lost=7))
    first = sent(outbox)
    for _ in range(1000):
        outbox.add()
    outbox.reconnected()
    again = drained(outbox)
    assert again[:2] == first
    assert late(again[2:]) == 1000


def test_a_closing_of_which_a_part_was_sent_is_not_merged_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT", 2)
    outbox = Filled()
    outbox.add(tally("p"), tally("q"))
    first = outbox.next()
    for _ in range(3):
        outbox.add(tally("p"), tally("q"))
    outbox.reconnected()
    again = sent(outbox)
    assert (again[0], form(again)) == (first, "ww1ww4")
    assert outbox.pending == {1, 4}


def test_a_closing_without_windows_is_none() -> None:
    outbox = Outbox()
    outbox.put([], 7)
    assert (outbox.empty, outbox.next(), outbox.pending) == (True, None, set())


def test_no_more_than_the_window_of_messages_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 20)
    outbox = Filled()
    for _ in range(15):
        outbox.add()
    assert len(sent(outbox)) == 20
    outbox.acknowledge(6)
    assert len(sent(outbox)) == 6


def test_a_closing_that_has_begun_is_sent_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 2)
    outbox = Filled()
    outbox.add(*(tally(profile) for profile in "pqrs"))
    outbox.add()
    assert form(sent(outbox)) == "wwww1"


def test_no_more_than_the_bound_of_closings_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLOSINGS", 2)
    outbox = Filled()
    for _ in range(2):
        outbox.add()
    assert form(sent(outbox)) == "w1w2"
    outbox.add()
    assert sent(outbox) == []


def test_the_closings_that_may_be_the_last_one_at_the_manager_are_known() -> None:
    outbox = Filled()
    for _ in range(3):
        outbox.add()
    parcels = sent(outbox)
    outbox.add()
    found = []
    for parcel in parcels:
        outbox.acknowledge(parcel.number)
        found.append((outbox.acknowledged, outbox.pending))
    assert found == [(0, {1, 2, 3, 4}), (1, {2, 3, 4}), (1, {2, 3, 4}), (2, {3, 4}), (2, {3, 4}), (3, {4})]
    drained(outbox)
    assert (outbox.acknowledged, outbox.pending) == (4, set())


def test_no_more_bytes_than_the_bound_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1)
    outbox = Filled()
    for _ in range(3):
        outbox.add()
    first = sent(outbox)
    assert form(first) == "w1"
    assert sent(outbox) == []
    outbox.acknowledge(first[-1].number)
    assert form(drained(outbox)) == "w2w3"


def test_windows_beyond_the_bound_are_dropped_and_counted_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT", 2)
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    outbox = Filled()
    for profile in "abc":
        outbox.add(tally(profile))
    outbox.add(tally("a"))
    found = [message["window"] for message in windows(sent(outbox))]
    assert {w["profile"]: w["lost"].get("engine_windows_dropped", 0) for w in found}["a"] == 1


@pytest.mark.parametrize("limit", [1, 500, 5_000])
def test_a_window_too_large_for_a_message_goes_in_parts_that_add_up(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    analyser = Analyser(EngineSettings(), wall=lambda: START)
    for word in "abcdefgh":
        bodies = ({"path": f"/{word}", "body": orjson.dumps({f"f{n}": v for n in range(9)})} for v in (1, "1"))
        analyser.feed(batch(*pair_entries(*bodies)), 0.0)
    analyser.lost(Lost.LATE, "prof1", "inst1", 3)
    (window,) = of_shadows(analyser.take())
    whole = comparison_of(Tally.unpack(orjson.loads(orjson.dumps(window.pack())))).as_json()
    monkeypatch.setattr(module, "MAX_PARCEL", limit)
    outbox = Outbox()
    outbox.put([window], 1)
    parcels = drained(outbox)
    assert [parcel.closing for parcel in parcels if parcel.closing is not None] == [1]
    parts = windows(parcels)
    assert len(parts) > 1
    assert [(p["seq"], p["before"]) for p in parts] == [(n + 1, n) for n in range(len(parts))]
    again = Tally("prof1", "inst1")
    for part in parts:
        again.merge(Tally.unpack(part["window"]))
    assert comparison_of(again).as_json() == whole
