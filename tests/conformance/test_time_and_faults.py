"""XDS.md rows 19 to 24: heartbeats, streams that end, clients that do not read, bursts, refusals."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import grpc
import pytest

from tests.conformance.client import Client
from tests.conformance.conftest import Start, World
from tests.xds_resources import cluster, endpoints, listener, routes, runtime
from xds_server.cache import Resource
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, RUNTIME
from xds_server.errors import ConflictError, InconsistentError


async def until(condition: Callable[[], bool], turns: int = 1000) -> None:
    """Wait for a condition."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that")


async def test_a_resource_with_a_ttl_gets_heartbeats_without_a_body(world: World, mode: str) -> None:
    world.serve(runtime(ttl=2.4), cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(RUNTIME, "shadowmesh")
    first = await client.got_and_acked()
    assert first.ttls == {"shadowmesh": 2.4}
    for _ in range(3):
        beat = await client.got_and_acked()
        assert (beat.type_url, beat.heartbeats, beat.names) == (RUNTIME, ("shadowmesh",), set())
        assert beat.ttls == {"shadowmesh": 2.4}
        assert beat.version == first.version


async def test_resources_without_a_ttl_get_no_heartbeats(world: World, mode: str) -> None:
    world.serve(runtime(), cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(RUNTIME, "shadowmesh")
    assert (await client.got_and_acked()).ttls == {}
    assert await client.silent(0.5)


async def test_heartbeats_end_with_the_subscription(world: World, mode: str) -> None:
    world.serve(runtime(ttl=0.3), runtime("other"))
    client = world.client(mode)
    await client.subscribe(RUNTIME, "shadowmesh", "other")
    await client.got_and_acked()
    await client.without(RUNTIME, "shadowmesh")
    assert await client.silent(0.5)


async def test_after_a_possible_expiry_the_full_resource_is_sent_again(world: World, mode: str) -> None:
    world.serve(runtime(ttl=1.8))
    client = world.client(mode)
    await client.subscribe(RUNTIME, "shadowmesh")
    await client.got_and_acked()
    beat = await client.get()
    assert beat.heartbeats == ("shadowmesh",)
    # The client stood still: by the time of its answer it may have forgotten the resource.
    await asyncio.sleep(2.4)
    await client.ack(beat)
    async with asyncio.timeout(5):
        while (got := await client.got_and_acked()).heartbeats:
            pass
    assert got.names == {"shadowmesh"}
    assert got.ttls == {"shadowmesh": 1.8}


async def test_a_late_heartbeat_is_the_full_resource(world: World, mode: str) -> None:
    world.serve(runtime(ttl=0.3))
    client = world.client(mode)
    await client.subscribe(RUNTIME, "shadowmesh")
    await client.got_and_acked()
    await asyncio.sleep(0.02)
    # The manager stood still for longer than the TTL.
    for stream in world.server._service._streams:
        for lease in stream.session.subscriptions[RUNTIME]._leases.values():
            lease.sent_at -= 1.0
        stream._wake.set()
    assert (await client.get()).names == {"shadowmesh"}


async def test_a_rejected_heartbeat_is_followed_by_the_full_resource(world: World, mode: str) -> None:
    world.serve(runtime(ttl=1.8))
    client = world.client(mode)
    await client.subscribe(RUNTIME, "shadowmesh")
    await client.got_and_acked()
    beat = await client.get()
    assert beat.heartbeats == ("shadowmesh",)
    await client.nack(beat, "what is that?")
    got = await client.got_and_acked()
    assert (got.names, got.heartbeats) == ({"shadowmesh"}, ())
    assert (await client.get()).heartbeats == ("shadowmesh",)


async def test_an_envoy_gets_full_resources_for_heartbeats_where_it_ignores_them(world: World, mode: str) -> None:
    """Envoy 1.40 lets a resource expire for all its heartbeats in the state of the world, and there only."""
    world.serve(runtime(ttl=1.8))
    client = world.client(mode)
    names = {"resource_names_subscribe" if mode == "delta" else "resource_names": ["shadowmesh"]}
    client.names[RUNTIME] = ["shadowmesh"]
    await client.send(RUNTIME, node={"user_agent_name": "envoy"}, **names)
    await client.got_and_acked()
    renewed = await client.got_and_acked()
    assert (renewed.names if mode == "sotw" else set(renewed.heartbeats)) == {"shadowmesh"}
    assert renewed.ttls == {"shadowmesh": 1.8}


async def test_a_reconnected_client_gets_the_full_resource_whatever_it_still_holds(world: World) -> None:
    resource = runtime(ttl=5)
    world.serve(resource)
    client = world.client("delta")
    await client.subscribe(RUNTIME, "shadowmesh", initial={"shadowmesh": resource.version})
    assert (await client.get()).names == {"shadowmesh"}


async def test_a_thousand_connects_and_disconnects_leave_nothing(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    before = len(asyncio.all_tasks())

    async def visit(number: int) -> None:
        client = world.client(mode, node=f"visitor-{number}")
        await client.subscribe(CLUSTER)
        await client.get()
        if number % 2:
            await client.close()
        else:
            await client.call.done_writing()
            await client.ended()

    for start in range(0, 1000, 50):
        await asyncio.gather(*(visit(n) for n in range(start, start + 50)))
    await until(lambda: world.server.streams == 0 and len(asyncio.all_tasks()) <= before)
    assert world.cache.watches == 0
    gc.collect()
    assert len(world.board.envoys()) == 1000
    assert not any(envoy.connected for envoy in world.board.envoys())


async def test_a_client_that_does_not_read_blocks_nobody_and_its_queue_merges(world: World, mode: str) -> None:
    pushes = 60
    world.serve(endpoints("e"), padded(0))
    stuck, other = world.client(mode, alone=True, node="stuck"), world.client(mode, node="other")
    for client in (stuck, other):
        await client.subscribe(ENDPOINTS, "e")
        await client.got_and_acked()
        await client.subscribe(LISTENER)
        await client.got_and_acked()
    for number in range(1, pushes + 1):
        world.serve(endpoints("e", 1000 + number), padded(number, size=100_000))
        for _ in range(2):
            await other.got_and_acked()
    received = [await stuck.get()]
    while endpoints("e", 1000 + pushes).body not in received[-1].bodies.values():
        received.append(await stuck.get())
    # It goes from an old state to the newest; what lay between was never queued.
    assert len(received) < pushes


def padded(number: int, size: int = 1) -> Resource:
    """Return a listener that is large on the wire: an unknown field, which parsers skip."""
    # Field 15,000, length-delimited; the length as a varint of three bytes.
    unknown = b"\xc2\xa9\x07" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + b"x" * size
    return replace(listener("l"), body=listener("l").body + unknown, version=str(number))


async def test_a_burst_of_changes_is_one_push(start: Start, mode: str) -> None:
    world = await start(debounce=0.1, debounce_max=5.0)
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    for note in range(1, 30):
        world.serve(cluster("a", note=note))
    got = await client.got_and_acked()
    assert got.bodies["a"] == cluster("a", note=29).body
    assert await client.silent(0.3)


async def test_the_longest_wait_of_a_change_is_bounded(start: Start, mode: str) -> None:
    world = await start(debounce=0.2, debounce_max=0.4)
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()

    async def change_all_the_time() -> None:
        note = 0
        while True:
            note += 1
            world.serve(cluster("a", note=note))
            await asyncio.sleep(0.02)

    changing = asyncio.create_task(change_all_the_time())
    try:
        assert (await client.get()).names == {"a"}
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def test_pushes_to_a_stream_never_overlap(start: Start, mode: str) -> None:
    world = await start(debounce=0.0, debounce_max=0.0)
    world.serve(cluster("a"), listener("l"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(LISTENER)
    await client.got_and_acked()
    for note in range(1, 40):
        world.serve(cluster("a", note=note), listener("l", note=note))
        await asyncio.sleep(0)
    seen: dict[str, int] = {CLUSTER: 0, LISTENER: 0}
    while min(seen.values()) < 39:
        got = await client.got_and_acked()
        body = next(iter(got.bodies.values()))
        make = cluster if got.type_url == CLUSTER else listener
        name = "a" if got.type_url == CLUSTER else "l"
        seen[got.type_url] = next(n for n in range(1, 40) if make(name, note=n).body == body)
        # A listener never goes before the clusters of its own push.
        assert seen[LISTENER] <= seen[CLUSTER]


async def test_a_stream_above_the_limit_is_refused_before_the_store_is_read(start: Start, mode: str) -> None:
    world = await start(max_streams=1)
    world.serve(cluster("a"))
    first = world.client(mode)
    await first.subscribe(CLUSTER)
    await first.got_and_acked()
    asked = world.groupings
    second = world.client(mode, node="second")
    with suppress(grpc.aio.AioRpcError):  # it may be refused before it has asked
        await second.subscribe(CLUSTER)
    code, details = await second.ended()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "1 streams" in details
    assert world.groupings == asked
    await first.close()
    await until(lambda: world.server.streams == 0)
    third = world.client(mode, node="third")
    await third.subscribe(CLUSTER)
    assert (await third.get()).names == {"a"}


async def test_a_shutdown_ends_streams_cleanly(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await world.server.stop(30.0)
    assert loop.time() - began < 10
    assert (await client.ended())[0] is grpc.StatusCode.OK
    assert world.server.streams == 0


async def test_old_streams_can_be_ended_while_new_ones_are_served(world: World, mode: str) -> None:
    world.serve(cluster("a"))
    old = world.client(mode)
    await old.subscribe(CLUSTER)
    await old.got_and_acked()
    world.server.end_streams(older_than=60)
    assert await old.silent(0.1)
    between = asyncio.get_running_loop().time()
    new = world.client(mode, node="new")
    await new.subscribe(CLUSTER)
    await new.got_and_acked()
    world.server.end_streams(older_than=asyncio.get_running_loop().time() - between)
    assert (await old.ended())[0] is grpc.StatusCode.OK
    world.serve(cluster("a"), cluster("b"))
    assert (await new.get()).names >= {"b"}


async def test_a_shutdown_ends_a_stream_that_does_not_read_within_its_grace(world: World, mode: str) -> None:
    world.serve(padded(0))
    client = world.client(mode, alone=True)
    await client.subscribe(LISTENER)
    await client.got_and_acked()
    for number in range(1, 20):
        world.serve(padded(number, size=500_000))
        await asyncio.sleep(0.01)
    await world.server.stop(0.3)
    assert world.server.streams == 0


async def test_a_client_that_is_gone_without_a_word_is_noticed(start: Start, mode: str) -> None:
    """Nothing of the connection is closed: this is a machine that lost its power."""
    world = await start(keepalive=1.0, keepalive_timeout=0.5)
    world.serve(cluster("a"))
    powered = asyncio.Event()
    powered.set()
    ends: list[asyncio.StreamWriter] = []

    async def forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await powered.wait()
            sink.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", world.server.port)
        ends.extend((writer, outer))
        await asyncio.gather(forward(reader, outer), forward(inner, writer), return_exceptions=True)

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as between:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{between.sockets[0].getsockname()[1]}")
        dead = Client(channel, mode)
        await dead.subscribe(CLUSTER)
        await dead.got_and_acked()
        powered.clear()
        again = world.client(mode)
        await again.subscribe(CLUSTER)
        await again.got_and_acked()
        assert world.server.streams == 2
        await until(lambda: world.server.streams == 1)
        [envoy] = world.board.envoys()
        assert envoy.connected
        powered.set()
        for end in ends:
            end.close()
        await dead.close()
        await channel.close()


async def test_a_port_in_use_is_a_conflict_that_names_the_setting(start: Start) -> None:
    world = await start()
    with pytest.raises(ConflictError) as caught:
        await start(port=world.server.port)
    assert caught.value.field == "xds.port"


async def test_an_inconsistent_snapshot_is_refused_and_the_last_good_stays(world: World, mode: str) -> None:
    world.serve(cluster("a"), listener("l", "r"), routes("r", "a"))
    client = world.client(mode)
    await client.subscribe(LISTENER)
    await client.got_and_acked()
    with pytest.raises(InconsistentError, match="'gone'"):
        world.serve(cluster("a"), listener("l", "r", note=1), routes("r", "gone"))
    with pytest.raises(InconsistentError, match="'r'"):
        world.serve(cluster("a"), listener("l", "r", note=1))
    assert await client.silent()
    late = world.client(mode, node="late")
    await late.subscribe(LISTENER)
    assert (await late.get()).bodies == {"l": listener("l", "r").body}
