"""Rates, times and readings of one place: evidence both ways, and what missing copies do to it."""

import math

import pytest

from tests.unit.analysis.verdict.cases import blocks, outcomes
from xds_server.analysis.statistics.paired import Paired, log_evidence_above
from xds_server.analysis.statistics.proportion import Proportion
from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.rates import difference_rate, error_rate, field_evidence, unexplained_rate
from xds_server.analysis.verdict.readings import Reading, reading
from xds_server.analysis.verdict.reasons import limit_of
from xds_server.analysis.verdict.times import response_time
from xds_server.analysis.verdict.words import about, count, plural, points, share, times

ENOUGH = math.log(100)


@pytest.mark.parametrize("up", [0, 5, 12, 25, 60])
@pytest.mark.parametrize("missing", [0, 7])
def test_the_interval_says_what_the_evidence_does(up: int, missing: int) -> None:
    found = error_rate(Paired(2000, up, 3), outcomes(up, 3), margin=0.01, alpha=0.01, missing=missing)
    low, high = found.interval() or (0, 0)
    assert (found.log_fail >= ENOUGH) == (low > 0.01)
    assert (found.log_pass >= ENOUGH) == (high < 0.01)


def test_missing_copies_widen_the_interval_both_ways() -> None:
    for measure in (
        lambda n: error_rate(
            Paired(2000, 30, 3), outcomes(30, 3 + n // 2), margin=0.01, alpha=0.01, missing=n, missing_errors=n // 2
        ),
        lambda n: difference_rate(Proportion(2000, 30), margin=0.01, alpha=0.01, missing=n),
        lambda n: unexplained_rate(Paired(2000, 30, 3), outcomes(30, 3), margin=0.01, alpha=0.01, missing=n),
        lambda n: response_time(blocks(1.1, 60), quantile=0.5, margin=1.25, alpha=0.01, pairs=3000, missing=n),
    ):
        few, many = measure(0), measure(40)
        (low, high), (lower, higher) = few.interval(), many.interval()
        assert lower <= low <= high <= higher
        assert many.log_fail <= few.log_fail
        assert many.log_pass <= few.log_pass
        assert many.effect == few.effect


def test_values_are_rates_of_both_legs() -> None:
    found = error_rate(Paired(1000, 50, 10), outcomes(50, 10), margin=0.01, alpha=0.01, both=20)
    assert (found.original, found.shadow, found.effect) == pytest.approx((0.03, 0.07, 0.04))


def test_without_pairs_there_is_neither_value_nor_evidence() -> None:
    found = error_rate(Paired(), Symmetric(), margin=0.01, alpha=0.01)
    assert (found.effect, found.shadow) == (None, None)
    assert (found.log_fail, found.log_pass) == pytest.approx((0, 0), abs=1e-12)


def test_a_limit_of_nothing_is_exceeded_by_a_single_difference() -> None:
    assert difference_rate(Proportion(1000, 1), margin=0.0, alpha=0.01).log_fail > ENOUGH
    assert difference_rate(Proportion(100_000, 0), margin=0.0, alpha=0.01).log_pass < ENOUGH


def test_times_are_milliseconds_and_without_blocks_there_is_no_evidence() -> None:
    found = response_time(None, quantile=0.5, margin=1.25, alpha=0.01, pairs=12, original=0.012, shadow=0.5)
    assert (found.original, found.shadow, found.effect, found.log_fail) == (12, 500, None, 0)
    assert response_time(Ratios(), quantile=0.5, margin=1.25, alpha=0.01, pairs=0).log_pass == 0


def test_more_blocks_are_said_in_pairs() -> None:
    found = response_time(blocks(1.0, 3), quantile=0.5, margin=1.25, alpha=0.01, pairs=300)
    needed = found.needed(ENOUGH)
    assert needed is not None
    assert needed.pairs % 100 == 0


def test_how_many_blocks_a_fail_by_times_waits_for_is_by_the_familys_bar() -> None:
    known = blocks(1.6, 6)
    found = response_time(known, quantile=0.5, margin=1.25, alpha=0.01, pairs=300, missing=2)
    near, far = found.needed(ENOUGH), found.needed(3 * ENOUGH)
    assert near is not None
    assert far is not None
    assert (near.pairs, far.pairs) == (near.blocks * 50, far.blocks * 50)
    assert 0 < near.blocks < far.blocks
    reached = response_time(blocks(1.6, 6 + near.blocks), quantile=0.5, margin=1.25, alpha=0.01, pairs=600, missing=2)
    assert reached.log_fail >= ENOUGH
    # Copies that are missing may have been slow: that brings no FAIL nearer.
    lossy = response_time(known, quantile=0.5, margin=1.25, alpha=0.01, pairs=300, missing=40).needed(ENOUGH)
    assert lossy is None or lossy.blocks > near.blocks
    passing = response_time(blocks(1.0, 3), quantile=0.5, margin=1.25, alpha=0.01, pairs=150).needed(ENOUGH)
    assert passing is not None
    assert (passing.pairs > 0, passing.blocks) == (True, 0)


def test_a_reading_that_was_not_made_says_why() -> None:
    assert reading(None, margin=1.5, alpha=0.01, name="cpu").said == "cpu: nothing was read so far"
    found = reading(Reading(reason="the query found nothing"), margin=1.1, alpha=0.01, name="checkout_errors")
    assert (found.possible, found.said) == (False, "checkout_errors: the query found nothing")


def test_numbers_are_said_with_two_digits() -> None:
    assert [share(x) for x in (0.041, 0.00064, 0.3, 1.0, 0.0, -0.0032, 1e-6)] == [
        "4.1 %",
        "0.064 %",
        "30 %",
        "100 %",
        "0 %",
        "-0.32 %",
        "0 %",
    ]
    assert [points(x) for x in (0.028, 0.01, 0.3)] == [
        "2.8 percentage points",
        "1 percentage point",
        "30 percentage points",
    ]
    assert [times(x) for x in (1.4213, 1.0, 12.3456, 1234.5, math.inf)] == ["1.42", "1", "12.35", "1,234", "inf"]
    assert [about(x) for x in (7, 12, 1234, 98_765)] == ["about 7", "about 12", "about 1,200", "about 99,000"]
    assert [plural(1, "copy"), plural(2, "copy"), plural(1200, "pair"), count(12.4)] == [
        "1 copy",
        "2 copies",
        "1,200 pairs",
        "12",
    ]


def test_one_bad_moment_is_no_fail_however_many_pairs_it_hits() -> None:
    moment, spread = (
        error_rate(Paired(2000, 60, 0), outcomes(60, 0, count), margin=0.01, alpha=0.01) for count in (2, 60)
    )
    assert spread.log_fail > ENOUGH > moment.log_fail
    assert moment.log_pass == spread.log_pass
    assert (moment.interval() or (1, 1))[0] == 0
    assert (spread.interval() or (0, 0))[0] > 0.01


def test_blocks_alone_are_no_fail_either() -> None:
    found = error_rate(Paired(20_000, 60, 0), outcomes(60, 0, 60), margin=0.01, alpha=0.01)
    assert found.log_fail < 0


def test_how_many_blocks_a_fail_waits_for_is_said_with_the_pairs_that_come_meanwhile() -> None:
    found = error_rate(Paired(200, 200, 0), outcomes(200, 0, 4), margin=0.01, alpha=0.01)
    need = found.needed(ENOUGH)
    assert need is not None
    assert 2 <= need.blocks <= 8
    assert need.pairs == need.blocks * 50
    later = error_rate(Paired(1, 1, 0), outcomes(400, 0, 4 + need.blocks), margin=-0.9, alpha=0.01)
    assert outcomes(400, 0, 4 + need.blocks).log_evidence_above() >= ENOUGH
    assert later.needed(ENOUGH) is not None


def test_pairs_are_what_is_waited_for_when_blocks_have_shown_it() -> None:
    found = error_rate(Paired(1000, 15, 0), outcomes(15, 0), margin=0.01, alpha=0.01)
    need = found.needed(ENOUGH)
    assert need is not None
    assert (need.pairs > 100, need.blocks) == (True, 0)


def test_what_is_shown_of_a_time_with_an_allowance_is_the_plain_ratio_and_its_limit_on_the_same_scale() -> None:
    """Two equal services of 0.7 ms; blocks of them beside 1.7 ms balance at 0.41."""
    seen = response_time(
        blocks(0.7 / 1.7, 60),
        quantile=0.5,
        margin=1.25,
        alpha=0.01,
        pairs=3000,
        original=0.0007,
        shadow=0.0007,
        allowance=0.001,
    )
    low, high = seen.interval() or (0, 0)
    assert (seen.effect, seen.threshold) == (1, 1.25)
    assert 0.9 < low < 1 < high < 1.1
    assert seen.limit == pytest.approx(1.25 * 1.7 / 0.7)
    assert limit_of(seen) == "1.25 times and 1 ms"


@pytest.mark.parametrize("ratio", [0.7, 1.1, 1.2, 1.3, 1.4, 2.0])
def test_the_decision_can_be_read_off_interval_and_limit(ratio: float) -> None:
    seen = response_time(
        blocks(ratio, 40),
        quantile=0.5,
        margin=1.25,
        alpha=0.01,
        pairs=3000,
        original=0.003,
        shadow=0.004,
        allowance=0.001,
    )
    low, high = seen.interval() or (0, 0)
    enough = math.log(100)
    assert (low >= seen.limit, high <= seen.limit) == (seen.log_fail >= enough, seen.log_pass >= enough)


@pytest.mark.parametrize("shadow", [0.0042, 0.0048, 0.0055])
def test_an_effect_is_never_shown_beside_its_interval(shadow: float) -> None:
    measured = response_time(
        blocks(1.2, 40),
        quantile=0.5,
        margin=1.25,
        alpha=0.01,
        pairs=3000,
        original=0.003,
        shadow=shadow,
        allowance=0.001,
    )
    seen, interval = measured.shown()
    low, high = interval or (0, 0)
    assert seen.effect == min(max(shadow / 0.003, low), high)
    assert (measured.effect == seen.effect) == (shadow == 0.0048)


def test_what_was_not_measured_is_shown_as_it_is_and_without_an_interval() -> None:
    nothing = Measured(1.25, "ratio", 0)
    assert nothing.shown() == (nothing, None)


def test_for_a_fail_a_missing_copy_did_not_fail_where_its_original_did() -> None:
    # Blocks that show it beyond doubt, so that it is the pairs that decide.
    found = error_rate(Paired(2000, 60, 0), outcomes(900, 0), margin=0.01, alpha=0.01, missing=30, missing_errors=20)
    assert found.log_fail == pytest.approx(log_evidence_above(Paired(2030, 60, 20), 0.01))
    assert found.log_fail < log_evidence_above(Paired(2030, 60, 0), 0.01) - 1


def test_of_a_hypothesis_without_weight_no_fail_is_waited_for() -> None:
    pairs = error_rate(Paired(1000, 15, 0), outcomes(15, 0), margin=0.01, alpha=0.01)
    assert pairs.needed(math.inf) is None
    assert outcomes(15, 0).more_above(math.inf) is None


def test_a_field_that_differed_in_one_moment_only_is_not_found() -> None:
    seen = Paired(1000, 60, 0)
    assert field_evidence(seen, outcomes(60, 0, 2), 0.01) < ENOUGH < field_evidence(seen, outcomes(60, 0), 0.01)
    assert field_evidence(seen, None, 0.01) == 0
