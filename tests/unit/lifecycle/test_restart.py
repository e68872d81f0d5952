"""A manager that was killed at any point, and the one that comes after it on the same disk and machine."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import START, a_component, a_network, a_profile, settle, until
from tests.unit.lifecycle.test_life import created, done, mirrored, running, shadow
from xds_server.cache.snapshot import Snapshot
from xds_server.errors import NotFoundError, StoreError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.ids import InstanceID
from xds_server.model.profile import Abort, Delay, FaultParameters, ProcessSpec, ShadowingProfile, Variant
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.store.base import Changes
from xds_server.store.sqlite import SqliteStore

RUNNING, PENDING = InstanceStatus.RUNNING, InstanceStatus.PENDING
STOPPED, FAILED = InstanceStatus.STOPPED, InstanceStatus.FAILED


def served(managers: Managers) -> Snapshot:
    snapshot = managers.cache.get("shop")
    assert snapshot is not None
    return snapshot


def an_instance(profile: ShadowingProfile) -> ShadowInstance:
    return ShadowInstance(
        id=InstanceID("i1"),
        network_id=profile.network_id,
        profile_id=profile.id,
        component_name=profile.component_name,
        variant="v2",
        node="here",
        status=PENDING,
        created_at=START,
        expires_at=START + timedelta(seconds=600),
    )


async def test_a_ttl_that_was_accepted_and_not_told_reaches_the_runtime(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, instance = await running(managers, controller)

    async def killed(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(managers.runtime, "extend", killed)
    await controller.change_profile("shop", profile, ProfileChange(ttl=1200.0))
    await managers.restart()
    deadline = START + timedelta(seconds=1230)
    await until(lambda: ("extend", instance.id, deadline.isoformat()) in managers.world.log)


async def test_envoys_see_no_change(managers: Managers, controller: Controller) -> None:
    await controller.create_network(a_network("shop", a_component(), a_component("cart", 10001)))
    spec = ProcessSpec(("run",))
    faults = FaultParameters(delay=Delay(0.2, 50.0))
    for component in ("catalog", "cart"):
        await controller.create_profile(
            "shop",
            a_profile(component_name=component, variants=(Variant("v2", spec), Variant("v3", spec)), faults=faults),
        )
    await until(lambda: len(mirrored(managers)) == 4)
    await controller.inject_fault("shop", mirrored(managers)[0], FaultParameters(abort=Abort(503)), duration=60.0)
    before = served(managers)

    await managers.restart()
    assert served(managers) == before
    assert served(managers).versions == before.versions


async def test_nothing_is_published_before_every_shadow_was_looked_at(
    managers: Managers, controller: Controller
) -> None:
    _, instance = await running(managers, controller)
    await managers.crash()
    managers.world.log.clear()
    await managers.start()
    assert managers.world.log[0] == ("publish", instance.id)


async def test_a_running_shadow_goes_on_with_its_ttl(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    await managers.crash()
    await managers.clock.advance(300)
    await managers.start()
    assert shadow(managers, profile) == instance

    await managers.clock.advance(301)
    await done(managers)
    assert shadow(managers, profile).status is STOPPED
    assert not managers.world.alive


async def test_a_ttl_that_ran_out_while_nobody_looked_ends_the_shadow(
    managers: Managers, controller: Controller
) -> None:
    profile, _ = await running(managers, controller)
    await managers.crash()
    await managers.clock.advance(601)
    await managers.start()
    assert mirrored(managers) == ()
    await done(managers)
    assert shadow(managers, profile).status is STOPPED
    assert not managers.world.alive


async def test_a_shadow_that_died_meanwhile_is_failed_with_its_last_words(
    managers: Managers, controller: Controller
) -> None:
    profile, instance = await running(managers, controller)
    await managers.crash()
    managers.world.kill(instance.id, signal=11)
    await managers.start()
    assert mirrored(managers) == ()
    await done(managers)
    now = shadow(managers, profile)
    assert (now.status, now.log_tail) == (FAILED, ("last words",))
    assert now.reason == "while the manager was away: killed by SIGSEGV"


async def test_a_shadow_that_dies_after_the_restart_is_noticed(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    await managers.restart()
    managers.world.kill(instance.id, exit_code=1)
    await done(managers)
    assert shadow(managers, profile).status is FAILED
    assert mirrored(managers) == ()


async def test_a_look_that_takes_too_long_counts_as_dead(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, _ = await running(managers, controller)
    await managers.crash()
    managers.runtime.slow_look = True
    monkeypatch.setattr("xds_server.lifecycle.restore.LOOK_TIMEOUT", 0.01)
    await managers.start()
    await done(managers)
    assert shadow(managers, profile).status is FAILED
    assert not managers.world.alive


async def test_killed_before_the_start_the_shadow_is_started_again(managers: Managers, controller: Controller) -> None:
    managers.runtime.may_start.clear()
    profile = await created(controller)
    await managers.crash()
    await managers.start()
    await until(lambda: mirrored(managers))
    assert shadow(managers, profile).status is RUNNING
    assert len(managers.world.alive) == 1


async def test_killed_between_the_start_and_the_record_the_orphan_is_ended(
    managers: Managers, controller: Controller
) -> None:
    profile = await created(controller, percentage=0.0)
    await managers.crash()
    # What such a crash leaves behind: a row without a handle, and a process that nobody knows.
    managers.renew()
    await managers.store.open()
    rows = await managers.store.load()
    await managers.store.apply(Changes(instances=(an_instance(rows.profiles[0]),)))
    await managers.store.close()
    managers.world.alive["i1"] = asyncio.Event()
    managers.renew()
    await managers.start()
    await until(lambda: mirrored(managers))
    assert ("sweep", "i1") in managers.world.log
    assert [e[0] for e in managers.world.log if e[1:2] == ("i1",)][:2] == ["sweep", "start"]
    assert shadow(managers, profile).status is RUNNING


async def test_killed_before_it_was_ready_it_is_waited_for(managers: Managers, controller: Controller) -> None:
    managers.runtime.is_ready.clear()
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).handle)
    await settle()
    await managers.crash()
    await managers.start()
    await until(lambda: mirrored(managers))
    assert [e[0] for e in managers.world.log].count("start") == 1
    assert shadow(managers, profile).status is RUNNING


async def test_killed_during_the_end_the_end_is_finished(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    managers.board.acked.clear()
    await managers.clock.advance(601)
    await until(lambda: managers.world.log[-1] == ("publish",))
    await managers.crash()
    assert instance.id in managers.world.alive
    await managers.start()
    await done(managers)
    assert not managers.world.alive
    assert shadow(managers, profile).handle == {}
    assert (await managers.store.load()).instances[0].handle == {}


async def test_killed_during_a_deletion_the_deletion_is_finished(managers: Managers, controller: Controller) -> None:
    profile, _ = await running(managers, controller)
    managers.board.acked.clear()
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await until(lambda: managers.world.log[-1] == ("publish",))
    await managers.crash()
    deletion.cancel()
    again = await managers.start()
    with pytest.raises(NotFoundError):
        await again.profile("shop", profile)
    await until(lambda: not managers.controller._jobs)
    assert not managers.world.alive
    assert (await managers.store.load()).profiles == ()


async def test_killed_during_the_deletion_of_a_network_it_is_finished(
    managers: Managers, controller: Controller
) -> None:
    await running(managers, controller)
    managers.board.acked.clear()
    deletion = asyncio.create_task(controller.delete_network("shop"))
    await until(lambda: managers.world.log[-1] == ("publish",))
    await managers.crash()
    deletion.cancel()
    again = await managers.start()
    assert await again.networks() == []
    await until(lambda: not managers.controller._jobs)
    assert not managers.world.alive
    assert (await managers.store.load()).networks == ()


async def test_a_fault_goes_on_and_ends_at_its_time(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    fault = await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(503)), duration=60.0)
    assert fault.expires_at == START + timedelta(seconds=60)
    await managers.crash()
    await managers.clock.advance(30)
    again = await managers.start()
    assert list(await again.faults("shop")) == [fault]
    await managers.clock.advance(31)
    assert list(await again.faults("shop")) == []
    await until(lambda: not managers.controller._jobs)
    assert (await managers.store.load()).faults == ()


async def test_a_fault_whose_time_was_over_is_not_published_again(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    clean = served(managers)
    await controller.inject_fault("shop", instance.id, FaultParameters(abort=Abort(503)), duration=60.0)
    assert served(managers) != clean
    await managers.crash()
    await managers.clock.advance(61)
    await managers.start()
    assert served(managers) == clean
    assert (await managers.store.load()).faults == ()


async def test_comparisons_are_found_again(managers: Managers, controller: Controller) -> None:
    profile = await created(controller)
    managers.collector.data[profile] = b"a thousand pairs"
    await managers.clock.advance(6)
    await until(lambda: managers.controller._context.summaries._written)
    await managers.restart()
    assert managers.collector.data == {profile: b"a thousand pairs"}


async def test_comparisons_are_written_at_the_end(managers: Managers, controller: Controller) -> None:
    profile = await created(controller)
    managers.collector.data[profile] = b"the last pairs"
    await managers.stop()
    managers.renew()
    await managers.start()
    assert managers.collector.data == {profile: b"the last pairs"}


async def test_a_comparison_that_cannot_be_read_stops_nothing(
    managers: Managers, controller: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = await created(controller)
    managers.collector.data[profile] = b"broken"
    await managers.stop()
    managers.renew()
    again = await managers.start()
    assert managers.collector.data == {}
    assert len(await again.profiles("shop")) == 1


async def test_names_ids_and_revisions_are_found_again(managers: Managers, controller: Controller) -> None:
    network = await controller.create_network(a_network("shop", a_component(), a_component("cart", 10001)))
    view, _ = await controller.create_profile("shop", a_profile(name="v2 of catalog", percentage=0.0))
    labelled = await controller.replace_network("shop", replace(network, labels={"team": "a"}))
    again = await managers.restart()
    assert await again.networks() == [labelled]
    assert (await again.profile("shop", "v2 of catalog")).profile == view.profile


async def test_a_broken_database_is_one_clear_error(managers: Managers) -> None:
    (managers.state / "shadowmesh.db").write_bytes(b"this is no database, but it is long enough" * 100)
    with pytest.raises(StoreError, match="not a database"):
        await managers.controller.start()


async def test_a_second_manager_on_the_same_disk_is_refused(managers: Managers, controller: Controller) -> None:
    second = SqliteStore(managers.state / "shadowmesh.db")
    with pytest.raises(StoreError, match="another manager"):
        await second.open()


async def test_a_shadow_of_a_runtime_that_is_not_there_any_more_is_given_up(
    managers: Managers, controller: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, _ = await running(managers, controller)
    await managers.crash()
    managers.runtimes.clear()
    await managers.start()
    now = shadow(managers, profile)
    assert (now.status, now.handle) == (FAILED, {})
    assert "no process runtime" in now.reason
    assert mirrored(managers) == ()
    assert (await managers.store.load()).instances == (now,)
