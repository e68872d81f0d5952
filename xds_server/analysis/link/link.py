"""The engine's side of the link to the manager.

Guarantees: it comes back by itself, with growing pauses; windows are sent until acknowledged; nothing the manager
sends raises.
Not guaranteed: that the manager is ever there. The engine does its work without it.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import structlog
from grpc.aio import EOF  # type: ignore[attr-defined]  # grpc-stubs leave it out

from xds_server.analysis.clock import Clock
from xds_server.analysis.link import wire
from xds_server.analysis.link.outbox import Outbox
from xds_server.analysis.windows.tally import Tally

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Tried on 1.85: without it a ping that nobody answers ends a connection after a minute, whatever that says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Loopback and cluster addresses; a proxy of the environment must not come between.
    ("grpc.enable_http_proxy", 0),
]


class Link:
    """Keeps a stream to the manager.

    Args:
        target: `host:port` of the manager's xDS server.
        hello: makes the first message of a stream.
        received: told of each message from the manager but acknowledgements.
        delivered: told of each acknowledgement, after it was taken in.
        clock: for the pauses.
    """

    def __init__(
        self,
        target: str,
        *,
        hello: Callable[[], Mapping[str, Any]],
        received: Callable[[Mapping[str, Any]], None],
        delivered: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._delivered = delivered
        self._target = target
        self._hello = hello
        self._received = received
        self._clock = clock
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._status: Mapping[str, Any] | None = None
        self._pause = FIRST_PAUSE
        self._hurry = False
        self.outbox = Outbox()
        self.connected = False

    def send(self, tallies: list[Tally], status: Mapping[str, Any], *, closing: int) -> None:
        """Hand over closed windows, and the newest state of the engine (it replaces one that was not sent yet)."""
        self.outbox.put(tallies, closing)
        if not self.outbox.empty:
            self._emptied.clear()
        self._status = status
        self._wake.set()

    async def drained(self, seconds: float) -> bool:
        """Wait until everything was acknowledged (the manager is asked to hurry); False when that takes longer."""
        self._hurry = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._emptied.wait()
        return self.outbox.empty

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        async with grpc.aio.insecure_channel(self._target, options=_OPTIONS) as channel:
            attach: Any = channel.stream_stream(wire.PATH, None, None)
            while True:
                try:
                    await self._attached(attach)
                except grpc.aio.AioRpcError as error:
                    log.debug("the manager cannot be reached", manager=self._target, code=error.code().name)
                except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
                    log.debug("the link to the manager broke", manager=self._target, error=repr(error))
                except Exception:
                    # Whatever it was: without a link nothing is handed over any more.
                    log.exception("the link to the manager broke", manager=self._target)
                if self.connected:
                    log.warning("the link to the manager ended; trying again", manager=self._target)
                self.connected = False
                # Chance keeps a thousand engines from coming back in the same moment; nothing depends on it.
                await self._clock.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _attached(self, attach: Any) -> None:
        call = attach()
        try:
            await call.write(wire.encode({"hello": self._hello()}))
            self.outbox.reconnected()
            self._wake.set()
            parts = [asyncio.create_task(self._read(call)), asyncio.create_task(self._write(call))]
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for part in parts:
                    part.cancel()
                results = await asyncio.gather(*parts, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result
        finally:
            call.cancel()

    async def _read(self, call: Any) -> None:
        while (data := await call.read()) is not EOF:
            if not self.connected:
                self.connected, self._pause = True, FIRST_PAUSE
                log.info("attached to the manager", manager=self._target)
            message = wire.decode(data)
            if message is None:
                continue
            if "ack" in message:
                self.outbox.acknowledge(int(message["ack"]))
                if self.outbox.empty:
                    self._emptied.set()
                self._delivered()
                self._wake.set()
            else:
                self._received(message)

    async def _write(self, call: Any) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (parcel := self.outbox.next()) is not None:
                await call.write(parcel.data)
            if self._hurry:
                await call.write(wire.encode({"flush": True}))
            status, self._status = self._status, None
            if status is not None:
                await call.write(wire.encode({"status": status}))
