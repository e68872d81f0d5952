from collections import Counter

import orjson
import pytest

from tests.unit.analysis.entries import record
from xds_server.analysis.ingest.ledger import GRACE, Ledger
from xds_server.analysis.ingest.metrics import ALS_WRITTEN, Counters
from xds_server.analysis.kinds import Lost

TOTAL, ACTIVE = "http.shadow-i.downstream_rq_total", "http.shadow-i.downstream_rq_active"
WRITTEN = ALS_WRITTEN.replace(".", "__")
T0 = 1000.0


class Books:
    """One Envoy. Time on its clock and on the engine's runs alike."""

    def __init__(self, kept: bytes | None = None) -> None:
        self.lost: Counter[str] = Counter()
        self.ledger = Ledger(self._report)
        if kept is not None:
            self.ledger.load(orjson.loads(kept))

    def _report(self, kind: Lost, instance: str, change: int) -> None:
        assert instance == "i"
        self.lost[kind] += change

    def arrive(self, *ended: float, shadow: str = "i") -> None:
        records = [record(shadow=shadow, started=e - 0.01, duration=0.01) for e in ended]
        self.ledger.arrived("envoy", records)

    def push(self, at: float, total: float, *, active: float = 0.0, uptime: float | None = None, **more: float) -> None:
        values = {TOTAL: total, ACTIVE: active, **{name.replace("__", "."): v for name, v in more.items()}}
        self.ledger.pushed("envoy", Counters("envoy", at, uptime, values), at)

    def settle(self, at: float) -> int:
        self.ledger.settle(at + GRACE)
        return self.lost[Lost.ALS_GAP]

    def kept(self) -> bytes:
        return orjson.dumps(self.ledger.pack())


def test_nothing_is_lost_when_all_that_was_counted_came() -> None:
    books = Books()
    books.arrive(T0 + 1, T0 + 2)
    books.push(T0 + 3, 2)
    assert books.settle(T0 + 3) == 0


def test_what_was_counted_and_never_came_is_lost_exactly() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 3, 4)
    assert books.settle(T0 + 3) == 3


def test_requests_under_way_are_not_lost() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 3, 4, active=3)
    assert books.settle(T0 + 3) == 0


def test_records_on_the_way_are_not_lost_and_later_ones_do_not_hide_a_loss() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 3, 4)
    # Two of the four arrive within the grace; many that ended after the push do as well.
    books.arrive(T0 + 2, T0 + 2.5, *[T0 + 3.5] * 50)
    assert books.settle(T0 + 3) == 1


def test_a_record_that_arrives_very_late_corrects_the_count() -> None:
    books = Books()
    books.push(T0 + 1, 1)
    assert books.settle(T0 + 1) == 1
    books.arrive(T0 + 0.5)
    books.push(T0 + 2, 1)
    assert books.settle(T0 + 2) == 0


def test_what_came_too_late_corrects_the_count_though_envoy_has_restarted_since() -> None:
    books = Books()
    books.push(T0 + 1, 6, uptime=10)
    assert books.settle(T0 + 1) == 6
    books.arrive(T0 + 0.5, T0 + 0.9, T0 + 1.5)
    books.arrive(T0 + 3)
    books.push(T0 + 3.5, 1, uptime=1)
    # Two of the six came; one that ended after the last push of the old life was in no count.
    assert books.settle(T0 + 3.5) == 4


def test_what_came_even_later_corrects_the_count_of_the_life_before() -> None:
    books = Books()
    books.push(T0 + 1, 6, uptime=10)
    books.settle(T0 + 1)
    books.arrive(T0 + 3)
    books.push(T0 + 3.5, 1, uptime=1)
    assert books.settle(T0 + 3.5) == 6
    books.arrive(T0 + 0.5, T0 + 0.9)
    books.push(T0 + 10, 4, uptime=7)
    # Two of the six came, and stand for none of the three that the new life has lost.
    assert books.settle(T0 + 10) == 4 + 3


def test_what_came_within_the_last_millisecond_of_a_life_corrects_the_count() -> None:
    books = Books()
    books.push(T0 + 1, 2, uptime=10)
    books.settle(T0 + 1)
    books.arrive(T0 + 1.0004)
    books.push(T0 + 30, 1, uptime=5)
    assert books.settle(T0 + 30) == 1 + 1
    books.arrive(T0 + 1.0005)
    books.push(T0 + 31, 1, uptime=6)
    assert books.settle(T0 + 31) == 1


