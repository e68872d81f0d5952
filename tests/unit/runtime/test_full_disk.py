"""A disk without a byte of room hides no shadow's end and keeps none alive; on a small disk of our own."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.unit.runtime.conftest import Start, running, shadow, until
from xds_server.runtime.base import Ending
from xds_server.runtime.folder import Folder
from xds_server.runtime.process import ProcessRuntime


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "shadows"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "shadowmesh-test", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk could not be mounted: {done.stderr.decode().strip()}")
    yield folder
    left = running(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"processes outlived the test: {left}"


def fill(root: Path) -> None:
    with (root.parent / "shadows" / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_end_of_a_shadow_is_told_on_a_full_disk(
    runtime: ProcessRuntime, root: Path, start: Start, number: int
) -> None:
    started = await start(shadow())
    await runtime.ready(started, shadow())
    status = Folder(root, started.handle["instance"]).status()  # type: ignore[arg-type]
    assert status is not None
    assert status.child is not None
    fill(root)
    status.child.send(number)
    ended = await runtime.wait(started.handle)
    assert ended.ending is Ending.OWN
    await until(lambda: not running(root))
    assert (await runtime.inspect(started.handle)).ending is Ending.OWN  # its supervisor has ended as well
    assert not runtime._ports.held()


async def test_a_killed_supervisor_is_made_good_on_a_full_disk(
    runtime: ProcessRuntime, root: Path, start: Start
) -> None:
    started = await start(shadow())
    await runtime.ready(started, shadow())
    folder = Folder(root, started.handle["instance"])  # type: ignore[arg-type]
    status = folder.status()
    assert status is not None
    assert status.supervisor is not None
    fill(root)
    psutil.Process(status.supervisor.pid).kill()
    ended = await runtime.wait(started.handle)
    assert (ended.ending, ended.detail) == (Ending.LOST, "its supervisor was killed")
    assert not running(root)
    assert not runtime._ports.held()


async def test_a_shadow_is_stopped_on_a_full_disk(runtime: ProcessRuntime, root: Path, start: Start) -> None:
    started = await start(shadow())
    await runtime.ready(started, shadow())
    fill(root)
    await runtime.stop(started.handle, shadow())
    assert not running(root)
    assert not (await runtime.inspect(started.handle)).alive
