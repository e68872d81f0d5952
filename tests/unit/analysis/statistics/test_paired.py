"""Evidence from pairs: against brute force, an adversary, an independent package, and its own inversion."""

import math
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ville import BettingTest

from tests.unit.analysis.statistics.worlds import along, at_the_end, too_many
from xds_server.analysis.statistics.bets import BOLD, LOG_MOST
from xds_server.analysis.statistics.paired import (
    Paired,
    interval,
    log_evidence_above,
    log_evidence_below,
    more_pairs,
)

ALPHA = 0.01
PROOF = math.log(1 / ALPHA)
MARGINS = st.sampled_from([-0.2, -0.01, 0.0, 0.001, 0.005, 0.01, 0.3])
CHANCES = [(0.005, 0.0, 0.0), (0.01, 0.005, 0.0), (0.001, 0.0, 0.0), (0.02, 0.0, 0.01), (0.05, 0.02, 0.01)]


@st.composite
def counts(draw: st.DrawFn, most: int = 3000) -> Paired:
    up, down, alike = (draw(st.integers(0, most)) for _ in range(3))
    return Paired(up + down + alike, up, down)


@st.composite
def fractions(draw: st.DrawFn) -> Paired:
    up, down, alike = (draw(st.floats(0, 1e4)) for _ in range(3))
    return Paired(up + down + alike, up, down)


@pytest.mark.parametrize(("up", "down"), [(0.3, 0.3), (0.2, 0.1), (0.1, 0.0), (0.0, 0.2), (0.35, 0.05)])
def test_the_mean_of_the_evidence_over_all_paths_is_1_at_the_boundary(up: float, down: float) -> None:
    chance = {1: up, -1: down, 0: 1 - up - down}
    margin = up - down
    mean = 0.0
    for path in product(chance, repeat=6):
        seen = Paired(6, path.count(1), path.count(-1))
        mean += math.prod(chance[d] for d in path) * math.exp(log_evidence_above(seen, margin))
    assert mean == pytest.approx(1)


def test_an_adversary_who_sees_all_and_stays_within_the_margin_wins_seldom() -> None:
    margin, alpha, steps = 0.1, 0.2, 30
    # Each is a law of D with a mean of at most the margin: (chance of +1, chance of -1).
    laws = [(0.1, 0.0), (0.55, 0.45), (0.3, 0.2), (0.0, 0.0), (0.15, 0.05), (0.0, 1.0)]

    @cache
    def chance_to_win(pairs: int, up: int, down: int) -> float:
        if log_evidence_above(Paired(pairs, up, down), margin) >= math.log(1 / alpha):
            return 1.0
        if pairs == steps:
            return 0.0
        more_up, more_down = chance_to_win(pairs + 1, up + 1, down), chance_to_win(pairs + 1, up, down + 1)
        alike = chance_to_win(pairs + 1, up, down)
        return max(p * more_up + q * more_down + (1 - p - q) * alike for p, q in laws)

    assert 0.02 < chance_to_win(0, 0, 0) <= alpha


@pytest.mark.parametrize(("up", "down"), [(0.02, 0.01), (0.01, 0.0), (0.3, 0.29)])
def test_who_looks_after_every_pair_is_seldom_misled(up: float, down: float) -> None:
    rng, runs, alpha = np.random.default_rng(5), 200, 0.1
    alarms_above = alarms_below = 0
    for _ in range(runs):
        d = rng.choice([1.0, -1.0, 0.0], size=1000, p=[up, down, 1 - up - down])
        above, below = along(BOLD, 1 + d, 1 + up - down), along(BOLD, 1 - d, 1 - up + down)
        alarms_above += above.max() >= math.log(1 / alpha)
        alarms_below += below.max() >= math.log(1 / alpha)
    assert above[-1] == pytest.approx(at_the_end(BOLD, 1 + d, 1 + up - down), abs=1e-6)
    assert not too_many(alarms_above, runs, alpha)
    assert not too_many(alarms_below, runs, alpha)


def test_bursts_and_drift_that_hit_both_legs_do_not_mislead() -> None:
    rng, runs, alpha = np.random.default_rng(6), 200, 0.1
    alarms = 0
    for _ in range(runs):
        # Errors of both legs rise and fall together, up to one pair in two, in bursts that last.
        rate = 0.25 * (1 + np.sin(np.linspace(0, 12, 1000))) * (np.repeat(rng.random(20), 50) < 0.3)
        d = (rng.random(1000) < rate) * rng.choice([1.0, -1.0], size=1000)
        alarms += along(BOLD, 1 + d, 1.0).max() >= math.log(1 / alpha)
    assert not too_many(alarms, runs, alpha)


@pytest.mark.parametrize(("up", "down", "margin"), CHANCES)
def test_a_fail_takes_less_than_twice_what_a_test_takes_that_knows_the_truth(
    up: float, down: float, margin: float
) -> None:
    def growth(bet: float) -> float:
        ruin = math.log1p(-bet * (1 + margin)) if down else 0.0
        alike = (1 - up - down) * math.log1p(-bet * margin)
        return up * math.log1p(bet * (1 - margin)) + down * ruin + alike

    wald = PROOF / max(growth(bet) for bet in np.linspace(1e-4, 1 / (1 + margin) - 1e-9, 20_000))
    expected = Paired(2 * wald, 2 * wald * up, 2 * wald * down)
    assert log_evidence_above(expected, margin) >= PROOF