def test_when_its_clock_was_set_back_nothing_is_taken_for_late() -> None:
    books = Books()
    books.push(T0 + 1, 4, uptime=10)
    assert books.settle(T0 + 1) == 4
    books.arrive(T0 - 60, T0 - 59, T0 - 58, T0 - 57)
    books.ledger.settle(T0 + 2 + GRACE)
    assert books.lost[Lost.ALS_GAP] == 4
    # It was killed: those four were counted by nobody.
    books.arrive(T0 - 50)
    books.push(T0 - 49, 1, uptime=1)
    assert books.settle(T0 + 3) == 4
    # Nor is it later, by the clock as it is now.
    books.arrive(T0 - 45, T0 - 44)
    books.push(T0 - 40, 5, uptime=10)
    assert books.settle(T0 + 4) == 4 + 2


def test_a_clock_that_is_set_back_in_a_new_life_ends_corrections_of_the_old() -> None:
    books = Books()
    books.push(T0 + 1, 4, uptime=10)
    books.settle(T0 + 1)
    books.push(T0 + 10, 0, uptime=1)
    assert books.settle(T0 + 10) == 4
    books.arrive(T0 - 59, T0 - 58)
    books.push(T0 - 57, 2)
    assert books.settle(T0 + 11) == 4


def test_what_ended_before_an_envoy_began_stands_for_nothing_that_it_lost() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 2, 1, uptime=10)
    books.settle(T0 + 2)
    # After the last push of the old life, which was killed.
    books.arrive(T0 + 3, T0 + 3.1)
    books.arrive(T0 + 20)
    books.push(T0 + 21, 3, uptime=2)
    assert books.settle(T0 + 21) == 2


def test_all_entries_too_are_corrected_by_what_came_too_late_and_are_told_of_no_instance() -> None:
    books = Books()
    books.ledger.load({})
    books.arrive(T0 + 0.1)
    books.push(T0 + 1, 7, uptime=10, **{WRITTEN: 7})
    books.settle(T0 + 1)
    books.arrive(T0 + 0.5, T0 + 0.9)
    books.push(T0 + 30, 0, uptime=2, **{WRITTEN: 1})
    assert books.settle(T0 + 30) == 4
    assert books.ledger.missing() == {"envoy": 5}


def test_an_engine_without_books_knows_a_life_that_began_after_it() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 2, 1, uptime=10, **{WRITTEN: 1})
    books.settle(T0 + 2)
    books.arrive(T0 + 20)
    books.push(T0 + 21, 5, uptime=2, **{WRITTEN: 5})
    books.settle(T0 + 21)
    assert books.ledger.missing() == {"envoy": 4}


def test_what_ended_within_the_millisecond_of_a_push_is_not_lost_until_the_next_one() -> None:
    books = Books()
    books.arrive(T0 + 3.0006, T0 + 3.002)
    books.push(T0 + 3, 1)
    assert books.settle(T0 + 3) == 0
    books.push(T0 + 4, 3)
    assert books.settle(T0 + 4) == 1


def test_what_ended_within_the_millisecond_of_the_first_push_of_a_life_is_not_lost() -> None:
    books = Books()
    books.push(T0 + 1, 0, uptime=10)
    books.settle(T0 + 1)
    books.arrive(T0 + 20.0004)
    books.push(T0 + 20, 1, uptime=2)
    assert books.settle(T0 + 20) == 0


def without(books: Books, at: float) -> int:
    """Push counters when those of the shadow are gone; return the loss."""
    books.ledger.pushed("envoy", Counters("envoy", at, None, {ALS_WRITTEN: 5.0}), at)
    return books.settle(at)


def test_the_last_count_of_a_shadow_that_has_ended_is_held_against_what_comes_late() -> None:
    books = Books()
    books.push(T0 + 1, 3)
    assert books.settle(T0 + 1) == 3
    # One of them, and one that ended after the last push and is in no count.
    books.arrive(T0 + 0.5, T0 + 1.5)
    assert without(books, T0 + 2) == 2
    assert without(books, T0 + 3) == 2


def test_what_a_killed_engine_took_along_of_a_shadow_that_has_ended_since_is_counted() -> None:
    first = Books()
    first.arrive(T0 + 0.5, T0 + 0.6)
    first.push(T0 + 1, 5)
    assert first.settle(T0 + 1) == 3
    kept = orjson.dumps(first.ledger.pack({"i": 2}))
    later = Books(kept)
    # It counted three; two more were in no window of its that anybody has.
    assert without(later, T0 + 4) == 2
    assert without(later, T0 + 5) == 2


