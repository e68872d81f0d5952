"""Faults of instances themselves: what is done follows the rows, and the rows go when it is lifted."""
# ruff: noqa: ARG002 - a fake takes what the real one takes

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import START, FakeRuntime, until
from tests.unit.lifecycle.test_life import created, running, shadow
from xds_server.errors import ConflictError, InvalidError, RuntimeFailedError, UnavailableError
from xds_server.lifecycle.configs import NEVER, profile_configs
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.disturbances import together
from xds_server.lifecycle.faults import new_fault
from xds_server.model.ids import InstanceID
from xds_server.model.profile import Delay, FaultParameters, Stress, VariantSpec
from xds_server.runtime.base import CALM, Disturbance

PAUSE, KILL = FaultParameters(pause=True), FaultParameters(kill=True)


class DisturbingRuntime(FakeRuntime):
    """Can do it; notes what was done, and refuses as often as a test says."""

    done: list[tuple[Disturbance, Disturbance]]
    refuse_disturb = 0
    silent = False
    """What is done is done, and there is no answer."""

    async def disturb(
        self, handle: Mapping[str, str], spec: VariantSpec, *, before: Disturbance, after: Disturbance
    ) -> None:
        if self.refuse_disturb:
            self.refuse_disturb -= 1
            raise RuntimeFailedError("not now")
        self.done.append((before, after))
        if self.silent:
            raise UnavailableError("no answer")


@pytest.fixture
def runtime(managers: Managers) -> DisturbingRuntime:
    return use(managers)


def use(managers: Managers) -> DisturbingRuntime:
    made = DisturbingRuntime(managers.world)
    made.done = []
    managers.runtimes["process"] = managers.runtime = made
    return made


def warm(managers: Managers, instance: InstanceID) -> float:
    (config,) = profile_configs(managers.controller._registry.find("shop").state())
    return config.warm[instance]


async def test_a_fault_is_done_and_lifted_in_its_time_and_is_no_evidence_meanwhile(
    runtime: DisturbingRuntime, managers: Managers
) -> None:
    controller = await managers.start()
    _, instance = await running(managers, controller)
    at_first = warm(managers, instance.id)
    fault = await controller.inject_fault("shop", instance.id, PAUSE, duration=60.0)
    paused = Disturbance(paused=True, pause_ends=fault.expires_at)
    assert runtime.done == [(CALM, paused)]
    assert warm(managers, instance.id) == NEVER
    await managers.clock.advance(60)
    await until(lambda: len(runtime.done) == 2)
    assert runtime.done[1] == (paused, CALM)
    await until(lambda: not managers.controller._jobs)
    assert (await managers.store.load()).faults == ()
    assert warm(managers, instance.id) == pytest.approx(at_first + 60.0)
    await managers.stop()


async def test_a_kill_without_a_duration_lasts_a_second(runtime: DisturbingRuntime, managers: Managers) -> None:
    controller = await managers.start()
    _, instance = await running(managers, controller)
    fault = await controller.inject_fault("shop", instance.id, KILL)
    assert fault.expires_at == fault.created_at + timedelta(seconds=1)
    await managers.clock.advance(1)
    await until(lambda: runtime.done == [(CALM, Disturbance(down=True)), (Disturbance(down=True), CALM)])
    await managers.stop()


async def test_what_could_not_be_done_leaves_no_fault(runtime: DisturbingRuntime, managers: Managers) -> None:
    controller = await managers.start()
    _, instance = await running(managers, controller)
    before = managers.cache.get("shop")
    runtime.refuse_disturb = 1
    with pytest.raises(RuntimeFailedError, match="not now"):
        await controller.inject_fault("shop", instance.id, PAUSE)
    assert await controller.faults("shop") == []
    assert (await managers.store.load()).faults == ()
    assert managers.cache.get("shop") == before
    await managers.stop()


