"""The machine that the manager runs on, as the one node of the inventory.

Guarantees: load is measured over at least `SPAN` seconds, so that one busy millisecond does not count; memory is what
is left for us, the limit of a container (cgroup) included. Nothing blocks.
Not guaranteed: the very first answer; it is the load average of the last minute.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from xds_server.config import NodeSettings
from xds_server.placement.node import Node

SPAN = 1.0
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Limit and use of memory, cgroup v2 and v1."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The machine at one moment: seconds of all processors since boot, and bytes."""

    busy: float
    total: float
    memory: int
    memory_free: int


class LocalInventory:
    """One node: this machine."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        runtimes: Sequence[str] = ("process", "endpoint", "self"),
        measure: Callable[[], Measured] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe this machine.

        Args:
            settings: its name, place and limits.
            runtimes: kinds of variants that it can run.
            measure: reads the machine; psutil unless given.
            clock: monotonic seconds.
        """
        self._settings = settings
        self._runtimes = tuple(runtimes)
        self._measure = measure or read_machine
        self._clock = clock
        self._cpus = float(len(os.sched_getaffinity(0)))
        self._last: tuple[float, Measured] | None = None
        self._load = min(1.0, os.getloadavg()[0] / self._cpus)

    async def nodes(self, running: Mapping[str, int]) -> list[Node]:
        """See `Inventory.nodes`."""
        now, measured = self._clock(), self._measure()
        if self._last is None:
            self._last = now, measured
        elif now - self._last[0] >= SPAN and measured.total > self._last[1].total:
            before = self._last[1]
            self._load = min(1.0, max(0.0, (measured.busy - before.busy) / (measured.total - before.total)))
            self._last = now, measured
        settings = self._settings
        return [
            Node(
                name=settings.name,
                region=settings.region,
                zone=settings.zone,
                runtimes=self._runtimes,
                cpus=self._cpus,
                cpu_load=self._load,
                memory_bytes=measured.memory,
                memory_free_bytes=measured.memory_free,
                running=running.get(settings.name, 0),
                max_shadows=settings.max_shadows,
            )
        ]


def read_machine() -> Measured:
    """Read processors and memory; some 0.1 ms."""
    times = psutil.cpu_times()
    # guest time is counted in user time as well (proc(5))
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    memory = psutil.virtual_memory()
    whole, free = memory.total, memory.available
    for limit_file, use_file in _LIMITS:
        limit, used = _number(limit_file), _number(use_file)
        if limit is not None and used is not None and limit < whole:
            whole, free = limit, min(free, max(0, limit - used))
    return Measured(total - times.idle - getattr(times, "iowait", 0.0), total, whole, free)


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such cgroup, or "max"
        return None