def test_what_came_after_the_last_count_of_a_shadow_stands_for_nothing_that_its_engine_took_along() -> None:
    first = Books()
    first.arrive(T0 + 0.5, T0 + 0.6, T0 + 0.7)
    first.push(T0 + 1, 3)
    assert first.settle(T0 + 1) == 0
    first.arrive(T0 + 1.2, T0 + 1.3)
    later = Books(first.kept())
    assert without(later, T0 + 4) == 0
    gone = Books(orjson.dumps(first.ledger.pack({"i": 4})))
    # Two of those that waited had been counted.
    assert without(gone, T0 + 4) == 2
    living = Books(first.kept())
    living.push(T0 + 4, 5)
    assert living.settle(T0 + 4) == 0


def test_what_came_after_the_last_count_of_a_shadow_stands_for_no_loss_when_its_envoy_begins_anew() -> None:
    books = Books()
    books.arrive(T0 + 0.5)
    books.push(T0 + 1, 3, uptime=10)
    assert books.settle(T0 + 1) == 2
    books.arrive(T0 + 1.2, T0 + 1.3)
    for at in (T0 + 2, T0 + 3):
        assert without(books, at) == 2
    books.push(T0 + 30, 0, uptime=1)
    assert books.settle(T0 + 30) == 2
    books.arrive(T0 + 1.4)
    books.push(T0 + 31, 0, uptime=2)
    assert books.settle(T0 + 31) == 2


def test_what_came_after_the_last_count_of_a_shadow_stands_for_no_loss_under_the_next_engine() -> None:
    first = Books()
    first.arrive(T0 + 0.5)
    first.push(T0 + 1, 3)
    first.settle(T0 + 1)
    first.arrive(T0 + 1.2, T0 + 1.3)
    assert without(first, T0 + 2) == 2
    later = Books(first.kept())
    later.arrive(T0 + 1.4)
    assert without(later, T0 + 4) == 0, "no change of the two that are known"


def test_books_of_an_earlier_version_are_read() -> None:
    first = Books()
    first.arrive(T0 + 0.5)
    first.push(T0 + 1, 3)
    first.settle(T0 + 1)
    packed = orjson.loads(first.kept())
    packed["envoy"]["series"] = {name: numbers[:4] for name, numbers in packed["envoy"]["series"].items()}
    later = Books(orjson.dumps(packed))
    later.push(T0 + 2, 4)
    assert later.settle(T0 + 2) == 1


def test_a_restart_of_envoy_begins_anew_and_keeps_what_was_lost() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 2, 3, uptime=100)
    assert books.settle(T0 + 2) == 2
    books.arrive(T0 + 51, T0 + 52)
    books.push(T0 + 60, 3, uptime=10)
    assert books.settle(T0 + 60) == 3


def test_a_restart_is_seen_without_uptime_when_a_counter_falls() -> None:
    books = Books()
    books.arrive(T0 + 1, T0 + 1.5)
    books.push(T0 + 2, 3)
    assert books.settle(T0 + 2) == 1
    books.arrive(T0 + 50)
    books.push(T0 + 60, 2)
    assert books.settle(T0 + 60) == 2


def test_records_of_the_old_life_do_not_hide_a_loss_of_the_new() -> None:
    books = Books()
    books.push(T0 + 2, 5, uptime=100)
    books.arrive(*[T0 + 1] * 5)
    assert books.settle(T0 + 2) == 0
    # Ended before Envoy was killed, and were in no push.
    books.arrive(*[T0 + 2.5] * 7)
    books.arrive(T0 + 4)
    books.push(T0 + 5, 3, uptime=2)
    books.settle(T0 + 5)
    books.arrive(*[T0 + 6] * 2)
    books.push(T0 + 7, 9, uptime=4)
    assert books.settle(T0 + 7) >= 4


def test_an_engine_that_was_away_finds_what_it_missed() -> None:
    books = Books()
    books.arrive(T0 + 1, T0 + 2)
    books.push(T0 + 3, 2)
    books.settle(T0 + 3)
    later = Books(books.kept())
    later.arrive(T0 + 20)
    later.push(T0 + 30, 8)
    assert later.settle(T0 + 30) == 5


def test_an_engine_that_comes_back_counts_nothing_twice() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 3, 2)
    assert books.settle(T0 + 3) == 1
    later = Books(books.kept())
    later.push(T0 + 5, 2)
    assert later.settle(T0 + 5) == 0


def test_what_waits_in_an_engine_that_dies_is_lost() -> None:
    books = Books()
    books.arrive(T0 + 1, T0 + 2, T0 + 3)
    kept = orjson.dumps(books.ledger.pack({"i": 2, "other": 1}))
    again = Books(kept)
    again.push(T0 + 10, 3)
    assert again.settle(T0 + 10) == 2


