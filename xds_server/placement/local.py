"""The machine that the manager runs on, as a node.

Guarantees: load is measured over at least `SPAN` seconds, so that one busy millisecond does not count; memory is what
is left for us, the limit of a container (cgroup) included. Nothing blocks.
Not guaranteed: the very first answer; it is the load average of the last minute.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from xds_server.config import NodeSettings
from xds_server.errors import ShadowmeshError
from xds_server.model.docker_host import DockerHost
from xds_server.model.nodes import Capacity, NodeEntry
from xds_server.placement.node import Look

SPAN = 1.0
BESIDE_TIMEOUT = 3.0
"""Longest look at what else runs variants here."""
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


class LocalLook:
    """Looks at this machine.

    Args:
        measure: reads it; psutil unless given.
        clock: monotonic seconds.
        beside: looks at what else runs variants here, by kind (a Docker engine); one that raises is away, and the rest
            goes on.
    """

    def __init__(
        self,
        *,
        measure: Callable[[], Measured] | None = None,
        clock: Callable[[], float] = time.monotonic,
        beside: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    ) -> None:
        self._measure = measure or read_machine
        self._clock = clock
        self._beside = dict(beside or {})
        self._cpus = float(len(os.sched_getaffinity(0)))
        self._last: tuple[float, Measured] | None = None
        self._load = min(1.0, os.getloadavg()[0] / self._cpus)

    async def __call__(self) -> Look:
        """Return what there is now."""
        whys = await asyncio.gather(*(_why_away(look) for look in self._beside.values()))
        away = {kind: why for kind, why in zip(self._beside, whys, strict=True) if why}
        now, measured = self._clock(), self._measure()
        if self._last is None:
            self._last = now, measured
        elif now - self._last[0] >= SPAN and measured.total > self._last[1].total:
            before = self._last[1]
            self._load = min(1.0, max(0.0, (measured.busy - before.busy) / (measured.total - before.total)))
            self._last = now, measured
        return Look(self._cpus, self._load, measured.memory, measured.memory_free, away)


async def _why_away(look: Callable[[], Awaitable[object]]) -> str:
    try:
        async with asyncio.timeout(BESIDE_TIMEOUT):
            await look()
    except TimeoutError:
        return f"no answer within {BESIDE_TIMEOUT:g} s"
    except (ShadowmeshError, OSError) as error:
        return str(error) or type(error).__name__
    return ""


def local_entry(settings: NodeSettings, docker: DockerHost | None = None) -> NodeEntry:
    """Return this machine as the one node of an inventory that nobody wrote."""
    return NodeEntry(
        name=settings.name,
        region=settings.region,
        zone=settings.zone,
        docker=docker,
        capacity=Capacity(cpus=settings.cpus, shadows=settings.max_shadows),
        local=True,
    )


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
