"""Evidence from shares: against scipy, an independent package, brute force, and its own inversion."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom
from ville import BernoulliCS

from tests.unit.analysis.statistics.worlds import along, too_many
from xds_server.analysis.statistics.bets import BOLD, LOG_MOST, RARE
from xds_server.analysis.statistics.proportion import (
    Proportion,
    interval,
    log_evidence_above,
    log_evidence_below,
    more_pairs,
)

ALPHA = 0.01
PROOF = math.log(1 / ALPHA)


@st.composite
def shares(draw: st.DrawFn, most: float = 1e5) -> Proportion:
    hits, misses = draw(st.floats(0, most)), draw(st.floats(0, most))
    return Proportion(hits + misses, hits)


@pytest.mark.parametrize(("pairs", "hits"), [(10, 0), (10, 3), (500, 9), (500, 40), (1000, 1000)])
def test_each_bet_is_a_likelihood_ratio_of_two_rates(pairs: int, hits: int) -> None:
    margin = 0.02
    rates = margin + RARE.shares * (1 - margin)
    ratios = binom.logpmf(hits, pairs, rates) - binom.logpmf(hits, pairs, margin)
    expected = min(LOG_MOST, logsumexp(ratios + RARE.log_weights))
    assert log_evidence_above(Proportion(pairs, hits), margin) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("margin", [0.001, 0.01, 0.3, 0.9])
def test_the_mean_of_the_evidence_is_1_at_the_boundary_and_less_within(margin: float) -> None:
    n = 60
    hits = np.arange(n + 1)
    above = np.exp([log_evidence_above(Proportion(n, int(k)), margin) for k in hits])
    below = np.exp([log_evidence_below(Proportion(n, int(k)), margin) for k in hits])
    assert binom.pmf(hits, n, margin) @ above == pytest.approx(1)
    assert binom.pmf(hits, n, margin) @ below == pytest.approx(1)
    assert binom.pmf(hits, n, margin * 0.9) @ above < 1
    assert binom.pmf(hits, n, margin * 1.05) @ below < 1


def test_who_looks_after_every_pair_is_seldom_misled() -> None:
    rng, runs, alpha, margin = np.random.default_rng(4), 200, 0.1, 0.02
    above = below = 0
    for _ in range(runs):
        hits = (rng.random(1000) < margin).astype(float)
        above += along(RARE, hits, margin).max() >= math.log(1 / alpha)
        below += along(BOLD, 1 - hits, 1 - margin).max() >= math.log(1 / alpha)
    assert not too_many(above, runs, alpha)
    assert not too_many(below, runs, alpha)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3, 0.98])
def test_the_interval_is_about_as_wide_as_that_of_an_independent_package(rate: float) -> None:
    hits = (np.random.default_rng(8).random(5000) < rate).astype(float)
    theirs = BernoulliCS(alpha=2 * ALPHA, intersect=False)
    theirs.fit(hits)
    their_lo, their_hi = theirs.interval()
    lo, hi = interval(Proportion(5000, hits.sum()), ALPHA)
    assert max(lo, their_lo) < rate < min(hi, their_hi)
    assert (hi - lo) / (their_hi - their_lo) < 1.25


@given(shares(), st.sampled_from([0.3, 0.01, 1e-6]))
def test_the_interval_holds_what_was_seen_and_ends_where_the_tests_decide(seen: Proportion, alpha: float) -> None:
    lo, hi = interval(seen, alpha)
    proof = math.log(1 / alpha)
    assert 0 <= lo <= hi <= 1
    assert lo - 1e-9 <= seen.effect <= hi + 1e-9
    if lo > 1e-9:
        assert log_evidence_above(seen, lo * (1 - 1e-9)) >= proof - 1e-6
        assert log_evidence_above(seen, min(1.0, lo * (1 + 1e-9))) <= proof + 1e-3
    if hi < 1 - 1e-6:
        assert log_evidence_below(seen, hi + 1e-7) >= proof - 1e-6
        assert log_evidence_below(seen, hi - 1e-7) <= proof + 1e-6


@given(shares(), st.sampled_from([0.001, 0.01, 0.5, 1.0]), st.floats(0.01, 10))
def test_evidence_rises_with_what_speaks_for_it(seen: Proportion, margin: float, more: float) -> None:
    hit, miss = Proportion(seen.pairs + more, seen.hits + more), Proportion(seen.pairs + more, seen.hits)
    assert log_evidence_above(miss, margin) - 1e-9 <= log_evidence_above(seen, margin)
    assert log_evidence_above(seen, margin) <= log_evidence_above(hit, margin) + 1e-9
    assert log_evidence_below(hit, margin) - 1e-9 <= log_evidence_below(seen, margin)
    assert log_evidence_below(seen, margin) <= log_evidence_below(miss, margin) + 1e-9


@given(shares(), shares(), shares())
def test_it_does_not_matter_how_engines_are_merged(a: Proportion, b: Proportion, c: Proportion) -> None:
    one, other = (a + b) + c, a + (b + c)
    assert (one.pairs, one.hits) == pytest.approx((other.pairs, other.hits))
    assert a + b == b + a


def test_with_the_margin_0_one_hit_is_proof_and_none_is_nothing() -> None:
    assert log_evidence_above(Proportion(10_000, 1), 0.0) == LOG_MOST
    assert log_evidence_above(Proportion(10_000, 0), 0.0) == 0
    assert log_evidence_below(Proportion(10_000, 0), 0.0) <= 1e-9


def test_with_the_margin_1_one_miss_is_proof() -> None:
    assert log_evidence_below(Proportion(10, 9), 1.0) == LOG_MOST
    assert log_evidence_above(Proportion(10_000, 10_000), 1.0) <= 1e-9


def test_a_pass_comes_soon_when_nothing_differs() -> None:
    best = PROOF / -math.log1p(-0.01)
    assert log_evidence_below(Proportion(1.25 * best), 0.01) >= PROOF


@pytest.mark.parametrize(("rate", "margin"), [(0.02, 0.01), (0.05, 0.01), (0.002, 0.001), (0.6, 0.5)])
def test_a_fail_takes_less_than_twice_what_a_test_takes_that_knows_the_rate(rate: float, margin: float) -> None:
    divergence = rate * math.log(rate / margin) + (1 - rate) * math.log((1 - rate) / (1 - margin))
    pairs = 2 * PROOF / divergence
    assert log_evidence_above(Proportion(pairs, pairs * rate), margin) >= PROOF


@pytest.mark.parametrize("seen", [Proportion(1e9, 1e9), Proportion(1e9, 0), Proportion(1e9, 1), Proportion(1e9, 5e8)])
def test_extreme_counts_give_finite_evidence_and_narrow_intervals(seen: Proportion) -> None:
    assert abs(log_evidence_above(seen, 0.01)) <= LOG_MOST
    assert abs(log_evidence_below(seen, 0.01)) <= LOG_MOST
    lo, hi = interval(seen, ALPHA)
    assert lo <= seen.effect <= hi
    assert hi - lo < 0.001


def test_a_tiny_fraction_of_a_hit_does_not_break_the_interval() -> None:
    lo, hi = interval(Proportion(10, 1e-6), ALPHA)
    assert lo == 0
    assert 0 < hi < 1


def test_nothing_seen_is_no_evidence() -> None:
    assert interval(Proportion(), ALPHA) == (0, 1)
    assert log_evidence_above(Proportion(), 0.01) == pytest.approx(0)
    assert more_pairs(Proportion(), 0.01, ALPHA) is None
    assert Proportion().effect == 0


@pytest.mark.parametrize("seen", [Proportion(100), Proportion(100, 1), Proportion(100, 4), Proportion(1000, 30)])
def test_the_decision_comes_after_as_many_more_pairs_as_was_said(seen: Proportion) -> None:
    more = more_pairs(seen, 0.01, ALPHA)
    if more is None:
        assert seen.effect == 0.01
        return
    factor = 1 + more / seen.pairs
    later = Proportion(seen.pairs * factor, seen.hits * factor)
    assert max(log_evidence_above(later, 0.01), log_evidence_below(later, 0.01)) >= PROOF - 1e-6
