"""A process runtime in a temporary folder, and the promise that no process outlives a test."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from xds_server.model.ids import InstanceID
from xds_server.model.profile import ProcessSpec, Readiness
from xds_server.runtime.base import Started
from xds_server.runtime.process import ProcessRuntime
from xds_server.runtime.processes import _environment
from xds_server.runtime.supervisor import all_pids

SHADOW = Path(__file__).with_name("shadow.py")
ONE = InstanceID("11111111-0000-4000-8000-000000000001")
TWO = InstanceID("11111111-0000-4000-8000-000000000002")


def soon(seconds: float = 60.0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def shadow(
    *wishes: str, timeout: float = 15.0, path: str = "", stop_timeout: float = 5.0, cwd: str = ""
) -> ProcessSpec:
    return ProcessSpec(
        command=(sys.executable, "-I", "-S", str(SHADOW), "{port}", *wishes),
        working_directory=cwd,
        readiness=Readiness(path=path, timeout=timeout, interval=0.02),
        stop_timeout=stop_timeout,
    )


def running(folder: Path) -> set[int]:
    """Return the living processes that belong to shadows of this folder: supervisors and all that they started."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    marks = {f"SHADOW_INSTANCE={name}".encode() for name in names | {ONE, TWO}}
    found = set()
    for pid in all_pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command or marks & _environment(pid):
            found.add(pid)
    return found


async def until(condition: Callable[[], object], timeout: float = 15.0) -> None:  # noqa: ASYNC109 -- a test's limit
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 -- what is waited for is in other processes
            await asyncio.sleep(0.01)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "shadows"
    yield folder
    end = time.monotonic() + 3.0
    while (left := running(folder)) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, 9)
    assert not left, f"processes outlived the test: {left}"


@pytest.fixture
def runtime(root: Path) -> ProcessRuntime:
    return ProcessRuntime(root)


Start = Callable[..., Awaitable[Started]]


@pytest.fixture
async def start(runtime: ProcessRuntime) -> AsyncIterator[Start]:
    """Start shadows that are ended with the test."""
    handles = []

    async def begin(spec: ProcessSpec, *, name: InstanceID = ONE, deadline: datetime | None = None) -> Started:
        started = await runtime.start(name, spec, deadline=deadline or soon())
        handles.append(started.handle)
        return started

    yield begin
    for handle in handles:
        await runtime.stop(handle, shadow())
