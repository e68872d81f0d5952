"""A start that takes minutes before anything runs: told while it lasts, given up when nobody wants it any more."""

import asyncio
from datetime import datetime

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import FakeRuntime, until
from tests.unit.lifecycle.test_life import PENDING, RUNNING, created, done, reopened, shadow
from xds_server.errors import RuntimeFailedError
from xds_server.lifecycle import actor
from xds_server.lifecycle.controller import Controller
from xds_server.model.ids import InstanceID
from xds_server.model.profile import VariantSpec
from xds_server.runtime.base import Started


class SlowRuntime(FakeRuntime):
    """Says what it is at until it may start."""

    said = "pulling app:1, 1 of 3 layers"
    given_up: asyncio.Event

    def preparing(self, _: InstanceID) -> str:
        return "" if self.may_start.is_set() else self.said

    def give_up(self, _: InstanceID) -> None:
        self.given_up.set()

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:
        waits = [asyncio.create_task(event.wait()) for event in (self.may_start, self.given_up)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        if self.given_up.is_set():
            raise RuntimeFailedError("it was given up")
        return await super().start(instance_id, spec, deadline=deadline)


@pytest.fixture
def slow(managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch) -> SlowRuntime:
    monkeypatch.setattr(actor, "TELL", 0.01)
    made = SlowRuntime(managers.world)
    made.given_up = asyncio.Event()
    made.may_start.clear()
    managers.runtimes["process"] = made
    return made


async def test_a_pending_shadow_says_what_its_start_is_at_and_no_row_is_written_for_it(
    managers: Managers, controller: Controller, slow: SlowRuntime
) -> None:
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).reason == slow.said)
    slow.said = "pulling app:1, 2 of 3 layers"
    await until(lambda: shadow(managers, profile).reason == slow.said)
    assert shadow(managers, profile).status is PENDING
    assert [row.reason for row in (await managers.store.load()).instances] == [""]
    slow.may_start.set()
    await until(lambda: shadow(managers, profile).status is RUNNING)
    assert shadow(managers, profile).reason == ""
    await managers.written()


async def test_the_end_of_a_shadow_does_not_wait_for_its_pull(
    managers: Managers, controller: Controller, slow: SlowRuntime
) -> None:
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).reason)
    await controller.delete_profile("shop", profile)
    await done(managers)
    assert slow.given_up.is_set()
    assert not managers.world.alive


async def test_a_manager_that_leaves_during_a_pull_leaves_its_shadow_to_be_started_by_the_next_one(
    managers: Managers, controller: Controller, slow: SlowRuntime
) -> None:
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).reason)
    await controller.stop(keep_shadows=True)
    assert slow.given_up.is_set()
    rows = (await reopened(managers)).instances
    assert [(row.status, row.reason, bool(row.handle)) for row in rows] == [(PENDING, "", False)]
    await managers.start()
    await until(lambda: shadow(managers, profile).status is RUNNING)
