"""Splits and steps through the controller: the way back, draining, a person's word, crashes."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_network, a_profile, a_verdict, settle, until
from tests.unit.lifecycle.test_verdicts import json_of, said
from xds_server.errors import ConflictError, StaleError, StoreError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.rollout import RolloutAction
from xds_server.lifecycle.shadows import DRAIN
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.ids import ProfileID
from xds_server.model.profile import FaultParameters, ProcessSpec, ShadowingProfile, Variant
from xds_server.model.rollout import Cohort, Mode, RolloutState, Split, Step
from xds_server.model.shadow import InstanceStatus
from xds_server.model.state import ActiveProfile
from xds_server.store.base import Changes

COOKIE = Cohort(cookie="session")
STEPS = (
    Step(Mode.SHADOW, percentage=0.2),
    Step(Mode.SPLIT, weights={"v2": 10.0}, timeout=600.0),
    Step(Mode.SPLIT, weights={"v2": 50.0}),
)
SPLIT: dict[str, Any] = {"mode": Mode.SPLIT, "split": Split(COOKIE, {"v2": 10.0})}
STEPPED: dict[str, Any] = {"steps": STEPS, "split": Split(COOKIE), "ttl": 3600.0}


async def running(managers: Managers, controller: Controller, **fields: Any) -> ProfileID:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(**fields))
    profile = view.profile.id
    await until(lambda: managers.world.log[-1][0] == "publish" and len(managers.world.log[-1]) > 1)
    await managers.written()
    return profile


def active(managers: Managers) -> ActiveProfile:
    """What the Envoys are given of the one profile."""
    (found,) = managers.controller._registry.find("shop").state().profiles
    return found


def profile_of(managers: Managers) -> ShadowingProfile:
    (found,) = managers.controller._registry.find("shop").profiles.values()
    return found


def weight(managers: Managers) -> float:
    split = active(managers).profile.split
    assert split is not None
    return split.weights["v2"]


def at(managers: Managers) -> tuple[int, RolloutState]:
    rollout = profile_of(managers).rollout
    assert rollout is not None
    return rollout.step, rollout.state


async def passes(managers: Managers, seconds: float) -> None:
    """Let time pass, and the disk keep up with it."""
    for _ in range(20):
        await managers.clock.advance(seconds / 20)
        await asyncio.sleep(0.01)


# The way back.


async def test_a_fail_on_a_critical_check_sends_everybody_back(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **SPLIT)
    await said(managers, a_verdict("FAIL"))
    assert weight(managers) == 0.0
    now = (await controller.profile("shop", profile)).profile
    assert (now.revision, now.percentage) == (2, 0.5)
    reasons = (await json_of(controller, profile))["reasons"]
    assert reasons[0] == "the weight of v2 was set to 0: the verdict is FAIL: it is FAIL"
    # The instance goes on, and nothing gives the weight back.
    assert [s.draining for s in active(managers).shadows] == [False]
    await said(managers, a_verdict("PASS"))
    assert weight(managers) == 0.0


async def test_who_gives_the_weight_back_begins_another_judgement(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **SPLIT)
    await said(managers, a_verdict("FAIL"))
    managers.judge.says = a_verdict()
    await controller.change_profile("shop", profile, ProfileChange(weights={"v2": 5.0}))
    assert weight(managers) == 5.0
    assert managers.collector.restarted == [profile]
    await said(managers, a_verdict("FAIL"))
    assert weight(managers) == 0.0


async def test_to_measure_more_of_a_split_does_not_clear_its_fail(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **SPLIT)
    await said(managers, a_verdict("FAIL"))
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.9))
    assert managers.collector.restarted == []
    reasons = (await json_of(controller, profile))["reasons"]
    assert reasons[0].startswith("the weight of v2 was set to 0")
    await controller.change_profile("shop", profile, ProfileChange(percentage=1.0, weights={"v2": 5.0}))
    assert managers.collector.restarted == [profile]


async def test_weights_change_by_a_person_and_keep_the_instance(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **SPLIT)
    (before,) = active(managers).shadows
    await controller.change_profile("shop", profile, ProfileChange(weights={"v2": 30.0}))
    assert weight(managers) == 30.0
    assert active(managers).shadows == (before,)
    assert managers.collector.restarted == []


async def test_a_failed_instance_is_sent_nobody_at_once(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, **SPLIT)
    (shadow,) = active(managers).shadows
    managers.world.kill(shadow.instance_id, exit_code=1)
    await settle()
    await until(lambda: active(managers).shadows == ())
    await until(lambda: not len(controller._shadows))


# Draining.


async def test_at_its_ttl_a_split_drains_before_it_is_stopped(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, **SPLIT)
    (shadow,) = active(managers).shadows
    managers.world.log.clear()
    managers.board.acked.clear()
    await managers.clock.advance(600)
    await until(lambda: managers.world.log)
    assert managers.world.log == [("publish", shadow.instance_id)]
    assert [s.draining for s in active(managers).shadows] == [True]

    managers.board.acked.set()
    await until(lambda: ("settled",) in managers.world.log)
    await managers.clock.advance(DRAIN - 0.1)
    assert shadow.instance_id in managers.world.alive
    await managers.clock.advance(0.1)
    await until(lambda: not len(controller._shadows))
    assert managers.world.log == [
        ("publish", shadow.instance_id),
        ("settled",),
        ("publish",),
        ("settled",),
        ("stop", shadow.instance_id),
    ]
    assert active(managers).shadows == ()


async def drained(managers: Managers, deleting: "asyncio.Task[Any]") -> None:
    """Let no more than so much time pass until a deletion is done, however long it takes to do."""
    for _ in range(30):
        await managers.clock.advance(DRAIN / 10)
        await asyncio.wait((deleting,), timeout=0.5)
        if deleting.done():
            break
    async with asyncio.timeout(20):
        await deleting


async def test_a_deleted_split_drains_at_weight_0_before_it_is_gone(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **SPLIT)
    (shadow,) = active(managers).shadows
    deleting = asyncio.create_task(controller.delete_profile("shop", profile))
    await until(lambda: active(managers).shadows[0].draining)
    assert weight(managers) == 0.0
    assert active(managers).profile.percentage == 0.0
    assert await controller.profiles("shop") == []
    assert shadow.instance_id in managers.world.alive
    await drained(managers, deleting)
    assert shadow.instance_id not in managers.world.alive
    assert managers.controller._registry.find("shop").state().profiles == ()


async def test_a_network_that_is_deleted_lets_its_split_drain(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, **SPLIT)
    record = managers.controller._registry.find("shop")
    deleting = asyncio.create_task(controller.delete_network("shop"))
    await until(lambda: record.ending)
    (left,) = record.state().profiles
    assert left.shadows[0].draining
    await drained(managers, deleting)
    assert not managers.world.alive


async def test_a_mirror_does_not_drain(managers: Managers, controller: Controller) -> None:
    await running(managers, controller)
    await managers.clock.advance(600)
    await until(lambda: not len(controller._shadows))
    assert not managers.controller._registry.find("shop").draining


async def test_a_manager_that_leaves_sends_everybody_to_the_original(
    managers: Managers, controller: Controller
) -> None:
    await running(managers, controller, **SPLIT)
    (state,) = controller._registry.find("shop").state(silent=True).profiles
    assert state.profile.split is not None
    assert state.profile.split.weights == {"v2": 0.0}


# Steps.


async def test_a_version_goes_from_shadow_to_split_to_done_on_one_instance(
    managers: Managers, controller: Controller
) -> None:
    profile = await running(managers, controller, **STEPPED)
    (before,) = active(managers).shadows
    assert (active(managers).profile.mode, active(managers).profile.percentage) == (Mode.SHADOW, 0.2)
    await said(managers, a_verdict("PASS"))
    assert at(managers) == (1, RolloutState.RUNNING)
    assert (active(managers).profile.mode, weight(managers)) == (Mode.SPLIT, 10.0)
    managers.judge.says = a_verdict()
    assert await json_of(controller, profile) is None
    await said(managers, a_verdict("PASS"))
    assert weight(managers) == 50.0
    await said(managers, a_verdict("PASS"))
    assert at(managers) == (2, RolloutState.DONE)
    assert weight(managers) == 50.0
    assert active(managers).shadows == (before,)
    assert managers.collector.restarted == [profile, profile]
    assert profile_of(managers).revision == 4
    assert [p.rollout for p in (await managers.store.load()).profiles] == [profile_of(managers).rollout]


async def test_each_step_is_judged_by_a_state_of_its_own(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, **STEPPED)
    await said(managers, a_verdict("PASS"))
    managers.judge.states.clear()
    await said(managers, a_verdict())
    assert managers.judge.states[0] is None


async def test_a_fail_at_a_step_aborts_it(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **STEPPED)
    await said(managers, a_verdict("PASS"))
    await said(managers, a_verdict("FAIL"))
    assert at(managers) == (1, RolloutState.ABORTED)
    assert weight(managers) == 0.0
    with pytest.raises(ConflictError, match="aborted already"):
        await controller.rollout("shop", profile, RolloutAction.PROMOTE)


async def test_a_step_without_a_verdict_pauses_at_its_timeout(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, **STEPPED)
    await said(managers, a_verdict("PASS"))
    await said(managers, a_verdict())
    await passes(managers, 660)
    await until(lambda: at(managers) == (1, RolloutState.PAUSED))
    assert weight(managers) == 10.0


async def test_a_person_pauses_resumes_promotes_and_aborts(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **STEPPED)
    view = await controller.rollout("shop", profile, RolloutAction.PAUSE, if_match=1)
    assert view.profile.rollout is not None
    assert view.profile.rollout.state is RolloutState.PAUSED
    await said(managers, a_verdict("PASS"))
    assert at(managers) == (0, RolloutState.PAUSED)
    with pytest.raises(StaleError):
        await controller.rollout("shop", profile, RolloutAction.RESUME, if_match=1)
    managers.judge.says = a_verdict()
    await said(managers, a_verdict())
    await controller.rollout("shop", profile, RolloutAction.RESUME)
    assert at(managers) == (0, RolloutState.RUNNING)
    await controller.rollout("shop", profile, RolloutAction.PROMOTE)
    assert (at(managers), weight(managers)) == ((1, RolloutState.RUNNING), 10.0)
    await controller.rollout("shop", profile, RolloutAction.ABORT)
    assert (at(managers), weight(managers)) == ((1, RolloutState.ABORTED), 0.0)


async def test_while_steps_are_under_way_only_ttl_and_faults_change(managers: Managers, controller: Controller) -> None:
    profile = await running(managers, controller, **STEPPED)
    for state in ("running", "paused"):
        for change in (ProfileChange(percentage=0.9), ProfileChange(weights={"v2": 90.0})):
            with pytest.raises(ConflictError, match=f"rollout is {state}"):
                await controller.change_profile("shop", profile, change)
        if state == "running":
            await controller.rollout("shop", profile, RolloutAction.PAUSE)
    await controller.change_profile("shop", profile, ProfileChange(ttl=1200.0, faults=FaultParameters()))
    await controller.rollout("shop", profile, RolloutAction.ABORT)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.1))
    assert profile_of(managers).percentage == 0.1


async def test_a_rollout_goes_on_after_a_crash(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, **STEPPED)
    await said(managers, a_verdict("PASS"))
    (before,) = active(managers).shadows
    await managers.restart()
    assert (at(managers), weight(managers)) == ((1, RolloutState.RUNNING), 10.0)
    assert active(managers).shadows == (before,)
    await said(managers, a_verdict("PASS"))
    assert at(managers) == (2, RolloutState.RUNNING)


async def test_a_step_is_on_disk_as_a_whole_or_not_at_all(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await running(managers, controller, **STEPPED)
    steps: list[Changes] = []
    apply = managers.store.apply

    async def full(changes: Changes) -> None:
        if any(p.rollout and p.rollout.step == 1 for p in changes.profiles):
            steps.append(changes)
            raise StoreError("no space left")
        await apply(changes)

    with monkeypatch.context() as patch:
        patch.setattr(managers.store, "apply", full)
        await said(managers, a_verdict("PASS"))
        assert at(managers) == (0, RolloutState.RUNNING)
    assert set(steps[0].summaries) == set(steps[0].verdicts) == {profile}
    assert orjson.loads(steps[0].verdicts[profile])["state"] is None
    await said(managers, a_verdict("PASS"))
    assert at(managers) == (1, RolloutState.RUNNING)


async def test_a_rollout_of_which_nothing_runs_pauses_and_resume_starts_it_again(
    managers: Managers, controller: Controller
) -> None:
    profile = await running(managers, controller, **STEPPED)
    (first,) = active(managers).shadows
    managers.world.kill(first.instance_id, exit_code=1)
    await until(lambda: not len(controller._shadows))
    await said(managers, a_verdict("PASS"))
    assert at(managers) == (0, RolloutState.PAUSED)
    await controller.rollout("shop", profile, RolloutAction.RESUME)
    await until(lambda: active(managers).shadows)
    (second,) = active(managers).shadows
    assert second.instance_id != first.instance_id


async def test_a_step_that_cannot_be_pauses_with_the_reason(managers: Managers, controller: Controller) -> None:
    two = tuple(Variant(name, ProcessSpec(("python", "app.py"))) for name in ("v2", "v3"))
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(**STEPPED, variants=two))
    await until(lambda: len(active(managers).shadows) == 2)
    record = controller._registry.find("shop")
    dead = next(s for s in active(managers).shadows if s.variant == "v3")
    managers.world.kill(dead.instance_id, exit_code=1)
    await until(lambda: record.instances[dead.instance_id].status is InstanceStatus.FAILED)
    await until(lambda: len(controller._shadows) == 1)
    managers.inventory.max_shadows = 1
    await said(managers, a_verdict("PASS", v2="PASS", v3="INCONCLUSIVE"))
    assert at(managers) == (0, RolloutState.PAUSED)
    rollout = (await controller.profile("shop", view.profile.id)).profile.rollout
    assert rollout is not None
    assert "step 2 cannot be" in rollout.reason
