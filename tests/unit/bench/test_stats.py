"""Intervals of ratios: they cover what they say, and they know what they cannot say."""

import math
from random import Random

import pytest

from tests.bench._stats import paired_ratio, quantile, student_quantile


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (29, 2.04523), (35, 2.03011), (1000, 1.96234)]
)
def test_quantiles_of_student_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(expected, rel=1e-5)


def test_the_ratio_is_the_geometric_mean_of_the_blocks() -> None:
    ratio = paired_ratio([2.0, 8.0, 4.0], [1.0, 1.0, 1.0])
    assert ratio.value == pytest.approx(4.0)
    half = 4.30265 * math.log(2) / math.sqrt(3)
    assert (ratio.low, ratio.high) == pytest.approx((4 * math.exp(-half), 4 * math.exp(half)), rel=1e-5)


def test_a_machine_that_is_slow_in_some_blocks_does_not_widen_the_interval() -> None:
    slow = [1.0, 10.0, 1.0, 100.0]
    ratio = paired_ratio([1.5 * s for s in slow], slow)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((1.5, 1.5, 1.5))


def test_the_interval_covers_the_true_ratio_in_95_of_100_runs() -> None:
    chance, truth, covered, runs = Random(7), 1.1, 0, 2000
    for _ in range(runs):
        weather = [chance.lognormvariate(0, 1) for _ in range(30)]
        plain = [w * chance.lognormvariate(0, 0.2) for w in weather]
        other = [w * truth * chance.lognormvariate(0, 0.2) for w in weather]
        ratio = paired_ratio(other, plain)
        covered += ratio.low <= truth <= ratio.high
    # Three standard errors of 0.95 over 2000 runs.
    assert covered / runs == pytest.approx(0.95, abs=0.015)


def test_inside_means_the_value_within_the_others_interval() -> None:
    same = paired_ratio([1.0, 1.1, 0.9], [1.0, 1.0, 1.0])
    assert paired_ratio([1.01, 1.0], [1.0, 1.0]).within(same)
    assert not paired_ratio([1.5, 1.5], [1.0, 1.0]).within(same)


@pytest.mark.parametrize("blocks", [[], [1.0]])
def test_fewer_than_two_blocks_have_no_interval(blocks: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        paired_ratio(blocks, blocks)


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        paired_ratio([1.0, 2.0], [1.0, 2.0, 3.0])


def test_quantiles_lie_between_their_neighbours() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([1.0, 2.0], 1.0) == 2.0
    assert quantile([5.0], 0.99) == 5.0
    assert math.isnan(quantile([], 0.5))
