"""Many hypotheses: against an independent package, brute force, and simulation."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ville.evalues import combine, ebh

from xds_server.analysis.statistics.bets import LOG_MOST
from xds_server.analysis.statistics.family import e_bh, order_weight, weighted_mean

LOGS = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


def test_the_weights_of_all_hypotheses_that_may_ever_appear_sum_to_1() -> None:
    seen = math.fsum(order_weight(i) for i in range(1, 100_001))
    assert seen == pytest.approx(1, abs=1e-5)
    assert seen < 1


@given(LOGS, st.sampled_from([0.3, 0.05, 0.01]))
def test_with_equal_weights_it_is_the_procedure_of_an_independent_package(logs: list[float], alpha: float) -> None:
    theirs = set(np.flatnonzero(ebh(np.exp(logs), alpha)).tolist())
    assert e_bh(logs, [1 / len(logs)] * len(logs), alpha) == theirs


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(0.001, 1)), max_size=7), st.sampled_from([0.3, 0.01]))
def test_it_finds_the_largest_set_that_holds_itself_up(family: list[tuple[float, float]], alpha: float) -> None:
    whole = sum(w for _, w in family) or 1
    weights = [w / whole for _, w in family]
    logs = [log_e for log_e, _ in family]
    found = e_bh(logs, weights, alpha)
    sets = [set(s) for k in range(len(logs) + 1) for s in combinations(range(len(logs)), k)]
    holding = [s for s in sets if all(logs[i] + math.log(weights[i]) >= -math.log(alpha * len(s)) for i in s)]
    assert len(found) == max(map(len, holding))
    assert found in holding


@given(LOGS)
def test_the_mean_is_that_of_an_independent_package(logs: list[float]) -> None:
    weights = [1 / len(logs)] * len(logs)
    assert weighted_mean(logs, weights) == pytest.approx(math.log(combine(np.exp(logs))), abs=1e-6)


def test_what_the_weights_leave_counts_as_1() -> None:
    assert weighted_mean([math.log(9)], [0.5]) == pytest.approx(math.log(5))
    assert weighted_mean([], []) == 0
    assert weighted_mean([-math.inf, LOG_MOST], [0.5, 0.5]) == pytest.approx(LOG_MOST - math.log(2))
    assert weighted_mean([5.0], [0.0]) == pytest.approx(0)


def test_a_hypothesis_without_weight_is_never_discovered() -> None:
    assert e_bh([LOG_MOST, LOG_MOST], [0.0, 0.5], 0.01) == {1}
    assert e_bh([], [], 0.01) == set()


def test_the_share_of_false_discoveries_stays_below_alpha() -> None:
    rng, alpha, shares = np.random.default_rng(1), 0.2, []
    weights = [order_weight(i) for i in range(1, 11)]
    for _ in range(3000):
        # Ten tests of a normal mean, the same noise in all of them; the odd ones are true hypotheses.
        z = rng.standard_normal() + 0.3 * rng.standard_normal(10)
        effects = np.where(np.arange(10) % 2 == 0, 3.5, 0.0)
        logs = 2 * (z / math.hypot(1, 0.3) + effects) - 2
        found = e_bh(list(logs), weights, alpha)
        shares.append(sum(i % 2 for i in found) / max(1, len(found)))
    assert np.mean(shares) <= alpha
