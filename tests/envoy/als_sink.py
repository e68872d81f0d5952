"""A tiny end of the access log: takes Envoy's ALS streams and keeps the entries, and the messages as they came."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import grpc
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2
from envoy_data_plane.envoy.service.metrics.v3 import StreamMetricsMessage

from xds_server.model.names import CAPTURE_METADATA, PAIR_HEADER, SHADOW_HEADER

_ALS = "envoy.service.accesslog.v3.AccessLogService"
_METRICS = "envoy.service.metrics.v3.MetricsService"

Entry = Any
"""An `HTTPAccessLogEntry`; the generated classes have no types."""


class AlsSink:
    """Collects entries on a free port of loopback; also takes the metrics sink's counters."""

    def __init__(self) -> None:
        self.port = 0
        self.raw: list[bytes] = []
        self.entries: list[Entry] = []
        self.streams = 0
        self.counters: dict[str, float] = {}
        self._server: grpc.aio.Server | None = None
        self._grown = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(self.handlers())
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    def handlers(self) -> tuple[Any, ...]:
        """Return the services, for a server of somebody else's."""
        return (
            grpc.method_handlers_generic_handler(
                _ALS, {"StreamAccessLogs": grpc.stream_unary_rpc_method_handler(self._logs)}
            ),
            grpc.method_handlers_generic_handler(
                _METRICS, {"StreamMetrics": grpc.stream_unary_rpc_method_handler(self._metrics)}
            ),
        )

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.stop(0.2)

    async def _logs(self, requests: AsyncIterator[bytes], _context: object) -> bytes:
        self.streams += 1
        async for raw in requests:
            self.raw.append(raw)
            message = als_pb2.StreamAccessLogsMessage.FromString(raw)
            self.entries.extend(message.http_logs.log_entry)
            self._grown.set()
        return b""

    async def _metrics(self, requests: AsyncIterator[bytes], _context: object) -> bytes:
        async for raw in requests:
            # xds-protos has no metrics service.
            for family in StreamMetricsMessage.parse(raw).envoy_metrics:
                for metric in family.metric:
                    if metric.counter is not None:
                        self.counters[family.name] = metric.counter.value
            self._grown.set()
        return b""

    async def until(self, condition: Callable[["AlsSink"], bool], *, seconds: float = 15.0) -> None:
        """Wait until the condition holds of this sink; TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                self._grown.clear()
                await self._grown.wait()

    async def pairs(self, count: int) -> list[tuple[Entry, Entry]]:
        """Wait for `count` pairs; return (original, copy) of each."""
        await self.until(lambda sink: len(sink._paired()) >= count)
        return self._paired()

    def _paired(self) -> list[tuple[Entry, Entry]]:
        originals, copies = {}, defaultdict(list)
        for entry in self.entries:
            if is_copy(entry):
                copies[pair_of(entry)].append(entry)
            else:
                originals[pair_of(entry)] = entry
        return [(originals[key], copy) for key, found in copies.items() if key in originals for copy in found]

    @property
    def originals(self) -> list[Entry]:
        return [entry for entry in self.entries if not is_copy(entry)]

    @property
    def copies(self) -> list[Entry]:
        return [entry for entry in self.entries if is_copy(entry)]


def is_copy(entry: Entry) -> bool:
    return SHADOW_HEADER in entry.request.request_headers


def pair_of(entry: Entry) -> str:
    return str(entry.request.request_headers[PAIR_HEADER])


def captured(entry: Entry) -> dict[str, Any]:
    """Return what the capture filter wrote, as plain values."""
    fields = entry.common_properties.metadata.filter_metadata[CAPTURE_METADATA].fields
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in fields.items()}


def flags(entry: Entry) -> set[str]:
    """Return the names of the response flags that are set."""
    return {field.name for field, _ in entry.common_properties.response_flags.ListFields()}


def empty() -> Entry:
    return accesslog_pb2.HTTPAccessLogEntry()
