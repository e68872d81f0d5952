"""The fault schedule."""

import math

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import until
from tests.unit.lifecycle.test_life import created, done, mirrored, running, shadow
from xds_server.errors import ConflictError, InvalidError, NotFoundError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.validation import MAX_FAULTS
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.profile import Abort, Delay, Fault, FaultParameters
from xds_server.store.base import Changes

ABORT = FaultParameters(abort=Abort(503))
DELAY = FaultParameters(delay=Delay(0.2, 50.0))


def in_force(managers: Managers) -> list[Fault]:
    """The faults of the state that is published now."""
    (profile,) = managers.controller._registry.find("shop").state().profiles
    return [fault for active in profile.shadows for fault in active.faults]


async def test_the_faults_of_a_profile_are_in_force_from_the_first_copy(
    managers: Managers, controller: Controller
) -> None:
    await running(managers, controller, faults=DELAY)
    (fault,) = in_force(managers)
    assert fault.parameters == DELAY
    assert fault.from_profile
    assert fault.expires_at is None


async def test_an_injected_fault_is_in_force_at_once(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    before = managers.cache.get("shop")
    fault = await controller.inject_fault("shop", instance.id, ABORT)
    assert in_force(managers) == [fault]
    assert managers.cache.get("shop") != before
    assert (await managers.store.load()).faults == (fault,)


async def test_a_fault_is_lifted_at_the_end_of_its_duration(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    before = managers.cache.get("shop")
    await controller.inject_fault("shop", instance.id, ABORT, duration=60.0)
    await managers.clock.advance(59)
    assert len(in_force(managers)) == 1
    await managers.clock.advance(1)
    assert in_force(managers) == []
    assert managers.cache.get("shop") == before
    await until(lambda: not managers.controller._jobs)
    assert (await managers.store.load()).faults == ()


async def test_a_fault_is_lifted_early(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    fault = await controller.inject_fault("shop", instance.id, ABORT, duration=60.0)
    await controller.lift_fault("shop", fault.id)
    assert in_force(managers) == []
    assert (await managers.store.load()).faults == ()
    with pytest.raises(NotFoundError):
        await controller.lift_fault("shop", fault.id)
    await managers.clock.advance(61)


async def test_faults_end_with_their_instance(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller, faults=DELAY)
    await controller.inject_fault("shop", instance.id, ABORT)
    managers.world.kill(instance.id, exit_code=1)
    await done(managers)
    assert await controller.faults("shop") == []
    assert (await managers.store.load()).faults == ()


async def test_other_faults_of_the_profile_replace_its_own_and_leave_the_injected(
    managers: Managers, controller: Controller
) -> None:
    profile, instance = await running(managers, controller, faults=DELAY)
    injected = await controller.inject_fault("shop", instance.id, ABORT)
    await controller.change_profile("shop", profile, ProfileChange(faults=ABORT))
    assert {(f.parameters, f.from_profile) for f in in_force(managers)} == {(ABORT, True), (ABORT, False)}

    await controller.change_profile("shop", profile, ProfileChange(faults=FaultParameters()))
    assert in_force(managers) == [injected]
    assert (await managers.store.load()).faults == (injected,)


async def test_a_new_instance_gets_the_faults_of_its_profile(managers: Managers, controller: Controller) -> None:
    profile, _ = await running(managers, controller, faults=DELAY)
    await managers.clock.advance(601)
    await done(managers)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.6))
    await until(lambda: mirrored(managers))
    assert [f.parameters for f in in_force(managers)] == [DELAY]


async def test_a_fault_on_an_ended_instance_is_a_conflict(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    managers.world.kill(instance.id, exit_code=1)
    await done(managers)
    with pytest.raises(ConflictError, match="Failed: exited with code 1"):
        await controller.inject_fault("shop", instance.id, ABORT)


async def test_a_fault_on_an_instance_that_ends_while_it_is_written_is_a_conflict_and_leaves_nothing(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, instance = await running(managers, controller)
    write = managers.store.apply

    async def slow(changes: Changes) -> None:
        await write(changes)
        if changes.faults:
            managers.world.kill(instance.id, exit_code=1)
            await until(lambda: shadow(managers, instance.profile_id).ended)

    monkeypatch.setattr(managers.store, "apply", slow)
    with pytest.raises(ConflictError, match="Failed: exited with code 1"):
        await controller.inject_fault("shop", instance.id, ABORT, duration=60.0)
    assert await controller.faults("shop") == []
    assert (await managers.store.load()).faults == ()


async def test_a_grpc_status_on_http1_is_invalid(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    with pytest.raises(InvalidError) as caught:
        await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(grpc_status=14)))
    assert caught.value.field == "faultInjectionParameters.abort.grpcStatus"
    assert (await managers.store.load()).faults == ()


async def test_a_pending_instance_can_have_a_fault_already(managers: Managers, controller: Controller) -> None:
    managers.runtime.is_ready.clear()
    profile = await created(controller)
    fault = await controller.inject_fault("shop", shadow(managers, profile).id, ABORT)
    managers.runtime.is_ready.set()
    await until(lambda: mirrored(managers))
    assert in_force(managers) == [fault]


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf, 31_536_000.0])
async def test_a_duration_out_of_range_is_invalid(managers: Managers, controller: Controller, duration: float) -> None:
    _, instance = await running(managers, controller)
    with pytest.raises(InvalidError) as caught:
        await controller.inject_fault("shop", instance.id, ABORT, duration=duration)
    assert caught.value.field == "duration"
    assert (await managers.store.load()).faults == ()


async def test_nothing_to_inject_is_invalid(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    with pytest.raises(InvalidError, match="nothing to inject"):
        await controller.inject_fault("shop", instance.id, FaultParameters())


async def test_an_unknown_instance_is_not_found(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    with pytest.raises(NotFoundError, match="no shadow instance") as caught:
        await controller.inject_fault("shop", "nobody", ABORT)
    assert instance.id in caught.value.hint


async def test_faults_on_one_instance_are_bounded(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    for _ in range(MAX_FAULTS):
        await controller.inject_fault("shop", instance.id, ABORT)
    with pytest.raises(ConflictError, match="lift some"):
        await controller.inject_fault("shop", instance.id, ABORT)
