"""The audit trail: everything that was accepted, everything that the manager did by itself, each with who and why."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import START, a_component, a_network, a_verdict, settle, until
from tests.unit.lifecycle.test_crash_points import WRITES, Life, all_at_rest, kill_at
from tests.unit.lifecycle.test_life import created, done, mirrored, running, shadow
from xds_server.errors import NotFoundError, ShadowmeshError, StoreError, UnavailableError
from xds_server.lifecycle import trail as module
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.rollout import RolloutAction
from xds_server.lifecycle.trail import EVERY, acting
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.audit import SYSTEM, AuditEvent, AuditKind, EventQuery, Who
from xds_server.model.ids import NetworkID
from xds_server.model.profile import Abort, FaultParameters
from xds_server.model.rollout import Mode, Step
from xds_server.store.base import Changes

ANNA = Who(name="anna", address="127.0.0.1")
ANY = EventQuery(network_id=NetworkID(""), limit=1000)


async def told(controller: Controller, ref: str = "shop", **filters: Any) -> list[AuditEvent]:
    _, page = await controller.events(ref, replace(ANY, **filters))
    return [event for _, event in page.events]


async def judged(controller: Controller, managers: Managers, *, acts: int) -> list[AuditEvent]:
    """Let time pass until so many things were done about a rollout; return them."""
    async with asyncio.timeout(10.0):
        while True:
            events = [e for e in await told(controller) if e.kind in {AuditKind.ROLLOUT, AuditKind.VERDICT}]
            if len(events) >= acts:
                return events
            await managers.clock.advance(0.5)
            await asyncio.sleep(0.005)


def brief(events: list[AuditEvent]) -> list[str]:
    return [f"{e.kind} {e.event}" for e in events]


async def test_a_life_is_told_from_its_creation_to_its_end_with_who_and_why(
    managers: Managers, controller: Controller
) -> None:
    with acting(ANNA, reason="ticket 7"):
        profile, instance = await running(managers, controller, name="p")
        await controller.change_profile("shop", "p", ProfileChange(percentage=0.1))
        await controller.delete_profile("shop", profile)
    events = await told(controller)
    assert brief(events) == [
        "network created",
        "profile created",
        "instance created",
        "instance ready",
        "profile changed",
        "instance percentage lowered",
        "profile deleted",
        "instance profile deleted",
        "profile gone",
    ]
    by_hand = [e for e in events if e.event != "ready"]
    assert {e.who for e in by_hand} == {ANNA}
    (ready,) = [e for e in events if e.event == "ready"]
    assert ready.who == SYSTEM
    assert (ready.before, ready.after, ready.instance_id) == ("Pending", "Running", instance.id)
    assert {e.why for e in by_hand if e.kind is not AuditKind.INSTANCE} == {"ticket 7"}
    ended = events[7]
    assert (ended.before, ended.after, ended.why) == ("Running", "Stopped", "its profile was deleted")
    assert events[4].changes == {"trafficShadowingPercentage": (0.5, 0.1)}
    assert {e.profile for e in events[1:]} == {"p"}
    assert {e.at for e in events} == {START}


async def test_what_was_refused_or_changed_nothing_is_not_told(managers: Managers, controller: Controller) -> None:
    profile = await created(controller)
    before = await told(controller, kind=AuditKind.PROFILE)
    with pytest.raises(ShadowmeshError):
        await controller.change_profile("shop", profile, ProfileChange(percentage=2.0))
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.5))
    with pytest.raises(ShadowmeshError):
        await controller.create_network(a_network())
    await controller.replace_network("shop", a_network())
    assert await told(controller, kind=AuditKind.PROFILE) == before
    assert brief(await told(controller, kind=AuditKind.NETWORK)) == ["network created"]


async def test_the_manager_does_in_its_own_name_what_nobody_asked_for(
    managers: Managers, controller: Controller
) -> None:
    with acting(ANNA):
        _, instance = await running(managers, controller)
        await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(503)), duration=60.0)
        await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(500)))
    await managers.clock.advance(61)
    await until(lambda: not managers.controller._jobs)
    await managers.clock.advance(600)
    await done(managers)
    events = (await told(controller))[4:]
    assert brief(events) == ["fault injected", "fault injected", "fault over", "instance TTL over", "fault over"]
    assert [e.who for e in events] == [ANNA, ANNA, SYSTEM, SYSTEM, SYSTEM]
    assert [e.why for e in events[2:]] == ["its time was over", "its time to live was over", "its instance ended"]
    assert events[2].at == START + timedelta(seconds=60)
    assert events[0].fault_id == events[2].fault_id


async def test_a_fault_that_is_lifted_by_hand_is_lifted_by_somebody(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    fault = await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(503)))
    with acting(ANNA):
        await controller.lift_fault("shop", fault.id)
    events = await told(controller, kind=AuditKind.FAULT)
    assert [(e.event, e.who) for e in events] == [("injected", SYSTEM), ("lifted", ANNA)]
    assert events[1].what == "abort HTTP 503 (100 %) on v2 of " + instance.profile_id + ": lifted"


async def test_a_replaced_network_tells_which_components_changed(managers: Managers, controller: Controller) -> None:
    await created(controller)
    first, second = a_component(timeout=3.0), a_component("orders", 10001)
    await controller.replace_network("shop", a_network("shop", first, second))
    (event,) = [e for e in await told(controller) if e.event == "replaced"]
    assert event.changes == {"components[catalog]": ("defined", "changed"), "components[orders]": (None, "defined")}


async def test_steps_tell_what_a_person_said_and_what_followed_by_itself(
    managers: Managers, controller: Controller
) -> None:
    steps = (Step(Mode.SHADOW, 0.1, timeout=60.0), Step(Mode.SHADOW, 0.2), Step(Mode.SHADOW, 0.3, hold=600.0))
    await running(managers, controller, name="p", steps=steps)
    with acting(ANNA):
        await controller.rollout("shop", "p", RolloutAction.PROMOTE)
        await controller.rollout("shop", "p", RolloutAction.PAUSE)
        await controller.rollout("shop", "p", RolloutAction.RESUME)
    managers.judge.says = a_verdict("PASS")
    await judged(controller, managers, acts=4)
    managers.judge.says = a_verdict("FAIL")
    events = await judged(controller, managers, acts=5)
    assert brief(events) == [
        "rollout promote",
        "rollout pause",
        "rollout resume",
        "rollout next step",
        "verdict taken back",
    ]
    assert [e.who for e in events] == [ANNA, ANNA, ANNA, SYSTEM, SYSTEM]
    assert events[0].changes["rollout"] == ("step 1 of 3, running", "step 2 of 3, running")
    assert "PASS" in events[3].why
    assert "FAIL" in events[4].why
    assert events[4].changes["trafficShadowingPercentage"] == (0.3, 0.0)


async def test_a_move_to_another_node_is_told(managers: Managers, controller: Controller) -> None:
    runtimes = managers.put_up("a", "b")
    for runtime in runtimes.values():
        runtime.refuse_start = UnavailableError("the engine is away")
    first = runtimes["a"].refuse_start
    profile = await created(controller)
    at = shadow(managers, profile).node
    runtimes["b" if at == "a" else "a"].refuse_start = None
    await until(lambda: mirrored(managers) or shadow(managers, profile).ended)
    events = [e for e in await told(controller) if e.event == "moved"]
    assert first is not None
    assert [(e.before, e.after) for e in events] == [("Pending", "Pending")]
    assert "could not start it: the engine is away" in events[0].why
    assert "moves from node" in events[0].what


async def test_what_writes_no_row_is_told_soon(managers: Managers, controller: Controller) -> None:
    await running(managers, controller)
    again = await managers.restart()
    await until(lambda: mirrored(managers))
    query = replace(ANY, network_id=managers.controller._registry.find("shop").network.id)
    assert "found alive" not in str((await managers.store.events(query)).events)
    await managers.clock.advance(EVERY)
    await until(lambda: not managers.controller._context.parts.store._noted)
    kept = (await managers.store.events(query)).events
    (alive,) = [e for _, e in kept if e.event == "manager restarted, found alive"]
    assert (alive.before, alive.after, alive.who) == ("Running", "Running", SYSTEM)
    assert await told(again) == [e for _, e in kept]


async def test_the_trail_of_a_deleted_network_tells_who_deleted_it(managers: Managers, controller: Controller) -> None:
    profile, _ = await running(managers, controller, name="p")
    network = (await controller.network("shop")).id
    with acting(ANNA):
        await controller.delete_network("shop")
    again = await managers.restart()
    for ref in ("shop", network):
        events = await told(again, ref)
        assert brief(events)[-3:] == ["network deleted", "instance network deleted", "network gone"]
        assert events[-3].who == ANNA
    assert brief(await told(again, network, profile="p")) == brief(await told(again, network, profile=profile))
    # A new network of the name has a trail of its own.
    await again.create_network(a_network())
    assert brief(await told(again)) == ["network created"]
    assert len(await told(again, network)) == len(events)


async def test_who_is_not_known_is_not_found(managers: Managers, controller: Controller) -> None:
    profile = await created(controller, percentage=0.0)
    assert await told(controller, profile=profile, kind=AuditKind.FAULT) == []
    for filters in ({"profile": "cataloge"}, {"instance": "i"}, {"profile": profile, "instance": "i"}):
        with pytest.raises(NotFoundError, match="the audit trail has no"):
            await told(controller, **filters)
    with pytest.raises(NotFoundError, match="there is no network"):
        await told(controller, "shoppe")


async def test_what_a_full_disk_does_not_take_is_written_later(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, _ = await running(managers, controller)
    real = managers.store.apply

    async def full(changes: Changes) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(managers.store, "apply", full)
    with pytest.raises(StoreError):
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.9))
    await managers.clock.advance(601)
    await done(managers)
    assert "TTL over" not in str(await told(controller))
    monkeypatch.setattr(managers.store, "apply", real)
    events = await told(controller)
    assert brief(events)[-2:] == ["instance ready", "instance TTL over"]


async def test_what_waits_for_the_disk_is_bounded(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.create_network(a_network())
    (event,) = await told(controller)
    monkeypatch.setattr(module, "MOST_NOTED", 3)
    store = controller._context.parts.store
    store.note(*(replace(event, event=str(number)) for number in range(5)))
    assert [e.event for e in await told(controller)] == ["created", "2", "3", "4"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1, 3))
async def test_after_a_kill_the_trail_tells_of_each_row_what_made_it_so(
    managers: Managers, number: int, when: str
) -> None:
    await managers.start()
    reached = kill_at(managers, number, when=when)
    living = asyncio.create_task(Life(managers).run())
    dying = asyncio.create_task(reached.wait())
    await asyncio.wait((living, dying), return_when=asyncio.FIRST_COMPLETED)
    await settle()
    await managers.crash()
    for task in (living, dying):
        task.cancel()
    await asyncio.gather(living, dying, return_exceptions=True)

    await managers.store.open()
    contents = await managers.store.load()
    for network in contents.networks:
        kept = [e for _, e in (await managers.store.events(replace(ANY, network_id=network.id))).events]
        made = {e.profile_id for e in kept if (e.kind, e.event) == (AuditKind.PROFILE, "created")}
        gone = {e.profile_id for e in kept if (e.kind, e.event) == (AuditKind.PROFILE, "gone")}
        assert made - gone == {p.id for p in contents.profiles}
        assert contents.ending_profiles == {e.profile_id for e in kept if e.event == "deleted"} - gone
        for instance in contents.instances:
            last = [e for e in kept if e.instance_id == instance.id and e.kind is AuditKind.INSTANCE][-1]
            assert last.after == instance.status.value
        faults = {e.fault_id for e in kept if e.event == "injected"} - {e.fault_id for e in kept if e.event == "over"}
        assert faults == {f.id for f in contents.faults if not f.from_profile}
    await managers.store.close()
    await managers.start()
    await until(lambda: all_at_rest(managers))
