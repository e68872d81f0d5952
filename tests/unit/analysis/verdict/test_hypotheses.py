"""The family: weights, and who is discovered."""

import math
from dataclasses import replace

import numpy as np

from tests.unit.analysis.verdict.cases import ERRORS, P99
from xds_server.analysis.statistics.family import order_weight, weighted_mean
from xds_server.analysis.verdict.hypotheses import FIELDS, Found, Place, refute, shares
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.verdict import Difference
from xds_server.model.judging import Check

ALPHA = 0.01
LOOSE = replace(ERRORS, critical=False, name="loose")


def place(check: Check, endpoint: str, order: int, log_fail: float) -> Place:
    return Place(check, endpoint, order, Measured(check.limit, "share", 1000, log_fail=log_fail))


def test_checks_share_the_weight_as_the_profile_weighs_them_and_muted_ones_apart() -> None:
    muted = replace(P99, muted=True)
    assert shares([ERRORS, replace(LOOSE, weight=3.0), muted]) == {
        ERRORS: 0.25,
        replace(LOOSE, weight=3.0): 0.75,
        muted: 1.0,
    }


def test_all_weights_together_are_at_most_one() -> None:
    total = 0.5 + 0.5 * sum(order_weight(i) for i in range(1, 10_000))
    assert 0.999 < total <= 1


def test_a_lone_hypothesis_has_to_pay_for_its_weight() -> None:
    enough = math.log(1 / ALPHA / (0.5 * order_weight(2)))
    assert refute([place(ERRORS, "GET /", 2, enough + 0.01)], shares([ERRORS]), ALPHA).places == {0}
    assert not refute([place(ERRORS, "GET /", 2, enough - 0.01)], shares([ERRORS]), ALPHA).places


def test_what_has_not_appeared_yet_is_no_hypothesis() -> None:
    assert not refute([place(ERRORS, "GET /", 0, 600)], shares([ERRORS]), ALPHA).places


def test_whatever_is_found_carries_its_share_and_the_mean_of_all_is_enough_for_a_latch() -> None:
    rng = np.random.default_rng(5)
    seen = 0
    for _ in range(200):
        logs = rng.exponential(4, size=12)
        places = [place(ERRORS, f"GET /{i}", i, e) for i, e in enumerate(logs, 1)]
        found = refute(places, shares([ERRORS]), ALPHA).places
        weights = [0.5 * order_weight(i) for i in range(1, 13)]
        for i in found:
            assert math.log(weights[i]) + logs[i] >= math.log(1 / (ALPHA * len(found))) - 1e-9
        if found:
            seen += 1
            assert weighted_mean(list(logs), weights) >= math.log(1 / ALPHA)
    assert seen > 10


def test_uncritical_discoveries_do_not_lower_the_bar_for_a_critical_one() -> None:
    bar = math.log(1 / ALPHA / 0.25)
    uncritical = [place(LOOSE, "", 0, 600), place(LOOSE, "GET /", 1, 600)]
    below = [place(ERRORS, "", 0, bar - 0.5), *uncritical]
    assert refute(below, shares([ERRORS, LOOSE]), ALPHA).places == {1, 2}
    assert refute([place(ERRORS, "", 0, bar + 0.1), *uncritical], shares([ERRORS, LOOSE]), ALPHA).places == {0, 1, 2}


def test_critical_discoveries_do_lower_the_bar_for_uncritical_ones() -> None:
    bar = math.log(1 / ALPHA / 0.25)
    assert not refute([place(LOOSE, "", 0, bar - 0.5)], shares([ERRORS, LOOSE]), ALPHA).places
    both = [place(ERRORS, "", 0, 600), place(LOOSE, "", 0, bar - 0.5)]
    assert refute(both, shares([ERRORS, LOOSE]), ALPHA).places == {0, 1}


def test_a_field_pays_for_its_order_of_appearance() -> None:
    def with_field(log_e: float) -> Place:
        return replace(
            place(ERRORS, "GET /", 1, 0.0),
            fields=(Found(Difference("v2", "GET /", "$.price", "value", 0.1, log_e), order=5),),
        )

    bar = math.log(1 / ALPHA / (FIELDS * order_weight(5)))
    assert refute([with_field(bar + 0.01)], shares([ERRORS]), ALPHA).fields.keys() == {0}
    assert not refute([with_field(bar - 0.01)], shares([ERRORS]), ALPHA).fields
