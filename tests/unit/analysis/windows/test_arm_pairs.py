"""Arms beside each other, window by window."""

from random import Random
from typing import Any

import numpy as np
import orjson
import pytest

from tests.unit.analysis.windows.test_blocks import numbers
from tests.unit.analysis.windows.test_blocks import state as state_of
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.windows.arm_pairs import MAX_VARIANTS, ArmPairs
from xds_server.analysis.windows.arms import LONGEST, ArmTally, arm_of


def arm(count: int, errors: int = 0, took: float = 0.01) -> ArmTally:
    made = ArmTally()
    made.count, made.errors = count, errors
    for _ in range(count):
        made.times.add(took)
    return made


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize(
    ("header", "name"),
    [("p/~plain/u1", "plain"), ("p/u1", ""), ("p/u~1", ""), ("p/~v2", "v2"), ("p/~/u", ""), ("p", ""), ("", "")],
)
def test_an_arm_is_named_in_the_pair_header(header: str, name: str) -> None:
    assert arm_of(header) == name


def test_a_long_name_of_an_arm_is_cut() -> None:
    assert len(arm_of("p/~" + "x" * 999 + "/u")) == LONGEST


def test_the_arms_that_are_compared() -> None:
    pairs = ArmPairs()
    names = ("mirrored", "plain", "original", "keyless", "v3", "v2")
    pairs.take({name: arm(5) for name in names}, 0.0, generator())
    assert set(pairs.found) == {("plain", "mirrored"), ("original", "v2"), ("original", "v3"), ("v2", "v3")}


def test_errors_are_matched_in_each_window_for_itself() -> None:
    pairs = ArmPairs()
    for _ in range(3):
        pairs.take({"original": arm(10, 5), "v2": arm(4, 1)}, 0.0, generator())
    assert pairs.found["original", "v2"].errors == Paired(12, 1.5, 4.5)


def test_what_the_original_answered_in_the_place_of_a_candidate_dilutes_nothing_and_is_its_worst() -> None:
    pairs, v2 = ArmPairs(), arm(10, 4)
    v2.missing = 6
    for at in range(4):
        pairs.take({"original": arm(50), "v2": v2}, at, generator())
    found = pairs.found["original", "v2"]
    assert (found.errors, found.worst) == (Paired(16, 16, 0), Paired(40, 40, 0))


def test_a_candidate_that_was_not_asked_at_all_has_no_errors_but_its_worst() -> None:
    pairs, v2 = ArmPairs(), arm(10)
    v2.missing = 10
    for at in range(9):
        pairs.take({"original": arm(50), "v2": v2}, at, generator())
    found = pairs.found["original", "v2"]
    assert (found.errors, found.worst) == (Paired(), Paired(90, 90, 0))


def test_where_both_arms_fail_there_is_nothing_that_a_pass_rests_on() -> None:
    pairs = ArmPairs()
    for at in range(9):
        pairs.take({"original": arm(10, 10), "v2": arm(10, 10)}, at, generator())
    assert pairs.found["original", "v2"].worst.pairs == 0


def test_a_mirrored_request_may_wait_for_its_copies_and_a_user_of_a_split_may_not() -> None:
    pairs = ArmPairs()
    for at in range(60):
        arms = {name: arm(20, took=took) for name, took in (("plain", 0.0004), ("mirrored", 0.0012))}
        arms |= {name: arm(20, took=took) for name, took in (("original", 0.0004), ("v2", 0.0012))}
        pairs.take(arms, float(at), generator())
        pairs.close(at + 1.0, length=1.0, quantiles=(0.5,))
        pairs = ArmPairs.unpack(orjson.loads(orjson.dumps(pairs.pack())))
    assert pairs.found["plain", "mirrored"].blocks.ratios[0.5].log_evidence_above(1.1) < 0.1
    assert pairs.found["original", "v2"].blocks.ratios[0.5].log_evidence_above(1.1) > 4


def test_a_window_without_one_of_the_arms_counts_for_nothing() -> None:
    pairs = ArmPairs()
    pairs.take({"original": arm(10), "v2": arm(5)}, 0.0, generator())
    pairs.take({"original": arm(10, 10)}, 1.0, generator())
    pairs.take({"v2": arm(10, 10)}, 2.0, generator())
    pairs.take({"original": arm(10), "v2": ArmTally()}, 3.0, generator())
    assert pairs.found["original", "v2"].errors == Paired(5, 0, 0)


def test_as_many_times_of_each_arm_are_drawn() -> None:
    pairs = ArmPairs()
    pairs.take({"original": arm(1000), "v2": arm(7)}, 0.0, generator())
    pending = pairs.found["original", "v2"].blocks._pending
    assert (pending.reference.count, pending.candidate.count) == (7, 7)


def test_variants_are_bounded() -> None:
    pairs = ArmPairs()
    pairs.take({f"v{number:02}": arm(1) for number in range(MAX_VARIANTS + 5)}, 0.0, generator())
    assert len(pairs.found) == MAX_VARIANTS * (MAX_VARIANTS - 1) // 2


def state(pairs: ArmPairs) -> Any:
    return orjson.loads(orjson.dumps(pairs.pack()))


def test_they_go_on_after_a_restart_as_if_nothing_had_been() -> None:
    whole, parts, one, other, chance = ArmPairs(), ArmPairs(), generator(), generator(), Random(2)
    for at in range(20):
        parts = ArmPairs.unpack(state(parts))
        window = {
            name: arm(chance.randrange(40), 0, chance.random()) for name in ("original", "v2", "plain", "mirrored")
        }
        for pairs, draws in ((whole, one), (parts, other)):
            pairs.take(window, at, draws)
            pairs.close(at + 1, length=3, quantiles=(0.5,))
    for pair, each in whole.found.items():
        mine = parts.found[pair]
        assert (mine.errors, mine.worst) == (each.errors, each.worst)
        assert numbers(state_of(mine.blocks)) == pytest.approx(numbers(state_of(each.blocks)), abs=1e-6)
    assert whole.found["original", "v2"].blocks.ratios[0.5].count > 2


def test_a_slower_arm_shows_in_the_blocks() -> None:
    pairs, draws, chance = ArmPairs(), generator(), Random(4)
    for at in range(300):
        window = {"original": ArmTally(), "v2": ArmTally(), "v3": ArmTally()}
        for name, slower, count in (("original", 1.0, 200), ("v2", 1.5, 10), ("v3", 1.0, 10)):
            for _ in range(count):
                window[name].count += 1
                window[name].times.add(chance.lognormvariate(-4, 0.2) * slower)
        pairs.take(window, at, draws)
        pairs.close(at + 1, length=4, quantiles=(0.5,))
    assert pairs.found["original", "v2"].blocks.ratios[0.5].log_evidence_above(1.2) > 4
    assert pairs.found["original", "v3"].blocks.ratios[0.5].log_evidence_above(1.0) < 4
    assert pairs.found["original", "v3"].blocks.ratios[0.5].log_evidence_below(1.3) > 4