def test_copies_that_envoy_never_sent_are_counted_as_overflow() -> None:
    books = Books()
    for at, count in ((1, 5.0), (2, 7.0)):
        books.push(T0 + at, 0, **{"cluster__shadow-in-i__upstream_rq_pending_overflow": count})
        books.settle(T0 + at)
    assert books.lost[Lost.OVERFLOW] == 7


def test_all_entries_of_an_envoy_are_reconciled_too() -> None:
    books = Books()
    books.ledger.load({})
    books.arrive(T0 + 1, shadow="i")
    books.arrive(T0 + 1, shadow="")
    books.ledger.pushed("envoy", Counters("envoy", T0 + 2, None, {ALS_WRITTEN: 5.0}), T0)
    books.ledger.settle(T0 + 2 + GRACE)
    assert books.ledger.missing() == {"envoy": 3}


def test_without_books_what_an_envoy_logged_before_us_is_not_our_loss() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.ledger.pushed("envoy", Counters("envoy", T0 + 2, None, {ALS_WRITTEN: 100.0}), T0)
    books.ledger.settle(T0 + 2 + GRACE)
    assert books.ledger.missing() == {"envoy": 0}


def test_without_pushes_the_books_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.MAX_PENDING", 10)
    books = Books()
    for i in range(100):
        books.arrive(T0 + i)
    series = books.ledger._nodes["envoy"].series["i"]
    assert len(series.pending) <= 10
    books.push(T0 + 200, 100)
    assert books.settle(T0 + 200) == 0


def test_a_counter_of_the_same_name_elsewhere_is_not_taken() -> None:
    books = Books()
    values = {"listener.envoy_internal_shadow-i.http.shadow-i.downstream_rq_total": 9.0}
    books.ledger.pushed("envoy", Counters("envoy", T0, None, values), T0)
    assert books.settle(T0) == 0


def test_losses_of_several_lives_of_an_envoy_add_up() -> None:
    books = Books()
    books.ledger.load({})
    for at, uptime in ((10, 5.0), (50, 3.0), (90, 2.0)):
        books.arrive(T0 + at - 1, shadow="")
        overflow = {"cluster.shadow-in-i.upstream_rq_pending_overflow": 2.0}
        books.ledger.pushed("envoy", Counters("envoy", T0 + at, uptime, {ALS_WRITTEN: 5.0, **overflow}), T0 + at)
        books.settle(T0 + at)
    assert books.ledger.missing() == {"envoy": 12}
    assert books.lost[Lost.OVERFLOW] == 6


def test_what_arrived_before_the_books_were_loaded_is_added_to_them() -> None:
    earlier = Books()
    earlier.arrive(T0 + 1, T0 + 2)
    earlier.push(T0 + 3, 3)
    assert earlier.settle(T0 + 3) == 1
    books = Books()
    books.arrive(T0 + 5)
    books.push(T0 + 6, 5)
    books.ledger.load(orjson.loads(earlier.kept()))
    books.arrive(T0 + 7)
    books.push(T0 + 8, 6)
    assert books.settle(T0 + 6) == 1
    assert books.settle(T0 + 8) == 1


def test_more_than_can_be_pending_before_the_books_are_loaded_is_added_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.MAX_PENDING", 3)
    earlier = Books()
    earlier.arrive(T0 + 1)
    books = Books()
    books.arrive(*(T0 + 2 + number for number in range(5)))
    books.ledger.load(orjson.loads(earlier.kept()))
    books.push(T0 + 10, 7)
    assert books.settle(T0 + 10) == 1


def test_an_envoy_that_the_books_do_not_know_is_kept_when_they_are_loaded() -> None:
    books = Books()
    books.arrive(T0 + 1)
    books.push(T0 + 2, 3)
    books.ledger.load({"another": {"uptime": None, "at": 0.0, "overflows": {}, "series": {}}})
    assert books.settle(T0 + 2) == 2


def test_pushes_that_are_not_settled_are_joined_by_life_of_the_envoy_and_nothing_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.MAX_PUSHES", 5)
    books = Books()
    for second in range(100):
        life = second // 50
        uptime = float(second % 50)
        ended = {"http__shadow-j__downstream_rq_total": 4.0} if second < 10 else {}
        if second % 2:
            books.arrive(T0 + second - 0.5)
        books.push(T0 + second, uptime + life, uptime=uptime, **ended)
    assert len(books.ledger._nodes["envoy"].pushes) < 5 + GRACE + 2
    lost: Counter[str] = Counter()
    monkeypatch.setattr(books.ledger, "_report", lambda _, instance, change: lost.update({instance: change}))
    books.settle(T0 + 100)
    # 49 and 50 copies, of which 25 and 25 arrived; those of a shadow that ended were last told of long ago.
    assert lost == {"i": 49 - 25 + 50 - 25, "j": 4}