@pytest.mark.parametrize("margin", [0.001, 0.01, 0.1])
def test_a_pass_comes_soon_when_nothing_differs(margin: float) -> None:
    best = PROOF / -math.log1p(-margin)
    assert log_evidence_below(Paired(1.25 * best), margin) >= PROOF
    assert log_evidence_below(Paired(0.99 * best), margin) < PROOF


def test_it_is_no_slower_than_the_bets_of_an_independent_package() -> None:
    rng = np.random.default_rng(9)
    ours, theirs = [], []
    for _ in range(20):
        d = rng.choice([1.0, -1.0, 0.0], size=8000, p=[0.02, 0.005, 0.975])
        test = BettingTest(0.0, bounds=(-1.0, 1.0), alternative="greater", alpha=ALPHA)
        test.fit(d)
        theirs.append(test.stopping_time())
        ours.append(1 + np.flatnonzero(along(BOLD, 1 + d, 1.0) >= PROOF)[0])
    assert np.median(ours) <= np.median(theirs)


@given(st.lists(counts(), min_size=2, max_size=5), MARGINS)
def test_it_does_not_matter_in_which_order_engines_are_merged(parts: list[Paired], margin: float) -> None:
    forwards, backwards = sum(parts, Paired()), sum(reversed(parts), Paired())
    assert forwards == backwards
    assert log_evidence_above(forwards, margin) == log_evidence_above(backwards, margin)


@given(fractions(), MARGINS, st.floats(0.01, 10))
def test_evidence_rises_with_what_speaks_for_it(paired: Paired, margin: float, more: float) -> None:
    worse = Paired(paired.pairs + more, paired.up + more, paired.down)
    better = Paired(paired.pairs + more, paired.up, paired.down + more)
    before = log_evidence_above(paired, margin)
    assert log_evidence_above(worse, margin) >= before - 1e-9
    assert log_evidence_above(better, margin) <= before + 1e-9
    assert log_evidence_below(worse, margin) <= log_evidence_below(paired, margin) + 1e-9


@given(fractions(), st.floats(-1, 1), st.floats(-1, 1))
def test_a_larger_margin_is_harder_to_exceed(paired: Paired, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert log_evidence_above(paired, low) >= log_evidence_above(paired, high) - 1e-9
    assert log_evidence_below(paired, low) <= log_evidence_below(paired, high) + 1e-9


@given(fractions(), st.sampled_from([0.3, 0.05, 0.01, 1e-6]))
def test_the_interval_holds_what_was_seen_and_ends_where_the_tests_decide(paired: Paired, alpha: float) -> None:
    lo, hi = interval(paired, alpha)
    proof = math.log(1 / alpha)
    assert -1 <= lo <= hi <= 1
    assert lo - 1e-9 <= paired.effect <= hi + 1e-9
    if lo > -1 + 1e-6:
        assert log_evidence_above(paired, lo - 1e-7) >= proof - 1e-6
        assert log_evidence_above(paired, lo + 1e-7) <= proof + 1e-6
    if hi < 1 - 1e-6:
        assert log_evidence_below(paired, hi + 1e-7) >= proof - 1e-6
        assert log_evidence_below(paired, hi - 1e-7) <= proof + 1e-6


@given(counts(), MARGINS)
def test_never_both_pass_and_fail(paired: Paired, margin: float) -> None:
    assert min(log_evidence_above(paired, margin), log_evidence_below(paired, margin)) < PROOF


def test_nothing_seen_is_no_evidence() -> None:
    nothing = Paired()
    assert log_evidence_above(nothing, 0.01) == pytest.approx(0)
    assert log_evidence_below(nothing, 0.01) == pytest.approx(0)
    assert interval(nothing, ALPHA) == (-1, 1)
    assert more_pairs(nothing, 0.01, ALPHA) is None
    assert nothing.effect == 0


@pytest.mark.parametrize("margin", [-1.0, -0.5, 0.0, 0.01, 1.0])
@pytest.mark.parametrize("seen", [Paired(5e8, 5e8, 0), Paired(5e8, 0, 5e8), Paired(5e8), Paired(5e8, 2.5e8, 2.5e8)])
def test_extreme_counts_give_finite_evidence(seen: Paired, margin: float) -> None:
    for log_e in (log_evidence_above(seen, margin), log_evidence_below(seen, margin)):
        assert -LOG_MOST <= log_e <= LOG_MOST
    lo, hi = interval(seen, ALPHA)
    assert lo <= seen.effect <= hi
    assert hi - lo < 0.001


def test_a_margin_of_1_cannot_be_exceeded_and_one_good_pair_shows_it() -> None:
    assert log_evidence_above(Paired(1000, 1000, 0), 1.0) <= 1e-9
    assert log_evidence_below(Paired(1), 1.0) == LOG_MOST


@given(counts(300), MARGINS)
def test_the_decision_comes_after_as_many_more_pairs_as_was_said(paired: Paired, margin: float) -> None:
    def decided(factor: float) -> bool:
        later = Paired(paired.pairs * factor, paired.up * factor, paired.down * factor)
        return max(log_evidence_above(later, margin), log_evidence_below(later, margin)) >= PROOF - 1e-6

    more = more_pairs(paired, margin, ALPHA)
    if more is None:
        assert not decided(50)
    elif more == 0:
        assert decided(1 + 1e-9)
    else:
        assert decided(1 + more / paired.pairs)
        assert not decided(1 + (more * (1 - 1e-6) - 1) / paired.pairs)


def test_no_decision_is_foretold_exactly_at_the_margin() -> None:
    assert more_pairs(Paired(1000, 20, 20), 0.0, ALPHA) is None
    assert more_pairs(Paired(1000, 20, 20), 0.01, ALPHA) is not None
