"""XDS.md rows 10 to 12, and correction 16: what goes away goes last."""

import grpc
import pytest

from tests.conformance.client import Client
from tests.conformance.conftest import Start, World
from tests.xds_resources import cluster, endpoints, listener, routes, runtime
from xds_server.cache import Resource
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, RUNTIME
from xds_server.protocol.services import SINGLE_TYPES, SingleType

SHADOWED = (
    cluster("original", eds="original"),
    cluster("shadow", eds="shadow"),
    endpoints("original"),
    endpoints("shadow"),
    listener("front", "r"),
    listener("internal", "r", internal=True),
    routes("r", "original", mirror="shadow"),
)
PLAIN = (cluster("original", eds="original"), endpoints("original"), listener("front", "r"), routes("r", "original"))


async def subscribed(world: World, mode: str, resources: tuple[Resource, ...]) -> Client:
    """Return a client that has everything of `resources`."""
    world.serve(*resources)
    client = world.client(mode)
    for type_url, names in (
        (CLUSTER, ()),
        (ENDPOINTS, ("original", "shadow")),
        (LISTENER, ()),
        (ROUTES, ("r",)),
        (RUNTIME, ("shadowmesh",)),
    ):
        await client.subscribe(type_url, *names)
        if any(r.type_url == type_url for r in resources) or mode == "delta":
            await client.got_and_acked()
    return client


