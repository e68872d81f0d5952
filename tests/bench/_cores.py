"""Which part runs on which core, and how much CPU time a process has had.

Parts that would disturb what is measured (shadow, engine, manager) share a core with the load generator when there are
only two; there they get the scheduler's idle policy, so that they run in the gaps and never delay a request.
Guarantees: what could not be done is said in `Layout.words`. Not guaranteed: that the cores are the machine's own.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Layout:
    """The core of Envoy, of load generator and original, and of all the rest."""

    envoy: int
    load: int
    rest: int
    words: str


def layout() -> Layout:
    """Return the layout for the cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        words = f"all parts on core {cores[0]}: there is no other, so latencies contain the load generator's work"
        return Layout(cores[0], cores[0], cores[0], words)
    if len(cores) == 2:
        words = (
            f"Envoy on core {cores[0]}; load generator and original on core {cores[1]}; "
            "shadow, engine and manager there too, at idle priority"
        )
        return Layout(cores[0], cores[1], cores[1], words)
    words = (
        f"Envoy on core {cores[0]}; load generator and original on core {cores[1]}; "
        f"shadow, engine and manager on core {cores[2]}, at idle priority"
    )
    return Layout(cores[0], cores[1], cores[2], words)


def place(pid: int, core: int, *, idle: bool = False) -> None:
    """Put a process with all its threads and children on one core."""
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for thread in _threads(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, {core})
                if idle:
                    os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has had, to the nanosecond where the kernel counts it so, else to the tick."""
    total = 0
    for thread in _threads(pid):
        try:
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            times = psutil.Process(pid).cpu_times()
            return times.user + times.system
    return total / 1e9


def _threads(pid: int) -> list[int]:
    try:
        return [int(folder.name) for folder in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []
