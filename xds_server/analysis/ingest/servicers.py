"""The two services that Envoys stream to: access log and metrics. Raw bytes in; parsing is the analyser's.

Guarantees: a stream that sends nonsense is counted and read on; the streams of one Envoy may be many, and come and
go.
"""

from typing import Any

import grpc
from grpc.aio import EOF  # type: ignore[attr-defined]  # grpc-stubs leave it out

from xds_server.analysis.analyser import Analyser
from xds_server.analysis.clock import Clock
from xds_server.analysis.ingest import als, metrics
from xds_server.analysis.ingest.ledger import Ledger


class Servicers:
    """Handlers for `XdsServer(extra_handlers=...)`."""

    def __init__(self, analyser: Analyser, ledger: Ledger, clock: Clock) -> None:
        """Name who takes in what is received."""
        self._analyser = analyser
        self._ledger = ledger
        self._clock = clock
        self.last_record = float("-inf")
        """Monotonic time at which the last record of ours arrived."""
        self.handlers = (
            grpc.method_handlers_generic_handler(
                als.SERVICE, {als.METHOD: grpc.stream_unary_rpc_method_handler(self._access_log)}
            ),
            grpc.method_handlers_generic_handler(
                metrics.SERVICE, {metrics.METHOD: grpc.stream_unary_rpc_method_handler(self._metrics)}
            ),
        )

    async def _access_log(self, _requests: Any, context: Any) -> bytes:
        node = ""
        while (message := await context.read()) is not EOF:
            batch = self._analyser.feed(message, self._clock.monotonic())
            node = batch.node or node
            if batch.records:
                self.last_record = self._clock.monotonic()
                self._ledger.arrived(node, batch.records)
        return b""

    async def _metrics(self, _requests: Any, context: Any) -> bytes:
        node = ""
        while (message := await context.read()) is not EOF:
            counters = metrics.read_counters(message)
            if counters is not None:
                node = counters.node or node
                self._ledger.pushed(node, counters, self._clock.monotonic())
        return b""
