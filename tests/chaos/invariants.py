"""What must hold after each blow, and within which bounds (docs/chaos.md says why these)."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

import psutil

from tests.chaos.callers import Callers, Wrong
from tests.chaos.points import IN_PAIRS, OF_SHADOWS, Blow, Moment, Point
from tests.chaos.theatre import Theatre
from tests.envoy.stack import JSON, RUNTIME_TTL

RATE = 100.0
MIRRORING_STOPPED = RUNTIME_TTL + 2.0
"""Seconds from the last word of a manager to the last copy."""
SLOWEST = 2.0
"""Seconds that a right answer may take where Envoy itself is not struck: 1 s, and as much again for a busy machine."""
ENVOY_UP = 5.0
"""Seconds from the start of an Envoy to its first answer, manager or no manager."""
BACK = 15.0
"""Seconds until manager, engine and Envoy have found each other again."""
RUNNING = 15.0
"""Seconds until a shadow runs, from when all are back."""
RESUMED = 15.0
"""Seconds until pairs are compared again, from when its shadow runs."""
TTL_LATE = 5.0
"""Seconds by which a shadow may outlive its TTL, or the return of its manager if that is later."""
TTL_EARLY = 0.5
"""Seconds that it may be short of it."""
FAULT_LATE = 5.0
"""Seconds by which a fault may outlive its duration, or the return of its manager if that is later."""
FLUSH = 0.5
"""Seconds of copies that may be uncounted where an Envoy was killed or a counter went with its cluster: one flush of
the access log (0.1 s), one look at the counter (0.1 s), both on a busy machine."""
WINDOW = 1.0
"""Seconds of copies more that a deleted profile's archive may lack where engine or Envoy was killed just then: a window
of the engine, or what an Envoy counted since its last push, which nobody has a counter of any more."""
CLEARED = 15.0
"""Seconds until nothing is left of a profile, from when its deletion was answered."""
ADDED_UP = 30.0
"""Seconds until all copies are accounted for: pairs are given up, counters pushed, their grace is over."""


@dataclass
class Result:
    """What a point showed. Figures are None where there was nothing to measure."""

    point: Point
    hit: int = 0
    missed: str = ""
    """Why the blow struck nothing, where that is no fault of the point's."""
    requests: int = 0
    hurt: int = 0
    while_envoy_was_away: int = 0
    slowest: float = 0.0
    """Seconds of the slowest right answer, but for those that an Envoy which was struck itself held back."""
    stopped: float | None = None
    envoy_up: float | None = None
    back: float | None = None
    running: float | None = None
    resumed: float | None = None
    ttl_off: float | None = None
    fault_off: float | None = None
    cleared: float | None = None
    sent: int | None = None
    accounted: int | None = None
    exact: bool = False
    struck_sent: int | None = None
    struck_accounted: int | None = None
    """The same of the profile that was struck, where its shadow is gone afterwards."""
    lost: dict[str, int] = field(default_factory=dict)
    leaked: int = 0
    lost_profiles: int = 0
    took: float = 0.0
    wrong: list[str] = field(default_factory=list)
    """What did not hold, in words."""

    def must(self, holds: bool, what: str) -> None:  # noqa: FBT001 - reads as an assertion
        if not holds:
            self.wrong.append(what)

    def within(self, name: str, seconds: float, bound: float) -> None:
        """Note how long something took, and whether it was in time."""
        setattr(self, name, round(seconds, 2))
        self.must(seconds <= bound, f"{name} after {seconds:.1f} s, {bound:g} s allowed")

    @property
    def copies(self) -> tuple[int, int, int]:
        """Copies sent, accounted for, and how many those differ by, of the profile that was struck and of its next."""
        books = [(self.sent, self.accounted), (self.struck_sent, self.struck_accounted)]
        known = [(sent, accounted or 0) for sent, accounted in books if sent is not None]
        sent, accounted = sum(each for each, _ in known), sum(each for _, each in known)
        return sent, accounted, sum(abs(one - other) for one, other in known)

    def document(self) -> JSON:
        return {**asdict(self), "point": {**asdict(self.point)}}


