"""What is refused, what is a conflict, and who wins when many write at once: nothing is ever half created."""

import asyncio
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import START, a_component, a_network, a_profile, settle, until
from tests.unit.lifecycle.test_life import created, done, mirrored, running
from xds_server.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    ShadowmeshError,
    StaleError,
    StoreError,
    UnavailableError,
)
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.network import Address, Protocol
from xds_server.model.profile import Abort, FaultParameters, ProcessSpec, Variant
from xds_server.model.shadow import InstanceStatus
from xds_server.store.base import Changes, Contents

RUN = ProcessSpec(("run",))


async def contents(managers: Managers) -> Contents:
    return await managers.store.load()


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"component_name": "nothing"}, InvalidError, "componentName"),
        ({"metrics": ("response_time", "beauty")}, InvalidError, "performanceMetrics[1]"),
        ({"percentage": math.nan}, InvalidError, "trafficShadowingPercentage"),
        ({"percentage": 1.01}, InvalidError, "trafficShadowingPercentage"),
        ({"percentage": -0.1}, InvalidError, "trafficShadowingPercentage"),
        ({"ttl": 0.0}, InvalidError, "shadowInstanceTTL"),
        ({"ttl": 31_536_000.0}, InvalidError, "shadowInstanceTTL"),
        ({"variants": ()}, InvalidError, "variants"),
        ({"variants": (Variant("v2", RUN), Variant("v2", RUN))}, InvalidError, "variants[1].name"),
        (
            {"variants": (Variant("v2", RUN), Variant("v3", ProcessSpec(("missing",))))},
            InvalidError,
            "variants[1].process.command",
        ),
        ({"name": "taken"}, ConflictError, "name"),
    ],
)
async def test_a_profile_that_cannot_be_is_refused_and_leaves_nothing(
    managers: Managers, controller: Controller, fields: dict[str, Any], error: type[ShadowmeshError], field: str
) -> None:
    await controller.create_network(a_network())
    await controller.create_profile("shop", a_profile(name="taken", percentage=0.1))
    await until(lambda: mirrored(managers))
    before = await contents(managers)
    with pytest.raises(error) as caught:
        await controller.create_profile("shop", a_profile(**({"percentage": 0.1} | fields)))
    assert caught.value.field == field
    assert caught.value.hint
    assert await contents(managers) == before
    assert len(managers.world.alive) == 1
    assert len(await controller.profiles("shop")) == 1


async def test_samples_above_all_requests_together_are_refused(managers: Managers, controller: Controller) -> None:
    await created(controller, percentage=0.6)
    with pytest.raises(ShadowmeshError, match="more than all"):
        await controller.create_profile("shop", a_profile(percentage=0.5))
    assert len(await controller.profiles("shop")) == 1


async def test_a_change_to_samples_above_all_requests_is_refused(managers: Managers, controller: Controller) -> None:
    await created(controller, percentage=0.6)
    view, _ = await controller.create_profile("shop", a_profile(percentage=0.4))
    with pytest.raises(ShadowmeshError):
        await controller.change_profile("shop", view.profile.id, ProfileChange(percentage=0.5))
    assert (await controller.profile("shop", view.profile.id)).profile.percentage == 0.4


async def test_a_profile_that_has_ended_leaves_its_share_to_others(managers: Managers, controller: Controller) -> None:
    first, _ = await running(managers, controller, percentage=0.6)
    await managers.clock.advance(601)
    await done(managers)
    await controller.create_profile("shop", a_profile(percentage=0.6))
    await until(lambda: mirrored(managers))
    # As long as it stays ended it may have any share and any time to live.
    await controller.change_profile("shop", first, ProfileChange(ttl=60.0))
    await controller.change_profile("shop", first, ProfileChange(percentage=0.55))
    # What brings it back is checked again.
    with pytest.raises(ConflictError, match="more than all"):
        await controller.change_profile("shop", first, ProfileChange(percentage=0.6))
    assert len(managers.world.alive) == 1


async def test_a_pending_profile_keeps_its_share(managers: Managers, controller: Controller) -> None:
    managers.runtime.is_ready.clear()
    await created(controller, percentage=0.6)
    with pytest.raises(ConflictError, match="more than all"):
        await controller.create_profile("shop", a_profile(percentage=0.6))


