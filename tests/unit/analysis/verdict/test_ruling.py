"""One version against the original: when it passes, fails, or is undecided."""

import re
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from tests.unit.analysis.verdict.cases import (
    DEFAULTS,
    DIFFERENCES,
    ERRORS,
    MEMORY,
    NOW,
    P50,
    P99,
    Seen,
    blocks,
    case,
    version,
)
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.hypotheses import Place
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.readings import Reading
from xds_server.analysis.verdict.reasons import reason_of
from xds_server.analysis.verdict.verdict import CheckResult, Decision, Verdict
from xds_server.analysis.verdict.words import span
from xds_server.analysis.windows.profile_evidence import VersionEvidence
from xds_server.model.judging import Judging


def verdict_of(*versions: VersionEvidence, **facts: Any) -> Verdict:
    return judge(case(*versions, **facts), State())[0]


def row(verdict: Verdict, name: str, endpoint: str = "") -> CheckResult:
    return next(r for r in verdict.checks if (r.name, r.endpoint) == (name, endpoint))


def test_a_version_without_errors_passes_when_there_are_enough_pairs() -> None:
    verdict = verdict_of(version({"GET /": Seen(1000)}))
    assert verdict.decision is Decision.PASS
    assert verdict.reasons == ("every critical check passes over all traffic and at 1 endpoint",)
    assert not verdict.latched


def test_a_version_that_ended_by_itself_does_not_pass_and_one_whose_time_was_over_does() -> None:
    good = version({"GET /": Seen(1000)})
    assert verdict_of(good, gone={"v2": "exited with 1"}, failed=frozenset({"v2"})).decision is Decision.INCONCLUSIVE
    assert verdict_of(good, gone={"v2": "its time was over"}).decision is Decision.PASS


def test_a_fail_over_all_traffic_names_the_endpoint_that_it_is_most_at() -> None:
    endpoints = {"GET /ok": Seen(500)}
    for number in range(40):  # whose weight leaves the one that fails too little to be found
        endpoints[f"GET /{number}"] = Seen(20, appeared=number + 3)
    endpoints["GET /bad"] = Seen(60, up=36, appeared=10**8)
    verdict = verdict_of(version(endpoints), checks=(ERRORS,))
    assert verdict.decision is Decision.FAIL
    assert verdict.reasons[0].endswith("most at GET /bad")


def test_a_check_that_fails_while_a_pass_settles_is_remembered() -> None:
    slow = version({"GET /": Seen(2000, ratio=3.0, times=400)})
    checks = (ERRORS, replace(P99, weight=0.1))
    verdict, state = judge(case(slow, checks=checks, settle=20.0), State())
    assert verdict.decision is Decision.INCONCLUSIVE
    assert row(verdict, "response_time p99").decision is Decision.FAIL
    assert state.variants["v2"].rows


def test_a_field_is_not_found_where_the_missing_copies_may_all_have_been_alike() -> None:
    field = {("$.x", "value"): (100, 0, 2)}
    seen = Seen(300, trios=300, fields=field)
    found = verdict_of(version({"GET /": seen}), checks=(DIFFERENCES,), controlled=True)
    assert [d.field for d in found.differences] == ["$.x"]
    hidden = verdict_of(version({"GET /": replace(seen, missing=100_000)}), checks=(DIFFERENCES,), controlled=True)
    assert not hidden.differences


