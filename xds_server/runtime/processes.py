"""Processes by identity: a pid and the time it was started, so that a reused pid is never taken for the same process.

Guarantees: a signal reaches the process meant or nobody (it goes through a pidfd that was checked after opening).
`Processes` reads /proc once for all that ask within `SHARED`, in a thread. Not guaranteed: a consistent picture of a
tree that changes while it is read.
"""

import asyncio
import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from xds_server.runtime.base import Usage
from xds_server.runtime.supervisor import all_pids, start_time, stat_fields

SHARED = 0.2
"""Seconds that one reading of /proc serves all who ask for usage."""
ROUNDS = 20
"""Attempts at killing what forks while it is being killed."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from all others that had or will have its pid. `start` is clock ticks since boot."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """True while it runs; a zombie does not."""
        return start_time(self.pid) == self.start

    def send(self, number: signal.Signals) -> bool:
        """Signal it. Returns False when it is gone."""
        with self._pidfd() as descriptor:
            if descriptor is None:
                return False
            try:
                signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return False
            return True

    async def gone(self) -> None:
        """Return when it has ended: at once when it has, or was never there."""
        with self._pidfd() as descriptor:
            if descriptor is None:
                return
            loop = asyncio.get_running_loop()
            ended = loop.create_future()
            loop.add_reader(descriptor, _resolve, ended)
            try:
                await ended
            finally:
                loop.remove_reader(descriptor)
            _collect(descriptor)

    @contextmanager
    def _pidfd(self) -> Iterator[int | None]:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (ProcessLookupError, OverflowError, ValueError):
            yield None
            return
        try:
            yield descriptor if self.alive else None
        finally:
            os.close(descriptor)


def _collect(descriptor: int) -> None:
    """Collect a zombie if it is our child: process 1 of a container inherits the supervisors."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def kill_marked(name: str, values: Collection[str]) -> int:
    """Kill all processes whose environment says `name=value` for one of the values. Returns how many there were."""
    wanted = {f"{name}={value}".encode() for value in values}
    killed: set[int] = set()
    for _ in range(ROUNDS):
        found = [pid for pid in all_pids() if pid != os.getpid() and wanted & _environment(pid)]
        if not found:
            break
        for pid in found:
            if (start := start_time(pid)) is not None and Identity(pid, start).send(signal.SIGKILL):
                killed.add(pid)
    return len(killed)


def _environment(pid: int) -> set[bytes]:
    try:
        if start_time(pid) is None:
            return set()
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


@dataclass(frozen=True, slots=True)
class Table:
    """All processes at one moment: children by parent, and what each used."""

    children: dict[int, list[int]]
    used: dict[int, tuple[int, int, int]]
    """By pid: clock ticks of its own, of its ended children, resident pages."""

    @classmethod
    def read(cls) -> "Table":
        """Read /proc."""
        children: dict[int, list[int]] = {}
        used: dict[int, tuple[int, int, int]] = {}
        for pid in all_pids():
            if (fields := stat_fields(pid)) is not None:
                children.setdefault(int(fields[1]), []).append(pid)
                own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
                used[pid] = own, ended, int(fields[21])
        return cls(children, used)

    def below(self, root: int) -> list[int]:
        """Return the pids below `root`, without it."""
        found, todo = [], [root]
        while todo:
            below = self.children.get(todo.pop(), [])
            found += below
            todo += below
        return found

    def usage(self, supervisor: int) -> Usage:
        """Sum what the tree of a supervisor used, itself left out, processes that have ended counted."""
        ticks, pages = self.used.get(supervisor, (0, 0, 0))[1], 0
        for pid in self.below(supervisor):
            own, ended, resident = self.used[pid]
            ticks, pages = ticks + own + ended, pages + resident
        return Usage(cpu_seconds=ticks / _TICK, rss_bytes=pages * _PAGE)

    def whole(self, root: int) -> Usage:
        """Sum what a process and all below it used, those that have ended counted."""
        ticks, _, pages = self.used.get(root, (0, 0, 0))
        below = self.usage(root)
        return Usage(cpu_seconds=below.cpu_seconds + ticks / _TICK, rss_bytes=below.rss_bytes + pages * _PAGE)


class Processes:
    """Shared readings of the process table."""

    def __init__(self) -> None:
        self._reading: asyncio.Task[Table] | None = None
        self._at = 0.0

    async def table(self) -> Table:
        """Return a table that is at most `SHARED` seconds old."""
        now = asyncio.get_running_loop().time()
        if self._reading is None or now - self._at > SHARED:
            self._at = now
            self._reading = asyncio.create_task(asyncio.to_thread(Table.read), name="process-table")
        return await asyncio.shield(self._reading)