async def test_a_profile_that_has_ended_keeps_its_name(managers: Managers, controller: Controller) -> None:
    await running(managers, controller, name="v2")
    await managers.clock.advance(601)
    await done(managers)
    with pytest.raises(ConflictError) as caught:
        await controller.create_profile("shop", a_profile(name="v2"))
    assert caught.value.field == "name"


async def test_a_profile_that_has_ended_keeps_no_definition_and_no_fault_from_the_others(
    managers: Managers, controller: Controller
) -> None:
    await running(managers, controller, percentage=0.6)
    await managers.clock.advance(601)
    await done(managers)
    view, _ = await controller.create_profile("shop", a_profile(percentage=0.6))
    await until(lambda: mirrored(managers))
    await controller.replace_network("shop", a_network("shop", a_component(timeout=3.0)))
    await controller.inject_fault("shop", view.instances[0].instance.id, FaultParameters(abort=Abort(503)))


async def test_a_definition_that_an_ended_profile_does_not_fit_is_refused(
    managers: Managers, controller: Controller
) -> None:
    await running(managers, controller)
    await managers.clock.advance(601)
    await done(managers)
    with pytest.raises(ConflictError, match="does not fit"):
        await controller.replace_network("shop", a_network("shop", replace(a_component(), protocol=Protocol.GRPC)))


async def test_a_full_node_is_unavailable_and_leaves_nothing(managers: Managers, controller: Controller) -> None:
    managers.inventory.max_shadows = 1
    await controller.create_network(a_network())
    two = (Variant("v2", RUN), Variant("v3", RUN))
    with pytest.raises(UnavailableError):
        await controller.create_profile("shop", a_profile(variants=two))
    assert (await contents(managers)).profiles == ()
    await controller.create_profile("shop", a_profile(percentage=0.1))
    with pytest.raises(UnavailableError):
        await controller.create_profile("shop", a_profile(percentage=0.1))


async def test_two_creates_at_once_do_not_share_the_last_place(managers: Managers, controller: Controller) -> None:
    managers.inventory.max_shadows = 5
    for number in range(10):
        await controller.create_network(a_network(f"n{number}", a_component(port=10000 + number)))
    answers = await asyncio.gather(
        *(controller.create_profile(f"n{number}", a_profile()) for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, UnavailableError) for answer in answers) == 5
    await until(lambda: len(managers.world.alive) == 5)


async def test_a_place_is_free_again_when_its_shadow_has_ended(managers: Managers, controller: Controller) -> None:
    managers.inventory.max_shadows = 1
    profile, _ = await running(managers, controller)
    await controller.delete_profile("shop", profile)
    await controller.create_profile("shop", a_profile())
    await until(lambda: mirrored(managers))


