"""The life of a shadow, from the profile to its end, through the controller."""

import asyncio
from datetime import timedelta

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import START, a_network, a_profile, settle, until
from xds_server.errors import RuntimeFailedError, UnavailableError
from xds_server.lifecycle.archive import QUIET
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.views import InstanceView, ProfileChange
from xds_server.model.profile import ProcessSpec, Variant
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.model.state import NetworkState
from xds_server.runtime.base import Usage
from xds_server.store.base import Contents

RUNNING, PENDING = InstanceStatus.RUNNING, InstanceStatus.PENDING
STOPPED, FAILED = InstanceStatus.STOPPED, InstanceStatus.FAILED


async def instances(controller: Controller, profile: str) -> list[ShadowInstance]:
    return [view.instance for view in (await controller.profile("shop", profile)).instances]


async def created(controller: Controller, **fields: object) -> str:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(**fields))
    return view.profile.id


async def running(managers: Managers, controller: Controller, **fields: object) -> tuple[str, ShadowInstance]:
    profile = await created(controller, **fields)
    await until(lambda: shadow(managers, profile).status is RUNNING)
    await until(lambda: mirrored(managers))
    await managers.written()
    return profile, shadow(managers, profile)


def shadow(managers: Managers, profile: str) -> ShadowInstance:
    """The newest instance of a profile, as it is now."""
    record = managers.controller._registry.find("shop")
    return [i for i in record.instances.values() if i.profile_id == profile][-1]


def mirrored(managers: Managers) -> tuple[str, ...]:
    """The shadows that were mirrored to at the last publish."""
    return next((entry[1:] for entry in reversed(managers.world.log) if entry[0] == "publish"), ())


async def done(managers: Managers) -> None:
    await until(lambda: not len(managers.controller._shadows))


async def test_a_shadow_is_mirrored_to_only_after_its_health_check(managers: Managers, controller: Controller) -> None:
    managers.runtime.is_ready.clear()
    profile = await created(controller)
    await until(lambda: managers.world.alive)
    await until(lambda: shadow(managers, profile).handle)
    assert shadow(managers, profile).status is PENDING
    assert mirrored(managers) == ()

    managers.runtime.is_ready.set()
    await until(lambda: mirrored(managers))
    now = shadow(managers, profile)
    assert now.status is RUNNING
    assert mirrored(managers) == (now.id,)
    assert now.node == "here"
    assert now.expires_at == START + timedelta(seconds=600)


async def test_the_row_of_a_shadow_is_written_before_it_is_started(managers: Managers, controller: Controller) -> None:
    managers.runtime.may_start.clear()
    profile = await created(controller)
    rows = await managers.store.load()
    assert [i.status for i in rows.instances] == [PENDING]
    assert [p.id for p in rows.profiles] == [profile]
    assert not managers.world.alive


async def test_a_profile_at_0_has_no_instance_until_it_is_raised(managers: Managers, controller: Controller) -> None:
    profile = await created(controller, percentage=0.0)
    assert await instances(controller, profile) == []

    await controller.change_profile("shop", profile, ProfileChange(percentage=0.1))
    await until(lambda: mirrored(managers))
    assert len(managers.world.alive) == 1


async def test_percentage_0_ends_the_mirroring_and_leaves_the_shadow(
    managers: Managers, controller: Controller
) -> None:
    profile, instance = await running(managers, controller)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.0))
    await settle()
    state = managers.controller._registry.find("shop").state()
    assert state.profiles[0].profile.percentage == 0.0
    assert shadow(managers, profile).status is RUNNING

    await controller.change_profile("shop", profile, ProfileChange(percentage=0.7))
    await settle()
    assert [i.id for i in await instances(controller, profile)] == [instance.id]
    assert [entry[0] for entry in managers.world.log].count("start") == 1


