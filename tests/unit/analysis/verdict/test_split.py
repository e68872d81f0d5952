"""Users of a version beside those who stay with the original."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.analysis.verdict.cases import DIFFERENCES, ERRORS, NOW, P50, arm_pair, case, profile
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import Decision, HarmDecision, Verdict
from xds_server.analysis.windows.cohorts import Users
from xds_server.model.rollout import Cohort, Mode

CHECKS = (ERRORS, DIFFERENCES, P50)
GOOD = Paired(3000, 20, 20)
BAD = Paired(3000, 200, 20)
WIDE = replace(ERRORS, max_increase=0.2)


def users_of(
    asked: tuple[int, int] = (0, 0),
    requests: tuple[int, int] = (0, 0),
    *,
    share: float = 0.2,
    failed: tuple[int, int] = (0, 0),
    worse: float = 9.0,
    epoch: int = 1,
) -> Users:
    return Users(worse, failed, asked, requests, share, epoch)


def split_of(
    errors: Paired, arms: dict[str, tuple[int, int]], *, ratio: float = 1.0, users: Users | None = None, **facts: Any
) -> Verdict:
    pair = arm_pair("original", "v2", errors, ratio=ratio, times=60, users=users)
    evidence = profile(arms=arms, arm_pairs=[pair])
    facts = {"cohort": Cohort(header="x-user"), "checks": CHECKS, **facts}
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


ARMS = {"original": (12_000, 90), "v2": (3000, 20)}


@pytest.mark.parametrize(
    ("users", "said"),
    [
        (users_of((1000, 4000), (3000, 15_000)), "25 % of the users with header x-user went to v2, its weight is 20 %"),
        (users_of((600, 4000), (3000, 15_000)), "15 % of the users with header x-user went to v2, its weight is 20 %"),
        (users_of((3040, 4000), share=0.8), "76 % of the users"),
        (users_of((3360, 4000), share=0.8), "84 % of the users"),
        (users_of((2000, 4000), (37_000, 100_000), share=0.5), "37 % of the requests with header x-user went to v2"),
        (users_of((2000, 4000), (74_000, 100_000), share=0.5), "74 % of the requests with header x-user went to v2"),
        (users_of((2640, 4000), (98_000, 100_000), share=0.66), "98 % of the requests"),
    ],
)
def test_groups_of_the_wrong_size_make_no_pass_and_it_is_said_why(users: Users, said: str) -> None:
    verdict = split_of(GOOD, ARMS, users=users)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert said in verdict.reasons[0]


@pytest.mark.parametrize(
    "users",
    [
        users_of((800, 4000), (3000, 15_000)),
        users_of((840, 4000), (3000, 15_000)),  # one chance in ten
        users_of((40, 200), (8500, 30_000)),  # a few users who ask for much
        users_of((33, 58), (33, 58), share=0.57),
        users_of((90, 100), (570, 1000), share=0.9),  # one of the original's asks for nearly half of it
        users_of((0, 0), (0, 100)),
        users_of((1000, 4000), (3000, 15_000), epoch=10**6),  # so many looks that one of them had to come out like it
    ],
)
def test_groups_of_a_size_that_chance_explains_may_pass(users: Users) -> None:
    assert split_of(GOOD, ARMS, users=users).decision is Decision.PASS


def test_groups_of_the_wrong_size_do_not_save_a_version_that_hurts_its_users() -> None:
    users = users_of((1000, 4000), (3000, 15_000), failed=(90, 200))
    assert split_of(BAD, {"original": (9000, 60), "v2": (6000, 200)}, users=users).decision is Decision.FAIL


def test_errors_of_few_users_are_no_proof_against_a_version() -> None:
    users = users_of((200, 1000), (3000, 15_000), failed=(3, 1), worse=0.2)
    verdict = split_of(BAD, {"original": (12_000, 20), "v2": (3000, 200)}, users=users)
    assert verdict.decision is Decision.INCONCLUSIVE
    said = "its errors are those of 1 user (3 of the original's had one): too few to tell whether it is the version"
    assert any(said in reason for reason in verdict.reasons)
    errors = next(row for row in verdict.checks if row.metric == "error_rate")
    assert errors.interval is not None
    assert errors.interval[0] == 0
    assert split_of(BAD, ARMS, users=replace(users, log_worse=9.0)).decision is Decision.FAIL


def test_users_that_are_not_told_apart_are_judged_by_their_requests() -> None:
    assert split_of(BAD, ARMS, users=None).decision is Decision.FAIL
    assert split_of(GOOD, ARMS, users=None).decision is Decision.PASS


def test_requests_that_the_original_answered_have_no_time_of_the_version() -> None:
    checks = (P50,)
    assert split_of(GOOD, ARMS, checks=checks).decision is Decision.PASS
    evidence = profile(arms=ARMS, arm_pairs=[arm_pair("original", "v2", GOOD, times=60)])
    evidence.arms["v2"].missing = 2700
    facts = {"evidence": evidence, "variants": ("v2",), "mode": Mode.SPLIT, "cohort": Cohort(header="x-user")}
    assert judge(case(checks=checks, **facts), State())[0].decision is Decision.INCONCLUSIVE


ALL_AT_V2 = (
    "all users with header x-user are at v2: no original is left to compare it with; lower the weight to be judged"
)


def test_when_all_users_are_at_a_version_no_more_pairs_are_waited_for() -> None:
    verdict = split_of(Paired(), {"v2": (3000, 20)}, alone=("v2",))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[:2] == (ALL_AT_V2, "0 of at least 100 pairs came")
    assert {row.needed for row in verdict.checks} == {None}
    assert "would tell" not in "".join(row.reason for row in verdict.checks)


def test_what_was_seen_before_all_users_went_there_is_no_pass_and_can_be_a_fail() -> None:
    arms = {"original": (12_000, 90), "v2": (3000, 20)}
    assert split_of(GOOD, arms, alone=("v2",)).decision is Decision.INCONCLUSIVE
    assert split_of(BAD, arms, alone=("v2",)).decision is Decision.FAIL


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


def test_a_cohort_key_that_few_requests_carry_is_named_with_their_number() -> None:
    verdict = split_of(Paired(), {"keyless": (5000, 10), "original": (30, 0), "v2": (10, 0)})
    assert verdict.decision is Decision.INCONCLUSIVE
    assert verdict.reasons[0].startswith("only 40 of 5,040 requests carry header x-user, the cohort's key")


def test_a_split_has_no_harm_to_measure() -> None:
    verdict = split_of(GOOD, {"original": (12_000, 90), "v2": (3000, 20)})
    assert verdict.harm.decision is HarmDecision.NOT_MEASURED


def test_when_only_differences_were_critical_the_others_are_in_a_split() -> None:
    checks = (replace(ERRORS, critical=False), DIFFERENCES)
    verdict = split_of(BAD, {"original": (12_000, 90), "v2": (3000, 200)}, checks=checks)
    assert verdict.decision is Decision.FAIL
    assert {r.metric: r.critical for r in verdict.checks} == {"error_rate": True, "difference_rate": True}
