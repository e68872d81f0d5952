"""XDS.md rows 19 to 24: heartbeats, streams that end, clients that do not read, bursts, refusals."""

import asyncio
import gc

import grpc
import pytest

from tests.conformance.conftest import Start, World
from tests.conformance.resources import cluster, endpoints, listener, routes, runtime
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, RUNTIME
from xds_server.errors import ConflictError, InconsistentError


async def until(condition: object, wait: float = 5.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(wait):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_resource_with_a_ttl_gets_heartbeats_without_a_body(world: World, mode: str) -> None:
    world.serve(runtime(ttl=0.6), cluster("a"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.got_and_acked()
    await client.subscribe(RUNTIME, "shadowmesh")
    first = await client.got_and_acked()
    assert first.ttls == {"shadowmesh": 0.6}
    for _ in range(3):
        beat = await client.got_and_acked()
        assert (beat.type_url, beat.heartbeats, beat.names) == (RUNTIME, ("shadowmesh",), set())
        assert beat.ttls == {"shadowmesh": 0.6}
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
    world.serve(runtime(ttl=0.45))
    client = world.client(mode)
    await client.subscribe(RUNTIME, "shadowmesh")
    await client.got_and_acked()
    beat = await client.get()
    assert beat.heartbeats == ("shadowmesh",)
    # The client stood still: by the time of its answer it may have forgotten the resource.
    await asyncio.sleep(0.6)
    await client.ack(beat)
    async with asyncio.timeout(5):
        while (got := await client.got_and_acked()).heartbeats:
            pass
    assert got.names == {"shadowmesh"}
    assert got.ttls == {"shadowmesh": 0.45}


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
    big = 50_000
    world.serve(*(endpoints(f"{n:03}") for n in range(100)), listener("l"))
    stuck, other = world.client(mode, node="stuck"), world.client(mode, node="other")
    for client in (stuck, other):
        await client.subscribe(ENDPOINTS, "000")
        await client.got_and_acked()
        await client.subscribe(LISTENER)
        await client.got_and_acked()
    from dataclasses import replace

    pushes = 60
    for number in range(pushes):
        # Large enough that the windows of HTTP/2 are soon full.
        body = listener("l").body + b"\x00" * 0
        padded = replace(listener("l"), body=body + _unknown(big), version=str(number))
        world.serve(endpoints("000", 1000 + number), padded)
        for _ in range(2):
            await other.got_and_acked()
    session = next(s.session for s in world.server._service._streams if s.session and s.mode and _node(world, s) == "stuck")
    sent = session._nonce
    assert sent < 2 * pushes
    got, last = 0, None
    while last is None or b"".join(last.bodies.values()) != endpoints("000", 1000 + pushes - 1).body:
        answer = await stuck.get()
        got += 1
        if answer.type_url == ENDPOINTS:
            last = answer
    assert got < 2 * pushes


def _unknown(size: int) -> bytes:
    """Return an unknown field of `size` bytes; a parser skips it."""
    from xds_server.protocol.wire import field

    return field(15_000, b"x" * size)


def _node(world: World, stream: object) -> str:
    return world.server._service._streams[stream][1].node.id


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


async def test_a_shutdown_ends_a_stream_that_does_not_read_within_its_grace(world: World, mode: str) -> None:
    from dataclasses import replace

    world.serve(replace(listener("l"), body=listener("l").body + _unknown(1)))
    client = world.client(mode)
    await client.subscribe(LISTENER)
    await client.got_and_acked()
    for number in range(20):
        world.serve(replace(listener("l"), body=listener("l").body + _unknown(500_000), version=str(number)))
        await asyncio.sleep(0.01)
    await world.server.stop(0.3)
    assert world.server.streams == 0


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
