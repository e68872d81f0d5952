"""Taking over from a manager that runs: it is asked to let go of everything without ending anything.

Guarantees: the old manager finishes what it has begun and writes all down; mirroring is not switched off in between,
as Envoys keep what they were told for `xds.runtime_ttl`; shadows and engine go on. Where nobody runs, nothing is done.
Not guaranteed: that no copy's comparison is lost while neither manager is there; what is lost is counted.
"""

import asyncio
import fcntl
import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import structlog

from xds_server.errors import ConflictError

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
    pid = _holder(lock)
    if pid is None:
        raise ConflictError(
            f"{lock} is held by an unknown process", field="--take-over", hint="end that manager with TERM first"
        )
    log.info("asking the manager that runs to hand over", pid=pid)
    with suppress(ProcessLookupError):
        os.kill(pid, SIGNAL)
    try:
        async with asyncio.timeout(patience):
            while not _free(lock) or psutil.pid_exists(pid):  # noqa: ASYNC110 - its ports are free when it is gone
                await asyncio.sleep(POLL)
    except TimeoutError as error:
        raise ConflictError(
            f"the manager with process id {pid} has not let go within {patience:g} s",
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


def _holder(lock: Path) -> int | None:
    try:
        pid = int(lock.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if pid > 1 and psutil.pid_exists(pid) else None
