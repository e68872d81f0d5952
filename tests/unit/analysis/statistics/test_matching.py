"""Unpaired groups made comparable: against all ways to match, and the hypergeometric law."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.statistics.matching import matched, thinned
from xds_server.analysis.statistics.paired import Paired, log_evidence_above

HISTOGRAMS = st.dictionaries(st.integers(-50, 50), st.integers(1, 40), max_size=10)


@pytest.mark.parametrize(("a", "b"), [([1, 0, 0, 0], [1, 1, 0]), ([0, 1], [1, 1, 0, 0]), ([1], [0]), ([0, 0], [1, 1])])
def test_the_counts_are_the_mean_over_all_ways_to_match(a: list[int], b: list[int]) -> None:
    small, large = sorted((a, b), key=len)
    ways = []
    for order in permutations(large, len(small)):
        pairs = list(zip(small, order, strict=True)) if small is a else list(zip(order, small, strict=True))
        up, down = sum(y > x for x, y in pairs), sum(y < x for x, y in pairs)
        ways.append(Paired(len(pairs), up, down))
    mean = matched(len(a), sum(a), len(b), sum(b))
    assert mean.pairs == len(small)
    assert mean.up == pytest.approx(sum(w.up for w in ways) / len(ways))
    assert mean.down == pytest.approx(sum(w.down for w in ways) / len(ways))
    assert math.exp(log_evidence_above(mean, 0.01)) <= (
        sum(math.exp(log_evidence_above(w, 0.01)) for w in ways) / len(ways) + 1e-9
    )


@pytest.mark.parametrize(("n_a", "n_b"), [(0, 5), (5, 0), (0, 0)])
def test_an_empty_group_makes_no_pairs(n_a: int, n_b: int) -> None:
    assert matched(n_a, 0, n_b, 0) == Paired()


def test_unequal_groups_whose_rates_are_equal_seldom_look_different() -> None:
    rng, alpha, runs, alarms = np.random.default_rng(7), 0.1, 200, 0
    for _ in range(runs):
        seen = Paired()
        for _ in range(60):
            # The rate drifts, and so do the sizes of the groups.
            rate, n_a, n_b = rng.random() * 0.3, int(rng.integers(0, 40)), int(rng.integers(0, 6))
            seen += matched(n_a, rng.binomial(n_a, rate), n_b, rng.binomial(n_b, rate))
            if log_evidence_above(seen, 0.0) >= math.log(1 / alpha):
                alarms += 1
                break
    assert alarms <= runs * alpha


@given(HISTOGRAMS, st.integers(0, 300), st.integers(0, 2**32))
def test_a_thinned_histogram_has_the_size_asked_and_nothing_new(counts: dict[int, int], size: int, seed: int) -> None:
    kept = thinned(counts, size, np.random.default_rng(seed))
    assert sum(kept.values()) == min(size, sum(counts.values()))
    assert all(0 < n <= counts[bucket] for bucket, n in kept.items())
    assert kept == thinned(counts, size, np.random.default_rng(seed))


def test_every_value_has_the_same_chance_to_stay() -> None:
    rng = np.random.default_rng(3)
    kept = sum(thinned({1: 10, 2: 30}, 8, rng).get(1, 0) for _ in range(2000))
    assert kept / 2000 == pytest.approx(2, abs=0.1)
