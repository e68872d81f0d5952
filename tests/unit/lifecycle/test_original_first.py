"""What only takes away is in effect although the disk does not take it, and is on record once it does."""

from typing import Any

import pytest

from tests.unit.lifecycle.conftest import Managers, Spoil
from tests.unit.lifecycle.fakes import a_network, a_profile, a_verdict, settle, until
from tests.unit.lifecycle.test_life import mirrored
from tests.unit.lifecycle.test_split_life import SPLIT, STEPPED, active, at, profile_of, running, weight
from tests.unit.lifecycle.test_verdicts import said
from xds_server.errors import NotFoundError, StoreError, UnrecordedError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.rollout import RolloutAction
from xds_server.lifecycle.unfinished import EVERY
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.audit import EventQuery
from xds_server.model.ids import NetworkID
from xds_server.model.judging import Judging, OnFail
from xds_server.model.profile import Abort, FaultParameters
from xds_server.model.rollout import RolloutState
from xds_server.model.shadow import InstanceStatus

FAULTS = FaultParameters(abort=Abort(503))


def everything(_: object) -> bool:
    return True


def of_users(changes: Any) -> bool:
    """The disk takes what actors and judges write, and nothing of the profiles."""
    return bool(changes.profiles or changes.ending_profiles or changes.ending_networks or changes.drop_faults)


