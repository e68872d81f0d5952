"""Alerts as a part of the manager: looks at every profile every few seconds, and hands what changed to the couriers.

Guarantees: a look waits for no receiver, and lets other work in between two profiles. What fires is on disk, so a
manager that starts again goes on with the same alerts. At a stop nothing is resolved: Alertmanager lets an alert expire
that nobody repeats, and the manager that comes next resolves what is over. A profile that cannot be looked at (a bug)
is said in the log, keeps its alerts, and keeps no other from being looked at.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random

import structlog
from prometheus_client import Counter, Gauge

from xds_server.alerts import memory
from xds_server.alerts.alert import NAMES, Alert
from xds_server.alerts.conditions import Moment
from xds_server.alerts.courier import Courier, SinkStatus
from xds_server.alerts.evaluator import Evaluation, Evaluator
from xds_server.alerts.sinks.base import Sink
from xds_server.alerts.watched import Watched
from xds_server.config import AlertSettings
from xds_server.metrics import REGISTRY

log = structlog.get_logger(__name__)

FILE = "alerts.json"
LEAVE = 2.0
"""Seconds that receivers are given at a stop."""

_FIRING = Gauge("shadowmesh_alerts_firing", "Alerts that fire.", ["alertname"], registry=REGISTRY)
_FAULTS = Counter("shadowmesh_alert_look_failures", "Looks at a profile that failed.", registry=REGISTRY)


class Alerts:
    """The part. All methods belong on one event loop.

    Args:
        settings: when to raise alerts.
        sinks: whom to tell.
        now: the wall clock.
        path: the file that remembers.
        chance: for the jitter of repeated tries.
        steady: seconds by a clock that nobody sets; the wall clock when left out.
        wall: turns a moment of the life cycle into what the wall clock has for it.
    """

    def __init__(
        self,
        settings: AlertSettings,
        sinks: Sequence[Sink],
        *,
        now: Callable[[], datetime],
        path: Path,
        chance: Random | None = None,
        steady: Callable[[], float] | None = None,
        wall: Callable[[datetime], datetime] = lambda when: when,
    ) -> None:
        self._settings = settings
        self._steady = steady or (lambda: now().timestamp())
        self._wall = wall
        self._sinks = sinks
        self._now = now
        self._path = path
        self._chance = chance or Random()  # noqa: S311 - jitter
        self._evaluator = Evaluator(settings)
        self._couriers: list[Courier] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._firing: tuple[Alert, ...] = ()
        self._written = b""

    def start(self, watched: Callable[[], Iterable[Watched]]) -> None:
        """Begin: take up what fired before, then look at what `watched` gives, again and again."""
        before = memory.read(self._path)
        self._evaluator.resume(before.firing)
        self._firing = before.firing
        self._couriers = [
            Courier(
                sink,
                timeout=self._settings.timeout,
                now=self._now,
                chance=self._chance,
                told=before.told.get(sink.name, ()),
            )
            for sink in self._sinks
        ]
        work = [courier.run() for courier in self._couriers]
        self._tasks = [asyncio.create_task(each) for each in (*work, self._run(watched))]

    async def stop(self) -> None:
        """Look no more; bring away what waits, for a bounded time; remember what fires."""
        if not self._tasks:
            return
        looking = self._tasks.pop()
        await _cancel([looking])
        await asyncio.gather(*(courier.drained(LEAVE) for courier in self._couriers))
        await _cancel(self._tasks)
        self._tasks = []
        await self._remember()
        for sink in self._sinks:
            await sink.close()

    def firing(self, network: str) -> list[Alert]:
        """Return what fires of a network, by name."""
        return [alert for alert in self._firing if alert.label("network") == network]

    def sinks(self) -> list[SinkStatus]:
        """Return how each sink does."""
        return [courier.status for courier in self._couriers]

    async def look(self, watched: Iterable[Watched]) -> Evaluation:
        """Look at all profiles once, and offer the couriers what came of it."""
        try:
            for each in watched:
                self._look_at(each)
                await asyncio.sleep(0)
        except BaseException:
            # What was not looked at is not over.
            self._evaluator.give_up()
            raise
        found = self._evaluator.done(self._now().timestamp())
        self._firing = tuple(found.firing.values())
        for courier in self._couriers:
            courier.offer(found.firing, found.resolved)
        for name in NAMES:
            _FIRING.labels(name).set(sum(alert.name == name for alert in self._firing))
        return found

    def _look_at(self, watched: Watched) -> None:
        try:
            self._evaluator.look(watched, Moment(self._now().timestamp(), self._steady(), self._wall))
        except Exception:
            _FAULTS.inc()
            self._evaluator.hold(watched)
            log.exception("a profile could not be looked at", network=watched.network, profile=watched.profile)

    async def _run(self, watched: Callable[[], Iterable[Watched]]) -> None:
        while True:
            try:
                await self.look(watched())
            except Exception:
                _FAULTS.inc()
                log.exception("profiles could not be looked at")
            await asyncio.sleep(self._settings.interval)
            await self._remember()

    async def _remember(self) -> None:
        """Write what fires and who knows, when either has changed."""
        told = {courier.sink.name: courier.told for courier in self._couriers if courier.sink.resend is None}
        data = memory.pack(memory.Remembered(self._firing, told))
        if data == self._written:
            return
        try:
            await asyncio.to_thread(memory.write, self._path, data)
        except OSError as error:
            log.warning("what fires could not be written", path=str(self._path), error=str(error))
        else:
            self._written = data


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
