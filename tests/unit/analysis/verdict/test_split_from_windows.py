"""From the arms of an engine's windows to the verdict of a split, with the guard that ejects a version that fails."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.analysis.verdict.cases import ERRORS, NOW, P50, case
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import CheckResult, Decision, Verdict
from xds_server.analysis.windows.arms import ArmTally
from xds_server.analysis.windows.evidence_book import EvidenceBook
from xds_server.analysis.windows.tally import Tally
from xds_server.model.judging import Check, Judging
from xds_server.model.rollout import Cohort, Mode

EACH = 14
"""Requests of the version's users in a second, and of five times as many of the original's."""
IN_A_ROW = 5
"""Errors after which the guard ejects it."""


def arm(count: int, *, errors: int = 0, missing: int = 0) -> ArmTally:
    made = ArmTally()
    made.count, made.errors, made.missing = count, errors, missing
    return made


def verdict_of(
    windows: Sequence[ArmTally], *, checks: Sequence[Check] = (ERRORS,), failing: float | Sequence[float] = 0.002
) -> Verdict:
    """Return what is decided after these windows of the version's arm, a second each; `failing` is the original's."""
    rates = [failing] * len(windows) if isinstance(failing, float) else failing
    rng, book, whole = np.random.default_rng(3), EvidenceBook(np.random.default_rng(1)), Tally("p", "")
    for second, (candidate, rate) in enumerate(zip(windows, rates, strict=True)):
        window = Tally("p", "")
        window.seen(NOW + second)
        window.seen(NOW + second + 0.9)
        window.arms = {"original": arm(5 * EACH, errors=int(rng.binomial(5 * EACH, rate))), "v2": candidate}
        book.take(window, length=2.0, quantiles=(0.5,))
        whole.merge(window)
    facts = {"mode": Mode.SPLIT, "cohort": Cohort(header="x-user")}
    facts |= {"judging": Judging(min_pairs=1), "evidence": book.view([whole], {})}
    return judge(case(checks=checks, variants=("v2",), **facts), State())[0]


def ejected(seconds: int) -> list[ArmTally]:
    """Return the windows of a version that fails always: five errors, and each time it is ejected for longer."""
    windows, free, times = [], 0, 0
    for second in range(seconds):
        if second < free:
            windows.append(arm(EACH, missing=EACH))
        else:
            times += 1
            free = second + min(300, 10 * times)
            windows.append(arm(EACH, errors=IN_A_ROW, missing=EACH - IN_A_ROW))
    return windows


def errors_row(verdict: Verdict) -> CheckResult:
    return next(row for row in verdict.checks if row.metric == "error_rate")


@pytest.mark.parametrize("limit", [0.01, 0.2])
def test_a_version_that_always_fails_is_found_although_its_guard_sends_most_users_to_the_original(limit: float) -> None:
    verdict = verdict_of(ejected(600), checks=[replace(ERRORS, max_increase=limit)])
    assert verdict.decision is Decision.FAIL
    row = errors_row(verdict)
    assert row.shadow == 1
    assert (row.effect or 0) > 0.99
    assert "of 55 requests that it was asked; the original answered 8,345 of 8,400 in its place" in row.reason


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("checks", [1, 4])
def test_a_version_that_always_fails_fails_within_twenty_of_its_requests(limit: float, checks: int) -> None:
    wanted = (replace(ERRORS, max_increase=limit), *(replace(P50, quantile=0.5 + 0.1 * n) for n in range(1, checks)))
    asked = next(n for n in range(1, 30) if verdict_of([arm(1, errors=1)] * n, checks=wanted).decision is Decision.FAIL)
    assert 7 <= asked <= 20


def test_until_then_it_is_said_how_many_more_of_its_requests_it_takes() -> None:
    verdict = verdict_of(ejected(10))
    assert verdict.decision is Decision.INCONCLUSIVE
    assert errors_row(verdict).pairs == IN_A_ROW
    assert 0 < (errors_row(verdict).needed or 0) <= 10


def test_requests_that_the_original_answered_in_its_place_are_errors_for_a_pass() -> None:
    good = [arm(EACH) for _ in range(200)]
    assert verdict_of(good).decision is Decision.PASS
    once = [arm(EACH, missing=EACH if second < 10 else 0) for second in range(200)]
    verdict = verdict_of(once)
    assert verdict.decision is Decision.INCONCLUSIVE
    assert (errors_row(verdict).interval or (0, 0))[1] > 0.01


def test_a_bad_moment_of_both_says_nothing_and_one_of_the_version_alone_fails_it() -> None:
    windows = [arm(EACH, errors=EACH if 50 <= second < 52 else 0) for second in range(100)]
    outage = [1.0 if 50 <= second < 52 else 0.0 for second in range(100)]
    assert verdict_of(windows, failing=outage).decision is not Decision.FAIL
    assert verdict_of(windows[:52]).decision is Decision.FAIL


def test_a_version_without_a_guard_that_fails_often_fails_soon() -> None:
    assert verdict_of([arm(EACH, errors=4) for _ in range(30)]).decision is Decision.FAIL
