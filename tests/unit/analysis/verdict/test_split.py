"""Users of a version beside those who stay with the original."""

from dataclasses import replace
from typing import Any

from tests.unit.analysis.verdict.cases import DIFFERENCES, ERRORS, NOW, P50, arm_pair, case, profile
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import Decision, HarmDecision, Verdict
from xds_server.model.rollout import Cohort, Mode

CHECKS = (ERRORS, DIFFERENCES, P50)
GOOD = Paired(3000, 20, 20)
BAD = Paired(3000, 200, 20)
WIDE = replace(ERRORS, max_increase=0.2)


def split_of(errors: Paired, arms: dict[str, tuple[int, int]], *, ratio: float = 1.0, **facts: Any) -> Verdict:
    evidence = profile(arms=arms, arm_pairs=[arm_pair("original", "v2", errors, ratio=ratio, times=60)])
    facts = {"weights": {"v2": 20}, "cohort": Cohort(header="x-user"), "checks": CHECKS, **facts}
    return judge(case(evidence=evidence, variants=("v2",), mode=Mode.SPLIT, **facts), State())[0]


def test_a_version_that_fails_its_users_no_more_often_passes_and_differences_are_not_judged() -> None:
    verdict = split_of(GOOD, {"original": (12_000, 90), "v2": (3000, 20)})
    assert verdict.decision is Decision.PASS
    differences = next(r for r in verdict.checks if r.metric == "difference_rate")
    assert not differences.judged
    assert "no answers to compare" in differences.reason
    assert verdict.pairs == 3000


def test_a_version_that_fails_its_users_fails() -> None:
    verdict = split_of(BAD, {"original": (12_000, 90), "v2": (3000, 200)})
    assert verdict.decision is Decision.FAIL
    assert verdict.reasons[0].startswith("all traffic: error_rate is 6 percentage points above the original's")


def test_few_pairs_hold_back_a_pass_and_no_fail() -> None:
    bad = split_of(Paired(20, 20, 0), {"original": (80, 0), "v2": (20, 20)}, started=NOW - 5)
    assert bad.decision is Decision.FAIL
    assert bad.latched
    good = split_of(Paired(90, 0, 0), {"original": (400, 0), "v2": (90, 0)}, checks=(WIDE,))
    assert good.decision is Decision.INCONCLUSIVE
    assert good.reasons[0] == "90 of at least 100 pairs: 10 more pairs are needed"
    assert good.checks[0].decision is Decision.INCONCLUSIVE
    assert split_of(Paired(100, 0, 0), {"original": (400, 0), "v2": (100, 0)}, checks=(WIDE,)).decision is Decision.PASS


def test_the_warm_up_holds_back_a_pass_and_no_fail() -> None:
    good = split_of(GOOD, {"original": (12_000, 90), "v2": (3000, 20)}, started=NOW - 18)
    assert good.decision is Decision.INCONCLUSIVE
    assert good.reasons[0] == "warming up: 12 of 30 seconds are left before it can pass"
    assert split_of(BAD, {"original": (12_000, 90), "v2": (3000, 200)}, started=NOW - 18).decision is Decision.FAIL


def test_a_slow_version_fails() -> None:
    assert split_of(GOOD, {"original": (12_000, 90), "v2": (3000, 20)}, ratio=1.6).decision is Decision.FAIL


def test_groups_of_the_wrong_size_make_no_pass_and_it_is_said_why() -> None:
    verdict = split_of(GOOD, {"original": (9000, 60), "v2": (6000, 20)})
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].startswith(
        "sample-ratio mismatch: 40 % of the requests with header x-user went to v2, its weight is 20 %"
    )


def test_groups_of_the_wrong_size_do_not_save_a_version_that_hurts_its_users() -> None:
    assert split_of(BAD, {"original": (9000, 60), "v2": (6000, 400)}).decision is Decision.FAIL


def test_weights_that_changed_meanwhile_are_no_mismatch() -> None:
    assert split_of(GOOD, {"original": (9000, 60), "v2": (6000, 20)}, weights={}).decision is Decision.PASS


ALL_AT_V2 = (
    "all users with header x-user are at v2: no original is left to compare it with; lower the weight to be judged"
)


def test_when_all_users_are_at_a_version_no_more_pairs_are_waited_for() -> None:
    verdict = split_of(Paired(), {"v2": (3000, 20)}, weights={"v2": 100}, alone=("v2",))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[:2] == (ALL_AT_V2, "0 of at least 100 pairs came")
    assert {row.needed for row in verdict.checks} == {None}
    assert "would tell" not in "".join(row.reason for row in verdict.checks)


def test_what_was_seen_before_all_users_went_there_is_no_pass_and_can_be_a_fail() -> None:
    arms = {"original": (12_000, 90), "v2": (3000, 20)}
    assert split_of(GOOD, arms, weights={}, alone=("v2",)).decision is Decision.INCONCLUSIVE
    assert split_of(BAD, arms, weights={}, alone=("v2",)).decision is Decision.FAIL


def test_a_version_that_does_not_run_is_said_to_first_and_nothing_is_estimated() -> None:
    for pairs in (10, 100):
        verdict = split_of(Paired(pairs), {"original": (100, 0), "v2": (pairs, 0)}, gone={"v2": "exited with 1"})
        assert verdict.decision is Decision.INCONCLUSIVE
        assert verdict.reasons[0] == "v2 does not run: exited with 1"
        assert {row.needed for row in verdict.checks} == {None}
        assert not [reason for reason in verdict.reasons if "more pair" in reason or "blocks" in reason]


def test_a_cohort_key_that_no_request_carries_is_named() -> None:
    cohort = Cohort(cookie="uid")
    verdict = split_of(Paired(), {"keyless": (5000, 10)}, cohort=cohort)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].startswith("no request carries cookie uid, the cohort's key")


def test_a_split_has_no_harm_to_measure() -> None:
    verdict = split_of(GOOD, {"original": (12_000, 90), "v2": (3000, 20)})
    assert verdict.harm.decision is HarmDecision.NOT_MEASURED


def test_when_only_differences_were_critical_the_others_are_in_a_split() -> None:
    checks = (replace(ERRORS, critical=False), DIFFERENCES)
    verdict = split_of(BAD, {"original": (12_000, 90), "v2": (3000, 200)}, checks=checks)
    assert verdict.decision is Decision.FAIL
    assert {r.metric: r.critical for r in verdict.checks} == {"error_rate": True, "difference_rate": True}
