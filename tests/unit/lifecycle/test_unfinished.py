"""What the disk did not take when it happened is written once it does, without a restart."""

import asyncio

import pytest

from tests.unit.lifecycle.conftest import Managers, Spoil
from tests.unit.lifecycle.fakes import a_network, a_profile, settle, until
from tests.unit.lifecycle.test_life import done, running
from xds_server.errors import StoreError
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.unfinished import EVERY, Unfinished
from xds_server.model.profile import Abort, FaultParameters
from xds_server.model.shadow import InstanceStatus


async def test_the_end_of_a_shadow_is_written_once_there_is_room(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(managers, controller)
    full(lambda _: True)
    await managers.clock.advance(601)
    await done(managers)
    await managers.clock.advance(EVERY)
    assert "full" in (await controller.status("shop")).problem
    monkeypatch.undo()
    (instance,) = (await managers.store.load()).instances
    assert instance.status is InstanceStatus.RUNNING
    await managers.clock.advance(EVERY)
    await settle()
    (instance,) = (await managers.store.load()).instances
    assert (instance.status, instance.reason) == (InstanceStatus.STOPPED, "its time to live was over")
    assert (await controller.status("shop")).problem == ""


@pytest.mark.parametrize("what", ["profile", "network"])
async def test_a_deletion_that_was_accepted_is_finished_once_there_is_room(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    profile, _ = await running(managers, controller)
    full(lambda changes: bool(changes.drop_profiles or changes.drop_networks))
    with pytest.raises(StoreError, match="full"):
        await (controller.delete_profile("shop", profile) if what == "profile" else controller.delete_network("shop"))
    assert not managers.world.alive
    monkeypatch.undo()
    await managers.clock.advance(EVERY)

    async def gone() -> bool:
        found = await managers.store.load()
        return not (found.profiles if what == "profile" else found.networks)

    for _ in range(50):
        if await gone():
            break
        await asyncio.sleep(0.01)
    assert await gone()
    if what == "profile":
        assert (await controller.status("shop")).problem == ""
    else:
        await until(lambda: len(controller._context.parts.unfinished) == 0)
        await controller.create_network(a_network("shop"))
    await controller.create_profile("shop", a_profile(name="again"))


async def test_the_end_of_a_fault_is_written_once_there_is_room(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, shadow = await running(managers, controller)
    await controller.inject_fault("shop", shadow.id, FaultParameters(abort=Abort(503)), duration=5.0)
    full(lambda changes: bool(changes.drop_faults))
    await managers.clock.advance(6)
    await settle()
    assert await controller.faults("shop") == []
    assert len((await managers.store.load()).faults) == 1
    monkeypatch.undo()
    await managers.clock.advance(EVERY)
    await settle()
    assert (await managers.store.load()).faults == ()


async def test_what_cannot_be_done_at_all_is_given_up_and_the_rest_is_done() -> None:
    unfinished = Unfinished(SystemClock())
    tried = []

    async def impossible() -> None:
        raise KeyError("a bug")

    async def possible() -> None:
        tried.append("possible")

    unfinished.note("impossible", impossible)
    unfinished.note("possible", possible)
    await unfinished.try_all()
    assert tried == ["possible"]
    assert len(unfinished) == 0


async def test_a_fault_that_was_lifted_stays_lifted_although_the_disk_did_not_take_it(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, instance = await running(managers, controller)
    fault = await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(503)))
    full(lambda changes: bool(changes.drop_faults))
    with pytest.raises(StoreError):
        await controller.lift_fault("shop", fault.id)
    assert await controller.faults("shop") == []
    monkeypatch.undo()
    assert (await managers.store.load()).faults == (fault,)
    await managers.clock.advance(EVERY)
    await settle()
    assert (await managers.store.load()).faults == ()
