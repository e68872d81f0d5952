"""The steps: each transition of the state machine, and what a verdict does besides."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.lifecycle.fakes import START, a_profile, a_verdict
from xds_server.errors import ConflictError
from xds_server.lifecycle.consequences import Consequence, consequence
from xds_server.lifecycle.rollout import Move, RolloutAction, advance, at_step, begun, commanded, sends
from xds_server.lifecycle.ruling import Decision, Ruling, nothing_judged, ruling_of
from xds_server.model.analysis import Analysis
from xds_server.model.judging import Judging, OnFail
from xds_server.model.profile import ProcessSpec, ShadowingProfile, Variant
from xds_server.model.rollout import Cohort, Mode, Rollout, RolloutState, Split, Step

RUNNING, PAUSED, DONE, ABORTED = RolloutState
STEPS = (
    Step(Mode.SHADOW, percentage=0.2),
    Step(Mode.SPLIT, weights={"v2": 10.0}, hold=60.0, timeout=300.0),
    Step(Mode.SPLIT, weights={"v2": 50.0}),
)
STOPPING = Analysis(judging=Judging(on_fail=OnFail.STOP))
PASS, FAIL = ruling_of(a_verdict("PASS"), ["v2"]), ruling_of(a_verdict("FAIL"), ["v2"])
NOTHING_YET = ruling_of(a_verdict(), ["v2"])
TWO = tuple(Variant(name, ProcessSpec(("app",))) for name in ("v2", "v3"))
LATER = START + timedelta(seconds=61)


def stepped(step: int = 0, state: RolloutState = RUNNING, **fields: Any) -> ShadowingProfile:
    wanted: dict[str, Any] = {"steps": STEPS, "split": Split(Cohort(cookie="session"))}
    profile = at_step(a_profile(**(wanted | fields)), step, START)
    return replace(profile, rollout=Rollout(step, state, START))


def split(**fields: Any) -> ShadowingProfile:
    wanted: dict[str, Any] = {"mode": Mode.SPLIT, "split": Split(Cohort(cookie="session"), {"v2": 10.0})}
    return a_profile(**(wanted | fields))


def moved(profile: ShadowingProfile, ruling: Ruling, *, living: str = "v2", after: float = 0.0) -> Move | None:
    return advance(profile, ruling, START + timedelta(seconds=after), living=living.split())


def now(move: Move | None) -> Rollout:
    assert move is not None
    assert move.profile.rollout is not None
    return move.profile.rollout


def test_a_profile_with_steps_begins_at_the_first_one() -> None:
    profile = begun(a_profile(steps=STEPS, split=Split(Cohort(cookie="c"))), START)
    assert (profile.mode, profile.percentage) == (Mode.SHADOW, 0.2)
    assert profile.rollout == Rollout(0, RUNNING, START)
    assert begun(profile, LATER) is profile


def test_a_profile_without_steps_is_left_alone() -> None:
    assert begun(a_profile(), START).rollout is None
    assert moved(a_profile(), PASS) is None


def test_a_pass_leads_to_the_next_step_whose_evidence_begins_anew() -> None:
    move = moved(stepped(), PASS, after=5)
    assert now(move) == Rollout(1, RUNNING, START + timedelta(seconds=5))
    assert move is not None
    assert move.anew
    assert (move.profile.mode, move.profile.percentage) == (Mode.SPLIT, 0.2)
    assert move.profile.split == Split(Cohort(cookie="session"), {"v2": 10.0})


def test_a_pass_waits_until_the_hold_is_over() -> None:
    assert moved(stepped(1), PASS, after=59.9) is None
    assert now(moved(stepped(1), PASS, after=60)).step == 2


def test_a_pass_at_the_last_step_is_done_and_keeps_its_weights() -> None:
    move = moved(stepped(2), PASS)
    assert now(move).state is DONE
    assert "keeps the weights" in now(move).reason
    assert move is not None
    assert not move.anew
    assert move.profile.split == Split(Cohort(cookie="session"), {"v2": 50.0})


def test_a_last_step_that_sends_all_users_is_done_at_once() -> None:
    steps = (*STEPS[:2], Step(Mode.SPLIT, weights={"v2": 100.0}, hold=60.0))
    move = moved(stepped(1, steps=steps), PASS, after=60)
    assert (now(move).step, now(move).state) == (2, DONE)
    assert now(move).reason == "all users with cookie session are at v2, so nothing is left to judge"
    assert move is not None
    assert move.anew
    assert move.profile.split == Split(Cohort(cookie="session"), {"v2": 100.0})
    promoted = commanded(stepped(1, PAUSED, steps=steps), RolloutAction.PROMOTE, NOTHING_YET, LATER)
    assert now(promoted).state is DONE
    assert now(promoted).reason.startswith("promoted by a person; all users")


def test_a_last_step_is_judged_when_values_or_a_version_that_is_out_leave_the_original_users() -> None:
    steps = (*STEPS[:2], Step(Mode.SPLIT, weights={"v2": 60.0, "v3": 40.0}))
    profile = stepped(1, steps=steps, variants=TWO)
    assert at_step(profile, 2, LATER).rollout == Rollout(
        2, DONE, LATER, "all users with cookie session are at v2 and v3, so nothing is left to judge"
    )
    assert at_step(profile, 2, LATER, out={"v3"}).rollout == Rollout(2, RUNNING, LATER)
    values = (Step(Mode.SPLIT, weights={"v2": 100.0}),)
    of_values = stepped(0, steps=values, split=Split(Cohort(header="x-team", values=("a",))))
    assert at_step(of_values, 0, LATER).rollout == Rollout(0, RUNNING, LATER)


def test_without_a_verdict_it_goes_on_until_the_timeout_and_then_pauses() -> None:
    assert moved(stepped(1), NOTHING_YET, after=299) is None
    move = moved(stepped(1), NOTHING_YET, after=300)
    assert now(move).state is PAUSED
    assert "no PASS within 300 s: it is INCONCLUSIVE" in now(move).reason
    assert move is not None
    assert sends(move.profile)


def test_a_step_without_a_timeout_waits_for_ever() -> None:
    assert moved(stepped(0), NOTHING_YET, after=86_400 * 30) is None


@pytest.mark.parametrize("state", [RUNNING, PAUSED])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_fail_aborts_and_nothing_is_sent_any_more(step: int, state: RolloutState) -> None:
    move = moved(stepped(step, state), FAIL)
    assert (now(move).state, now(move).step) == (ABORTED, step)
    assert f"at step {step + 1} is FAIL: it is FAIL" in now(move).reason
    assert move is not None
    assert not sends(move.profile)


def test_a_fail_after_the_last_step_takes_a_split_back_and_leaves_a_mirror() -> None:
    move = moved(stepped(2, DONE), FAIL)
    assert now(move).state is ABORTED
    assert move is not None
    assert not sends(move.profile)
    assert moved(stepped(0, DONE), FAIL) is None


def test_what_is_aborted_stays_so() -> None:
    for ruling in (PASS, FAIL, NOTHING_YET):
        assert moved(stepped(1, ABORTED), ruling, after=1000) is None


def test_a_paused_or_done_rollout_does_not_go_on() -> None:
    for state in (PAUSED, DONE):
        assert moved(stepped(1, state), PASS, after=1000) is None
        assert moved(stepped(1, state), NOTHING_YET, after=1000) is None


def test_a_rollout_of_which_nothing_runs_pauses_even_with_a_pass() -> None:
    move = moved(stepped(), PASS, living="control")
    assert now(move).state is PAUSED
    assert "none of its versions runs" in now(move).reason


def test_only_versions_that_passed_go_on() -> None:
    steps = (STEPS[0], Step(Mode.SPLIT, weights={"v2": 10.0, "v3": 20.0}))
    ruling = ruling_of(a_verdict("PASS", v2="PASS", v3="INCONCLUSIVE"), ["v2", "v3"])
    move = moved(stepped(steps=steps, variants=TWO), ruling, living="v2 v3")
    assert move is not None
    assert move.profile.split is not None
    assert move.profile.split.weights == {"v2": 10.0, "v3": 0.0}
    assert move.out == {"v3"}


def test_what_went_out_in_an_earlier_step_gets_no_weight_again() -> None:
    steps = (STEPS[0], STEPS[1], Step(Mode.SPLIT, weights={"v2": 10.0, "v3": 20.0}))
    ruling = ruling_of(a_verdict("PASS", v2="PASS", v3="PASS"), ["v2", "v3"])
    move = advance(stepped(1, steps=steps, variants=TWO), ruling, LATER, living=["v2"], out=frozenset({"v3"}))
    assert move is not None
    assert move.profile.split is not None
    assert move.profile.split.weights == {"v2": 10.0, "v3": 0.0}


# A person.


def said(profile: ShadowingProfile, action: RolloutAction, ruling: Ruling = NOTHING_YET) -> Move:
    return commanded(profile, action, ruling, LATER)


def test_pause_keeps_what_is_sent_and_resume_begins_hold_and_timeout_anew() -> None:
    paused = said(stepped(1), RolloutAction.PAUSE)
    assert now(paused) == Rollout(1, PAUSED, LATER, "paused by a person")
    assert sends(paused.profile)
    resumed = said(paused.profile, RolloutAction.RESUME)
    assert now(resumed) == Rollout(1, RUNNING, LATER)
    assert not resumed.anew


@pytest.mark.parametrize("state", [RUNNING, PAUSED])
def test_promote_leads_to_the_next_step_at_once(state: RolloutState) -> None:
    move = said(stepped(0, state), RolloutAction.PROMOTE)
    assert now(move) == Rollout(1, RUNNING, LATER, "promoted by a person")
    assert move.anew


def test_promote_at_the_last_step_is_done() -> None:
    assert now(said(stepped(2), RolloutAction.PROMOTE)).state is DONE


@pytest.mark.parametrize("state", [RUNNING, PAUSED, DONE])
def test_abort_takes_everything_back(state: RolloutState) -> None:
    move = said(stepped(2, state), RolloutAction.ABORT)
    assert now(move) == Rollout(2, ABORTED, LATER, "aborted by a person")
    assert not sends(move.profile)


@pytest.mark.parametrize(
    ("state", "action", "why"),
    [
        (DONE, RolloutAction.PAUSE, "done already"),
        (DONE, RolloutAction.RESUME, "done already"),
        (DONE, RolloutAction.PROMOTE, "done already"),
        (ABORTED, RolloutAction.PROMOTE, "aborted already"),
        (ABORTED, RolloutAction.ABORT, "aborted already"),
        (RUNNING, RolloutAction.RESUME, "is running"),
        (PAUSED, RolloutAction.PAUSE, "paused already"),
    ],
)
def test_what_makes_no_sense_is_refused(state: RolloutState, action: RolloutAction, why: str) -> None:
    with pytest.raises(ConflictError, match=why):
        said(stepped(1, state), action)


def test_a_profile_without_steps_has_nothing_to_say_to() -> None:
    with pytest.raises(ConflictError, match="no steps"):
        said(a_profile(), RolloutAction.PROMOTE)


# What a verdict does besides.


def follows(profile: ShadowingProfile, verdict: Any) -> Consequence | None:
    names = [variant.name for variant in profile.variants]
    return consequence(profile, ruling_of(verdict, names), LATER, living=names)


def test_a_fail_on_a_critical_check_always_sends_a_split_back() -> None:
    found = follows(split(), a_verdict("FAIL"))
    assert found is not None
    assert not sends(found.move.profile)
    assert found.move.profile.percentage == 0.5
    assert found.move.out == {"v2"}
    assert found.reason == "the weight of v2 was set to 0: the verdict is FAIL: it is FAIL"
    assert follows(found.move.profile, a_verdict("FAIL")) is None


def test_a_fail_without_a_critical_check_sends_a_split_back_only_when_it_is_to_stop() -> None:
    assert follows(split(), a_verdict("FAIL", critical=False)) is None
    assert follows(split(analysis=STOPPING), a_verdict("FAIL", critical=False)) is not None


def test_only_the_variant_that_failed_is_sent_back() -> None:
    profile = split(variants=TWO, split=Split(Cohort(header="x-user"), {"v2": 10.0, "v3": 20.0}))
    found = follows(profile, a_verdict("INCONCLUSIVE", v2="INCONCLUSIVE", v3="FAIL"))
    assert found is not None
    assert found.move.profile.split is not None
    assert found.move.profile.split.weights == {"v2": 10.0, "v3": 0.0}


def test_a_mirror_that_fails_goes_on_unless_it_is_to_stop() -> None:
    assert follows(a_profile(), a_verdict("FAIL")) is None
    found = follows(a_profile(analysis=STOPPING), a_verdict("FAIL"))
    assert found is not None
    assert found.move.profile.percentage == 0.0
    assert "trafficShadowingPercentage was set to 0" in found.reason


def test_neither_a_pass_nor_no_verdict_does_anything_to_a_profile_without_steps() -> None:
    for verdict in (a_verdict("PASS"), a_verdict(), None):
        assert follows(split(analysis=STOPPING), verdict) is None
        assert follows(a_profile(analysis=STOPPING), verdict) is None


def test_harm_sets_the_percentage_to_0_and_aborts_a_rollout() -> None:
    found = follows(a_profile(), a_verdict("PASS", harm="HARM"))
    assert found is not None
    assert found.move.profile.percentage == 0.0
    assert "mirrored requests take longer" in found.reason
    assert follows(found.move.profile, a_verdict("PASS", harm="HARM")) is None
    found = follows(stepped(1), a_verdict("PASS", harm="HARM"))
    assert found is not None
    assert now(found.move).state is ABORTED
    assert not sends(found.move.profile)


def test_a_fail_at_a_step_says_why_it_was_taken_back() -> None:
    found = follows(stepped(0), a_verdict("FAIL"))
    assert found is not None
    assert now(found.move).state is ABORTED
    assert "at step 1 is FAIL" in found.reason


def test_without_a_critical_check_all_that_count_are() -> None:
    verdict = a_verdict("FAIL", critical=False)
    verdict["checks"] = [{**check, "critical": False} for check in verdict["checks"]]
    assert ruling_of(verdict, ["v2"]).critical == {"v2"}
    verdict["checks"] = [{**check, "muted": True} for check in verdict["checks"]]
    assert ruling_of(verdict, ["v2"]).critical == frozenset()


def test_what_was_not_judged_means_nothing() -> None:
    ruling = ruling_of(nothing_judged("a bug", alpha=0.01, now=START), ["v2"])
    assert (ruling.decision, ruling.failed, ruling.passed) == (Decision.INCONCLUSIVE, frozenset(), frozenset())
    assert ruling.reasons == ("a bug",)
