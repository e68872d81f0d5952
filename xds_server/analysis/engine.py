"""The analysis engine of a node: access log and counters of the node's Envoys in, windows to the manager out.

Guarantees: it works without the manager (windows wait, merged), and its books of losses survive it, however it ends:
one that finds books on disk sends nothing until the manager has said from which of them it is to go on. While the
manager is away it serves the last good resources on the same port, so that an Envoy that starts then serves the
original; when the manager is back it sends such Envoys away, since they try the manager again only then.
Not guaranteed: an Envoy's entries while the engine is away; they are counted lost (`als_gap`).
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from xds_server.analysis.analyser import Analyser
from xds_server.analysis.clock import Clock
from xds_server.analysis.ingest.ledger import Ledger
from xds_server.analysis.ingest.servicers import Servicers
from xds_server.analysis.link.last_good import LastGoodStore, write_whole
from xds_server.analysis.link.link import Link
from xds_server.analysis.link.shelf import Shelf
from xds_server.analysis.link.wire import VERSION
from xds_server.analysis.profile_config import unpack_profile
from xds_server.analysis.standstill import Standstill
from xds_server.cache.cache import SnapshotCache
from xds_server.config import EngineSettings, XdsSettings
from xds_server.errors import ConflictError
from xds_server.private_files import tighten
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.node import Grouping, NodeInfo
from xds_server.protocol.server import XdsServer

log = structlog.get_logger(__name__)

STEP = 0.05
"""Seconds between looks whether a window should be closed early (a profile's first pair)."""
GRACE = 0.5
"""Seconds that Envoys' streams are given at a stop."""
QUIET = 0.25
"""Seconds without a record after which, at a stop, none is on its way; Envoy flushes its log every 100 ms."""
LINGER = 1.0
"""Longest, in seconds, that a stop waits for that."""
STAY = 3.0
"""Seconds that an Envoy may stay with the failover source while the manager is there."""
DRAIN = 2.0
"""Seconds that the last windows are given to reach the manager at a stop."""


def by_cluster(node: NodeInfo) -> str:
    """Return the group of an Envoy that listens where its network says."""
    return node.cluster


class AnalysisEngine:
    """One engine; `start`, and `stop` when done.

    Args:
        settings: address, port, bounds, where the manager is.
        node: name of the node it runs on.
        state: folder that is the engine's alone; made when missing.
        clock: the time.
        grouping: which group of the last good resources an Envoy gets; the manager's own grouping.
    """

    def __init__(
        self,
        *,
        settings: EngineSettings,
        node: str,
        state: Path,
        clock: Clock,
        grouping: Grouping = by_cluster,
    ) -> None:
        self._settings = settings
        self._node = node
        self._state = state
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._cache = SnapshotCache()
        self._last_good = LastGoodStore(state / "last-good", self._cache)
        self.analyser = Analyser(settings, wall=lambda: clock.now().timestamp())
        self._instances: dict[str, str] = {}
        self.ledger = Ledger(self._missing)
        self._closings = 0
        self._shelf = Shelf(state / "books.json", self._id)
        self._settled = asyncio.Event()
        self._servicers = Servicers(self.analyser, self.ledger, clock)
        self._link = Link(
            settings.manager, hello=self._hello, received=self._received, delivered=self._tidy, clock=clock
        )
        self._server = XdsServer(
            settings=XdsSettings(address=settings.address, port=settings.port),
            cache=self._cache,
            grouping=grouping,
            board=StatusBoard(),
            extra_handlers=self._servicers.handlers,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._attached_since: float | None = None

    @property
    def port(self) -> int:
        """The port that is served; 0 before `start`."""
        return self._server.port

    @property
    def connected(self) -> bool:
        """Whether the manager is attached now."""
        return self._link.connected

    async def start(self) -> None:
        """Read the state, serve, and look for the manager. Raises: ConflictError when the port is taken."""
        tighten(self._state)
        self._last_good.load()
        self._load("profiles.json", self._configure)
        self._load("books.json", self._shelf.load)
        try:
            await self._server.start()
        except ConflictError as error:
            raise ConflictError(error.detail, field="engine.port", hint=error.hint) from error
        if not self._shelf.predecessor:
            self._begin({})
        self._tasks = [asyncio.create_task(self._link.run()), asyncio.create_task(self._work())]

    async def stop(self) -> None:
        """Take in what is on its way (briefly), stop serving, count what waits as lost, hand the last windows over."""
        await self._linger()
        await self._server.stop(GRACE)
        if self._tasks:
            until = self._clock.monotonic() + DRAIN
            if self._link.connected:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._settled.wait(), DRAIN)
            self.analyser.pairing.stop()
            self._close_window()
            await self._link.drained(max(0.0, until - self._clock.monotonic()))
            self._tidy()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _linger(self) -> None:
        until = self._clock.monotonic() + LINGER
        while (now := self._clock.monotonic()) < until and now - self._servicers.last_record < QUIET:
            await self._clock.sleep(STEP)

    async def _work(self) -> None:
        closes = self._clock.monotonic() + self._settings.window
        standstill = Standstill(self._clock.monotonic())
        while True:
            await self._clock.sleep(min(STEP, self._settings.window))
            now = self._clock.monotonic()
            try:
                self._send_back(now)
                if standstill.caught_up(now):
                    self.analyser.expire(now)
                if now >= closes or (self.analyser.news and self._settled.is_set()):
                    closes = now + self._settings.window
                    self._turn(now)
            except Exception:
                log.exception("a window could not be closed; the next one will be tried")

    def _send_back(self, now: float) -> None:
        """End streams of Envoys while the manager is there: one that cannot reach it comes back, and is served."""
        if not self._link.connected:
            self._attached_since = None
        elif self._attached_since is None:
            self._attached_since = now
        elif now - self._attached_since > STAY:
            # By then the newest resources have come from the manager, so Envoys leave with those.
            self._server.end_streams(older_than=STAY)

    def _turn(self, now: float) -> None:
        if self._settled.is_set():
            self.ledger.settle(now)
        self._close_window()

    def _close_window(self) -> None:
        if not self._settled.is_set():
            # What was sent now would be in windows that no books on disk know of; it waits, in one window.
            self._link.send([], self._figures(), closing=0)
            return
        tallies = self.analyser.take()
        if tallies:
            self._closings += 1
        # Before the windows can be sent, so that whatever the manager has of us, the books as of then are there.
        # Copies that still wait for their originals would be lost with this engine.
        self._shelf.put(self._closings, self.ledger.pack(self.analyser.pairing.waiting_copies()))
        self._link.send(tallies, self._figures(), closing=self._closings)
        self._tidy()

    def _tidy(self) -> None:
        outbox = self._link.outbox
        self._shelf.keep({outbox.acknowledged, *outbox.pending})

    def _succeed(self, predecessor: str, closing: int) -> None:
        if self._settled.is_set() or predecessor != self._shelf.predecessor:
            return
        books = self._shelf.left_at(closing)
        try:
            if books:
                self.ledger.load(books)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("the books of the engine before cannot be read and begin anew", error=repr(error))
            books = {}
        self._begin(books)

    def _begin(self, books: Mapping[str, Any]) -> None:
        self._shelf.begin(books)
        self._settled.set()

    def _figures(self) -> dict[str, Any]:
        return {
            "records": self.analyser.records,
            "pairs": self.analyser.pairs,
            "waiting": self.analyser.pairing.waiting,
            "waitingBytes": self.analyser.pairing.waiting_bytes,
            "foreign": self.analyser.foreign,
            "broken": self.analyser.broken,
            "missing": self.ledger.missing(),
        }

    def _missing(self, kind: Any, instance: str, change: int) -> None:
        profile = self._instances.get(instance) or self.analyser.profile_of_instance(instance)
        if profile is not None:
            self.analyser.lost(kind, profile, instance, change)

    def _hello(self) -> Mapping[str, Any]:
        return {
            "engine": self._id,
            "node": self._node,
            "version": VERSION,
            "predecessor": self._shelf.predecessor,
            "lastGood": dict(self._last_good.versions),
        }

    def _received(self, message: Mapping[str, Any]) -> None:
        try:
            if "config" in message:
                self._configure(message["config"])
                write_whole(self._state / "profiles.json", orjson.dumps(message["config"]))
            elif "predecessor" in message:
                told = message["predecessor"]
                self._succeed(str(told["engine"]), int(told["closing"]))
            elif "lastGood" in message:
                offered = message["lastGood"]
                if "groups" in offered:
                    self._last_good.keep_only(offered["groups"])
                else:
                    self._last_good.take(offered["group"], offered["version"], offered["resources"])
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            log.warning("what the manager sent cannot be read, or not be kept", error=repr(error))

    def _configure(self, packed: Any) -> None:
        profiles = [unpack_profile(one) for one in packed]
        self.analyser.configure(profiles)
        self._instances = {instance: p.profile_id for p in profiles for instance in p.shadows}

    def _load(self, name: str, take: Callable[[Any], None]) -> None:
        path = self._state / name
        if not path.exists():
            return
        with contextlib.suppress(FileNotFoundError):
            try:
                take(orjson.loads(path.read_bytes()))
            except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
                log.warning("the engine's state cannot be read and begins anew", path=str(path), error=repr(error))
