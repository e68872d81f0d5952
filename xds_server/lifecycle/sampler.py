"""CPU and memory of each running shadow, once a second, into `performanceData`.

Guarantees: memory does not grow with time: a latest, a mean and a maximum an instance, dropped with it.
Not guaranteed: figures from before the manager's last start.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.views import Gauge, Performance
from xds_server.model.ids import InstanceID
from xds_server.model.shadow import ShadowInstance
from xds_server.runtime.base import Runtime, Usage

log = structlog.get_logger(__name__)

INTERVAL = 1.0
"""Seconds between two samples."""


@dataclass(slots=True)
class _Series:
    """Running figures of one quantity."""

    count: int = 0
    total: float = 0.0
    latest: float = 0.0
    max: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.latest = value
        self.max = max(self.max, value)

    def gauge(self) -> Gauge | None:
        return Gauge(self.latest, self.total / self.count, self.max) if self.count else None


@dataclass(slots=True)
class _Seen:
    """What is known of one instance."""

    cpu: _Series = field(default_factory=_Series)
    memory: _Series = field(default_factory=_Series)
    per_request: _Series = field(default_factory=_Series)
    usage: Usage | None = None
    """The newest; None when it could not be known."""
    known: Usage | None = None
    """The newest that was known."""
    last: tuple[float, float] | None = None
    """Monotonic time and CPU seconds of the sample before."""
    samples: int = 0


class Sampler:
    """Asks runtimes for usage.

    Args:
        clock: its monotonic time is the denominator of CPU.
        running: the instances that run now, each with its runtime.
    """

    def __init__(self, *, clock: Clock, running: Callable[[], Iterable[tuple[ShadowInstance, Runtime]]]) -> None:
        self._clock = clock
        self._running = running
        self._seen: dict[InstanceID, _Seen] = {}

    def performance(self, instance: InstanceID) -> Performance:
        """Return what was measured of an instance so far; ended ones keep their figures until they are dropped."""
        seen = self._seen.get(instance)
        if seen is None:
            return Performance()
        return Performance(
            samples=seen.samples,
            cpu=seen.cpu.gauge(),
            memory=seen.memory.gauge(),
            cpu_per_request=seen.per_request.gauge(),
            usage=seen.known,
        )

    def usage(self, instance: InstanceID) -> Usage | None:
        """Return what the last sample said that an instance has used; None when it could not be known."""
        seen = self._seen.get(instance)
        return seen.usage if seen else None

    def add_per_request(self, instance: InstanceID, milliseconds: float) -> None:
        """Take note of the core-milliseconds that a request took."""
        seen = self._seen.get(instance)
        if seen is not None:
            seen.per_request.add(milliseconds)

    def drop(self, instance: InstanceID) -> None:
        """Forget an instance."""
        self._seen.pop(instance, None)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self._clock.sleep(INTERVAL)
            await self.sample()

    async def sample(self) -> None:
        """Take one sample of each instance."""
        # Side by side: one engine that is slow to answer keeps no other shadow waiting.
        await asyncio.gather(*(self._look(instance, runtime) for instance, runtime in list(self._running())))

    async def _look(self, instance: ShadowInstance, runtime: Runtime) -> None:
        try:
            usage = await runtime.usage(instance.handle)
        except Exception:
            log.exception("shadow: its usage could not be read", instance=instance.id)
            usage = None
        if usage is not None:
            self._add(instance.id, usage)
        elif (seen := self._seen.get(instance.id)) is not None:
            seen.usage = None

    def _add(self, instance: InstanceID, usage: Usage) -> None:
        now = self._clock.monotonic()
        seen = self._seen.setdefault(instance, _Seen())
        seen.samples += 1
        seen.usage = seen.known = usage
        seen.memory.add(float(usage.rss_bytes))
        if seen.last is not None and now > seen.last[0]:
            seen.cpu.add(max(0.0, usage.cpu_seconds - seen.last[1]) / (now - seen.last[0]))
        seen.last = (now, usage.cpu_seconds)
