"""The gRPC server: the discovery services, client status, health, reflection, and what others add.

Guarantees: after `start` it is served on `port`; a port in use is an `ConflictError`. `stop` refuses new streams,
ends the open ones and returns within the grace time. It depends on a cache and a grouping only, so the analysis engine
runs the same server over the last good resources.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from xds_server.cache.cache import SnapshotCache
from xds_server.config import XdsSettings
from xds_server.errors import ConflictError
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.client_status import ClientStatus
from xds_server.protocol.node import Grouping
from xds_server.protocol.rpc import Handler
from xds_server.protocol.service import XdsService

log = structlog.get_logger(__name__)

_MAX_REQUEST = 16 * 1024 * 1024


class XdsServer:
    """An xDS management server on a cache."""

    def __init__(
        self,
        *,
        settings: XdsSettings,
        cache: SnapshotCache,
        grouping: Grouping,
        board: StatusBoard,
        extra_handlers: Sequence[Handler] = (),
    ) -> None:
        """Prepare a server; nothing is bound yet.

        Args:
            settings: address, limits, times.
            cache: the snapshots to serve.
            grouping: which group of the cache a node gets.
            board: where the state of the Envoys shows.
            extra_handlers: more services on the same port.
        """
        self._settings = settings
        self._service = XdsService(settings=settings, cache=cache, grouping=grouping, board=board)
        self._status = ClientStatus(board=board, cache=cache)
        self._extra = tuple(extra_handlers)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # bound conditionally
        self._server: grpc.aio.Server | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port that is served; 0 before `start`."""
        return self._port

    @property
    def streams(self) -> int:
        """How many discovery streams are open."""
        return self._service.streams

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            ConflictError: the address cannot be bound.
        """
        address = f"{self._settings.address}:{self._settings.port}"
        if ":" in self._settings.address and not self._settings.address.startswith("["):
            address = f"[{self._settings.address}]:{self._settings.port}"
        server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers((*self._service.handlers(), self._status.handler(), *self._extra))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*self._service.names, self._status.name, health.SERVICE_NAME)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        try:
            self._port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ConflictError(
                f"cannot listen on {address}", field="xds.port", hint="choose a free port, or 0 for any"
            ) from error
        await server.start()
        self._server = server
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("xDS server listens", address=self._settings.address, port=self._port)

    def end_streams(self, *, older_than: float) -> None:
        """End the discovery streams that are open for more than `older_than` seconds; new ones are served."""
        self._service.end_streams(older_than=older_than)

    async def stop(self, grace: float) -> None:
        """End all streams, then the server; `grace` seconds at most. Does nothing when it does not run."""
        server, self._server = self._server, None
        if server is None:
            return
        await self._health.enter_graceful_shutdown()
        self._service.drain()
        await server.stop(grace)
        # grpc.aio returns when the calls ended; the handlers' last lines may still have to run.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._service.drained()

    def _options(self) -> list[tuple[str, int]]:
        return [
            # Without it a second manager would share the port silently.
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", round(self._settings.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", round(self._settings.keepalive_timeout * 1000)),
            # Tried on 1.85: without it a ping that nobody answers ends a connection after a minute, whatever that says.
            ("grpc.http2.ping_timeout_ms", round(self._settings.keepalive_timeout * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            # Thousands of Envoys come back at once after a restart; grpc would refuse those beyond 1,000 that wait.
            ("grpc.server.max_pending_requests", self._settings.max_streams),
            ("grpc.server.max_pending_requests_hard_limit", 2 * self._settings.max_streams),
            ("grpc.max_receive_message_length", _MAX_REQUEST),
            ("grpc.max_send_message_length", -1),
        ]
