"""XDS.md rows 13 to 18."""

from tests.conformance.conftest import Start, World
from tests.xds_resources import cluster, endpoints
from xds_server.cache import Resource
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER


async def test_the_first_wildcard_request_is_answered_even_if_there_is_nothing(world: World) -> None:
    world.serve(cluster("a"))
    client = world.client("delta")
    await client.subscribe(LISTENER)
    got = await client.got_and_acked()
    assert (got.type_url, got.count, got.removed) == (LISTENER, 0, ())
    assert await client.silent()


async def test_only_what_changed_is_sent_and_removals_are_listed(world: World) -> None:
    world.serve(cluster("a"), cluster("b"), cluster("c"))
    client = world.client("delta")
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    world.serve(cluster("a"), cluster("b", note=1), cluster("d"))
    got = await client.get()
    assert got.names == {"b", "d"}
    assert got.removed == ("c",)


async def test_known_versions_are_skipped_and_vanished_ones_removed(world: World) -> None:
    kept, changed = cluster("kept"), cluster("changed")
    world.serve(kept, changed)
    client = world.client("delta")
    versions = {"kept": kept.version, "changed": "older", "vanished": "v"}
    await client.subscribe(CLUSTER, initial=versions)
    got = await client.got_and_acked()
    assert got.names == {"changed"}
    assert got.removed == ("vanished",)
    assert await client.silent()


async def test_known_versions_of_named_resources_are_skipped(world: World) -> None:
    known = endpoints("a")
    world.serve(known, endpoints("b"))
    client = world.client("delta")
    await client.subscribe(ENDPOINTS, "a", "gone", initial={"a": known.version, "gone": "v", "unasked": "v"})
    got = await client.got_and_acked()
    assert got.names == set()
    assert got.removed == ("gone",)
    assert await client.silent()


async def test_versions_are_content_hashes_the_same_after_a_restart(start: Start) -> None:
    versions = []
    for _ in range(2):
        world = await start()
        world.serve(cluster("a"))
        client = world.client("delta")
        await client.subscribe(CLUSTER)
        await client.get()
        versions.append(world.board.envoys()[0].resources[0].version)
    assert versions[0] == versions[1]


async def test_a_name_that_does_not_exist_is_listed_as_removed(world: World) -> None:
    world.serve(endpoints("a"))
    client = world.client("delta")
    await client.subscribe(ENDPOINTS, "missing")
    got = await client.got_and_acked()
    assert (got.names, got.removed) == (set(), ("missing",))
    assert await client.silent()


async def test_a_known_name_subscribed_again_is_sent_again(world: World) -> None:
    world.serve(endpoints("a"))
    client = world.client("delta")
    await client.subscribe(ENDPOINTS, "a")
    await client.got_and_acked()
    await client.subscribe(ENDPOINTS, "a")
    assert (await client.get()).names == {"a"}


async def test_a_stale_nonce_still_applies_its_subscription_changes(world: World) -> None:
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client("delta")
    await client.subscribe(ENDPOINTS, "a")
    await client.got_and_acked()
    await client.subscribe(ENDPOINTS, "b", nonce="no such nonce")
    assert (await client.get()).names == {"b"}


async def test_a_phantom_unsubscribe_is_ignored(world: World) -> None:
    world.serve(endpoints("a"), cluster("c"))
    client = world.client("delta")
    await client.subscribe(ENDPOINTS, "a")
    await client.got_and_acked()
    await client.without(ENDPOINTS, "phantom")
    await client.subscribe(CLUSTER)
    assert (await client.got_and_acked()).type_url == CLUSTER
    await client.without(CLUSTER, "phantom")
    assert await client.silent()
    world.serve(endpoints("a", 81), cluster("c"))
    assert (await client.get()).names == {"a"}


async def test_unsubscribing_a_name_under_the_wildcard_returns_it(world: World) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client("delta")
    await client.subscribe(CLUSTER, "*", "a")
    await client.got_and_acked()
    await client.without(CLUSTER, "a")
    assert (await client.got_and_acked()).names == {"a"}


async def test_unsubscribing_a_missing_name_under_the_wildcard_lists_it_removed(world: World) -> None:
    world.serve(cluster("a"))
    client = world.client("delta")
    await client.subscribe(CLUSTER, "*", "missing")
    assert (await client.got_and_acked()).removed == ("missing",)
    await client.without(CLUSTER, "missing")
    assert (await client.got_and_acked()).removed == ("missing",)


async def test_unsubscribing_the_star_keeps_the_explicit_names(world: World) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client("delta")
    await client.subscribe(CLUSTER, "*", "a")
    await client.got_and_acked()
    await client.without(CLUSTER, "*")
    world.serve(cluster("a", note=1), cluster("b", note=1))
    got = await client.got_and_acked()
    assert (got.names, got.removed) == ({"a"}, ())
    assert await client.silent()


async def test_what_the_star_alone_had_covered_is_forgotten_with_it(world: World) -> None:
    world.serve(cluster("a"), cluster("b"), cluster("c"))
    client = world.client("delta")
    await client.subscribe(CLUSTER, "*", "a")
    await client.got_and_acked()
    await client.without(CLUSTER, "*")
    world.serve(cluster("a"), cluster("b"))
    assert await client.silent()
    await client.subscribe(CLUSTER, "*")
    got = await client.got_and_acked()
    assert (got.names, got.removed) == ({"b"}, ())


async def test_known_versions_count_on_the_first_request_of_a_type_only(world: World) -> None:
    later = endpoints("later")
    world.serve(endpoints("a"), later)
    client = world.client("delta")
    await client.subscribe(ENDPOINTS, "a")
    await client.got_and_acked()
    await client.subscribe(ENDPOINTS, "later", initial={"later": later.version})
    assert (await client.get()).names == {"later"}


async def test_the_legacy_wildcard_stays_when_names_are_added(world: World) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client("delta")
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(CLUSTER, "a")
    await client.got_and_acked()
    world.serve(cluster("a"), cluster("b", note=1))
    assert (await client.get()).names == {"b"}


async def test_a_rejected_delta_is_not_sent_again(world: World) -> None:
    world.serve(cluster("a"))
    client = world.client("delta")
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    world.serve(cluster("a", note=1))
    await client.nack(await client.get(), "no")
    assert await client.silent()
    world.serve(cluster("a", note=1), cluster("b"))
    assert (await client.get()).names == {"b"}


async def test_more_than_twenty_types_on_a_stream_do_not_lock_it(world: World) -> None:
    types = [f"type.googleapis.com/test.v3.Type{i}" for i in range(30)]

    def all_at(version: str) -> list[Resource]:
        return [Resource("x", type_url, b"\x0a\x01x", version) for type_url in types]

    world.serve(*all_at("1"))
    client = world.client("delta")
    for type_url in types:
        await client.subscribe(type_url, "*")
    assert {(await client.get()).type_url for _ in types} == set(types)
    world.serve(*all_at("2"))
    assert {(await client.got_and_acked()).type_url for _ in types} == set(types)
