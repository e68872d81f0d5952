"""XDS.md rows 1 to 9. What holds in both variants runs in both."""

from tests.conformance.conftest import World
from tests.xds_resources import cluster, endpoints, listener, routes
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES


async def test_an_empty_first_request_for_clusters_gets_all(world: World, mode: str) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    assert (await client.get()).names == {"a", "b"}


async def test_an_empty_first_request_for_endpoints_gets_nothing(world: World, mode: str) -> None:
    world.serve(endpoints("a"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS)
    assert await client.silent()


async def test_an_empty_list_after_a_name_unsubscribes_all_for_good(world: World) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client("sotw")
    await client.subscribe(CLUSTER, "a")
    await client.got_and_acked()
    await client.subscribe(CLUSTER)
    assert await client.silent()
    world.serve(cluster("a", note=1), cluster("b", note=1))
    assert await client.silent()
    await client.subscribe(CLUSTER)
    assert await client.silent()
    await client.subscribe(CLUSTER, "b")
    assert (await client.get()).names == {"b"}


async def test_a_star_alone_gets_all(world: World, mode: str) -> None:
    world.serve(cluster("a"), cluster("b"), endpoints("e"))
    client = world.client(mode)
    await client.subscribe(CLUSTER, "*")
    assert (await client.got_and_acked()).names == {"a", "b"}
    await client.subscribe(ENDPOINTS, "*")
    assert (await client.got_and_acked()).names == {"e"}


async def test_a_star_with_names_gets_all_once(world: World, mode: str) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client(mode)
    await client.subscribe(CLUSTER, "*", "a")
    got = await client.got_and_acked()
    assert got.names == {"a", "b"}
    assert got.count == 2
    assert await client.silent()


async def test_a_star_is_dropped_and_added_again(world: World, mode: str) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client(mode)
    await client.subscribe(CLUSTER, "*", "a")
    await client.got_and_acked()
    await client.without(CLUSTER, "*")
    assert await client.silent()
    world.serve(cluster("a"), cluster("b", note=1))
    assert await client.silent()
    await client.also(CLUSTER, "*")
    assert "b" in (await client.got_and_acked()).names
    world.serve(cluster("a"), cluster("b", note=2))
    assert "b" in (await client.get()).names


async def test_a_named_request_gets_the_named_that_exist(world: World) -> None:
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client("sotw")
    await client.subscribe(ENDPOINTS, "a", "missing")
    assert (await client.get()).names == {"a"}


async def test_a_requested_name_that_appears_later_is_pushed(world: World, mode: str) -> None:
    world.serve(endpoints("a"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "a", "later")
    await client.got_and_acked()
    world.serve(endpoints("a"), endpoints("later"))
    assert (await client.get()).names == {"later"}


async def test_without_resources_the_stream_stays_open_and_is_answered_when_they_come(world: World, mode: str) -> None:
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    assert await client.silent()
    world.serve(cluster("a"))
    assert (await client.get()).names == {"a"}


async def test_a_cluster_that_does_not_exist_shows_by_its_absence(world: World) -> None:
    world.serve(cluster("a"))
    client = world.client("sotw")
    await client.subscribe(CLUSTER, "missing")
    assert (await client.got_and_acked()).names == set()
    await client.subscribe(CLUSTER, "a", "missing")
    assert (await client.got_and_acked()).names == {"a"}
    await client.subscribe(CLUSTER, "a", "missing", "missing too")
    assert (await client.got_and_acked()).names == {"a"}
    assert await client.silent()


async def test_a_partial_subscription_is_answered(world: World, mode: str) -> None:
    world.serve(endpoints("a"), endpoints("b"), endpoints("c"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "b")
    assert (await client.get()).names == {"b"}


async def test_an_ack_triggers_nothing(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    assert await client.silent()


async def test_a_rejected_first_response_is_not_sent_again(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.nack(await client.get(), "a: no")
    assert await client.silent()


async def test_an_answer_without_error_detail_is_an_ack_whatever_its_version(world: World) -> None:
    world.serve(cluster("a"))
    client = world.client("sotw")
    await client.subscribe(CLUSTER)
    got = await client.get()
    await client.send(CLUSTER, version_info="some other", response_nonce=got.nonce)
    assert await world.board.settled(["shop"], 5)
    assert [r.state for r in world.board.envoys()[0].resources] == ["ACKED"]


async def test_an_answer_to_the_newest_response_answers_those_before_it(world: World, mode: str) -> None:
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "a")
    await client.get()
    await client.also(ENDPOINTS, "b")
    await client.got_and_acked()
    assert await world.board.settled(["shop"], 5)
    assert {r.name: r.state for r in world.board.envoys()[0].resources} == {"a": "ACKED", "b": "ACKED"}


async def test_an_answer_to_an_older_response_leaves_the_newest_open(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    first = await client.get()
    world.serve(cluster("a", note=1))
    second = await client.get()
    await client.ack(first)
    assert await client.silent()
    assert not await world.board.settled(["shop"], 0)
    assert [r.state for r in world.board.envoys()[0].resources] == ["SENT"]
    await client.nack(second, "no")
    assert await world.board.settled(["shop"], 5)
    assert [r.state for r in world.board.envoys()[0].resources] == ["NACKED"]


async def test_a_rejection_is_stored_and_a_correction_goes_out_at_once(world: World, mode: str) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.nack(await client.get(), "Error adding/updating cluster(s) b: no such thing")
    assert await world.board.settled(["shop"], 5)
    states = {r.name: (r.state, r.error) for r in world.board.envoys()[0].resources}
    assert states == {"a": ("ACKED", ""), "b": ("NACKED", "Error adding/updating cluster(s) b: no such thing")}
    world.serve(cluster("a"), cluster("b", note=1))
    assert "b" in (await client.got_and_acked()).names
    assert await world.board.settled(["shop"], 5)
    assert {r.state for r in world.board.envoys()[0].resources} == {"ACKED"}


async def test_a_stale_nonce_is_ignored(world: World) -> None:
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client("sotw")
    await client.subscribe(ENDPOINTS, "a")
    first = await client.got_and_acked()
    world.serve(endpoints("a", 81), endpoints("b"))
    second = await client.get()
    await client.subscribe(ENDPOINTS, "a", "b", nonce=first.nonce)
    assert await client.silent()
    await client.subscribe(ENDPOINTS, "a", "b", nonce=second.nonce)
    assert (await client.get()).names == {"b"}


async def test_a_reconnect_with_an_old_nonce_is_an_initial_request(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER, nonce="17")
    assert (await client.get()).names == {"a"}


async def test_an_added_name_is_answered_at_the_same_version(world: World, mode: str) -> None:
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "a")
    first = await client.got_and_acked()
    await client.also(ENDPOINTS, "b")
    second = await client.get()
    assert "b" in second.names
    assert second.version == first.version


async def test_unsubscribed_and_subscribed_again_is_sent_again(world: World, mode: str) -> None:
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "a", "b")
    await client.got_and_acked()
    await client.without(ENDPOINTS, "b")
    assert await client.silent()
    await client.also(ENDPOINTS, "b")
    assert "b" in (await client.get()).names


async def test_a_removed_name_alone_is_met_with_silence(world: World, mode: str) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client(mode)
    await client.subscribe(CLUSTER, "a", "b")
    await client.got_and_acked()
    await client.without(CLUSTER, "b")
    assert await client.silent()


async def test_clusters_are_always_full_state(world: World) -> None:
    world.serve(cluster("a"), cluster("b"))
    client = world.client("sotw")
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    world.serve(cluster("a"), cluster("b", note=1))
    assert (await client.got_and_acked()).names == {"a", "b"}
    world.serve(cluster("a"))
    assert (await client.got_and_acked()).names == {"a"}


async def test_an_empty_response_deletes_all(world: World, mode: str) -> None:
    world.serve(listener("a"), cluster("other"))
    client = world.client(mode)
    await client.subscribe(LISTENER)
    await client.got_and_acked()
    world.serve(cluster("other"))
    got = await client.got_and_acked()
    assert got.names == set()
    assert got.removed == (("a",) if mode == "delta" else ())


async def test_deleting_endpoints_or_routes_sends_nothing(world: World) -> None:
    world.serve(endpoints("a"), routes("r"), endpoints("b"))
    client = world.client("sotw")
    await client.subscribe(ENDPOINTS, "a", "b")
    await client.got_and_acked()
    await client.subscribe(ROUTES, "r")
    await client.got_and_acked()
    world.serve(endpoints("b"))
    assert await client.silent()
    assert await world.board.settled(["shop"], 5)
    world.serve(endpoints("a"), endpoints("b"))
    assert (await client.get()).names == {"a"}


async def test_only_the_changed_type_is_pushed(world: World, mode: str) -> None:
    world.serve(cluster("a"), listener("l"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(LISTENER)
    await client.got_and_acked()
    world.serve(cluster("a"), listener("l", note=1))
    assert (await client.got_and_acked()).type_url == LISTENER
    assert await client.silent()


async def test_the_newest_request_supersedes_earlier_ones(world: World) -> None:
    client = world.client("sotw")
    await client.subscribe(ENDPOINTS, "a")
    await client.subscribe(ENDPOINTS, "b")
    assert await client.silent()
    world.serve(endpoints("a"), endpoints("b"))
    assert (await client.got_and_acked()).names == {"b"}
    assert await client.silent()


async def test_no_name_comes_twice_in_a_response(world: World, mode: str) -> None:
    world.serve(endpoints("a"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "a", "a", "a")
    assert (await client.got_and_acked()).count == 1
    assert await client.silent()
