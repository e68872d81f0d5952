"""Taking over from a manager that runs: it is asked to let go of everything without ending anything.

Guarantees: the old manager finishes what it has begun and writes all down; mirroring is not switched off in between,
as Envoys keep what they were told for `xds.runtime_ttl`; shadows and engine go on. Where nobody runs, nothing is done.
Not guaranteed: that no copy's comparison is lost while neither manager is there; what is lost is counted.
"""

import asyncio
import fcntl
import os
import signal
from pathlib import Path

import structlog

from xds_server.errors import ConflictError
from xds_server.runtime.processes import Identity

log = structlog.get_logger(__name__)

SIGNAL = signal.SIGUSR2
"""Asks a manager to hand over."""
PATIENCE = 30.0
"""Seconds that it has."""
POLL = 0.02


async def take_over(lock: Path, *, patience: float = PATIENCE) -> None:
    """Return when no manager works on this state any more; ask the one that does to let go.

    Args:
        lock: the file that a manager holds, with its process id in it.
        patience: seconds that it has for it.

    Raises:
        ConflictError: it does not let go.
    """
    if await asyncio.to_thread(_free, lock):
        return
    holder = _holder(lock)
    if holder is None or not holder.send(SIGNAL):
        raise ConflictError(
            f"{lock} is held by an unknown process", field="--take-over", hint="end that manager with TERM first"
        )
    log.info("asking the manager that runs to hand over", pid=holder.pid)
    try:
        async with asyncio.timeout(patience):
            while holder.alive or not _free(lock):  # noqa: ASYNC110 - its ports are free when it is gone
                await asyncio.sleep(POLL)
    except TimeoutError as error:
        raise ConflictError(
            f"the manager with process id {holder.pid} has not let go within {patience:g} s",
            field="--take-over",
            hint="its log says what it waits for; TERM ends it, and its shadows unless it has --keep-shadows",
        ) from error


def _free(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _holder(lock: Path) -> Identity | None:
    try:
        pid, start = map(int, lock.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    holder = Identity(pid, start)
    return holder if holder.alive else None