async def test_raising_the_percentage_makes_an_instance_when_none_is_left(
    managers: Managers, controller: Controller
) -> None:
    profile, first = await running(managers, controller)
    await managers.clock.advance(601)
    await done(managers)

    await controller.change_profile("shop", profile, ProfileChange(percentage=0.6))
    await until(lambda: len(mirrored(managers)) == 1)
    assert mirrored(managers) != (first.id,)
    assert [i.status for i in await instances(controller, profile)] == [STOPPED, RUNNING]


async def test_lowering_the_percentage_makes_no_instance(managers: Managers, controller: Controller) -> None:
    profile, _ = await running(managers, controller)
    await managers.clock.advance(601)
    await done(managers)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.1))
    await settle()
    assert not managers.world.alive


async def test_mirroring_ends_and_is_acked_before_the_process_is_stopped(
    managers: Managers, controller: Controller
) -> None:
    _, instance = await running(managers, controller)
    managers.world.log.clear()
    managers.board.acked.clear()
    await managers.clock.advance(601)
    await until(lambda: managers.world.log)
    assert managers.world.log == [("publish",)]
    assert instance.id in managers.world.alive

    managers.board.acked.set()
    await done(managers)
    assert managers.world.log == [("publish",), ("settled",), ("stop", instance.id)]


async def test_the_ttl_ends_a_shadow_and_keeps_its_profile(managers: Managers, controller: Controller) -> None:
    profile, _ = await running(managers, controller)
    await managers.clock.advance(599)
    assert shadow(managers, profile).status is RUNNING
    await managers.clock.advance(2)
    await done(managers)
    (now,) = await instances(controller, profile)
    assert now.status is STOPPED
    assert "time to live" in now.reason
    assert now.handle == {}
    assert now.stopped_at == START + timedelta(seconds=600)


