from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.entries import PROFILE, record
from xds_server.analysis.ingest.pairing import Pairing
from xds_server.analysis.kinds import Lost
from xds_server.analysis.record import Record

Losses = Counter[tuple[str, str]]


class Case:
    def __init__(self, *expected: str, max_waiting: int = 1000, max_bytes: int = 10**9) -> None:
        self.lost: Losses = Counter()
        self.pairing = Pairing(
            expected=lambda _: frozenset(expected),
            lost=self._count,
            timeout=20.0,
            max_waiting=max_waiting,
            max_bytes=max_bytes,
        )
        self.pairs: list[tuple[str, str]] = []

    def _count(self, kind: Lost, profile: str, instance: str) -> None:
        assert profile == PROFILE
        self.lost[str(kind), instance] += 1

    def add(self, pair: str, shadow: str = "", now: float = 0.0) -> None:
        for original, copy in self.pairing.add(leg(pair, shadow), now):
            assert not original.shadow
            assert original.pair == copy.pair
            self.pairs.append((original.pair.partition("/")[2], copy.shadow))


_legs: dict[tuple[str, str], Record] = {}


def leg(pair: str, shadow: str) -> Record:
    return _legs.setdefault((pair, shadow), record(pair=pair, shadow=shadow))


@pytest.mark.parametrize("order", [("", "s"), ("s", "")])
def test_two_legs_meet_in_either_order(order: tuple[str, str]) -> None:
    case = Case("s")
    for shadow in order:
        case.add("1", shadow)
    assert case.pairs == [("1", "s")]
    assert (case.pairing.waiting, case.pairing.waiting_bytes) == (0, 0)
    assert not case.lost


@pytest.mark.parametrize("order", [("", "s", "t"), ("s", "", "t"), ("s", "t", ""), ("t", "s", "")])
def test_an_original_meets_each_of_its_copies(order: tuple[str, ...]) -> None:
    case = Case("s", "t")
    for shadow in order:
        case.add("1", shadow)
    assert sorted(case.pairs) == [("1", "s"), ("1", "t")]
    assert (case.pairing.waiting, case.pairing.waiting_bytes) == (0, 0)


def test_a_copy_that_never_comes_is_counted_for_its_instance() -> None:
    case = Case("s", "t")
    case.add("1", "", now=0.0)
    case.add("1", "s", now=1.0)
    case.pairing.expire(19.9)
    assert not case.lost
    case.pairing.expire(20.0)
    assert case.lost == {("unpaired_original", "t"): 1}
    assert case.pairing.waiting == 0


def test_an_original_that_never_comes_is_counted() -> None:
    case = Case("s")
    case.add("1", "s")
    case.pairing.expire(20.0)
    assert case.lost == {("unpaired_shadow", "s"): 1}


def test_when_the_instances_are_not_known_one_copy_is_enough() -> None:
    case = Case()
    case.add("1")
    case.add("1", "s")
    case.add("2")
    case.pairing.expire(20.0)
    assert case.pairs == [("1", "s")]
    assert case.lost == {("unpaired_original", ""): 1}


def test_a_leg_that_comes_after_its_pair_was_given_up_is_late() -> None:
    case = Case("s")
    case.add("1", "", now=0.0)
    case.pairing.expire(21.0)
    case.add("1", "s", now=22.0)
    assert case.lost == {("unpaired_original", "s"): 1, ("late", "s"): 1}
    assert case.pairing.waiting == 0


def test_an_original_that_comes_late_is_not_taken_for_a_copy_that_does() -> None:
    case = Case("s", "t")
    case.add("1", "s", now=0.0)
    case.pairing.expire(21.0)
    case.add("1", "", now=22.0)
    case.add("1", "t", now=22.0)
    assert case.lost == {("unpaired_shadow", "s"): 1, ("late_original", ""): 1, ("late", "t"): 1}


def test_a_leg_that_comes_twice_is_a_duplicate() -> None:
    case = Case("s", "t")
    for shadow in ("s", "s", "", "", "t", "t", ""):
        case.add("1", shadow)
    assert sorted(case.pairs) == [("1", "s"), ("1", "t")]
    assert case.lost == {("duplicate", "s"): 1, ("duplicate", ""): 2, ("duplicate", "t"): 1}


