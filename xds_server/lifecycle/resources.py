"""CPU a request and memory of a version against those of its reference, as evidence. Pure.

A block of time gives one score for each ratio of `Ratios`' grid: how far log(candidate / reference) lies from the log
of the ratio, in units of `SCALE`, cut at +-`CLIP`. Blocks do not overlap. At the true ratio a score is as likely above
0 as below, if a block's deviation is.

Guarantees: a block holds one process of each leg from its beginning to its end: one that was started anew begins a new
block, and so does another way of counting. Which blocks count is settled before they begin.
Not guaranteed: that one process speaks for its version. A block's noise is taken for independent of the one before, but
the heap of a process, its caches and its luck stay the same from block to block: evidence is about these processes, as
they are, and a second start may tell something else. CPU of a request that did not come through the Envoys (health
checks, other clients) is counted with those that did. CPU against the original compares unequal loads: what a process
uses for being there weighs more on the one with less to do, so blocks with little load do not count (`LOAD`).
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from xds_server.analysis.statistics.ratio import GAMMA, GRID, Ratios

SCALE = 0.05
"""Of a score, in natural logs: 5 % beyond a ratio is 1."""
CLIP = 2.0
SAMPLES = 5
"""Of a block, at least."""
REQUESTS = 20
"""Of each leg in a block of CPU, at least."""
CPU = 0.05
"""Seconds of CPU of each leg in a block, at least: five ticks of the kernel's clock. It goes on until then."""
LOAD = 0.02
"""Cores that each leg used in the block before; below that a block against the original does not count."""
LITTLE = (
    "so little load ({:.1f} % of a core) that the cost of a request cannot be told from the cost of being there: "
    "mirror more, or use a control"
)
_UNLIKE = 2.0
"""Times as many requests from which on it is said."""
_LOGS = [j * math.log(GAMMA) for j in GRID]


def scores(reference: float, candidate: float) -> list[float]:
    """Return a block's score at each ratio of the grid. One of the two may be 0, not both."""
    if reference <= 0 or candidate <= 0:
        return [CLIP if candidate > 0 else -CLIP] * len(GRID)
    beyond = math.log(candidate / reference)
    return [min(CLIP, max(-CLIP, (beyond - log) / SCALE)) for log in _LOGS]


@dataclass(frozen=True, slots=True)
class Leg:
    """What a version has used up to a moment; None where it is not known, with the reason."""

    whose: Hashable = ()
    """Another one begins a new block."""
    cpu: float | None = None
    """Seconds of CPU so far, over all processes."""
    memory: float | None = None
    """Resident bytes now, of one instance."""
    requests: int | None = None
    """Requests so far."""
    unknown: str = ""
    """Why `cpu` or `memory` is not known."""
    uncounted: str = ""
    """Why `requests` is not known."""


@dataclass(slots=True)
class MemoryBlocks:
    """Resident bytes: the mean of a block against the reference's in the same block."""

    evidence: Ratios = field(default_factory=Ratios)
    reference: float | None = None
    candidate: float | None = None
    """Means of the newest block."""
    reason: str = ""
    _whose: Hashable = None
    _since: float = 0.0
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _count: int = 0

    def add(self, at: float, reference: Leg, candidate: Leg, *, length: float) -> None:
        """Take a sample of both legs; `at` is monotonic, `length` that of a block."""
        self.reason = _why_not("memory", reference, candidate)
        whose = (reference.whose, candidate.whose)
        if reference.memory is None or candidate.memory is None:
            self._whose = None
            return
        if whose != self._whose:
            self._whose = whose
            self._begin(at)
        if reference.memory <= 0 or candidate.memory <= 0:
            return  # a process that is just ending has none
        self._sums[0] += reference.memory
        self._sums[1] += candidate.memory
        self._count += 1
        if at - self._since >= length and self._count >= SAMPLES:
            self.reference, self.candidate = (total / self._count for total in self._sums)
            self.evidence.add(scores(self.reference, self.candidate))
            self._begin(at)
        if not self.evidence.count:
            self.reason = "the first block is not over yet"

    def _begin(self, at: float) -> None:
        self._since, self._sums, self._count = at, [0.0, 0.0], 0


@dataclass(frozen=True, slots=True)
class _Start:
    at: float
    cpu: tuple[float, float]
    requests: tuple[int, int]


