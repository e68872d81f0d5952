"""Taking over from a manager that runs: it is asked to let go of everything without ending anything.

The successor makes sure that it could work at all, holds the request (a file lock, gone with the process), then asks.
The old manager looks for that request before it begins, and once more when it has let go of the state: where nobody
holds it any more, it takes the state up again and goes on.

Guarantees: mirroring is not switched off in between, as Envoys keep what they were told for `xds.runtime_ttl`; shadows
and engine go on. Whichever of the two is killed or gives up, the other serves. Where nobody runs, nothing is done.
Not guaranteed: that no copy's comparison is lost while neither manager is there; what is lost is counted. That one of
them is there when the successor dies after the old one has gone: then it is as if a manager had been killed.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import structlog

from xds_server.config import Settings
from xds_server.engine_process import engine_pid
from xds_server.errors import ConflictError, StoreError
from xds_server.listening import bound
from xds_server.private_files import FILE
from xds_server.runtime.processes import Identity
from xds_server.store.backup import prepare

log = structlog.get_logger(__name__)

DATABASE = "shadowmesh.db"
LOCK = f"{DATABASE}.lock"
REQUEST = f"{DATABASE}.successor"
"""Names in the state folder."""
SIGNAL = signal.SIGUSR2
"""Asks a manager to hand over."""
PATIENCE = 30.0
"""Seconds that it has."""
GONE = 10.0
"""Seconds that its process may take to end when it has let go."""
POLL = 0.02


async def take_over(settings: Settings, *, patience: float = PATIENCE) -> None:
    """Return when no manager works on this state any more; ask the one that does to let go.

    Args:
        settings: those of the manager that is to follow.
        patience: seconds that the one that runs has for it.

    Raises:
        ConflictError: it does not let go, another one is taking over, or a port is taken by somebody else; the one that
            runs goes on.
        StoreError: this manager could not work on the state; that one was not asked.
    """
    lock = settings.state / LOCK
    if await asyncio.to_thread(_free, lock):
        return
    holder = _holder(lock)
    if holder is None:
        raise ConflictError(
            f"{lock} is held by an unknown process", field="take_over", hint="end that manager with TERM first"
        )
    _check_ports(settings, holder)
    await asyncio.to_thread(prepare, settings.state / DATABASE)
    with _requested(settings.state / REQUEST):
        log.info("asking the manager that runs to hand over", pid=holder.pid)
        holder.send(SIGNAL)
        if await _let_go(holder, lock, patience):
            return
    # It looks for the request when it has let go. Where it still saw ours it is about to end, else it goes on.
    if await _let_go(holder, lock, GONE):
        return
    raise ConflictError(
        f"the manager with process id {holder.pid} has not let go within {patience:g} s, and goes on",
        field="take_over",
        hint="its log says what it waits for; TERM ends it, and its shadows unless it has --keep-shadows",
    )


def wanted(state: Path) -> bool:
    """Tell whether a successor waits for this state."""
    return not _free(state / REQUEST)


async def _let_go(holder: Identity, lock: Path, patience: float) -> bool:
    """Wait until a manager has let go and ended; tell whether it did."""
    try:
        async with asyncio.timeout(patience):
            while holder.alive or not _free(lock):  # noqa: ASYNC110 - its ports are free when it is gone
                await asyncio.sleep(POLL)
    except TimeoutError:
        return False
    return True


def _check_ports(settings: Settings, holder: Identity) -> None:
    """Refuse a port that will not be free when the holder is gone. Raises: ConflictError, InvalidError."""
    ports = [
        (settings.http.address, settings.http.port, "--http-port"),
        (settings.xds.address, settings.xds.port, "--xds-port"),
    ]
    if settings.engine.spawn:
        ports.append((settings.engine.address, settings.engine.port, "--engine-port"))
    for address, port, flag in ports:
        try:
            bound(address, port, flag=flag).close()
        except ConflictError:
            if port not in _ports(holder.pid) | _ports(engine_pid(settings.state)):
                raise


def _ports(pid: int) -> set[int]:
    """Return where a process listens."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, ValueError):
        return set()
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


@contextmanager
def _requested(request: Path) -> Iterator[None]:
    """Hold the request for the length of a `with`. Raises: ConflictError, StoreError."""
    try:
        descriptor = os.open(request, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE)
    except OSError as error:
        raise StoreError(
            f"{request}: {error.strerror or error}", hint="the manager that runs was not asked, and goes on"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "another manager is taking over already", field="take_over", hint="wait for that one"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _free(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
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