async def test_what_may_have_been_done_by_an_engine_that_did_not_answer_is_lifted(
    runtime: DisturbingRuntime, managers: Managers
) -> None:
    controller = await managers.start()
    _, instance = await running(managers, controller)
    runtime.silent = True
    with pytest.raises(UnavailableError, match="no answer"):
        await controller.inject_fault("shop", instance.id, FaultParameters(stress=Stress(cpus=0.1)))
    stressed = Disturbance(cpus=0.1)
    assert warm(managers, instance.id) == NEVER
    await managers.clock.advance(5)
    await until(lambda: len(runtime.done) == 2)
    await until(lambda: not managers.controller._jobs)
    runtime.silent = False
    await managers.clock.advance(5)
    await until(lambda: len(runtime.done) == 3)
    await until(lambda: not managers.controller._jobs)
    assert runtime.done == [(CALM, stressed), (stressed, CALM), (stressed, CALM)]
    assert await controller.faults("shop") == []
    assert (await managers.store.load()).faults == ()
    await managers.stop()


async def test_a_lift_that_fails_is_tried_again_until_it_succeeds(
    runtime: DisturbingRuntime, managers: Managers
) -> None:
    controller = await managers.start()
    _, instance = await running(managers, controller)
    fault = await controller.inject_fault("shop", instance.id, KILL, duration=10.0)
    runtime.refuse_disturb = 2
    await managers.clock.advance(10)
    await until(lambda: runtime.refuse_disturb == 1)
    await until(lambda: not managers.controller._jobs)
    assert (await managers.store.load()).faults == (fault,)
    await managers.clock.advance(5)
    await until(lambda: runtime.refuse_disturb == 0)
    await until(lambda: not managers.controller._jobs)
    await managers.clock.advance(5)
    await until(lambda: len(runtime.done) == 2)
    await until(lambda: not managers.controller._jobs)
    assert (await managers.store.load()).faults == ()
    assert await controller.faults("shop") == []
    await managers.stop()


async def test_the_next_manager_lifts_what_ended_while_there_was_none(managers: Managers) -> None:
    use(managers)
    controller = await managers.start()
    _, instance = await running(managers, controller)
    await controller.inject_fault("shop", instance.id, KILL, duration=10.0)
    kept = await controller.inject_fault("shop", instance.id, FaultParameters(stress=Stress(cpus=0.1)))
    await managers.written()
    await managers.crash()
    runtime = use(managers)
    managers.clock.jump(60)
    await managers.start()
    assert runtime.done == [(Disturbance(down=True, cpus=0.1), Disturbance(cpus=0.1))]
    assert (await managers.store.load()).faults == (kept,)
    await managers.stop()


async def test_an_instance_that_ends_takes_its_faults_along(runtime: DisturbingRuntime, managers: Managers) -> None:
    controller = await managers.start()
    profile, instance = await running(managers, controller)
    await controller.inject_fault("shop", instance.id, KILL, duration=600.0)
    await controller.delete_profile("shop", profile)
    record = managers.controller._registry.find("shop")
    assert (record.disturbed, record.calm_since, record.faults) == ({}, {}, {})
    await managers.clock.advance(600)
    assert len(runtime.done) == 1
    await managers.stop()


async def test_a_runtime_that_cannot_refuses_before_anything_is_written(
    managers: Managers, controller: Controller
) -> None:
    _, instance = await running(managers, controller)
    with pytest.raises(InvalidError, match="for containers"):
        await controller.inject_fault("shop", instance.id, PAUSE)
    assert (await managers.store.load()).faults == ()


async def test_only_a_running_instance_can_be_disturbed(runtime: DisturbingRuntime, managers: Managers) -> None:
    controller = await managers.start()
    runtime.is_ready.clear()
    profile = await created(controller)
    instance = shadow(managers, profile)
    with pytest.raises(ConflictError, match="the instance is Pending"):
        await controller.inject_fault("shop", instance.id, PAUSE)
    runtime.is_ready.set()
    await managers.stop()


def test_several_faults_are_done_together() -> None:
    one = InstanceID("one")
    faults = [
        new_fault(one, FaultParameters(delay=Delay(1.0)), now=START),
        new_fault(one, PAUSE, now=START, duration=5.0),
        new_fault(one, PAUSE, now=START, duration=9.0),
        new_fault(one, FaultParameters(stress=Stress(cpus=0.5)), now=START),
        new_fault(one, FaultParameters(stress=Stress(cpus=0.2, memory=100)), now=START),
    ]
    assert together(faults) == Disturbance(paused=True, pause_ends=START + timedelta(seconds=9), cpus=0.2, memory=100)
    assert together([*faults, new_fault(one, PAUSE, now=START)]).pause_ends is None
    assert together(faults[:1]) == CALM