@dataclass(slots=True)
class CpuBlocks:
    """CPU seconds of a block over the requests in it."""

    evidence: Ratios = field(default_factory=Ratios)
    reason: str = ""
    _whose: Hashable = None
    _start: _Start | None = None
    _last: _Start | None = None
    _samples: int = 0
    _loaded: bool = False
    _note: str = ""
    _cpu: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _requests: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def reference(self) -> float | None:
        """Core-milliseconds a request in the blocks that count."""
        return self._per_request(0)

    @property
    def candidate(self) -> float | None:
        """The same of the version."""
        return self._per_request(1)

    def add(
        self, at: float, reference: Leg, candidate: Leg, *, length: float, counted: bool = True, alike: bool = True
    ) -> None:
        """Take a sample of both legs.

        Args:
            at: monotonic.
            reference: the one leg.
            candidate: the other.
            length: of a block.
            counted: whether requests were counted just now; a block begins and ends at such a moment.
            alike: whether both get the same requests; else blocks with little load do not count.
        """
        self.reason = _why_not("cpu", reference, candidate)
        if reference.cpu is None or candidate.cpu is None or reference.requests is None or candidate.requests is None:
            self._whose = None
            return
        now = _Start(at, (reference.cpu, candidate.cpu), (reference.requests, candidate.requests))
        whose = (reference.whose, candidate.whose)
        self._samples += 1
        if whose != self._whose or _fell(self._last, now):
            self._whose, self._start, self._loaded = whose, None, False
        self._last = now
        if counted and self._start is None:
            self._start, self._samples = now, 1
        elif counted and self._start is not None:
            self._note = self._look(self._start, now, length=length, alike=alike)
        self.reason = self._note or ("" if self.evidence.count else "the first block is not over yet")

    def _look(self, start: _Start, now: _Start, *, length: float, alike: bool) -> str:
        """End a block when it is time; return what is to know of it."""
        elapsed = now.at - start.at
        cpu = [now.cpu[leg] - start.cpu[leg] for leg in (0, 1)]
        requests = [now.requests[leg] - start.requests[leg] for leg in (0, 1)]
        if elapsed < length or self._samples <= SAMPLES:
            return self._note
        if min(requests) < REQUESTS:
            return f"too few requests so far: {min(requests)} of {REQUESTS} in a block"
        if min(cpu) < CPU:
            return f"too little CPU was used so far to measure it: {min(cpu):.2f} of {CPU:g} s in a block"
        if alike or self._loaded:
            self.evidence.add(scores(cpu[0] / requests[0], cpu[1] / requests[1]))
            for leg in (0, 1):
                self._cpu[leg] += cpu[leg]
                self._requests[leg] += requests[leg]
        self._start, self._samples = now, 1
        self._loaded = min(cpu) >= LOAD * elapsed
        if alike:
            return ""
        if not self._loaded:
            return LITTLE.format(100 * min(cpu) / elapsed)
        times = requests[0] / requests[1]
        return f"the original serves {times:.0f} times as many requests" if times > _UNLIKE else ""

    def _per_request(self, leg: int) -> float | None:
        return 1000 * self._cpu[leg] / self._requests[leg] if self._requests[leg] else None


@dataclass(slots=True)
class PerRequest:
    """CPU a request of one leg from one count of its requests to the next."""

    _last: Leg | None = None

    def add(self, leg: Leg) -> float | None:
        """Return core-milliseconds a request since it last did; None when there is nothing to tell yet."""
        last = self._last
        if leg.cpu is None or leg.requests is None:
            self._last = None
            return None
        if last is None or last.cpu is None or last.requests is None or last.whose != leg.whose or leg.cpu < last.cpu:
            self._last = leg
            return None
        requests = leg.requests - last.requests
        if 0 <= requests < REQUESTS:
            return None
        self._last = leg
        return 1000 * (leg.cpu - last.cpu) / requests if requests > 0 else None


def _fell(last: _Start | None, now: _Start) -> bool:
    """Tell whether a process or a count began anew."""
    return last is not None and any(
        now.cpu[leg] < last.cpu[leg] or now.requests[leg] < last.requests[leg] for leg in (0, 1)
    )


def _why_not(what: str, reference: Leg, candidate: Leg) -> str:
    for leg in (candidate, reference):
        if getattr(leg, what) is None:
            return leg.unknown
    if what == "cpu":
        return next((leg.uncounted for leg in (candidate, reference) if leg.requests is None), "")
    return ""