def test_too_few_pairs_are_undecided_and_it_is_said_how_many_more_it_takes() -> None:
    verdict = verdict_of(version({"GET /": Seen(300)}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "more pairs at" in verdict.reasons[0]
    needed = row(verdict, "error_rate").needed
    assert needed is not None
    assert verdict_of(version({"GET /": Seen(300 + needed)})).decision is Decision.PASS


def test_many_errors_of_the_shadow_alone_fail_it_with_numbers_and_limit() -> None:
    verdict = verdict_of(version({"GET /items/{id}": Seen(2600, up=107)}))
    assert verdict.decision is Decision.FAIL
    assert verdict.reasons[0].startswith("GET /items/{id}: error_rate is 4.1 percentage points above the original's [")
    assert verdict.reasons[0].endswith("], the limit is 1 %")


def test_errors_that_the_original_has_just_as_often_do_not_fail_it() -> None:
    assert verdict_of(version({"GET /": Seen(4000, up=100, down=100)})).decision is not Decision.FAIL


def test_one_bad_endpoint_among_many_good_ones_fails_the_whole() -> None:
    good = {f"GET /{n}": Seen(2000) for n in range(9)}
    verdict = verdict_of(version({**good, "GET /bad": Seen(2000, up=100)}))
    assert verdict.decision is Decision.FAIL
    assert row(verdict, "error_rate").decision is Decision.PASS
    assert verdict.reasons[0].startswith("GET /bad: ")


def test_an_undecided_endpoint_with_enough_traffic_keeps_the_whole_from_passing() -> None:
    verdict = verdict_of(version({"GET /": Seen(5000), "GET /cart": Seen(200)}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "more pairs at GET /cart" in verdict.reasons[0]


def test_an_endpoint_with_little_traffic_is_listed_as_not_judged_and_hinders_no_pass() -> None:
    verdict = verdict_of(version({"GET /": Seen(5000), "GET /rare": Seen(20)}))
    assert verdict.decision is Decision.PASS
    rare = row(verdict, "error_rate", "GET /rare")
    assert not rare.judged
    assert rare.reason == "GET /rare: not judged for itself, 20 of 5,020 pairs"
    assert "too little traffic to be judged for themselves: GET /rare" in verdict.reasons


def test_before_the_least_number_of_pairs_nothing_is_decided_however_bad_it_looks() -> None:
    verdict = verdict_of(version({"GET /": Seen(60, up=60)}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0] == "60 of at least 100 pairs: 40 more pairs are needed"
    assert row(verdict, "error_rate").decision is Decision.INCONCLUSIVE


def test_the_warm_up_is_named_while_it_lasts() -> None:
    verdict = verdict_of(version({}), started=NOW - 18)
    assert verdict.reasons[0] == "warming up: 12 of 30 seconds are left before answers count"
    assert not any("warming" in r for r in verdict_of(version({}), started=NOW - 31).reasons)


def test_without_any_evidence_nothing_passes() -> None:
    verdict = verdict_of(variants=("v2",), checks=DEFAULTS)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert all(r.decision is Decision.INCONCLUSIVE for r in verdict.checks)


def test_missing_copies_are_the_worst_for_a_pass() -> None:
    assert verdict_of(version({"GET /": Seen(2000)})).decision is Decision.PASS
    verdict = verdict_of(version({"GET /": Seen(2000, missing=30)}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert any("30 copies" in reason and "missing" in reason for reason in verdict.reasons)


def test_missing_copies_whose_original_failed_are_no_new_errors() -> None:
    verdict = verdict_of(version({"GET /": Seen(2000, missing=30, missing_errors=30)}))
    assert verdict.decision is Decision.PASS


def test_missing_copies_are_the_best_for_a_fail() -> None:
    assert verdict_of(version({"GET /": Seen(2000, up=50)})).decision is Decision.FAIL
    verdict = verdict_of(version({"GET /": Seen(2000, up=50, missing=3000)}))
    assert verdict.decision is Decision.INCONCLUSIVE


def test_copies_that_only_counters_know_of_count_in_all_traffic_and_breaker_overflow_is_named() -> None:
    verdict = verdict_of(version({"GET /": Seen(2000)}, lost={"overflow": 100}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert row(verdict, "error_rate", "GET /").decision is Decision.PASS
    assert verdict.missing.copies == 100
    assert any("100 refused by the circuit breaker" in reason for reason in verdict.reasons)


def test_losses_that_pairing_saw_and_counters_too_count_once() -> None:
    lost = {"overflow": 5, "als_gap": 3, "unpaired_original": 8}
    assert verdict_of(version({"GET /": Seen(2000, missing=8)}, lost=lost)).missing.copies == 8


def test_losses_of_a_copy_whose_original_is_not_known_all_count() -> None:
    lost = {"unpaired_shadow": 3, "dropped_waiting": 4}
    assert verdict_of(version({"GET /": Seen(2000, missing=8)}, lost=lost)).missing.copies == 15


@pytest.mark.parametrize(("missing", "judged"), [(40, True), (4, False)])
def test_an_endpoint_is_judged_by_its_share_of_what_was_due_whatever_is_missing(missing: int, *, judged: bool) -> None:
    verdict = verdict_of(version({"GET /": Seen(3000), "GET /x": Seen(5, missing=missing)}))
    assert row(verdict, "error_rate", "GET /x").judged is judged


def test_one_missing_copy_is_told_once_and_in_the_singular() -> None:
    lost = {"als_gap": 1, "unpaired_original": 1}
    told = verdict_of(version({"GET /": Seen(90, missing=1)}, lost=lost)).reasons[-1]
    whose = "1 whose answer, or the record of it, never came"
    assert told == f"1 copy (1.1 %) is missing, counted as the worst for a PASS: {whose}"


def test_before_there_is_a_pair_the_limit_of_a_ratio_is_a_ratio() -> None:
    assert row(verdict_of(checks=[P50]), "response_time p50").unit == "ratio"


@pytest.mark.parametrize(
    ("interval", "unit", "told"),
    [
        ((1.31, 1.554), "ratio", "[1.31, 1.55]"),
        ((0.0, inf), "ratio", "(how sure that is, is not known yet)"),
        ((1.2, inf), "ratio", "(at least 1.2)"),
        ((0.01, inf), "share", "(at least 1 %)"),
    ],
)
def test_an_end_of_an_interval_that_is_not_known_is_said_in_words(
    interval: tuple[float, float], unit: str, told: str
) -> None:
    assert span(interval, unit=unit) == told


def test_times_without_a_whole_block_are_not_called_unmeasured() -> None:
    seen = Measured(1.25, "ratio", 20, original=12.0, shadow=13.0)
    told = reason_of(Place(P50, "", 20, seen), Decision.INCONCLUSIVE, interval=None, needed=None, length=2.0)
    assert told == "all traffic: response_time p50: no block of time is complete yet"


def test_missing_copies_could_all_have_been_slow() -> None:
    slow = [P99_CRITICAL]
    assert verdict_of(version({"GET /": Seen(5000, times=60)}), checks=slow).decision is Decision.PASS
    verdict = verdict_of(version({"GET /": Seen(5000, times=60, missing=250)}), checks=slow)
    assert verdict.decision is Decision.INCONCLUSIVE


P99_CRITICAL = replace(P99, critical=True)


def test_missing_copies_do_not_hide_that_it_is_much_slower() -> None:
    verdict = verdict_of(version({"GET /": Seen(5000, times=60, ratio=2.0, missing=250)}), checks=[P50])
    assert verdict.decision is Decision.FAIL


def test_copies_turned_away_without_their_credentials_leave_it_undecided_and_name_what_to_set() -> None:
    seen = Seen(1000, up=500, not_judged={"credentials_dropped": 100})
    verdict = verdict_of(version({"GET /": seen}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "keepCredentials" in verdict.reasons[0]
    few = Seen(1000, not_judged={"credentials_dropped": 40})
    assert verdict_of(version({"GET /": few})).decision is Decision.PASS


def test_slower_than_the_limit_fails_and_says_what_it_was_judged_against() -> None:
    verdict = verdict_of(version({"GET /": Seen(3000, times=60, ratio=1.5)}), checks=[P50], percentage=0.1)
    assert verdict.decision is Decision.FAIL
    assert "is 1.52 times the original's [" in verdict.reasons[0]
    assert (
        "the limit is 1.25 times and 1 ms (judged against the original, which has 10 times the load)"
        in (verdict.reasons[0])
    )


def test_a_slow_version_says_how_many_blocks_it_waits_for() -> None:
    verdict = verdict_of(version({"GET /": Seen(300, times=6, ratio=1.6)}), checks=[P50])
    assert verdict.decision is Decision.INCONCLUSIVE
    assert re.search(r"; FAIL needs about \d+ more blocks of 2 s$", verdict.reasons[0])


def test_with_a_control_times_and_differences_are_judged_against_it() -> None:
    seen = Seen(3000, trios=3000, times=60, ratio=2.0, differing=3000)
    seen.control_times = 60
    control = version({"GET /": seen})
    verdict = verdict_of(control, checks=[DIFFERENCES, P50], controlled=True)
    assert {r.reference for r in verdict.checks} == {"control"}
    assert row(verdict, "difference_rate").decision is Decision.PASS
    assert row(verdict, "response_time p50").decision is Decision.FAIL
    assert "load" not in row(verdict, "response_time p50").reason


def test_a_control_that_hardly_answers_makes_no_pass() -> None:
    seen = Seen(3000, trios=1000, control_times=60)
    verdict = verdict_of(version({"GET /": seen}), checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "the control answered only 1,000 of 3,000 pairs" in row(verdict, "difference_rate", "GET /").reason


def test_a_field_beyond_the_limit_is_discovered_and_named() -> None:
    seen = Seen(4000, trios=4000, quiet_up=20, fields={("/price", "type"): (200, 20, 1)})
    verdict = verdict_of(version({"GET /": seen}), checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is Decision.FAIL
    assert [(d.endpoint, d.field, d.kind) for d in verdict.differences] == [("GET /", "/price", "type")]
    assert "/price (type) differs in 4.5 % of the answers" in verdict.reasons[0]


def test_a_field_that_is_noise_is_not_discovered() -> None:
    seen = Seen(4000, trios=4000, fields={("x-id", "value"): (900, 905, 1)})
    verdict = verdict_of(version({"GET /": seen}), checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is Decision.PASS
    assert not verdict.differences


def test_a_noisy_field_that_may_hide_a_change_keeps_the_rate_from_passing() -> None:
    seen = Seen(1000, trios=1000, fields={("/total", "value"): (24, 4, 7)})
    verdict = verdict_of(version({"GET /": seen}), checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "/total (value) differs in 2 % more answers" in row(verdict, "difference_rate", "GET /").reason


def test_an_uncritical_check_that_fails_alone_does_not_fail_the_whole() -> None:
    seen = {"GET /": Seen(3000, times=60, ratio=2.0)}
    verdict = verdict_of(version(seen), checks=[ERRORS, DIFFERENCES, P99])
    assert row(verdict, "response_time p99").decision is Decision.FAIL
    assert verdict.decision is Decision.PASS
    assert any(reason.startswith("not critical: ") for reason in verdict.reasons)


def test_uncritical_checks_with_more_than_half_of_the_weight_fail_the_whole() -> None:
    seen = {"GET /": Seen(3000, times=60, ratio=2.0)}
    heavy = replace(P99, weight=1.5)
    assert verdict_of(version(seen), checks=[ERRORS, heavy]).decision is Decision.FAIL
    assert verdict_of(version(seen), checks=[ERRORS, replace(P99, weight=1.0)]).decision is Decision.PASS


def test_a_muted_check_is_shown_and_counts_for_nothing() -> None:
    seen = {"GET /": Seen(3000, times=60, ratio=2.0)}
    verdict = verdict_of(version(seen), checks=[ERRORS, replace(P50, muted=True)])
    assert verdict.decision is Decision.PASS
    muted = row(verdict, "response_time p50")
    assert (muted.decision, muted.muted, muted.critical) == (Decision.FAIL, True, False)


def test_when_no_check_is_critical_all_are() -> None:
    checks = [replace(ERRORS, critical=False), replace(P50, critical=False)]
    verdict = verdict_of(version({"GET /": Seen(3000, times=60, ratio=2.0)}), checks=checks)
    assert verdict.decision is Decision.FAIL
    assert all(r.critical for r in verdict.checks)


def test_a_critical_reading_that_cannot_be_made_is_undecided_with_its_reason() -> None:
    readings = {("memory", "v2"): Reading(reason="the original's process is not known")}
    checks = [ERRORS, replace(MEMORY, critical=True)]
    verdict = verdict_of(version({"GET /": Seen(3000)}), checks=checks, readings=readings)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0] == "memory: the original's process is not known"


@pytest.mark.parametrize(("ratio", "decision"), [(1.0, Decision.PASS), (2.0, Decision.FAIL)])
def test_readings_decide_like_times(ratio: float, decision: Decision) -> None:
    readings = {("memory", "v2"): Reading(1e8, ratio * 1e8, blocks(ratio, 60), blocks=60)}
    verdict = verdict_of(version({"GET /": Seen(3000)}), checks=[replace(MEMORY, critical=True)], readings=readings)
    assert verdict.decision is decision


def test_a_fail_stays_with_its_time_and_reasons_until_the_evidence_begins_anew() -> None:
    bad = case(version({"GET /": Seen(1000, up=60)}))
    first, state = judge(bad, State())
    assert (first.decision, first.since, first.latched) == (Decision.FAIL, NOW, True)
    good = replace(case(version({"GET /": Seen(50_000, up=60)})), now=NOW + 60)
    second, state = judge(good, State.from_json(state.as_json()))
    assert (second.decision, second.since, second.reasons) == (Decision.FAIL, NOW, first.reasons)
    assert row(second, "error_rate").decision is Decision.FAIL
    anew, _ = judge(good, State())
    assert (anew.decision, anew.since) == (Decision.PASS, NOW + 60)


def test_a_pass_does_not_stay() -> None:
    first, state = judge(case(version({"GET /": Seen(1000)})), State())
    assert first.decision is Decision.PASS
    second, _ = judge(replace(case(version({"GET /": Seen(1030, up=20)})), now=NOW + 5), state)
    assert (second.decision, second.since) == (Decision.INCONCLUSIVE, NOW + 5)


def test_a_version_that_passes_is_a_pass_once_it_is_known_what_is_missing() -> None:
    good = case(version({"GET /": Seen(1000)}), settle=20.0)
    first, state = judge(good, State())
    assert first.decision is Decision.INCONCLUSIVE
    assert first.reasons[0].startswith("every critical check passes; in the next 20 seconds it becomes known whether")
    assert row(first, "error_rate").decision is Decision.PASS
    state = State.from_json(state.as_json())
    assert judge(replace(good, now=NOW + 19), state)[0].decision is Decision.INCONCLUSIVE
    second, after = judge(replace(good, now=NOW + 20), state)
    assert (second.decision, second.since) == (Decision.PASS, NOW + 20)
    assert judge(replace(good, now=NOW + 21), after)[0].since == NOW + 20
    known = case(version({"GET /": Seen(1000, missing=200)}), settle=20.0, now=NOW + 5)
    third, anew = judge(known, state)
    assert third.decision is Decision.INCONCLUSIVE
    assert judge(replace(good, now=NOW + 30), anew)[0].decision is Decision.INCONCLUSIVE


def test_a_fail_does_not_wait_for_what_is_missing() -> None:
    bad = case(version({"GET /": Seen(1000, up=60)}), settle=20.0)
    assert judge(bad, State())[0].decision is Decision.FAIL


def test_since_stays_while_the_decision_does() -> None:
    _, state = judge(case(version({"GET /": Seen(1000)})), State())
    again, _ = judge(replace(case(version({"GET /": Seen(1100)})), now=NOW + 5), state)
    assert again.since == NOW


def test_endpoints_beyond_those_shown_are_summed_up_and_count_all_the_same() -> None:
    many = {f"GET /{n}": Seen(40) for n in range(200)}
    many["GET /last"] = Seen(30, up=30, appeared=3)
    verdict = verdict_of(version(many))
    assert len(verdict.checks) == 51
    assert verdict.omitted == 151
    assert verdict.decision is Decision.FAIL
    assert row(verdict, "error_rate", "GET /last").decision is Decision.FAIL
    assert "151 more endpoints not shown: " in row(verdict, "error_rate").reason


def test_reasons_are_few_however_much_fails() -> None:
    many = {f"GET /{n}": Seen(1000, up=500, differing=900, times=40, ratio=3.0) for n in range(40)}
    verdict = verdict_of(version(many), checks=DEFAULTS)
    assert len(verdict.reasons) <= 10
    assert verdict.reasons[-1].endswith(" more failures among the checks")


def test_under_faults_it_is_said_that_those_copies_are_judged_apart() -> None:
    verdict = verdict_of(version({"GET /": Seen(1000)}), faulted=True)
    assert any("see resilience" in reason for reason in verdict.reasons)


def test_the_alpha_of_the_profile_is_used() -> None:
    seen = version({"GET /": Seen(480)})
    assert verdict_of(seen).decision is Decision.INCONCLUSIVE
    assert verdict_of(seen, judging=Judging(alpha=0.1)).decision is Decision.PASS


def test_a_breaker_that_refused_copies_is_named_beside_a_fail() -> None:
    verdict = verdict_of(
        version({"GET /": Seen(2000, up=400, missing=9)}, lost={"overflow": 9, "unpaired_original": 9})
    )
    assert verdict.decision is Decision.FAIL
    assert "9 refused by the circuit breaker" in verdict.reasons[-1]


def test_without_any_check_it_is_said_where_to_name_one() -> None:
    verdict = verdict_of(version({"GET /": Seen(2000)}), checks=())
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "performanceMetrics" in verdict.reasons[0]


def test_when_all_checks_are_muted_it_is_said() -> None:
    verdict = verdict_of(version({"GET /": Seen(2000)}), checks=[replace(ERRORS, muted=True)])
    assert verdict.reasons == ("all checks are muted, so nothing is judged: unmute one",)


def test_a_fail_stays_when_its_endpoint_is_no_longer_told_apart() -> None:
    _, state = judge(case(version({"GET /": Seen(5000), "GET /bad": Seen(1000, up=60)})), State())
    folded, _ = judge(case(version({"GET /": Seen(5000), "other": Seen(50_000, up=60)})), state)
    assert folded.decision is Decision.FAIL
    assert folded.reasons[0].startswith("GET /bad: ")


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (0, "none of 2,000 pairs was"),
        (20, "only 20 of 2,020 pairs were"),
        (1900, "only 1,900 of 3,900 pairs were"),
    ],
)
def test_an_endpoint_with_enough_traffic_of_which_nothing_is_judged_makes_no_pass(judged: int, said: str) -> None:
    left_out = Seen(judged, not_judged={"conditional": 2000})
    verdict = verdict_of(version({"GET /": Seen(3000, times=60), "GET /x": left_out}), checks=(ERRORS, DIFFERENCES))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0] == f"GET /x: {said} judged: conditional 2,000"
    assert not any("would tell" in reason for reason in verdict.reasons)
    assert {r.judged for r in verdict.checks if r.endpoint == "GET /x"} == {True}


def test_when_most_of_all_traffic_is_not_judged_nothing_passes_however_many_endpoints_it_is_of() -> None:
    """Each of them has less than 1 % of it."""
    small = {f"GET /{n}": Seen(not_judged={"conditional": 90}) for n in range(120)}
    verdict = verdict_of(version({"GET /": Seen(9000), **small}))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].startswith("all traffic: only 9,000 of 19,800 pairs were judged: conditional 10,800")


def test_half_of_the_pairs_are_enough_and_those_that_a_fault_answered_are_none() -> None:
    half = Seen(3000, not_judged={"conditional": 2900, "injected": 50_000})
    assert verdict_of(version({"GET /": half})).decision is Decision.PASS


def test_an_endpoint_with_little_traffic_of_which_nothing_is_judged_is_listed_and_hinders_no_pass() -> None:
    verdict = verdict_of(version({"GET /": Seen(3000), "GET /x": Seen(not_judged={"conditional": 20})}))
    assert verdict.decision is Decision.PASS
    (row,) = (r for r in verdict.checks if r.endpoint == "GET /x")
    assert (row.judged, row.reason) == (False, "GET /x: none of 20 pairs was judged: conditional 20")


def test_pairs_that_are_counted_as_missing_are_not_counted_again_as_not_judged() -> None:
    seen = {"GET /": Seen(3000), "GET /x": Seen(28, missing=2, not_judged={"timeout": 2})}
    assert not next(r for r in verdict_of(version(seen)).checks if r.endpoint == "GET /x").judged


def test_an_endpoint_of_which_nothing_is_judged_is_named_among_many() -> None:
    many = {f"GET /{n}": Seen(1000) for n in range(70)}
    verdict = verdict_of(version({**many, "GET /x": Seen(not_judged={"conditional": 9000})}))
    assert verdict.reasons == ("GET /x: none of 9,000 pairs was judged: conditional 9,000",)


def test_when_both_fail_nothing_passes_and_it_is_said_that_the_original_does() -> None:
    for both, decision in ((4000, Decision.INCONCLUSIVE), (2400, Decision.INCONCLUSIVE), (1600, Decision.PASS)):
        verdict = verdict_of(version({"GET /": Seen(4000, both=both)}), checks=(ERRORS, DIFFERENCES))
        assert verdict.decision is decision
        said = f"the original itself failed in {both:,} of 4,000 pairs"
        assert any(said in reason for reason in verdict.reasons) is (decision is not Decision.PASS)
    apart = verdict_of(version({"GET /": Seen(4000), "GET /x": Seen(100, both=100)}), checks=(ERRORS,))
    assert apart.decision is Decision.INCONCLUSIVE
    assert "GET /x" in apart.reasons[0]


def test_a_pass_rests_on_pairs_in_which_not_both_failed() -> None:
    assert verdict_of(version({"GET /": Seen(1000, both=450)})).decision is Decision.INCONCLUSIVE
    assert verdict_of(version({"GET /": Seen(1000, both=400)})).decision is Decision.PASS


@pytest.mark.parametrize(("trios", "decision"), [(2690, Decision.INCONCLUSIVE), (2700, Decision.PASS)])
def test_a_pass_beside_a_control_needs_it_to_have_answered_nearly_all(trios: int, decision: Decision) -> None:
    verdict = verdict_of(version({"GET /": Seen(3000, trios=trios)}), checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is decision
    said = "the control answered only 2,690 of 3,000 pairs, a PASS needs 90 % of them"
    assert (said in verdict.reasons[0]) is (decision is Decision.INCONCLUSIVE)


@pytest.mark.parametrize("facts", [{"controlled": False}, {"controlled": True}])
def test_answers_that_failed_are_no_evidence_that_answers_are_alike(facts: dict[str, Any]) -> None:
    for up, decision in ((2000, Decision.INCONCLUSIVE), (1500, Decision.INCONCLUSIVE), (1300, Decision.PASS)):
        seen = version({"GET /": Seen(2000, up=up, trios=2000)})
        assert verdict_of(seen, checks=[DIFFERENCES], **facts).decision is decision


def test_an_endpoint_that_is_not_judged_does_not_pass_either() -> None:
    verdict = verdict_of(version({"GET /": Seen(100_000), "GET /rare": Seen(900)}))
    rare = row(verdict, "error_rate", "GET /rare")
    assert rare.log_pass > 5
    assert (rare.decision, rare.judged) == (Decision.INCONCLUSIVE, False)


def test_a_clock_that_the_shadow_reads_later_is_no_field_to_discover_and_hinders_no_pass() -> None:
    clock, value = ("/at", "same_kind"), ("/total", "value")
    found = version({"GET /": Seen(4000, trios=4000, quiet_up=5, fields={clock: (900, 200, 1), value: (0, 1, 2)})})
    found.endpoints["GET /"].fields[clock].what = "clock"
    verdict = verdict_of(found, checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is Decision.PASS
    assert not verdict.differences
    found.endpoints["GET /"].fields[clock].what = "uuid"
    verdict = verdict_of(found, checks=[DIFFERENCES], controlled=True)
    assert [d.field for d in verdict.differences] == ["/at"]


def test_differences_in_one_moment_alone_fail_nothing_with_a_control() -> None:
    fields = {("/price", "type"): (200, 0, 1)}
    moment, spread = (Seen(4000, trios=4000, quiet_up=200, fields=fields, blocks=n) for n in (3, 100))
    assert verdict_of(version({"GET /": spread}), checks=[DIFFERENCES], controlled=True).decision is Decision.FAIL
    verdict = verdict_of(version({"GET /": moment}, blocks=3), checks=[DIFFERENCES], controlled=True)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert "FAIL needs about" in verdict.reasons[0]
