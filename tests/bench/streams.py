"""Change -> ACK: how long until every stream acknowledged a change of one runtime resource.

The clients run in another process, one connection a stream, as Envoys do. `echo` is the floor: the same number of
streams on a bare `grpc.aio` server that writes ready bytes and waits for any answer; no xDS in it. The ratio to it is
what our part of the path costs; both are measured in turns, in one run.
"""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import orjson
from envoy.service.discovery.v3 import discovery_pb2
from grpc.aio import EOF

from tests.xds_resources import runtime
from xds_server import log
from xds_server.cache import SnapshotCache, make_snapshot
from xds_server.cache.resource import RUNTIME
from xds_server.config import LogSettings, XdsSettings
from xds_server.protocol import StatusBoard, XdsServer, service
from xds_server.protocol.subscription import Answer

SIZES = (100, 1000)
ROUNDS = {100: 40, 1000: 8}
METHODS = {
    "sotw": "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "delta": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "echo": "/bench.Echo/Talk",
}


async def clients(port: int, mode: str, count: int) -> None:
    """Keep `count` streams open and ACK what comes, until standard input closes."""
    delta = mode == "delta"
    request = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
    names: dict[str, Any] = {"resource_names_subscribe" if delta else "resource_names": ["shadowmesh"]}
    kept = {} if delta else names

    async def one(number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            call = channel.stream_stream(METHODS[mode])()
            first = request(type_url=RUNTIME, node={"id": f"bench-{number}", "cluster": "bench"}, **names)
            await call.write(first.SerializeToString())
            ack = request(type_url=RUNTIME, **kept).SerializeToString()
            tag = bytes([request.DESCRIPTOR.fields_by_name["response_nonce"].number << 3 | 2])
            while (raw := await call.read()) is not EOF:
                # The least that a client can do: the nonce is the last field, its number is 5 in both variants.
                nonce = raw[raw.rindex(b"\x2a", -12) + 1 :]
                await call.write(ack + tag + nonce)

    running = [asyncio.create_task(one(n)) for n in range(count)]
    await asyncio.to_thread(sys.stdin.read)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@contextlib.asynccontextmanager
async def other_process(port: int, mode: str, count: int) -> AsyncIterator[None]:
    """Run `clients` in another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.streams",
        "clients",
        str(port),
        mode,
        str(count),
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def reached(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


class Acks:
    """Collects the times of one round's ACKs."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = asyncio.Event()
        self.times: list[float] = []

    def add(self, seconds: float) -> None:
        self.times.append(seconds)
        if len(self.times) >= self._count:
            self._done.set()

    async def collect(self, change: Callable[[], None]) -> list[float]:
        self.times.clear()
        self._done.clear()
        change()
        async with asyncio.timeout(60):
            await self._done.wait()
        return list(self.times)


@contextlib.asynccontextmanager
async def xds(count: int, mode: str) -> AsyncIterator[Callable[[], Any]]:
    """Yield a function that makes one change and returns the seconds to each ACK."""
    cache, board, acks = SnapshotCache(), StatusBoard(), Acks(count)
    settings = XdsSettings(port=0)
    server = XdsServer(settings=settings, cache=cache, grouping=lambda node: node.cluster, board=board)
    number = 0
    before = service._answered

    def change() -> None:
        nonlocal number
        number += 1
        cache.set("bench", make_snapshot([runtime(value=number)]))

    def answered(answer: Answer) -> None:
        before(answer)
        acks.add(answer.seconds)

    service._answered = answered
    await server.start()
    try:
        async with other_process(server.port, mode, count):
            await reached(lambda: server.streams == count)
            await asyncio.sleep(0.5)
            await acks.collect(change)
            yield lambda: acks.collect(change)
    finally:
        service._answered = before
        await server.stop(1.0)


@contextlib.asynccontextmanager
async def echo(count: int) -> AsyncIterator[Callable[[], Any]]:
    """The same without xDS."""
    acks = Acks(count)
    contexts: list[Any] = []
    began = 0.0
    body = discovery_pb2.DiscoveryResponse(type_url=RUNTIME, nonce="1", version_info="0" * 16)
    response = body.SerializeToString()

    async def talk(_requests: object, context: Any) -> None:
        await context.read()
        contexts.append(context)
        while await context.read() is not EOF:
            acks.add(time.perf_counter() - began)

    async def write(context: Any) -> None:
        await context.write(response)

    tasks: set[asyncio.Task[None]] = set()

    def change() -> None:
        nonlocal began
        began = time.perf_counter()
        for context in contexts:
            task = asyncio.create_task(write(context))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = grpc.aio.server()
    method = grpc.stream_stream_rpc_method_handler(talk)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Talk": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with other_process(port, "echo", count):
            await reached(lambda: len(contexts) == count)
            await acks.collect(change)
            yield lambda: acks.collect(change)
    finally:
        await server.stop(1.0)


async def measure(count: int) -> dict[str, Any]:
    """Return the figures of one number of streams (milliseconds)."""
    found: dict[str, list[float]] = {"echo": [], "sotw": [], "delta": []}
    async with echo(count) as floor, xds(count, "sotw") as sotw:
        for _ in range(ROUNDS[count]):
            found["echo"] += await floor()
            await asyncio.sleep(0.02)
            found["sotw"] += await sotw()
            await asyncio.sleep(0.02)
    async with xds(count, "delta") as delta:
        for _ in range(ROUNDS[count]):
            found["delta"] += await delta()
            await asyncio.sleep(0.02)
    figures = {}
    for name, times in found.items():
        cuts = statistics.quantiles(times, n=100)
        figures[name] = {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "acks": len(times)}
    for name in ("sotw", "delta"):
        figures[name]["ratio_p50"] = figures[name]["p50_ms"] / figures["echo"]["p50_ms"]
    return figures


def run() -> dict[str, Any]:
    """Measure all sizes, print the table, return the figures."""
    log.configure(LogSettings(level="warning"))  # as a manager logs, not every stream that opens
    results = {}
    print(f"{'streams':>8} {'variant':>8} {'p50 ms':>9} {'p99 ms':>9} {'p50 / echo':>11}")
    for count in SIZES:
        figures = asyncio.run(measure(count))
        results[str(count)] = figures
        for name, line in figures.items():
            ratio = f"{line['ratio_p50']:.2f}" if "ratio_p50" in line else ""
            print(f"{count:>8} {name:>8} {line['p50_ms']:>9.2f} {line['p99_ms']:>9.2f} {ratio:>11}")
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["clients"]:
        asyncio.run(clients(int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    else:
        sys.stdout.write(orjson.dumps(run(), option=orjson.OPT_INDENT_2).decode() + "\n")
