"""Evidence from signs: against all ways to sign the sizes, exact sums, and simulation with heavy tails."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.statistics.worlds import symmetric_along, too_many
from xds_server.analysis.statistics.bets import LOG_MOST
from xds_server.analysis.statistics.symmetric import LAMBDAS, LOG_WEIGHTS, MOST, Symmetric, log_price

VALUES = st.lists(st.floats(-8, 8), min_size=1, max_size=60)


def of(values: list[float]) -> Symmetric:
    made = Symmetric()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize("sizes", [[1.0] * 9, [0.1, 3.0, 0.5, 0.5, 2.0, 0.0, 1.5], [8.0, 0.2, 0.2, 0.2, 0.2, 0.2]])
def test_the_mean_of_the_evidence_over_all_signs_is_at_most_1(sizes: list[float]) -> None:
    signings = list(product((1, -1), repeat=len(sizes)))
    es = [math.exp(of([s * x for s, x in zip(signs, sizes, strict=True)]).log_evidence_above()) for signs in signings]
    assert 0.7 < sum(es) / len(es) <= 1 + 1e-9


@given(VALUES)
def test_the_price_is_never_below_the_exact_one_and_close_to_it(values: list[float]) -> None:
    x = np.array(values)
    exact = np.log(np.cosh(np.multiply.outer(x, LAMBDAS))).sum(axis=0)
    sums = [np.array([float(len(x))]), *(np.array([(x**power).sum()]) for power in (2, 4, 6))]
    price = log_price(*sums)[0]
    assert (price >= exact - 1e-6 * len(x)).all()
    assert (price <= (x**2).sum() * LAMBDAS**2 / 2 + 1e-6 * len(x)).all()


def test_sums_in_which_rounding_has_two_sizes_in_one_place_have_a_price() -> None:
    sums = (34.0, 135.99890125975955, 543.9912112853065, 2175.9472749538936)  # 33 times 2 and once 1.99973
    price = log_price(*(np.array([each]) for each in sums))[0]
    exact = np.log(np.cosh(LAMBDAS * 2.0)) * 33 + np.log(np.cosh(LAMBDAS * math.sqrt(sums[1] - 132)))
    assert price == pytest.approx(exact, rel=1e-6)


def test_of_two_sizes_the_price_is_exact() -> None:
    x = np.array([0.5] * 7 + [2.0] * 3)
    exact = np.log(np.cosh(np.multiply.outer(x, LAMBDAS))).sum(axis=0)
    price = log_price(np.array([10.0]), *(np.array([(x**power).sum()]) for power in (2, 4, 6)))[0]
    assert price == pytest.approx(exact)


@pytest.mark.parametrize("tails", ["normal", "cauchy", "coin", "mostly ties"])
def test_who_looks_after_every_value_is_seldom_misled(tails: str) -> None:
    rng, runs, alpha, size = np.random.default_rng(2), 200, 0.1, 400
    alarms = 0
    for _ in range(runs):
        # The size of each value follows the past, even its sign: only the next sign is chance.
        sizes = {
            "normal": np.abs(rng.standard_normal(size)),
            "cauchy": np.minimum(MOST, np.abs(rng.standard_cauchy(size))),
            "coin": np.ones(size),
            "mostly ties": (rng.random(size) < 0.05).astype(float),
        }[tails]
        signs = rng.choice([-1.0, 1.0], size=size)
        after_a_loss = np.concatenate(([1.0], np.where(signs[:-1] < 0, 2.0, 1.0)))
        alarms += symmetric_along(np.minimum(MOST, sizes * after_a_loss) * signs).max() >= math.log(1 / alpha)
    assert not too_many(alarms, runs, alpha)


def test_smaller_than_symmetric_is_within_the_hypothesis() -> None:
    # Each symmetric value of -2 or 2 made smaller, in any way: the mean of the evidence stays at most 1.
    for lowered in product((0.0, 1.0, 2.0, 5.0), repeat=3):
        paths = [
            [2.0 * s - less for s, less in zip(signs, lowered, strict=True)] for signs in product((1, -1), repeat=3)
        ]
        es = [of(path).log_evidence_above() for path in paths]
        assert np.exp(es).mean() <= 1 + 1e-9


@given(VALUES, VALUES)
def test_merged_is_the_same_as_counted_together(one: list[float], other: list[float]) -> None:
    merged, together = of(one), of(one + other)
    merged.merge(of(other))
    assert merged.as_json() == pytest.approx(together.as_json())
    assert merged.log_evidence_above() == pytest.approx(together.log_evidence_above(), abs=1e-6)


@given(VALUES)
def test_the_other_side_is_the_mirror_image(values: list[float]) -> None:
    assert of(values).log_evidence_below() == pytest.approx(of([-x for x in values]).log_evidence_above())


@given(VALUES)
def test_json_and_back(values: list[float]) -> None:
    assert Symmetric.from_json(of(values).as_json()) == of(values)


def test_seven_clear_blocks_are_nearly_proof_at_one_in_a_hundred() -> None:
    assert of([2.5] * 9).log_evidence_above() >= math.log(100)
    assert of([2.5] * 6).log_evidence_above() < math.log(100)


def test_without_the_higher_powers_the_evidence_is_weaker() -> None:
    full = of([2.0, 0.1, 2.0, 0.3, 1.0, 2.0, 0.2, 0.1])
    bare = Symmetric(full.count, full.total, full.squares)
    assert 0 < bare.log_evidence_above() < full.log_evidence_above()


def test_nothing_seen_is_no_evidence() -> None:
    assert Symmetric().log_evidence_above() == pytest.approx(0)
    assert Symmetric().more(4.6) == math.inf
    assert of([0.0] * 50).log_evidence_above() == pytest.approx(0)


def test_extreme_values_and_counts_stay_finite() -> None:
    assert abs(of([1e300, -1e300, math.inf, 1e300]).log_evidence_above()) <= LOG_MOST
    assert Symmetric(10**9, 1e9, 1e9, 1e9, 1e9).log_evidence_above() == LOG_MOST
    assert Symmetric(10**9, 1e9, 1e9, 1e9, 1e9).log_evidence_below() == -LOG_MOST


def test_the_weights_are_those_of_one_wealth() -> None:
    assert np.exp(LOG_WEIGHTS).sum() == pytest.approx(1)


def test_it_says_how_many_times_as_many_it_takes() -> None:
    seen = of([1.0, 0.5, -0.2, 0.8])
    factor = seen.more(math.log(100))
    later = Symmetric(*(x * factor for x in seen.as_json()))  # type: ignore[arg-type]
    assert later.log_evidence_above() == pytest.approx(math.log(100), abs=1e-6)


def test_values_of_zero_are_no_evidence_and_cost_none() -> None:
    values = [1.0, 2.0, 1.0, -1.0, 3.0, 1.0]
    among = of([each for value in values for each in (0.0, value, 0.0, 0.0)])
    assert among.log_evidence_above() == of(values).log_evidence_above()
    assert (among.count, among.idle, among.seen) == (6, 18, 24)
    assert Symmetric.from_json(among.as_json()) == among
    copy = among.copy()
    copy.merge(among)
    assert (copy.seen, among.seen) == (48, 24)


def test_how_many_more_values_it_takes_counts_those_of_zero_that_come_between() -> None:
    plain, among = of([1.0] * 4), of([1.0, 0.0, 0.0] * 4)
    more = plain.more_above(4.6)
    assert more is not None
    assert among.more_above(4.6) == pytest.approx(3 * more, abs=2)
    assert of([1.0] * (4 + more)).log_evidence_above() >= 4.6 > of([1.0] * (3 + more)).log_evidence_above()
    assert of([1.0] * 40).more_above(4.6) == 0
    assert of([-1.0] * 4).more_above(4.6) is None
    assert Symmetric().more_above(4.6) is None