def test_beyond_the_cap_the_oldest_is_dropped_and_counted() -> None:
    case = Case("s", max_waiting=2)
    for pair in "123":
        case.add(pair)
    case.add("1", "s")
    case.add("3", "s")
    assert case.lost == {("dropped_waiting", "s"): 1, ("late", "s"): 1}
    assert case.pairs == [("3", "s")]


def test_bytes_that_wait_are_bounded_too() -> None:
    one = leg("1", "").weight
    case = Case("s", max_bytes=one * 3)
    for pair in range(100):
        case.add(str(pair))
        assert case.pairing.waiting_bytes <= one * 3.2
    assert case.lost["dropped_waiting", "s"] == 97


def test_what_waits_at_the_end_is_counted() -> None:
    case = Case("s")
    case.add("1")
    case.add("2", "s")
    case.pairing.stop()
    assert case.lost == {("engine_stopped", "s"): 2}
    assert case.pairing.waiting_bytes == 0


events = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "s", "t"]), st.integers(0, 15)), max_size=60
)


@given(events, st.integers(1, 6))
def test_every_record_ends_in_exactly_one_place(arrivals: list[tuple[str, str, int]], cap: int) -> None:
    case = Case("s", "t", max_waiting=cap)
    now = 0.0
    originals: set[str] = set()
    for pair, shadow, wait in arrivals:
        now += wait
        case.pairing.expire(now)
        case.add(pair, shadow, now)
        assert case.pairing.waiting <= cap
        originals |= set() if shadow else {pair}
    case.pairing.stop()
    assert (case.pairing.waiting, case.pairing.waiting_bytes) == (0, 0)
    copies = sum(1 for _, shadow, _ in arrivals if shadow)
    again = sum(n for (kind, shadow), n in case.lost.items() if kind in {"late", "duplicate"} and shadow)
    given_up = sum(n for (kind, _), n in case.lost.items() if kind == "unpaired_shadow")
    # Copies are paired, given up, late or duplicates; the kinds that originals and copies share make it an inequality.
    assert len(case.pairs) + again + given_up <= copies
    assert len(set(case.pairs)) == len(case.pairs)
    assert {pair for pair, _ in case.pairs} <= originals


def test_copies_that_wait_are_counted_by_instance() -> None:
    case = Case("s", "t")
    case.add("1", "s")
    case.add("1", "t")
    case.add("2", "s")
    case.add("3")
    assert case.pairing.waiting_copies() == {"s": 2, "t": 1}
    case.add("1")
    assert case.pairing.waiting_copies() == {"s": 1}


def test_long_paths_count_as_bytes_that_wait() -> None:
    lost: Losses = Counter()
    pairing = Pairing(
        expected=lambda _: frozenset(),
        lost=lambda kind, *_: lost.update([kind]),
        timeout=1,
        max_waiting=9,
        max_bytes=99_000,
    )
    for n in range(5):
        pairing.add(record(pair=str(n), path="/" + "x" * 50_000), 0.0)
        assert pairing.waiting_bytes < 99_000
    assert lost[Lost.DROPPED_WAITING] == 4


@pytest.mark.parametrize("how", ["expire", "drop", "stop"])
def test_originals_that_are_given_up_are_told_of_with_the_copy_that_is_missing(how: str) -> None:
    missed: list[tuple[str, str]] = []
    pairing = Pairing(
        expected=lambda _: frozenset("st"),
        lost=lambda *_: None,
        missed=lambda original, instance: missed.append((original.pair.partition("/")[2], instance)),
        timeout=20.0,
        max_waiting=2 if how == "drop" else 9,
        max_bytes=10**9,
    )
    pairing.add(leg("1", ""), 0.0)
    pairing.add(leg("1", "s"), 0.0)
    pairing.add(leg("2", "s"), 0.0)
    pairing.add(leg("3", ""), 0.0)
    if how == "expire":
        pairing.expire(20.0)
    pairing.stop()
    assert missed == {"expire": [("1", "t"), ("3", "s"), ("3", "t")], "drop": [("1", "t")], "stop": []}[how]
