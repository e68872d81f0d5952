"""Between Envoy and the engine: notes each leg's response time, and hands on what it was given, byte by byte.

`python -m tests.bench._tap --engine 127.0.0.1:4321` prints its port as the first line; for each line that it reads it
prints what it has noted since the last one, as JSON: `[[pair, shadow, started, response_time], ...]`, `shadow` empty
for an original. The product keeps times to 2 %, which is too coarse to see what a path adds.
Not guaranteed: the engine as a failover source of xDS; Envoy finds only its access log and metrics services here.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import orjson

from xds_server.analysis.ingest.als import read_batch

_ALS = "envoy.service.accesslog.v3.AccessLogService"
_METRICS = "envoy.service.metrics.v3.MetricsService"

Noted = tuple[str, str, float, float]


class Tap:
    """See the module. `engine` is `host:port`."""

    def __init__(self, engine: str) -> None:
        self._channel = grpc.aio.insecure_channel(engine)
        self._noted: list[Noted] = []

    def handlers(self) -> tuple[Any, ...]:
        """Return the services that Envoy streams to."""
        return (
            grpc.method_handlers_generic_handler(
                _ALS, {"StreamAccessLogs": grpc.stream_unary_rpc_method_handler(self._logs)}
            ),
            grpc.method_handlers_generic_handler(
                _METRICS, {"StreamMetrics": grpc.stream_unary_rpc_method_handler(self._metrics)}
            ),
        )

    def take(self) -> list[Noted]:
        """Return what was noted, once."""
        noted, self._noted = self._noted, []
        return noted

    async def _logs(self, requests: AsyncIterator[bytes], _context: object) -> bytes:
        async def noted() -> AsyncIterator[bytes]:
            async for raw in requests:
                self._noted.extend(_times(raw))
                yield raw

        return await self._hand_on(f"/{_ALS}/StreamAccessLogs", noted())

    async def _metrics(self, requests: AsyncIterator[bytes], _context: object) -> bytes:
        return await self._hand_on(f"/{_METRICS}/StreamMetrics", requests)

    async def _hand_on(self, method: str, requests: AsyncIterator[bytes]) -> bytes:
        answer: bytes = await self._channel.stream_unary(method)(requests)
        return answer


def _times(raw: bytes) -> Iterator[Noted]:
    for record in read_batch(raw).records:
        if record.response_time is not None:
            yield record.pair, record.shadow, record.started, record.response_time


async def _serve(engine: str) -> None:
    tap, server = Tap(engine), grpc.aio.server()
    server.add_generic_rpc_handlers(tap.handlers())
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    while await asyncio.to_thread(sys.stdin.buffer.readline):
        sys.stdout.buffer.write(orjson.dumps(tap.take()) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    asyncio.run(_serve(parser.parse_args().engine))


if __name__ == "__main__":
    main()
