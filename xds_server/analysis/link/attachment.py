"""One engine's stream, on the manager's side.

Guarantees: one task writes, and what it writes is the newest: changes while a write waits are merged, so a slow
engine costs no memory. Windows are handed over by whole closings: what a stream that broke had begun is dropped, and
comes again. A closing is acknowledged after it was taken in and is kept (`acknowledge`).
Not guaranteed: that a closing beyond `MAX_BUFFERED` bytes is handed over in one.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from grpc.aio import EOF  # type: ignore[attr-defined]  # grpc-stubs leave it out

from xds_server.analysis.clock import Clock
from xds_server.analysis.link import wire
from xds_server.analysis.profile_config import ProfileConfig

log = structlog.get_logger(__name__)

MAX_BUFFERED = 512 * 1024 * 1024
"""Bytes of the messages of a closing that wait for its marker."""
Windows = Sequence[tuple[int, int, Mapping[str, Any]]]
"""Of each window its number, the number of the one before of its profile, and itself, packed."""


@dataclass(frozen=True, slots=True)
class LastGood:
    """A group's last good resources, packed for the link."""

    version: str
    resources: list[list[Any]]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """An engine as the manager sees it. `figures` are its own counts: records, pairs, waiting, missing by Envoy."""

    engine: str
    """Unique id of its process."""
    node: str
    connected: bool
    since: datetime
    last_seen: datetime
    windows: int = 0
    figures: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "engineID": self.engine,
            "node": self.node,
            "connected": self.connected,
            "since": self.since.isoformat(),
            "lastSeen": self.last_seen.isoformat(),
            "windows": self.windows,
            **(self.figures or {}),
        }


class Attachment:
    """The stream of one engine."""

    def __init__(
        self,
        context: Any,
        *,
        clock: Clock,
        take: Callable[[str, Windows, int | None], bool],
        configs: Callable[[], Sequence[ProfileConfig]],
        last_good: Callable[[], Mapping[str, LastGood] | None],
        changed: Callable[[EngineStatus], None],
        hurry: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            context: the gRPC call.
            clock: the time of the status.
            take: called with engine, windows, and the number of the closing that is whole with them; False when the
                engine has a successor, so nothing of it is taken any more.
            configs: the profiles in force.
            last_good: the last good resources by group; None before any were offered.
            changed: told of the engine's status.
            hurry: told that the engine waits for what it sent to be kept, or for what is known of its predecessor.
        """
        self._context = context
        self._clock = clock
        self._take = take
        self._configs = configs
        self._last_good = last_good
        self._changed = changed
        self._hurry = hurry
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()
        self.taken = 0
        """Number of the last message that was taken in."""
        self.predecessor = ""
        """Id of the engine whose books this one found and goes on from, until it is told from which."""
        self._answer: tuple[str, int] | None = None
        self._windows: list[tuple[int, int, Mapping[str, Any]]] = []
        self._buffered = 0
        self._ack = 0
        self._status: EngineStatus | None = None
        self._sent_configs: Sequence[ProfileConfig] | None = None
        self._has: dict[str, str] = {}
        self._told_groups: frozenset[str] | None = None

    def wake(self) -> None:
        """Say that something for the engine may have changed."""
        self._wake.set()

    def acknowledge(self, number: int) -> None:
        """Tell the engine that what it sent up to this number will survive us."""
        if number > self._ack:
            self._ack = number
            self.wake()

    def succeed(self, predecessor: str, closing: int) -> None:
        """Tell the engine which closing of its predecessor is the last that was taken in, and will survive us."""
        if predecessor == self.predecessor:
            self.predecessor, self._answer = "", (predecessor, closing)
            self.wake()

    @property
    def engine(self) -> str:
        """Id of the engine; empty before it said so."""
        return self._status.engine if self._status is not None else ""

    def close(self) -> None:
        """End the stream."""
        self._closed.set()

    async def run(self) -> None:
        """Serve the stream until it ends."""
        parts = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._closed.wait())]
        writer: asyncio.Task[None] = asyncio.create_task(self._write())
        try:
            await asyncio.wait([*parts, writer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in (*parts, writer):
                part.cancel()
            await asyncio.gather(*parts, writer, return_exceptions=True)
            self._seen(connected=False)

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            while (data := await self._context.read()) is not EOF:
                message = wire.decode(data)
                if message is not None:
                    self._received(message, len(data))

    def _received(self, message: dict[str, Any], size: int) -> None:
        if "hello" in message:
            self._hello(message["hello"])
        elif self._status is None:
            return
        elif "window" in message:
            self._windows.append((int(message.get("seq", 0)), int(message.get("before", 0)), message["window"]))
            self._buffered += size
            if self._buffered > MAX_BUFFERED:
                self._hand_over(self._status.engine, self._windows[-1][0], closing=None)
        elif "closing" in message:
            self._hand_over(self._status.engine, int(message.get("seq", 0)), closing=int(message["closing"]))
        elif "status" in message:
            self._seen(figures=message["status"])
        elif "flush" in message:
            self._hurry()

    def _hand_over(self, engine: str, number: int, *, closing: int | None) -> None:
        windows, self._windows, self._buffered = self._windows, [], 0
        if not self._take(engine, windows, closing):
            self.close()
            return
        self.taken = max(self.taken, number)
        self._seen(windows=len(windows))

    def _hello(self, hello: Mapping[str, Any]) -> None:
        now = self._clock.now()
        self._has = {str(group): str(version) for group, version in dict(hello.get("lastGood", {})).items()}
        self._status = EngineStatus(
            engine=str(hello.get("engine", "")),
            node=str(hello.get("node", "")),
            connected=True,
            since=now,
            last_seen=now,
        )
        self._changed(self._status)
        log.info("an analysis engine is attached", node=self._status.node, engine=self._status.engine)
        self.predecessor = str(hello.get("predecessor") or "")
        if self.predecessor:
            self._hurry()
        self.wake()

    def _seen(self, *, connected: bool = True, windows: int = 0, figures: Mapping[str, Any] | None = None) -> None:
        if self._status is None:
            return
        self._status = replace(
            self._status,
            connected=connected,
            last_seen=self._clock.now(),
            windows=self._status.windows + windows,
            figures=figures if figures is not None else self._status.figures,
        )
        self._changed(self._status)

    async def _write(self) -> None:
        acked = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._status is None:
                continue
            if self._ack > acked:
                acked = self._ack
                await self._send({"ack": acked})
            if self._answer is not None:
                (engine, closing), self._answer = self._answer, None
                await self._send({"predecessor": {"engine": engine, "closing": closing}})
            configs = self._configs()
            if configs is not self._sent_configs:
                self._sent_configs = configs
                await self._send({"config": [config.pack() for config in configs]})
            await self._write_last_good()

    async def _write_last_good(self) -> None:
        offered = self._last_good()
        if offered is None:
            return
        for group, good in list(offered.items()):
            if self._has.get(group) != good.version:
                self._has[group] = good.version
                await self._send({"lastGood": {"group": group, "version": good.version, "resources": good.resources}})
        groups = frozenset(offered)
        if groups != self._told_groups:
            self._told_groups = groups
            self._has = {group: version for group, version in self._has.items() if group in groups}
            await self._send({"lastGood": {"groups": sorted(groups)}})

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._context.write(wire.encode(message))