async def test_the_node_is_needed_on_the_first_request_only(world: World, mode: str) -> None:
    world.serve(cluster("a"), listener("l"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(LISTENER)
    assert (await client.get()).names == {"l"}


async def test_a_first_request_without_node_id_is_an_invalid_argument(world: World, mode: str) -> None:
    client = world.client(mode, node="")
    await client.subscribe(CLUSTER)
    code, details = await client.ended()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "node" in details


async def test_a_request_without_type_url_is_an_invalid_argument_on_ads(world: World, mode: str) -> None:
    client = world.client(mode)
    await client.subscribe("")
    code, details = await client.ended()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "type_url" in details


async def test_bytes_that_are_no_request_are_an_invalid_argument(world: World, mode: str) -> None:
    client = world.client(mode)
    await client.call.write(b"\xff\xff\xff")
    assert (await client.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("service", "variant"),
    [(s, v) for s in SINGLE_TYPES for v in ("sotw", "delta") if v == "delta" or not s.delta_only],
    ids=lambda value: value if isinstance(value, str) else value.noun,
)
async def test_single_type_services_imply_their_type(world: World, service: SingleType, variant: str) -> None:
    verb = "Stream" if variant == "sotw" else "Delta"
    body = {CLUSTER: cluster("x"), LISTENER: listener("x"), ROUTES: routes("x"), RUNTIME: runtime("x")}
    resource = body.get(service.type_url) or Resource("x", service.type_url, b"\x0a\x01x", "v")
    world.serve(resource)
    client = world.client(variant, method=f"/{service.service}/{verb}{service.noun}")
    await client.subscribe("", "x")
    got = await client.get()
    assert (got.type_url, got.names) == (service.type_url, {"x"})


async def test_single_type_services_refuse_other_types(world: World) -> None:
    client = world.client("sotw", method="/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters")
    await client.subscribe(LISTENER)
    assert (await client.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_push_goes_out_in_the_order_of_make_before_break(world: World, mode: str) -> None:
    client = await subscribed(world, mode, (*PLAIN, runtime()))
    world.serve(
        runtime(value=2),
        routes("r", "original", note=1),
        listener("front", "r", note=1),
        endpoints("original", 81),
        cluster("original", eds="original", note=1),
    )
    order = [(await client.got_and_acked()).type_url for _ in range(5)]
    assert order == [CLUSTER, ENDPOINTS, LISTENER, ROUTES, RUNTIME]


async def test_a_response_for_an_unsubscribed_name_is_dropped(start: Start, mode: str) -> None:
    world = await start(debounce=0.1, debounce_max=0.1)
    world.serve(endpoints("a"), endpoints("b"))
    client = world.client(mode)
    await client.subscribe(ENDPOINTS, "a", "b")
    await client.got_and_acked()
    world.serve(endpoints("a", 81), endpoints("b", 81))
    await client.without(ENDPOINTS, "a")
    assert (await client.get()).names == {"b"}


async def test_removals_wait_until_the_routes_without_them_are_accepted(world: World, mode: str) -> None:
    client = await subscribed(world, mode, SHADOWED)
    world.serve(*PLAIN)
    first = await client.get()
    assert first.type_url == ROUTES
    assert await client.silent()
    await client.ack(first)
    answers = [await client.got_and_acked() for _ in range(3 if mode == "delta" else 2)]
    assert [got.type_url for got in answers] == [LISTENER, CLUSTER, ENDPOINTS][: len(answers)]
    if mode == "delta":
        assert [got.removed for got in answers] == [("internal",), ("shadow",), ("shadow",)]
    else:
        assert [got.names for got in answers] == [{"front"}, {"original"}]
    assert await world.board.settled(["shop"], 5)


async def test_a_change_with_removals_sends_the_union_first(world: World, mode: str) -> None:
    client = await subscribed(world, mode, SHADOWED)
    world.serve(*PLAIN[:2], cluster("new"), listener("front", "r"), routes("r", "new"))
    first = await client.got_and_acked()
    assert first.type_url == CLUSTER
    assert first.names == ({"original", "shadow", "new"} if mode == "sotw" else {"new"})
    assert first.removed == ()
    assert (await client.got_and_acked()).type_url == ROUTES
    assert (await client.got_and_acked()).type_url == LISTENER
    last = await client.got_and_acked()
    assert last.type_url == CLUSTER
    if mode == "sotw":
        assert last.names == {"original", "new"}
    else:
        assert last.removed == ("shadow",)


async def test_a_listener_goes_in_the_response_that_brings_the_new_one_at_its_address(world: World, mode: str) -> None:
    """An Envoy refuses the second of two listeners on one address, and a rejected one is not sent again."""
    client = await subscribed(world, mode, (*PLAIN[:2], listener("old", "r", port=80), PLAIN[3]))
    world.serve(*PLAIN[:2], listener("new", "r", port=80), PLAIN[3])
    got = await client.got_and_acked()
    assert (got.type_url, got.names) == (LISTENER, {"new"})
    assert got.removed == (("old",) if mode == "delta" else ())
    assert await client.silent()


@pytest.mark.parametrize("answer", ["none", "nack"])
async def test_removals_wait_no_longer_than_their_timeout(start: Start, mode: str, answer: str) -> None:
    world = await start(removal_timeout=0.3)
    client = await subscribed(world, mode, SHADOWED)
    world.serve(*PLAIN)
    got = await client.get()
    if answer == "nack":
        await client.nack(got, "no")
    assert await client.silent(0.15)
    assert not await world.board.settled(["shop"], 0)
    assert (await client.get()).type_url == LISTENER


async def test_what_nothing_refers_to_is_removed_at_once(world: World, mode: str) -> None:
    client = await subscribed(world, mode, (*PLAIN, cluster("spare")))
    world.serve(*PLAIN)
    got = await client.get()
    assert got.type_url == CLUSTER
    assert got.removed == (("spare",) if mode == "delta" else ())
    assert "spare" not in got.names


async def test_a_changed_cluster_gets_its_unchanged_endpoints_again(world: World, mode: str) -> None:
    client = await subscribed(world, mode, SHADOWED)
    changed = cluster("shadow", eds="shadow", note=1)
    world.serve(*(changed if r.name == "shadow" and r.type_url == CLUSTER else r for r in SHADOWED))
    assert (await client.got_and_acked()).type_url == CLUSTER
    got = await client.got_and_acked()
    assert (got.type_url, got.names) == (ENDPOINTS, {"shadow"})
    assert await client.silent()


async def test_endpoints_of_a_vanished_cluster_stall_nobody(world: World, mode: str) -> None:
    client = await subscribed(world, mode, SHADOWED)
    world.serve(*PLAIN)
    for _ in range(4 if mode == "delta" else 3):
        await client.got_and_acked()
    # The subscription to the vanished one is still there.
    world.serve(*PLAIN[:1], endpoints("original", 82), *PLAIN[2:])
    got = await client.got_and_acked()
    assert (got.type_url, got.names) == (ENDPOINTS, {"original"})


async def test_a_dropped_group_has_nothing_left(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    world.cache.drop("shop")
    got = await client.got_and_acked()
    assert got.names == set()
    assert await world.board.settled(["shop"], 5)