async def test_a_failed_write_leaves_nothing(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.create_network(a_network())

    async def full(_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(managers.store, "apply", full)
    for attempt in (
        controller.create_network(a_network("other")),
        controller.create_profile("shop", a_profile()),
        controller.replace_network("shop", a_network("shop", a_component(port=10009))),
    ):
        with pytest.raises(StoreError):
            await attempt
    monkeypatch.undo()
    assert [n.name for n in await controller.networks()] == ["shop"]
    assert await controller.profiles("shop") == []
    assert not managers.world.alive
    await controller.create_network(a_network("other"))


async def test_a_full_disk_ends_a_shadow_all_the_same_and_is_shown(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await running(managers, controller)

    async def full(_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(managers.store, "apply", full)
    await managers.clock.advance(601)
    await done(managers)
    assert not managers.world.alive
    assert mirrored(managers) == ()
    assert "disk is full" in (await controller.status("shop")).problem


# Networks


async def test_a_name_is_taken_once(managers: Managers, controller: Controller) -> None:
    answers = await asyncio.gather(*(controller.create_network(a_network()) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, ConflictError) for answer in answers) == 19
    assert len((await contents(managers)).networks) == 1


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (a_component("catalog", 10001), "components[1].name"),
        (a_component("cart", 10000), "components[1].listen"),
        (a_component("cart", 10000, hosts=("a.example", "*")), "components[1].listen"),
        (replace(a_component("cart"), listen=Address("0.0.0.0", 10000)), "components[1].listen"),
    ],
)
async def test_components_that_clash_are_refused(
    managers: Managers, controller: Controller, second: Any, field: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        await controller.create_network(a_network("shop", a_component(), second))
    assert caught.value.field == field
    assert (await contents(managers)).networks == ()


async def test_components_with_hosts_of_their_own_share_a_port(controller: Controller) -> None:
    await controller.create_network(
        a_network("shop", a_component(hosts=("a.example",)), a_component("cart", hosts=("b.example",)))
    )


async def test_the_same_definition_again_keeps_the_revision(controller: Controller) -> None:
    first = await controller.create_network(a_network())
    assert await controller.replace_network("shop", a_network()) == first
    other = await controller.replace_network("shop", a_network("shop", a_component(port=10005)))
    assert (other.id, other.revision, other.created_at) == (first.id, 2, first.created_at)


async def test_a_component_with_profiles_stays(controller: Controller) -> None:
    profile = await created(controller, percentage=0.0)
    without = a_network("shop", a_component("cart", 10001))
    with pytest.raises(ConflictError, match="catalog"):
        await controller.replace_network("shop", without)
    await controller.delete_profile("shop", profile)
    await controller.replace_network("shop", without)


async def test_a_definition_that_a_profile_does_not_fit_is_refused(controller: Controller) -> None:
    await created(controller)
    grpc = replace(a_component(), protocol=Protocol.GRPC)
    with pytest.raises(ConflictError, match="does not fit"):
        await controller.replace_network("shop", a_network("shop", grpc))


async def test_a_network_keeps_its_name(controller: Controller) -> None:
    await controller.create_network(a_network())
    with pytest.raises(InvalidError, match="cannot be renamed"):
        await controller.replace_network("shop", a_network("store"))


async def test_a_changed_component_is_published(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller)
    before = managers.cache.get("shop")
    await controller.replace_network("shop", a_network("shop", a_component(timeout=3.0)))
    assert managers.cache.get("shop") != before
    assert mirrored(managers) == (instance.id,)


async def test_a_network_is_found_by_name_and_by_id(controller: Controller) -> None:
    network = await controller.create_network(a_network())
    assert await controller.network("shop") == await controller.network(network.id) == network
    with pytest.raises(NotFoundError) as caught:
        await controller.network("shpo")
    assert "shop" in caught.value.hint


# Revisions and idempotency keys


async def test_of_a_hundred_writers_with_one_revision_one_wins(managers: Managers, controller: Controller) -> None:
    profile = await created(controller, percentage=0.0)
    answers = await asyncio.gather(
        *(controller.change_profile("shop", profile, ProfileChange(ttl=100.0 + n), if_match=1) for n in range(100)),
        return_exceptions=True,
    )
    won = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(answer, StaleError) for answer in answers) == 99
    stored = (await contents(managers)).profiles[0]
    assert stored == won[0].profile == (await controller.profile("shop", profile)).profile
    assert stored.revision == 2


async def test_a_hundred_writers_that_try_again_all_get_their_turn(managers: Managers, controller: Controller) -> None:
    await controller.create_network(a_network())

    async def write(number: int) -> None:
        while True:
            now = await controller.network("shop")
            try:
                labels = {**now.labels, f"writer-{number}": "was here"}
                await controller.replace_network("shop", replace(now, labels=labels), if_match=now.revision)
            except StaleError:
                continue
            return

    await asyncio.gather(*(write(number) for number in range(100)))
    network = await controller.network("shop")
    assert len(network.labels) == 100
    assert network.revision == 101
    assert (await contents(managers)).networks == (network,)


@pytest.mark.parametrize("verb", ["delete_profile", "change_profile"])
async def test_a_stale_revision_is_refused(controller: Controller, verb: str) -> None:
    profile = await created(controller)
    await controller.change_profile("shop", profile, ProfileChange(ttl=100.0))
    arguments = (ProfileChange(ttl=50.0),) if verb == "change_profile" else ()
    with pytest.raises(StaleError, match="revision 2"):
        await getattr(controller, verb)("shop", profile, *arguments, if_match=1)


async def test_a_change_that_changes_nothing_keeps_the_revision(controller: Controller) -> None:
    profile = await created(controller)
    view = await controller.change_profile("shop", profile, ProfileChange(percentage=0.5, ttl=600.0), if_match=1)
    assert view.profile.revision == 1


async def test_a_key_creates_once_under_a_hundred_retries(managers: Managers, controller: Controller) -> None:
    await controller.create_network(a_network())
    answers = await asyncio.gather(
        *(
            controller.create_profile("shop", a_profile(percentage=0.01), idempotency_key="k", body_hash="h")
            for _ in range(100)
        )
    )
    assert sum(fresh for _, fresh in answers) == 1
    assert len({view.profile.id for view, _ in answers}) == 1
    await until(lambda: mirrored(managers))
    assert len(managers.world.alive) == 1


async def test_a_key_with_another_body_is_a_conflict(controller: Controller) -> None:
    await controller.create_network(a_network())
    await controller.create_profile("shop", a_profile(), idempotency_key="k", body_hash="one")
    with pytest.raises(ConflictError) as caught:
        await controller.create_profile("shop", a_profile(), idempotency_key="k", body_hash="two")
    assert caught.value.field == "Idempotency-Key"


async def test_a_key_is_remembered_over_a_restart_for_a_day(managers: Managers, controller: Controller) -> None:
    await controller.create_network(a_network())
    first, _ = await controller.create_profile("shop", a_profile(percentage=0.1), idempotency_key="k", body_hash="h")
    again = await managers.restart()
    second, fresh = await again.create_profile("shop", a_profile(percentage=0.1), idempotency_key="k", body_hash="h")
    assert (second.profile, fresh) == (first.profile, False)
    managers.clock.jump(86_401)
    _, fresh = await again.create_profile("shop", a_profile(percentage=0.1), idempotency_key="k", body_hash="h")
    assert fresh


async def test_a_key_does_not_bring_a_deleted_profile_back(controller: Controller) -> None:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(), idempotency_key="k", body_hash="h")
    await controller.delete_profile("shop", view.profile.id)
    with pytest.raises(ConflictError, match="deleted since"):
        await controller.create_profile("shop", a_profile(), idempotency_key="k", body_hash="h")


async def test_a_name_is_free_again_when_its_profile_was_deleted(controller: Controller) -> None:
    profile = await created(controller, name="v2")
    await controller.delete_profile("shop", profile)
    await controller.create_profile("shop", a_profile(name="v2"))


# Questions


async def test_the_status_has_everything(managers: Managers, controller: Controller) -> None:
    profile, instance = await running(managers, controller)
    status = await controller.status("shop")
    assert status.network.name == "shop"
    assert [p.profile.id for p in status.profiles] == [profile]
    assert [i.instance.id for i in status.profiles[0].instances] == [instance.id]
    assert status.problem == ""


async def test_the_node_of_a_component_is_explained(controller: Controller) -> None:
    await controller.create_network(a_network())
    choice = await controller.select_node("shop", "catalog")
    assert choice.node is not None
    assert choice.node.name == "here"
    assert [n.name for n in await controller.nodes("shop")] == ["here"]
    with pytest.raises(NotFoundError):
        await controller.select_node("shop", "nothing")


# Users and actors at once


async def test_a_change_and_a_transition_at_once_both_reach_the_disk(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    managers.runtime.is_ready.clear()
    profile = await created(controller)
    await until(lambda: managers.world.alive)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.4))  # the handle is on record by now
    real, gate = managers.store.apply, asyncio.Event()

    async def slow(changes: Changes) -> None:
        if changes.profiles:
            await gate.wait()
        await real(changes)

    monkeypatch.setattr(managers.store, "apply", slow)
    change = asyncio.create_task(controller.change_profile("shop", profile, ProfileChange(ttl=1200.0)))
    await settle()
    managers.runtime.is_ready.set()
    await settle()
    gate.set()
    view = await change
    await until(lambda: mirrored(managers))
    (stored,) = (await contents(managers)).instances
    assert stored.status is InstanceStatus.RUNNING
    assert stored.expires_at == START + timedelta(seconds=1200)
    assert view.profile.ttl == 1200.0
