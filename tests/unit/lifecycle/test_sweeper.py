"""What was left behind while a node was away is ended when it is back."""

import asyncio
from collections.abc import Collection

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import until
from tests.unit.lifecycle.test_life import running, shadow
from xds_server.lifecycle.actor import STOP_TRIES
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.sweeper import EVERY
from xds_server.model.ids import InstanceID


async def test_a_shadow_that_could_not_be_ended_is_ended_later(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller, ttl=60.0)
    managers.runtime.refuse_stop = STOP_TRIES
    await managers.clock.advance(60.0)
    while managers.runtime.refuse_stop:
        await managers.clock.advance(1.0)
    await until(lambda: instance.id not in managers.controller._shadows.alive())
    assert shadow(managers, profile).ended
    assert shadow(managers, profile).handle
    assert instance.id in managers.world.alive
    await managers.clock.advance(2 * EVERY)
    await until(lambda: instance.id not in managers.world.alive)
    await until(lambda: not shadow(managers, profile).handle)
    await managers.written()


async def test_a_deleted_profiles_shadow_that_could_not_be_ended_is_ended_later(
    managers: Managers, controller: Controller
) -> None:
    profile, instance = await running(managers, controller)
    managers.runtime.refuse_stop = STOP_TRIES
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await until(lambda: managers.runtime.refuse_stop < STOP_TRIES)  # the disk has it; no time has passed
    while managers.runtime.refuse_stop:
        await managers.clock.advance(1.0)
    await deletion
    assert instance.id in managers.world.alive
    await managers.clock.advance(2 * EVERY)
    await until(lambda: instance.id not in managers.world.alive)


async def test_what_lives_or_is_being_started_is_left_alone(managers: Managers, controller: Controller) -> None:
    _, one = await running(managers, controller)
    await managers.clock.advance(3 * EVERY)
    assert one.id in managers.world.alive
    assert not [entry for entry in managers.world.log if entry[0] == "sweep"]


async def test_what_comes_while_a_node_is_still_listing_is_left_alone(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, listed = asyncio.Event(), asyncio.Event()
    real = managers.runtime.sweep

    async def slow(known: Collection[InstanceID]) -> list[InstanceID]:
        listing.set()
        await listed.wait()
        return await real(known)

    monkeypatch.setattr(managers.runtime, "sweep", slow)
    sweeping = asyncio.create_task(controller._context.sweeper.sweep())
    await listing.wait()
    _, instance = await running(managers, controller)
    listed.set()
    await sweeping
    assert instance.id in managers.world.alive