def judge_clients(result: Result, wrong: list[Wrong], away: list[tuple[float, float]]) -> None:
    """Tell what an absent Envoy explains from what is ours: a request that overlaps its absence is not."""
    ours = [w for w in wrong if not any(w.began < end and w.ended > begin for begin, end in away)]
    result.hurt, result.while_envoy_was_away = len(ours), len(wrong) - len(ours)
    result.must(not ours, f"{len(ours)} clients were hurt: {'; '.join(each.what for each in ours[:3])}")


def judge_speed(result: Result, callers: Callers, struck: list[tuple[float, float]]) -> None:
    """Look at the slowest right answer of those that do not overlap a time in which Envoy itself was struck."""
    ours = [end - begin for begin, end in callers.slow if not any(begin < e and end > b for b, e in struck)]
    result.within("slowest", max(ours, default=callers.slowest), SLOWEST)


def judge_hit(result: Result) -> None:
    """A blow that strikes nothing shows nothing; but what is about to end may have ended by itself."""
    point, wanted = result.point, 2 if result.point.blow in IN_PAIRS else 1
    if result.hit >= wanted:
        return
    if point.blow in OF_SHADOWS and point.moment in {Moment.DELETE, Moment.TTL}:
        result.missed = "its shadow had ended already"
        return
    if point.blow is Blow.TAKE_OVER_OLD_DIES:
        result.missed = "it had handed over already"
        return
    result.must(False, f"the blow struck {result.hit} of {wanted}")  # noqa: FBT003 - see `must`


def leaks(theatre: Theatre, profiles: dict[str, JSON]) -> list[str]:
    """Return what there is of ours that the manager does not list as alive, and what there is twice."""
    instances = [each for profile in profiles.values() for each in profile["instances"]]
    live = {each["instanceID"]: each for each in instances if each["status"] in {"Pending", "Running"}}
    processes, containers, supervisors = theatre.processes(), theatre.containers(), theatre.supervisors()
    found = [f"process {p.pid} of {one}" for one, some in processes.items() for p in _beyond(some, one in live)]
    found += [f"supervisor {p.pid} of {one}" for one, some in supervisors.items() for p in _beyond(some, one in live)]
    found += [f"container of {one} ({part or 'no part'})" for one, part in containers if one not in live]
    found += [f"{count} times {part} of {one}" for (one, part), count in Counter(containers).items() if count > 1]
    found += [f"folder of {each} says that it goes on" for each in theatre.unended_folders() - live.keys()]
    # A shadow that is Pending has its port before the manager says so: it is known by who listens.
    ports = {each["address"]["port"] for each in live.values() if each.get("address")}
    pids = {process.pid for one in live for process in processes.get(one, [])}
    held = [(port, pid) for port, pid in theatre.listening() if port not in ports and pid not in pids]
    found += [f"port {port} is listened on by process {pid}" for port, pid in held]
    engines = theatre.engines()
    found += [] if len(engines) <= 1 else [f"{len(engines)} engines"]
    return found


def _beyond(processes: list[psutil.Process], live: bool) -> list[psutil.Process]:  # noqa: FBT001 - one use
    return processes[1:] if live else processes


async def until_clean(
    theatre: Theatre, profiles: Callable[[], Awaitable[dict[str, JSON]]], result: Result, bound: float
) -> float:
    """Wait until nothing is left over; return the seconds it took."""
    begin = time.monotonic()
    while found := await asyncio.to_thread(leaks, theatre, await profiles()):
        if time.monotonic() - begin > bound:
            result.leaked += len(found)
            result.wrong.append(f"left over: {'; '.join(found[:5])}")
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - begin


async def gone(process: psutil.Process, *, seconds: float) -> float | None:
    """Wait until a process has ended; return when (monotonic), None when it has not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return time.monotonic()
        except psutil.NoSuchProcess:
            return time.monotonic()
        await asyncio.sleep(0.02)
    return None