async def room(managers: Managers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make room on the disk, and let the manager see it."""
    monkeypatch.undo()
    await managers.clock.advance(EVERY)
    await until(lambda: not len(managers.controller._context.parts.unfinished))
    await settle()


async def on_disk(managers: Managers) -> Any:
    """Return the one profile that is on disk."""
    (found,) = (await managers.store.load()).profiles
    return found


@pytest.mark.parametrize(
    ("fields", "change", "share", "weighs"),
    [
        ({}, ProfileChange(percentage=0.0), 0.0, None),
        ({}, ProfileChange(percentage=0.2), 0.2, None),
        (SPLIT, ProfileChange(weights={"v2": 0.0}), 0.5, 0.0),
        (SPLIT, ProfileChange(weights={"v2": 5.0}), 0.5, 5.0),
        ({"faults": FAULTS}, ProfileChange(faults=FaultParameters()), 0.5, None),
        ({}, ProfileChange(ttl=300.0), 0.5, None),
        ({"faults": FAULTS}, ProfileChange(percentage=0.0, ttl=300.0, faults=FaultParameters()), 0.0, None),
    ],
)
async def test_a_change_that_only_takes_away_is_in_effect_although_the_disk_is_full(  # noqa: PLR0917 - cases
    managers: Managers,
    controller: Controller,
    full: Spoil,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    change: ProfileChange,
    share: float,
    weighs: float | None,
) -> None:
    profile = await running(managers, controller, **fields)
    before = await on_disk(managers)
    full(everything)
    assert controller.owes() == ""
    for _ in range(2):  # whoever asks again is told the same again
        with pytest.raises(UnrecordedError, match=r"in effect now.*the disk is full") as told:
            await controller.change_profile("shop", profile, change)
        assert "recorded within seconds" in told.value.hint
        now = active(managers)
        assert now.profile.percentage == share
        assert weighs is None or weight(managers) == weighs
        assert change.faults is None or not now.shadows[0].faults
    assert "in effect now" in (await controller.status("shop")).problem
    assert controller.owes() == "not on record yet, of shop"
    assert await on_disk(managers) == before
    after = (await controller.profile("shop", profile)).profile
    assert after.revision == before.revision + 1
    await room(managers, monkeypatch)
    found = await managers.store.load()
    assert found.profiles == (after,)
    assert change.faults is None or not found.faults
    assert (found.instances[0].expires_at - found.instances[0].created_at).total_seconds() == (change.ttl or 600.0)
    assert (await controller.status("shop")).problem == ""
    assert controller.owes() == ""
    told_of = [e.event for _, e in (await controller.events("shop", EventQuery(network_id=NetworkID(""))))[1].events]
    assert told_of.count("changed") == 1
    assert (await controller.change_profile("shop", profile, change)).profile == after
    again = await managers.restart()
    assert (await again.profile("shop", profile)).profile == after


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({}, ProfileChange(percentage=0.6)),
        ({}, ProfileChange(ttl=1200.0)),
        ({}, ProfileChange(percentage=0.0, ttl=1200.0)),
        ({}, ProfileChange(faults=FAULTS)),
        ({"faults": FAULTS}, ProfileChange(faults=FaultParameters(abort=Abort(500)))),
        (SPLIT, ProfileChange(weights={"v2": 20.0})),
    ],
)
async def test_a_change_that_adds_anything_is_refused_as_a_whole_on_a_full_disk(
    managers: Managers, controller: Controller, full: Spoil, fields: dict[str, Any], change: ProfileChange
) -> None:
    profile = await running(managers, controller, **fields)
    before = active(managers)
    full(everything)
    with pytest.raises(StoreError) as told:
        await controller.change_profile("shop", profile, change)
    assert not isinstance(told.value, UnrecordedError)
    assert active(managers) == before


async def test_a_deleted_profile_is_gone_from_the_envoys_at_once_and_from_the_disk_once_there_is_room(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await running(managers, controller, name="p")
    full(everything)
    for _ in range(2):
        with pytest.raises(UnrecordedError, match="in effect now"):
            await controller.delete_profile("shop", "p")
        assert not mirrored(managers)
        assert not managers.world.alive
        assert await controller.profiles("shop") == []
    assert (await on_disk(managers)).id == profile
    with pytest.raises(StoreError):
        await controller.create_profile("shop", a_profile(name="p"))
    monkeypatch.undo()
    # Before anything was tried again: the new one takes the deletion along, and there is no clash.
    view, _ = await controller.create_profile("shop", a_profile(name="p"))
    assert profile in (await managers.store.load()).ending_profiles
    await room(managers, monkeypatch)
    assert (await on_disk(managers)).id == view.profile.id
    events = [
        e.event
        for _, e in (await controller.events("shop", EventQuery(network_id=NetworkID(""), profile=profile)))[1].events
    ]
    assert [e for e in events if e in {"deleted", "gone"}] == ["deleted", "gone"]
    with pytest.raises(NotFoundError):
        await controller.delete_profile("shop", profile)


async def test_a_deleted_network_keeps_its_envoys_on_the_original_until_that_is_on_record(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(managers, controller)
    full(everything)
    for _ in range(2):
        with pytest.raises(UnrecordedError, match="in effect now"):
            await controller.delete_network("shop")
        assert not mirrored(managers)
        assert not managers.world.alive
        assert managers.cache.get("shop") is not None
    await room(managers, monkeypatch)
    assert managers.cache.get("shop") is None
    assert (await managers.store.load()).networks == ()
    await controller.create_network(a_network())


async def test_a_lifted_fault_is_lifted_and_said_to_be_not_on_record(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(managers, controller)
    (shadow,) = active(managers).shadows
    fault = await controller.inject_fault("shop", shadow.instance_id, FAULTS)
    full(everything)
    with pytest.raises(UnrecordedError, match="in effect now"):
        await controller.lift_fault("shop", fault.id)
    assert not active(managers).shadows[0].faults
    with pytest.raises(StoreError):
        await controller.inject_fault("shop", shadow.instance_id, FAULTS)
    await room(managers, monkeypatch)
    assert (await managers.store.load()).faults == ()


async def test_the_end_of_a_fault_is_told_once_although_the_disk_was_full(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(managers, controller)
    (shadow,) = active(managers).shadows
    await controller.inject_fault("shop", shadow.instance_id, FAULTS, duration=5.0)
    full(everything)
    await managers.clock.advance(6)
    await until(lambda: not active(managers).shadows[0].faults)
    for _ in range(3):
        await managers.clock.advance(EVERY)
    await room(managers, monkeypatch)
    events = [e.event for _, e in (await controller.events("shop", EventQuery(network_id=NetworkID(""))))[1].events]
    assert events.count("over") == 1
    assert (await managers.store.load()).faults == ()


@pytest.mark.parametrize(
    ("action", "state"), [(RolloutAction.PAUSE, RolloutState.PAUSED), (RolloutAction.ABORT, RolloutState.ABORTED)]
)
async def test_a_rollout_is_paused_and_aborted_on_a_full_disk(  # noqa: PLR0917 - fixtures and cases
    managers: Managers,
    controller: Controller,
    full: Spoil,
    monkeypatch: pytest.MonkeyPatch,
    action: RolloutAction,
    state: RolloutState,
) -> None:
    profile = await running(managers, controller, **STEPPED)
    full(everything)
    with pytest.raises(StoreError) as refused:
        await controller.rollout("shop", profile, RolloutAction.PROMOTE)
    assert not isinstance(refused.value, UnrecordedError)
    with pytest.raises(UnrecordedError, match="in effect now"):
        await controller.rollout("shop", profile, action)
    assert at(managers) == (0, state)
    assert active(managers).profile.percentage == (0.2 if state is RolloutState.PAUSED else 0.0)
    await room(managers, monkeypatch)
    assert (await on_disk(managers)).rollout.state is state


@pytest.mark.parametrize("fields", [SPLIT, STEPPED, {"judging": True}])
async def test_what_a_verdict_takes_back_is_gone_from_the_envoys_first(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    if "judging" in fields:
        plain = a_profile()
        analysis = plain.analysis
        fields = {"analysis": type(analysis)(judging=Judging(on_fail=OnFail.STOP))}
    await running(managers, controller, **fields)
    full(of_users)
    await said(managers, a_verdict("FAIL"))
    await until(lambda: weight(managers) == 0 if fields is SPLIT else active(managers).profile.percentage == 0)
    assert "in effect now" in (await controller.status("shop")).problem
    await room(managers, monkeypatch)
    assert await on_disk(managers) == profile_of(managers)


async def test_the_end_of_a_ttl_ends_the_mirroring_on_a_full_disk(
    managers: Managers, controller: Controller, full: Spoil
) -> None:
    await running(managers, controller)
    full(everything)
    await managers.clock.advance(601)
    await until(lambda: not mirrored(managers) and not managers.world.alive)


async def test_a_later_change_takes_what_is_owed_along_and_wins(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await running(managers, controller, faults=FAULTS)
    full(everything)
    with pytest.raises(UnrecordedError):
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.0, faults=FaultParameters()))
    monkeypatch.undo()
    after = await controller.change_profile("shop", profile, ProfileChange(percentage=0.4))
    found = await managers.store.load()
    assert found.profiles == (after.profile,)
    assert found.faults == ()
    assert after.profile.faults == FaultParameters()
    await room(managers, monkeypatch)
    assert await on_disk(managers) == after.profile
    events = (await controller.events("shop", EventQuery(network_id=NetworkID(""), profile=profile)))[1].events
    changes = [dict(e.changes)["trafficShadowingPercentage"] for _, e in events if e.event == "changed"]
    assert changes == [(0.5, 0.0), (0.0, 0.4)]


async def test_what_a_crash_comes_before_is_as_it_was(managers: Managers, controller: Controller, full: Spoil) -> None:
    profile = await running(managers, controller)
    full(everything)
    with pytest.raises(UnrecordedError, match="the next one has what was before"):
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.0))
    await managers.crash()
    again = await managers.start()
    assert (await again.profile("shop", profile)).profile.percentage == 0.5


async def test_a_deletion_that_a_crash_comes_before_brings_no_mirroring_back(
    managers: Managers, controller: Controller, full: Spoil
) -> None:
    profile = await running(managers, controller)
    full(everything)
    with pytest.raises(UnrecordedError, match="in effect now"):
        await controller.delete_profile("shop", profile)
    await managers.crash()
    again = await managers.start()
    (instance,) = (await again.profile("shop", profile)).instances
    assert instance.instance.status is InstanceStatus.FAILED
    assert not mirrored(managers)
    assert not managers.world.alive


async def test_a_manager_starts_although_the_disk_takes_nothing(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(managers, controller)
    (shadow,) = active(managers).shadows
    await controller.inject_fault("shop", shadow.instance_id, FAULTS, duration=5.0)
    await managers.crash()
    await managers.clock.advance(6)
    full(everything)
    again = await managers.start()
    assert mirrored(managers) == (shadow.instance_id,)
    assert await again.faults("shop") == []
    assert "in effect now" in (await again.status("shop")).problem
    await room(managers, monkeypatch)
    assert (await managers.store.load()).faults == ()


async def test_an_orderly_stop_records_what_is_owed(
    managers: Managers, controller: Controller, full: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await running(managers, controller)
    full(everything)
    with pytest.raises(UnrecordedError):
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.0))
    monkeypatch.undo()
    await managers.stop(keep_shadows=True)
    managers.renew()
    again = await managers.start()
    assert (await again.profile("shop", profile)).profile.percentage == 0.0
