"""Three series that a judge of two unpaired metric series (Kayenta's, by Mann-Whitney) is known to judge wrong."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.analysis.verdict.cases import DIFFERENCES, ERRORS, P50, Seen, case, version
from xds_server.analysis.statistics.quantile import exceedance_scores
from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.times import response_time
from xds_server.analysis.verdict.verdict import Decision


@pytest.mark.parametrize(("bad", "decision"), [(12, Decision.FAIL), (6, Decision.INCONCLUSIVE)])
def test_far_more_errors_fail_although_most_samples_tie_at_zero(bad: int, decision: Decision) -> None:
    """120 samples of 100 requests: the original has 1 error in all, the new version 45 in each of a few, else none.

    A dozen are enough. Half a dozen may be as many outages of one leg, which says nothing yet, and is no PASS either.
    """
    seen = version({"GET /": Seen(120 * 100, up=bad * 45, down=1)})
    samples = Symmetric()
    for sample in range(120):
        samples.add(45 if sample % (120 // bad) == 0 else -1 if sample == 1 else 0)
    endpoints = {name: replace(each, error_blocks=samples) for name, each in seen.endpoints.items()}
    seen = replace(seen, endpoints=endpoints, whole=replace(seen.whole, error_blocks=samples))
    verdict, _ = judge(case(seen), State())
    assert verdict.decision is decision
    if decision is Decision.INCONCLUSIVE:
        assert "more blocks" in verdict.reasons[0]


def test_a_negligible_shift_passes_although_it_is_significant() -> None:
    # +2 % on 200 blocks of 200 requests: Mann-Whitney on 40,000 values calls that a difference, and it is one.
    rng = np.random.default_rng(3)
    ratios, threshold = Ratios(), 0
    gamma = np.log(1.01 / 0.99)
    for block in range(200):
        reference, candidate = np.exp(rng.normal(0, 0.3, 200)) * 0.05, np.exp(rng.normal(0.02, 0.3, 200)) * 0.05
        histograms = [
            {int(b): int(n) for b, n in zip(*np.unique(np.ceil(np.log(x) / gamma), return_counts=True), strict=True)}
            for x in (reference, candidate)
        ]
        if block:
            ratios.add(exceedance_scores(*histograms, threshold, 0.5))
        threshold = int(np.ceil(np.median(np.log(reference)) / gamma))
    found = response_time(ratios, quantile=0.5, margin=1.25, alpha=0.01, pairs=40_000)
    assert found.log_pass >= np.log(100)
    assert found.log_fail < np.log(100)
    low, high = found.interval() or (0, 0)
    assert low <= 1.02 <= high < 1.25


def test_missing_data_is_never_a_pass() -> None:
    nothing = case(variants=("v2",), checks=(ERRORS, DIFFERENCES, P50))
    lost = case(version({"GET /": Seen(1000, times=60, missing=1000)}), checks=(ERRORS, DIFFERENCES, P50))
    untimed = case(version({"GET /": Seen(100_000)}), checks=(ERRORS, DIFFERENCES, P50))
    for missing in (nothing, lost, untimed):
        assert judge(missing, State())[0].decision is Decision.INCONCLUSIVE
