"""What holds for every test: nothing may outlive it."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# A busy machine makes any example slow once in a while; that says nothing about the code.
hypothesis_settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unhurried")


def pytest_collection_finish() -> None:
    """Keep thousands of collected tests out of each collection of garbage: Envoys wait for this process meanwhile."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test may not be skipped: a part that it needs has to be there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves a thread behind (a second of grace for those that are ending)."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 1.0
    while leaked := [t for t in threading.enumerate() if t not in before and not _harmless(t)]:
        if time.monotonic() > deadline:
            pytest.fail(f"leaked threads: {[t.name for t in leaked]}")
        time.sleep(0.01)


@pytest.fixture(autouse=True)
async def no_leaked_tasks() -> None:
    """Fail an asynchronous test that leaves a task behind."""
    yield  # type: ignore[misc]
    for _ in range(20):
        left = [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and not t.done()]
        if not left:
            return
        await asyncio.sleep(0.05)
    gc.collect()
    pytest.fail(f"leaked tasks: {left}")


def _harmless(thread: threading.Thread) -> bool:
    """Tell the threads that libraries keep for the life of the process: grpc.aio's poller, asyncio's default pool."""
    return (thread.daemon and ("grpc" in thread.name.lower() or "_poll" in thread.name)) or thread.name.startswith(
        "asyncio_"
    )
