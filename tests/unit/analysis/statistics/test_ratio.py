"""Ratios of quantiles from blocks: coverage by simulation, rounding, inversion."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.statistics.worlds import too_many
from xds_server.analysis.statistics.quantile import exceedance_scores
from xds_server.analysis.statistics.ratio import GAMMA, GRID, Ratios
from xds_server.model.judging import MOST_RATIO

ALPHA = 0.01
PROOF = math.log(1 / ALPHA)
WIDTH = math.log(GAMMA)


def buckets(values: np.ndarray) -> dict[int, int]:
    return Counter(np.ceil(np.log(values) / WIDTH).astype(int).tolist())


def observed(rng: np.random.Generator, *, ratio: float, blocks: int, q: float = 0.5, sigma: float = 0.4) -> Ratios:
    """Lognormal times around 1, in blocks of 25; the threshold is the true quantile."""
    seen = Ratios()
    threshold = math.ceil(sigma * {0.5: 0.0, 0.99: 2.326}[q] / WIDTH)
    for _ in range(blocks):
        reference, candidate = np.exp(sigma * rng.standard_normal((2, 25)))
        seen.add(exceedance_scores(buckets(reference), buckets(ratio * candidate), threshold, q))
    return seen


def test_the_grid_holds_1_and_reaches_well_beyond_2_both_ways() -> None:
    assert list(GRID) == sorted(set(GRID)) == [-j for j in reversed(GRID)]
    assert set(range(-35, 36)) <= set(GRID)
    assert GAMMA ** GRID[-1] > 9


@pytest.mark.parametrize("q", [0.5, 0.99])
def test_a_tenth_slower_is_found_and_a_quarter_ruled_out(q: float) -> None:
    seen = observed(np.random.default_rng(1), ratio=1.1, blocks=700, q=q)
    assert seen.log_evidence_above(1.0) >= PROOF
    assert seen.log_evidence_below(1.25) >= PROOF
    lo, hi = seen.interval(ALPHA)
    assert 1 <= lo < 1.1 < hi < 1.25
    assert seen.estimate() == pytest.approx(1.1, rel=0.04)


def test_at_the_median_a_tenth_slower_takes_less_than_twice_what_a_test_takes_that_knows_the_truth() -> None:
    needed = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        seen, blocks = Ratios(), 0
        while seen.log_evidence_above(1.0) < PROOF:
            seen.merge(observed(rng, ratio=1.1, blocks=1))
            blocks += 1
        needed.append(25 * blocks)
    # Chances to exceed the reference's median: 0.594 against 0.5; of the pairs in which just one does, 0.594.
    wald = PROOF / (0.5 * (0.594 * math.log(0.594 / 0.5) + 0.406 * math.log(0.406 / 0.5)))
    assert np.median(needed) < 2 * wald


def test_the_interval_seldom_misses_the_truth_at_any_time_whatever_the_load_does() -> None:
    rng, runs, alpha, ratio = np.random.default_rng(3), 80, 0.1, GAMMA**5
    misses = [0, 0]
    for _ in range(runs):
        seen, missed = Ratios(), [False, False]
        for _ in range(40):
            # In a block all answers are slow or quick together; the level wanders and the threshold is far off.
            level = math.exp(min(20.0, max(-20.0, 0.3 * rng.standard_cauchy())))
            block = level * np.exp(rng.standard_exponential((2, 20)) * rng.exponential(1))
            block = np.clip(block, 1e-30, 1e30)
            legs = rng.permutation(2)
            seen.add(exceedance_scores(buckets(block[legs[0]]), buckets(ratio * block[legs[1]]), 20, 0.9))
            missed[0] |= seen.log_evidence_above(ratio) >= math.log(1 / alpha)
            missed[1] |= seen.log_evidence_below(ratio) >= math.log(1 / alpha)
        misses = [misses[0] + missed[0], misses[1] + missed[1]]
    assert not too_many(misses[0], runs, alpha)
    assert not too_many(misses[1], runs, alpha)


@given(st.integers(0, 2**32), st.sampled_from([0.8, 1.0, 1.1, 3.0]), st.integers(0, 60))
def test_evidence_falls_as_the_ratio_rises_and_the_interval_agrees_with_it(seed: int, ratio: float, n: int) -> None:
    seen = observed(np.random.default_rng(seed), ratio=ratio, blocks=n)
    above = [seen.log_evidence_above(GAMMA**j) for j in GRID]
    below = [seen.log_evidence_below(GAMMA**j) for j in GRID]
    assert above == sorted(above, reverse=True)
    assert below == sorted(below)
    lo, hi = seen.interval(ALPHA)
    assert lo < hi
    for j, up, down in zip(GRID, above, below, strict=True):
        assert (up >= PROOF) == (GAMMA**j <= lo)
        assert (down >= PROOF) == (GAMMA**j >= hi)


def test_a_ratio_between_two_of_the_grid_is_rounded_to_where_it_takes_more() -> None:
    seen = observed(np.random.default_rng(4), ratio=1.1, blocks=30)
    assert seen.log_evidence_above(1.01) == seen.log_evidence_above(GAMMA)
    assert seen.log_evidence_below(1.01) == seen.log_evidence_below(1.0)
    assert seen.log_evidence_above(GAMMA**3) == seen.log_evidence_above(GAMMA**3 * (1 + 1e-12))


def test_beyond_the_grid_there_is_no_evidence_but_what_the_grid_gives() -> None:
    seen = observed(np.random.default_rng(4), ratio=50.0, blocks=30)
    assert seen.log_evidence_above(100.0) == 0
    assert seen.log_evidence_above(9.0) >= PROOF
    assert seen.log_evidence_below(0.01) == 0
    assert seen.interval(ALPHA)[1] == math.inf
    assert seen.estimate() is None


@given(st.lists(st.integers(0, 2**32), max_size=4))
def test_engines_may_be_merged_in_any_order(seeds: list[int]) -> None:
    parts = []
    for seed in seeds:
        parts.append(Ratios())
        # Quarters, whose powers are exact.
        parts[-1].add(np.random.default_rng(seed).integers(-20, 20, len(GRID)) / 4)
    forwards, backwards = Ratios(), Ratios()
    for part in parts:
        forwards.merge(part)
    for part in reversed(parts):
        backwards.merge(part)
    assert forwards == backwards
    assert Ratios.from_json(forwards.as_json()) == forwards
    assert forwards.copy() == forwards


def test_a_copy_goes_its_own_way() -> None:
    seen = observed(np.random.default_rng(1), ratio=1.1, blocks=3)
    before, copied = seen.log_evidence_above(1.0), seen.copy()
    copied.add([1.0] * len(GRID))
    assert (seen.count, copied.count) == (3, 4)
    assert seen.log_evidence_above(1.0) == before != copied.log_evidence_above(1.0)


def test_it_says_how_many_more_blocks_a_decision_takes() -> None:
    seen = observed(np.random.default_rng(1), ratio=1.1, blocks=12)
    enough = math.log(1 / ALPHA)
    more = seen.more_above(1.0, enough)
    assert more is not None
    assert 1 <= more < 60
    assert (seen.more_below(1.5, enough), seen.more_below(1.0, enough), seen.more_above(1.5, enough)) == (0, None, None)
    further = seen.more_above(1.0, 2 * enough)
    assert further is not None
    assert further > more
    assert seen.more_above(1.0, math.inf) is None
    assert Ratios().more_above(1.0, enough) is None


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.4])
def test_what_may_be_wrong_costs_at_least_what_it_would_wherever_it_is(ratio: float) -> None:
    # Scores that were lowered just where that helps most: the evidence is no more than that of the true ones.
    rng = np.random.default_rng(5)
    for place in range(8):
        true = [ratio - 1 + float(x) for x in rng.normal(0, 1.5, 30)]
        true.sort(reverse=True)
        hidden = [x - 0.7 if place <= number < place + 5 else x for number, x in enumerate(true)]
        before, seen = Ratios(), Ratios()
        for x, y in zip(true, hidden, strict=True):
            before.add([x] * len(GRID))
            seen.add([y] * len(GRID))
        worst = seen.less_known(5 * 0.7)
        assert worst.log_evidence_below(1.0) <= before.log_evidence_below(1.0) + 0.05
        assert worst.count == seen.count == 30
        assert seen.less_known(-3.0).log_evidence_above(1.0) < seen.log_evidence_above(1.0)
        assert worst.copy().log_evidence_below(1.0) == worst.log_evidence_below(1.0)


def test_nothing_seen_is_no_evidence() -> None:
    assert Ratios().interval(ALPHA) == (0, math.inf)
    assert Ratios().log_evidence_above(1.0) == pytest.approx(0)
    assert Ratios().estimate() is None


def test_a_score_for_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="3 scores for"):
        Ratios().add([1.0, 2.0, 3.0])


def test_the_largest_ratio_that_a_check_may_have_can_be_decided() -> None:
    ratios = Ratios()
    for _ in range(12):
        ratios.add([2.0] * len(GRID))
    assert ratios.log_evidence_above(MOST_RATIO) > 4.6
    assert ratios.log_evidence_above(MOST_RATIO * 1.02) == 0
