"""The discovery services as gRPC handlers over raw bytes, and the streams that are open on them.

Guarantees: above the limit, or while draining, a stream is refused with UNAVAILABLE before the cache is asked anything.
A change of a group is pushed once to each of its streams after the debounce. When a stream ends, its watch and tasks
are gone. Not guaranteed: fairness between streams beyond that of the event loop.
"""

import asyncio
from functools import partial

import grpc
import structlog
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.snapshot import Snapshot
from xds_server.config import XdsSettings
from xds_server.errors import ShadowmeshError
from xds_server.protocol import telemetry, wire
from xds_server.protocol.board import Connection, StatusBoard
from xds_server.protocol.debounce import Debouncer
from xds_server.protocol.fetch import selected
from xds_server.protocol.node import Grouping, NodeInfo, node_info
from xds_server.protocol.rpc import Context, Handler, Method
from xds_server.protocol.services import ADS, SINGLE_TYPES
from xds_server.protocol.session import Mode, Session
from xds_server.protocol.stream import Stream, StreamError
from xds_server.protocol.subscription import Answer

log = structlog.get_logger(__name__)


class _Group:
    """The streams of one group, and the one watch that they share."""

    def __init__(self, name: str, cache: SnapshotCache, settings: XdsSettings) -> None:
        self.streams: set[Stream] = set()
        self._name = name
        self._cache = cache
        self._since = 0.0
        self._waiting = False
        self._debounce = Debouncer(self._push, quiet=settings.debounce, longest=settings.debounce_max)
        self._unsubscribe = cache.subscribe(name, self._changed)

    def close(self) -> None:
        self._debounce.cancel()
        self._unsubscribe()

    def _changed(self, _snapshot: Snapshot | None) -> None:
        if not self._waiting:
            self._waiting, self._since = True, asyncio.get_running_loop().time()
        self._debounce.trigger()

    def _push(self) -> None:
        self._waiting = False
        snapshot = self._cache.get(self._name)
        for stream in self.streams:
            stream.changed(snapshot, self._since)


class XdsService:
    """All discovery services on one cache."""

    def __init__(self, *, settings: XdsSettings, cache: SnapshotCache, grouping: Grouping, board: StatusBoard) -> None:
        """Serve `cache`; `grouping` tells which group a node belongs to, `board` shows what came of it."""
        self._settings = settings
        self._cache = cache
        self._grouping = grouping
        self._board = board
        board.compare_with(cache)
        self._streams: dict[Stream, tuple[str, Connection] | None] = {}
        self._groups: dict[str, _Group] = {}
        self._draining = False
        self._closing = asyncio.Event()

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def names(self) -> tuple[str, ...]:
        """The full names of the services."""
        return (ADS, *(each.service for each in SINGLE_TYPES))

    def handlers(self) -> tuple[Handler, ...]:
        """Return the handlers to add to a `grpc.aio` server."""
        methods = {
            "StreamAggregatedResources": self._method(Mode.SOTW, None),
            "DeltaAggregatedResources": self._method(Mode.DELTA, None),
        }
        found = [grpc.method_handlers_generic_handler(ADS, methods)]
        for each in SINGLE_TYPES:
            methods = {f"Delta{each.noun}": self._method(Mode.DELTA, each.type_url)}
            if not each.delta_only:
                methods[f"Stream{each.noun}"] = self._method(Mode.SOTW, each.type_url)
                fetch = partial(self._fetch, each.type_url)
                methods[f"Fetch{each.noun}"] = grpc.unary_unary_rpc_method_handler(fetch)
            found.append(grpc.method_handlers_generic_handler(each.service, methods))
        return tuple(found)

    def drain(self) -> None:
        """Refuse new streams and end those that are open, each as soon as it is not writing."""
        self._draining = True
        for stream in tuple(self._streams):
            stream.end()

    def end_streams(self, *, older_than: float) -> None:
        """End the streams that are open for more than `older_than` seconds; clients may come back at once."""
        opened_before = asyncio.get_running_loop().time() - older_than
        for stream in tuple(self._streams):
            if stream.since < opened_before:
                stream.end()

    async def drained(self) -> None:
        """Wait until no stream is open."""
        while self._streams:
            self._closing.clear()
            await self._closing.wait()

    def _method(self, mode: Mode, implied: str | None) -> Method:
        return grpc.stream_stream_rpc_method_handler(partial(self._serve, mode, implied))

    async def _serve(self, mode: Mode, implied: str | None, _requests: object, context: Context) -> None:
        if self._draining or len(self._streams) >= self._settings.max_streams:
            reason = "draining" if self._draining else "limit"
            telemetry.REFUSED.labels(reason).inc()
            what = "shutting down" if self._draining else f"{self._settings.max_streams} streams are open already"
            await context.abort(grpc.StatusCode.UNAVAILABLE, what)
        stream = Stream(
            context,
            mode=mode,
            implied=implied,
            opened=self._opened,
            seen=self._seen,
            progressed=self._board.progressed,
        )
        self._streams[stream] = None
        telemetry.STREAMS.labels(mode.value).inc()
        try:
            await stream.run()
        except StreamError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except ShadowmeshError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        finally:
            telemetry.STREAMS.labels(mode.value).dec()
            self._closed(stream)

    def _opened(self, stream: Stream, node: NodeInfo) -> Session:
        group = self._grouping(node)
        session = Session(
            stream.mode,
            removal_timeout=self._settings.removal_timeout,
            aggregated=stream.implied is None,
            # Envoy (tried on 1.40) takes a heartbeat in, ACKs it and lets the resource expire all the same, but only
            # in the state of the world.
            renew_in_full=stream.mode is Mode.SOTW and node.user_agent.startswith("envoy"),
            on_answer=_answered,
        )
        self._streams[stream] = (group, self._board.connect(node, group, session))
        known = self._groups.get(group)
        if known is None:
            known = self._groups[group] = _Group(group, self._cache, self._settings)
        known.streams.add(stream)
        now = asyncio.get_running_loop().time()
        session.adopt(self._cache.get(group), now)
        log.debug("stream opened", node=node.id, group=group, mode=stream.mode.value)
        return session

    def _seen(self, stream: Stream) -> None:
        opened = self._streams[stream]
        if opened is not None:
            self._board.seen(opened[1])

    def _closed(self, stream: Stream) -> None:
        opened = self._streams.pop(stream)
        self._closing.set()
        if opened is None:
            return
        group, connection = opened
        self._board.disconnect(connection)
        streams = self._groups[group].streams
        streams.discard(stream)
        if not streams:
            self._groups.pop(group).close()

    async def _fetch(self, type_url: str, raw: bytes, context: Context) -> bytes:
        try:
            request = discovery_pb2.DiscoveryRequest.FromString(raw)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a DiscoveryRequest")
        if not request.node.id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request must carry a node with an id")
        if request.type_url not in ("", type_url):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"type_url must be empty or {type_url!r}")
        snapshot = self._cache.get(self._grouping(node_info(request.node)))
        if snapshot is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no resources are known for this node")
        resources = selected(snapshot, type_url, request.resource_names)
        return wire.answer(type_url, snapshot.version(type_url), resources)


def _answered(answer: Answer) -> None:
    telemetry.answers(answer.type_url, "ack" if answer.accepted else "nack").inc()
    if answer.accepted:
        telemetry.push_seconds(answer.type_url).observe(answer.seconds)