async def test_a_new_ttl_counts_from_the_creation(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    await controller.change_profile("shop", profile, ProfileChange(ttl=1200.0))
    await managers.clock.advance(700)
    assert shadow(managers, profile).status is RUNNING
    assert shadow(managers, profile).expires_at == START + timedelta(seconds=1200)
    assert [e[:2] for e in managers.world.log if e[0] == "extend"] == [("extend", instance.id)]

    await controller.change_profile("shop", profile, ProfileChange(ttl=60.0))
    await done(managers)
    assert shadow(managers, profile).status is STOPPED


async def test_a_ttl_that_changes_during_the_start_reaches_the_runtime(
    managers: Managers, controller: Controller
) -> None:
    managers.runtime.may_start.clear()
    profile = await created(controller)
    await controller.change_profile("shop", profile, ProfileChange(ttl=1200.0))
    managers.runtime.may_start.set()
    await until(lambda: mirrored(managers))
    deadline = START + timedelta(seconds=1230)
    assert [e[2] for e in managers.world.log if e[0] == "extend"] == [deadline.isoformat()]


async def test_a_shadow_that_dies_is_no_longer_mirrored_to_and_failed_with_its_last_words(
    managers: Managers, controller: Controller
) -> None:
    profile, instance = await running(managers, controller)
    managers.world.log.clear()
    managers.world.kill(instance.id, exit_code=3)
    await settle()
    assert managers.world.log[0] == ("publish",)
    await done(managers)
    (now,) = await instances(controller, profile)
    assert now.status is FAILED
    assert now.reason == "exited with code 3"
    assert now.log_tail == ("last words",)
    assert (await managers.store.load()).instances == (now,)


async def test_a_signal_is_named(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    managers.world.kill(instance.id, signal=9)
    await done(managers)
    assert shadow(managers, profile).reason == "killed by SIGKILL"


async def test_a_shadow_that_never_gets_ready_is_failed_and_ended(managers: Managers, controller: Controller) -> None:
    managers.runtime.refuse_ready = RuntimeFailedError("no answer on /health", log=("listening on another port",))
    profile = await created(controller)
    await done(managers)
    now = shadow(managers, profile)
    assert now.status is FAILED
    assert "no answer" in now.reason
    assert now.log_tail == ("listening on another port",)
    assert not managers.world.alive
    assert mirrored(managers) == ()


async def test_a_shadow_that_cannot_be_started_is_failed(managers: Managers, controller: Controller) -> None:
    managers.runtime.refuse_start = UnavailableError("no port is free")
    profile = await created(controller)
    await done(managers)
    assert shadow(managers, profile).status is FAILED
    assert "no port" in shadow(managers, profile).reason


async def test_an_error_of_ours_fails_the_shadow_and_nothing_else(
    managers: Managers, controller: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    managers.runtime.refuse_start = ZeroDivisionError("planted")
    profile = await created(controller)
    await done(managers)
    assert shadow(managers, profile).status is FAILED
    assert "ZeroDivisionError" in shadow(managers, profile).reason


async def test_a_profile_deleted_during_the_start_leaves_no_process(managers: Managers, controller: Controller) -> None:
    managers.runtime.may_start.clear()
    profile = await created(controller)
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await settle()
    managers.runtime.may_start.set()
    await deletion
    assert not managers.world.alive
    assert ("start",) in {e[:1] for e in managers.world.log}
    assert (await managers.store.load()).instances == ()


async def test_a_deleted_profile_is_gone_when_the_call_returns(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    await controller.delete_profile("shop", profile)
    assert not managers.world.alive
    assert await controller.profiles("shop") == []
    contents = await managers.store.load()
    assert (contents.profiles, contents.instances) == ((), ())
    assert managers.collector.lingering == [profile]
    # What is on its way is taken in for a while; then nothing of it any more.
    assert managers.collector.forgotten == []
    await managers.clock.advance(QUIET + 2.0)
    assert managers.collector.forgotten == [profile]
    order = [e[0] for e in managers.world.log]
    assert order[-2:] == ["settled", "stop"]
    assert order.index("publish") < order.index("settled")
    assert instance.id not in mirrored(managers)


async def test_a_deleted_network_takes_its_shadows_along(managers: Managers, controller: Controller) -> None:
    await running(managers, controller)
    await controller.delete_network("shop")
    assert not managers.world.alive
    assert await controller.networks() == []
    assert managers.cache.get("shop") is None
    contents = await managers.store.load()
    assert (contents.networks, contents.profiles, contents.instances) == ((), (), ())


async def test_each_variant_has_an_instance(managers: Managers, controller: Controller) -> None:
    spec = ProcessSpec(("run",))
    await created(controller, variants=(Variant("v2", spec), Variant("v3", spec)))
    await until(lambda: len(mirrored(managers)) == 2)


async def test_a_stop_that_fails_is_tried_again(managers: Managers, controller: Controller) -> None:
    profile, _ = await running(managers, controller)
    managers.runtime.refuse_stop = 1
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await until(lambda: managers.runtime.refuse_stop == 0)
    await managers.clock.advance(1)
    await deletion
    assert not managers.world.alive


async def test_stopping_the_manager_ends_mirroring_then_shadows(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    managers.world.log.clear()
    await managers.stop()
    assert managers.world.log == [("publish",), ("settled",), ("stop", instance.id)]
    await managers.stop()


async def test_a_shadow_that_does_not_end_holds_up_no_stop_and_is_ended_by_the_next_manager(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, instance = await running(managers, controller)

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(managers.runtime, "stop", never)
    await controller.stop(grace=0.05)
    assert list(managers.world.alive) == [instance.id]
    rows = (await reopened(managers)).instances
    assert [(row.status, bool(row.handle)) for row in rows] == [(STOPPED, True)]
    await managers.start()
    await until(lambda: not managers.world.alive)


async def test_a_start_that_takes_long_holds_up_no_hand_over_and_is_begun_anew(
    managers: Managers, controller: Controller
) -> None:
    managers.runtime.may_start.clear()
    profile = await created(controller)
    await controller.stop(keep_shadows=True, keep_mirroring=True, grace=0.05)
    rows = (await reopened(managers)).instances
    assert [(row.status, bool(row.handle)) for row in rows] == [(PENDING, False)]
    await managers.start()
    await until(lambda: mirrored(managers))
    assert list(managers.world.alive) == [shadow(managers, profile).id]


async def test_a_deletion_under_way_holds_up_no_hand_over_and_is_finished(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, _ = await running(managers, controller)

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(managers.runtime, "stop", never)
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await settle()
    await controller.stop(keep_shadows=True, keep_mirroring=True, grace=0.05)
    deletion.cancel()
    await asyncio.gather(deletion, return_exceptions=True)
    managers.renew()
    again = await managers.start()
    await until(lambda: not managers.world.alive)
    await until(lambda: not managers.controller._jobs)
    assert await again.profiles("shop") == []


async def reopened(managers: Managers) -> Contents:
    """Return what a new manager, which is not started, finds on the disk."""
    managers.renew()
    await managers.store.open()
    contents = await managers.store.load()
    await managers.store.close()
    return contents


async def test_stopping_the_manager_can_keep_the_shadows(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    await managers.stop(keep_shadows=True)
    assert list(managers.world.alive) == [instance.id]

    managers.renew()
    await managers.start()
    assert shadow(managers, profile).id == instance.id
    assert mirrored(managers) == (instance.id,)


async def test_a_manager_that_leaves_its_shadows_publishes_shares_of_0_and_waits_for_the_envoys(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(managers, controller)
    publish = managers.publisher.publish

    def noted(state: NetworkState) -> None:
        publish(state)
        managers.world.log.append(("shares", *(str(active.profile.percentage) for active in state.profiles)))

    monkeypatch.setattr(managers.publisher, "publish", noted)
    managers.world.log.clear()
    await managers.stop(keep_shadows=True)
    told = [entry for entry in managers.world.log if entry[0] in {"shares", "settled"}]
    assert told[:2] == [("shares", "0.0"), ("settled",)]
    assert {entry for entry in told if entry[0] == "shares"} == {("shares", "0.0")}


async def test_a_manager_that_stops_takes_no_new_work(managers: Managers, controller: Controller) -> None:
    await managers.stop()
    with pytest.raises(UnavailableError):
        await controller.create_network(a_network())


async def test_only_the_newest_ended_instances_are_kept(managers: Managers, controller: Controller) -> None:
    profile = await created(controller, percentage=0.0)
    for _ in range(13):
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.5))
        await until(lambda: mirrored(managers))
        await managers.clock.advance(601)
        await done(managers)
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.0))
    kept = await instances(controller, profile)
    assert len(kept) == 10
    assert len((await managers.store.load()).instances) == 10


async def test_a_caller_that_goes_away_leaves_nothing_half_made(managers: Managers, controller: Controller) -> None:
    await controller.create_network(a_network())
    call = asyncio.create_task(controller.create_profile("shop", a_profile()))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: mirrored(managers))
    assert len((await managers.store.load()).profiles) == 1


async def test_usage_is_sampled_into_performance(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)

    async def view() -> InstanceView:
        return (await controller.profile("shop", profile)).instances[0]

    assert (await view()).performance.cpu is None
    for second, (cpu, rss) in enumerate(((0.0, 100), (0.5, 300), (0.6, 200)), start=1):
        managers.runtime.usages[instance.id] = Usage(cpu, rss)
        await managers.clock.advance(1)
        assert (await view()).performance.samples == second
    performance = (await view()).performance
    assert performance.cpu is not None
    assert performance.memory is not None
    assert performance.cpu.max == pytest.approx(0.5)
    assert performance.cpu.latest == pytest.approx(0.1)
    assert performance.cpu.mean == pytest.approx(0.3)
    assert (performance.memory.latest, performance.memory.mean, performance.memory.max) == (200, 200, 300)
