"""Comparisons outlive their profiles for a day."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.analysis.differing import a_tally, judged, seen
from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_network, a_profile, settle, until
from xds_server.analysis.query.diff_query import DiffQuery, Group
from xds_server.errors import NotFoundError, StoreError
from xds_server.lifecycle import archive as module
from xds_server.lifecycle.controller import Controller
from xds_server.model.ids import ProfileID
from xds_server.store.base import Changes

CLASSES = DiffQuery(group=Group.CLASS)


async def ended(managers: Managers, controller: Controller, *, name: str = "v2", pairs: int = 100) -> ProfileID:
    """A profile that was deleted after something had been compared; what is late may still come."""
    if not await controller.networks():
        await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(name=name))
    profile = view.profile.id
    tally = a_tally(view.instances[0].instance.id, profile=profile)
    judged(tally, pairs)
    seen(tally, "$.price", count=10)
    managers.collector.seen[profile] = [tally]
    await controller.delete_profile("shop", profile)
    return profile


async def fields(controller: Controller, profile: str) -> list[str]:
    return [i["field"] for i in (await controller.diffs("shop", CLASSES, profile=profile))["items"]]


async def test_the_histograms_of_a_living_and_of_a_deleted_profile_are_the_same(
    managers: Managers, controller: Controller
) -> None:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(name="v2"))
    profile = view.profile.id
    tally = a_tally(view.instances[0].instance.id, profile=profile)
    judged(tally, 1)
    tally.endpoints["GET /items/{id}"].shadow.response.add(0.012)
    managers.collector.seen[profile] = [tally]
    living = await controller.response_times("shop", "v2")
    (leg,) = living["endpoints"][0]["legs"]
    assert (leg["leg"], leg["variant"], leg["count"]) == ("shadow", view.instances[0].instance.variant, 1)
    await controller.delete_profile("shop", profile)
    await managers.clock.advance(10.0)
    assert await controller.response_times("shop", "v2") == living
    with pytest.raises(NotFoundError):
        await controller.response_times("shop", "v3")


async def test_a_deleted_profile_is_found_by_name_and_id_also_after_a_restart(
    managers: Managers, controller: Controller
) -> None:
    profile = await ended(managers, controller)
    for ref in ("v2", profile):
        assert await fields(controller, ref) == ["$.price"]
    await managers.clock.advance(10.0)
    assert await fields(controller, "v2") == ["$.price"]
    await managers.stop()
    managers.renew()
    controller = await managers.start()
    assert await fields(controller, profile) == ["$.price"]
    ((item,), dropped) = await controller.archive("shop")
    assert (item.record.name, item.record.pairs, item.record.discrepancies, dropped) == ("v2", 100, 10, 0)
    whole = await controller.archived("shop", "v2")
    assert whole.comparison is not None
    assert whole.comparison.as_json()["pairs"] == 100
    (pair,) = (await controller.diffs("shop", DiffQuery(), profile="v2"))["items"]
    assert pair["variant"] == "v2"
    assert (await controller.diff("shop", pair["pairID"]))["archived"]
    # A window that an engine has kept since long before does not bring it back.
    await managers.clock.advance(10.0)
    await until(lambda: profile in managers.collector.forgotten)


async def test_pairs_that_come_in_after_the_deletion_are_in_it(managers: Managers, controller: Controller) -> None:
    profile = await ended(managers, controller)
    (tally,) = managers.collector.seen[profile]
    await managers.clock.advance(1.0)
    seen(tally, "$.late")
    assert set(await fields(controller, "v2")) == {"$.price", "$.late"}
    await managers.clock.advance(module.QUIET - 0.1)
    assert managers.collector.forgotten == []
    await managers.clock.advance(1.5)
    await until(lambda: managers.collector.forgotten == [profile])
    assert set(await fields(controller, "v2")) == {"$.price", "$.late"}


async def test_what_never_becomes_quiet_is_waited_for_no_longer_than_that(
    managers: Managers, controller: Controller
) -> None:
    profile = await ended(managers, controller)
    (tally,) = managers.collector.seen[profile]
    for number in range(26):
        assert managers.collector.forgotten == [] or number > 24
        seen(tally, f"$.f{number}")
        await managers.clock.advance(1.0)
    await until(lambda: managers.collector.forgotten == [profile])
    assert "$.f23" in await fields(controller, "v2")


async def test_a_stop_does_not_wait_and_loses_nothing(managers: Managers, controller: Controller) -> None:
    profile = await ended(managers, controller)
    seen(managers.collector.seen[profile][0], "$.late")
    await managers.stop()
    managers.renew()
    assert set(await fields(await managers.start(), "v2")) == {"$.price", "$.late"}


async def test_after_a_crash_what_was_known_at_the_deletion_is_there(
    managers: Managers, controller: Controller
) -> None:
    profile = await ended(managers, controller)
    seen(managers.collector.seen[profile][0], "$.late")
    await managers.crash()
    assert await fields(await managers.start(), "v2") == ["$.price"]


async def test_after_a_crash_what_an_engine_still_has_is_taken_in(managers: Managers, controller: Controller) -> None:
    profile = await ended(managers, controller)
    await managers.crash()
    await managers.start()
    (tally,) = managers.collector.seen[profile]
    seen(tally, "$.late")
    await managers.clock.advance(10.0)
    await until(lambda: managers.collector.forgotten == [profile])
    await managers.crash()
    assert set(await fields(await managers.start(), "v2")) == {"$.price", "$.late"}


async def test_what_an_engine_is_told_is_kept_survives_a_crash_after_a_deletion_too(
    managers: Managers, controller: Controller
) -> None:
    profile = await ended(managers, controller)
    seen(managers.collector.seen[profile][0], "$.late")
    await controller._context.summaries.save()
    await managers.crash()
    assert set(await fields(await managers.start(), "v2")) == {"$.price", "$.late"}


async def test_what_comes_in_while_it_is_put_away_survives_a_crash_once_it_is_said_to_be_kept(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, go_on, real = asyncio.Event(), asyncio.Event(), managers.store.apply

    async def slow(changes: Changes) -> None:
        await real(changes)
        if changes.drop_profiles:
            put.set()
            await go_on.wait()

    monkeypatch.setattr(managers.store, "apply", slow)
    deleting = asyncio.create_task(ended(managers, controller))
    await put.wait()
    (profile,) = managers.collector.seen
    seen(managers.collector.seen[profile][0], "$.late")
    await controller._context.summaries.save()
    go_on.set()
    await deleting
    await managers.crash()
    assert set(await fields(await managers.start(), "v2")) == {"$.price", "$.late"}


async def test_how_far_the_manager_got_is_never_on_disk_without_what_it_got_of_living_profiles(
    managers: Managers, controller: Controller
) -> None:
    await controller.create_network(a_network())
    living, _ = await controller.create_profile("shop", a_profile(name="v1"))
    managers.collector.data[living.profile.id] = b"what is known of it"
    await ended(managers, controller)
    assert (await managers.store.load()).summaries[living.profile.id] == b"what is known of it"


async def test_what_could_not_be_put_together_is_tried_again(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("xds_server.lifecycle.archive.zlib.compress", broken)
    profile = await ended(managers, controller)
    monkeypatch.undo()
    await managers.clock.advance(module.QUIET + 2)
    await until(lambda: managers.collector.forgotten == [profile])
    assert await fields(controller, "v2") == ["$.price"]


async def test_a_network_that_is_deleted_while_its_comparisons_are_written_leaves_none(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await ended(managers, controller)
    seen(managers.collector.seen[profile][0], "$.late")
    writing, go_on, real = asyncio.Event(), asyncio.Event(), managers.store.apply

    async def slow(changes: Changes) -> None:
        if changes.archive:
            writing.set()
            await go_on.wait()
        await real(changes)

    monkeypatch.setattr(managers.store, "apply", slow)
    saving = asyncio.create_task(controller._context.summaries.save())
    await writing.wait()
    await controller.delete_network("shop")
    go_on.set()
    await saving
    assert not controller._context.archive._records
    assert await managers.store.archived(profile) is None


async def test_the_newest_are_taken_up_again(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = await ended(managers, controller, name="v1")
    await managers.clock.advance(30.0)
    newer = await ended(managers, controller, name="v2")
    await managers.crash()
    monkeypatch.setattr(module, "MOST_RESUMED", 1)
    await managers.start()
    assert (managers.collector.forgotten, managers.collector.lingering) == ([older], [newer])


async def test_the_oldest_go_once_nothing_more_comes_of_them(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(4):
        await ended(managers, controller, name=f"v{number}")
        await managers.clock.advance(0.1)
    await managers.clock.advance(module.QUIET + 2)
    await until(lambda: len(managers.collector.forgotten) == 4)
    await controller._context.summaries.save()
    items, dropped = await controller.archive("shop")
    assert ([item.record.name for item in items], dropped) == (["v3", "v2"], 2)


async def test_what_the_disk_does_not_take_in_the_end_is_written_later(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await ended(managers, controller)
    seen(managers.collector.seen[profile][0], "$.late")

    async def full(_: Changes) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(managers.store, "apply", full)
    await managers.clock.advance(module.QUIET + 20)
    await settle()
    assert managers.collector.forgotten == []
    monkeypatch.undo()
    await managers.clock.advance(module.AGAIN + 1)
    await until(lambda: managers.collector.forgotten == [profile])
    await managers.crash()
    assert set(await fields(await managers.start(), "v2")) == {"$.price", "$.late"}


async def test_a_profile_that_is_still_there_is_not_taken_up_twice(managers: Managers, controller: Controller) -> None:
    profile = await ended(managers, controller)
    archive = controller._context.archive
    await archive.finish()
    managers.collector.forgotten.clear()
    await archive.take_up(there=[profile])
    assert (managers.collector.forgotten, list(archive._settling)) == ([], [])


async def test_what_has_not_changed_is_not_written_again(managers: Managers, controller: Controller) -> None:
    await ended(managers, controller)
    assert controller._context.archive.late().changes == Changes()
    await managers.crash()
    await managers.start()
    assert managers.controller._context.archive.late().changes == Changes()


async def test_profiles_that_are_ending_are_written_too(managers: Managers, controller: Controller) -> None:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(name="v2"))
    record = managers.controller._registry.find("shop")
    record.ending_profiles.add(view.profile.id)
    managers.collector.data[view.profile.id] = b"new"
    await controller._context.summaries.save()
    assert (await managers.store.load()).summaries == {view.profile.id: b"new"}


async def test_an_engine_that_is_not_there_is_waited_for(managers: Managers, controller: Controller) -> None:
    managers.collector.away = True
    profile = await ended(managers, controller)
    await managers.clock.advance(10.0)
    await settle()
    assert managers.collector.forgotten == []
    managers.collector.away = False
    seen(managers.collector.seen[profile][0], "$.late")
    await managers.clock.advance(10.0)
    await until(lambda: managers.collector.forgotten == [profile])
    assert set(await fields(controller, "v2")) == {"$.price", "$.late"}


@pytest.mark.parametrize("why", ["late", "many", "broken"])
async def test_what_was_deleted_long_ago_is_not_taken_up_again(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    profile = await ended(managers, controller)
    await managers.crash()
    if why == "late":
        managers.clock.jump(module.RESUME.total_seconds() + 1)
    elif why == "many":
        monkeypatch.setattr(module, "MOST_RESUMED", 0)
    else:

        def broken(_: bytes) -> bytes:
            raise ValueError("not a comparison")

        monkeypatch.setattr("xds_server.lifecycle.archive.zlib.decompress", broken)
    await managers.start()
    assert managers.collector.forgotten == [profile]
    monkeypatch.undo()
    assert await fields(managers.controller, "v2") == ["$.price"]


async def test_a_living_profile_of_the_same_name_wins_and_the_id_still_finds_the_other(
    managers: Managers, controller: Controller
) -> None:
    profile = await ended(managers, controller)
    await controller.create_profile("shop", a_profile(name="v2"))
    assert await fields(controller, "v2") == []
    assert await fields(controller, profile) == ["$.price"]


async def test_of_two_of_one_name_the_newest_is_found(managers: Managers, controller: Controller) -> None:
    await ended(managers, controller, pairs=100)
    await managers.clock.advance(60.0)
    await ended(managers, controller, pairs=200)
    assert (await controller.archived("shop", "v2")).record.pairs == 200
    assert [item.record.pairs for item in (await controller.archive("shop"))[0]] == [200, 100]


async def test_after_a_day_it_is_gone_from_disk_too(managers: Managers, controller: Controller) -> None:
    profile = await ended(managers, controller)
    await managers.clock.advance(10.0)
    managers.clock.jump(timedelta(hours=24).total_seconds())
    with pytest.raises(NotFoundError, match="nor an archived one"):
        await controller.diffs("shop", CLASSES, profile="v2")
    assert await managers.store.archived(profile) is not None
    await managers.clock.advance(module.SWEEP + 1)
    assert await managers.store.archived(profile) is None


async def test_what_grew_too_old_while_the_manager_was_away_is_swept_at_the_start(
    managers: Managers, controller: Controller
) -> None:
    profile = await ended(managers, controller)
    await managers.stop()
    managers.clock.jump(timedelta(hours=25).total_seconds())
    managers.renew()
    await managers.start()
    assert await managers.store.archived(profile) is None


@pytest.mark.parametrize("bound", ["MOST", "MOST_BYTES"])
async def test_the_oldest_go_when_there_are_too_many_and_that_is_said(
    managers: Managers,
    controller: Controller,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
) -> None:
    first = await ended(managers, controller, name="a")
    size = (await controller.archived("shop", "a")).record.size
    monkeypatch.setattr(module, bound, 2 if bound == "MOST" else int(size * 2.5))
    with capture_logs() as said:
        for name in ("b", "c"):
            await managers.clock.advance(10.0)
            await ended(managers, controller, name=name)
    items, dropped = await controller.archive("shop")
    assert ([item.record.name for item in items], dropped) == (["c", "b"], 1)
    assert await managers.store.archived(first) is None
    assert any("too many" in line["event"] for line in said)


async def test_a_deleted_network_takes_its_archive_along(managers: Managers, controller: Controller) -> None:
    profile = await ended(managers, controller)
    await controller.delete_network("shop")
    assert await managers.store.archived(profile) is None
    assert profile in managers.collector.forgotten
    await controller.create_network(a_network())
    assert await controller.archive("shop") == ([], 0)
    await managers.clock.advance(30.0)
    await settle()


async def test_a_profile_of_which_nothing_was_compared_leaves_nothing(
    managers: Managers, controller: Controller
) -> None:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile())
    await controller.delete_profile("shop", view.profile.id)
    await managers.clock.advance(10.0)
    assert await controller.archive("shop") == ([], 0)
    with pytest.raises(NotFoundError):
        await controller.archived("shop", view.profile.id)


async def test_what_cannot_be_put_away_keeps_no_profile(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(profile_id: ProfileID) -> bytes:
        raise TypeError(profile_id)

    monkeypatch.setattr(managers.collector, "dump", broken)
    monkeypatch.setattr(managers.collector, "revision", len)
    await ended(managers, controller)
    assert await controller.archive("shop") == ([], 0)
    assert (await managers.store.load()).profiles == ()


async def test_a_full_disk_keeps_the_profile_until_it_can_be_put_away(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(name="v2"))
    managers.collector.seen[view.profile.id] = [a_tally(view.instances[0].instance.id, profile=view.profile.id)]
    real = managers.store.apply

    async def full(changes: Changes) -> None:
        if changes.archive:
            raise StoreError("the disk is full")
        await real(changes)

    monkeypatch.setattr(managers.store, "apply", full)
    with pytest.raises(StoreError):
        await controller.delete_profile("shop", "v2")
    monkeypatch.undo()
    await managers.stop()
    managers.renew()
    later: Any = await managers.start()
    await settle()
    assert await later.profiles("shop") == []
    assert (await managers.store.load()).profiles == ()
