"""One discovery stream: the task that owns its session, and the task that reads for it.

Guarantees: the session is touched by one task only. What comes in while a response is being written waits in a bounded
box (then the client is not read from); what changes meanwhile merges into one flag, so a client that stops reading
costs a constant. Nothing outlives `run`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from xds_server.cache.snapshot import Snapshot
from xds_server.protocol import telemetry, wire
from xds_server.protocol.node import NodeInfo, node_info
from xds_server.protocol.rpc import EOF, Context
from xds_server.protocol.session import Mode, Outgoing, Session

INBOX = 64
"""Requests read ahead of the session."""


class StreamError(Exception):
    """The client broke the protocol; the stream ends with INVALID_ARGUMENT."""


class Stream:
    """Drives one session over one RPC."""

    def __init__(
        self,
        context: Context,
        *,
        mode: Mode,
        implied: str | None,
        opened: Callable[["Stream", NodeInfo], Session],
        seen: Callable[["Stream"], None],
        progressed: Callable[[], None],
    ) -> None:
        """Serve `context`.

        Args:
            context: the RPC, with raw bytes both ways.
            mode: the variant of the protocol.
            implied: the one type of a single-type service, None for ADS.
            opened: called with the node of the first request; returns the session to drive.
            seen: called at each request.
            progressed: called when there is nothing more to send for now.
        """
        self.implied = implied
        self.mode = mode
        self.session: Session | None = None
        self.since = asyncio.get_running_loop().time()
        """Loop time at which the stream was opened."""
        self._context = context
        self._opened = opened
        self._seen = seen
        self._progressed = progressed
        self._message = discovery_pb2.DiscoveryRequest if mode is Mode.SOTW else discovery_pb2.DeltaDiscoveryRequest
        self._encode = wire.sotw if mode is Mode.SOTW else wire.delta
        self._inbox: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._half_closed = False
        self._news: tuple[Snapshot | None, float] | None = None

    def changed(self, snapshot: Snapshot | None, since: float) -> None:
        """Tell of a new snapshot (loop time `since`); of several that were not taken in yet the last counts."""
        self._news = (snapshot, since if self._news is None else min(since, self._news[1]))
        self._wake.set()

    def end(self) -> None:
        """Have the stream end, cleanly, as soon as it is not writing."""
        self._ended = True
        self._wake.set()

    async def run(self) -> None:
        """Serve until the client or the server ends the stream.

        Raises:
            StreamError: the client broke the protocol.
        """
        reader = asyncio.create_task(self._read(), name="xds-reader")
        try:
            await self._serve()
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._take_in(loop.time())
            outgoing = self.session.next(loop.time()) if self.session is not None else None
            if outgoing is not None and not self._ended:
                await self._write(outgoing)
                continue
            self._progressed()
            if self._ended or self._half_closed:
                return
            await self._rest(loop)

    def _take_in(self, now: float) -> None:
        while self._inbox:
            self._receive(self._inbox.popleft(), now)
        self._room.set()
        if self._news is not None and self.session is not None:
            snapshot, since = self._news
            self._news = None
            self.session.adopt(snapshot, now, since=since)

    def _receive(self, raw: bytes, now: float) -> None:
        try:
            request: Any = self._message.FromString(raw)
        except DecodeError as error:
            raise StreamError(f"not a {self._message.__name__}") from error
        if self.session is None:
            if not request.node.id:
                raise StreamError("the first request of a stream must carry a node with an id")
            self.session = self._opened(self, node_info(request.node))
        type_url = request.type_url or self.implied
        if not type_url:
            raise StreamError("type_url is empty; on an aggregated stream every request must carry one")
        if self.implied is not None and type_url != self.implied:
            raise StreamError(f"type_url is {type_url!r}; this service serves {self.implied!r} only")
        self._seen(self)
        self.session.receive(type_url, request, now)

    async def _write(self, outgoing: Outgoing) -> None:
        plan = outgoing.plan
        await self._context.write(wire.with_nonce(self._encode(plan), outgoing.nonce))
        kind = "heartbeat" if plan.alive else "update"
        telemetry.responses(plan.type_url, kind).inc()

    async def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for a request, a change, or the time that the session named."""
        deadline = self.session.deadline() if self.session is not None else None
        timer = None if deadline is None else loop.call_at(deadline, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _read(self) -> None:
        while (raw := await self._context.read()) is not EOF:
            self._inbox.append(raw)
            self._wake.set()
            if len(self._inbox) >= INBOX:
                self._room.clear()
                await self._room.wait()
        # What was asked before is still answered.
        self._half_closed = True
        self._wake.set()
