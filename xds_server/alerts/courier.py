"""Brings alerts to one sink, whatever state its receiver is in.

Guarantees: `offer` never waits. What is to be told is kept by alert, so the newest state replaces an older one that was
not told yet: a receiver that was away for an hour hears each alert once. Failures are tried again after a time that
doubles from `FIRST_WAIT` to `LONGEST_WAIT`, with jitter. At most `MOST_PENDING` alerts wait; one that fires and found
no room is offered again at the next look, one that is resolved is dropped and counted.
Not guaranteed: exactly once. A receiver that took an alert and did not say so in time is told again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

import structlog
from prometheus_client import Counter, Gauge

from xds_server.alerts.alert import Alert, Labels
from xds_server.alerts.sinks.base import Sink, SinkFailedError
from xds_server.errors import cut
from xds_server.metrics import REGISTRY

log = structlog.get_logger(__name__)

MOST_PENDING = 2000
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0

_DELIVERED = Counter("shadowmesh_alert_deliveries", "Posts to a sink that succeeded.", ["sink"], registry=REGISTRY)
_FAILED = Counter("shadowmesh_alert_delivery_failures", "Posts to a sink that failed.", ["sink"], registry=REGISTRY)
_DROPPED = Counter("shadowmesh_alerts_dropped", "Alerts that a sink was never told of.", ["sink"], registry=REGISTRY)
_PENDING = Gauge(
    "shadowmesh_alerts_pending", "Alerts that a sink has not been told of yet.", ["sink"], registry=REGISTRY
)
_UP = Gauge("shadowmesh_alert_sink_up", "1 while the last post to a sink succeeded.", ["sink"], registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How a sink does. `error` is why the last post failed; empty when it did not. Times are UTC."""

    name: str
    target: str
    ok: bool
    error: str
    failing_since: datetime | None
    pending: int
    delivered: int
    failures: int
    dropped: int


class Courier:
    """One sink's.

    Args:
        sink: the receiver.
        timeout: seconds that one post may take.
        now: the wall clock.
        chance: for the jitter.
        told: labels of alerts that it was told of in an earlier life.
    """

    def __init__(
        self, sink: Sink, *, timeout: float, now: Callable[[], datetime], chance: Random, told: Iterable[Labels] = ()
    ) -> None:
        self.sink = sink
        self._timeout = timeout
        self._now = now
        self._chance = chance
        self._pending: dict[Labels, Alert] = {}
        # Of those that want to hear again, the first time is now.
        self._told: dict[Labels, float] = dict.fromkeys(told, 0.0)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._error = ""
        self._failing_since: datetime | None = None
        self._in_a_row = 0
        self._delivered = self._failures = self._dropped = 0
        for metric in (_DELIVERED, _FAILED, _DROPPED, _PENDING):
            metric.labels(sink.name)
        _UP.labels(sink.name).set(1)

    @property
    def told(self) -> list[Labels]:
        """Labels of the alerts that it was told of and that have not been resolved for it."""
        return list(self._told)

    @property
    def status(self) -> SinkStatus:
        """How it does."""
        return SinkStatus(
            name=self.sink.name,
            target=self.sink.target,
            ok=not self._error,
            error=self._error,
            failing_since=self._failing_since,
            pending=len(self._pending),
            delivered=self._delivered,
            failures=self._failures,
            dropped=self._dropped,
        )

    def offer(self, firing: Mapping[Labels, Alert], resolved: Sequence[Alert]) -> None:
        """Take in what fires now, and what was resolved since the last call."""
        for alert in resolved:
            self._put(alert)
        now, resend = self._now().timestamp(), self.sink.resend
        for labels, alert in firing.items():
            told = self._told.get(labels)
            if labels in self._pending or told is None or (resend is not None and abs(now - told) >= resend):
                self._put(alert)
        _PENDING.labels(self.sink.name).set(len(self._pending))

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                wait = await self._deliver(list(self._pending.values())[: self.sink.batch])
                _PENDING.labels(self.sink.name).set(len(self._pending))
                if wait:
                    await asyncio.sleep(wait)
            self._idle.set()

    async def drained(self, seconds: float) -> None:
        """Wait until everything was told, but not long, and not at all for a receiver that is away."""
        if not self._error:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("alerts were not told in time", sink=self.sink.name, pending=len(self._pending))

    def _put(self, alert: Alert) -> None:
        if alert.labels not in self._pending and len(self._pending) >= MOST_PENDING:
            if not alert.firing:
                self._told.pop(alert.labels, None)
                self._dropped += 1
                _DROPPED.labels(self.sink.name).inc()
            return
        self._pending[alert.labels] = alert
        self._idle.clear()
        self._wake.set()

    async def _deliver(self, alerts: Sequence[Alert]) -> float:
        """Send a batch; return how long to wait then."""
        try:
            async with asyncio.timeout(self._timeout):
                await self.sink.send(alerts)
        except TimeoutError:
            return self._failed(SinkFailedError(f"no answer within {self._timeout:g} s"))
        except SinkFailedError as error:
            if error.useless:
                self._forget(alerts)
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever a sink does, the others and the next try go on
            return self._failed(SinkFailedError(f"{type(error).__name__}: {error}"))
        if self._error:
            log.info("an alert sink is back", sink=self.sink.name, target=self.sink.target)
        self._error, self._failing_since, self._in_a_row = "", None, 0
        self._delivered += 1
        _DELIVERED.labels(self.sink.name).inc()
        _UP.labels(self.sink.name).set(1)
        now = self._now().timestamp()
        for alert in alerts:
            if alert.firing:
                self._told[alert.labels] = now
            else:
                self._told.pop(alert.labels, None)
            self._taken(alert)
        return 0.0

    def _forget(self, alerts: Sequence[Alert]) -> None:
        """Drop what the receiver will not take; what fires counts as told, or it would be tried at every look."""
        for alert in alerts:
            if alert.firing:
                self._told[alert.labels] = self._now().timestamp()
            self._taken(alert)
        self._dropped += len(alerts)
        _DROPPED.labels(self.sink.name).inc(len(alerts))

    def _taken(self, alert: Alert) -> None:
        # What began or ended meanwhile waits for its own turn; newer words alone are no reason to tell again.
        waiting = self._pending.get(alert.labels)
        if waiting is not None and waiting.ends_at == alert.ends_at:
            del self._pending[alert.labels]

    def _failed(self, error: SinkFailedError) -> float:
        detail = cut(str(error))
        if not self._error:
            log.warning("an alert sink fails", sink=self.sink.name, target=self.sink.target, error=detail)
            self._failing_since = self._now()
        self._error = detail
        self._failures += 1
        self._in_a_row += 1
        _FAILED.labels(self.sink.name).inc()
        _UP.labels(self.sink.name).set(0)
        longest: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._in_a_row - 1, 16))
        # Full jitter would be 0 now and then; half is kept, so that a dead receiver is not asked in a hurry.
        return max(error.wait, longest * (0.5 + self._chance.random() / 2))
