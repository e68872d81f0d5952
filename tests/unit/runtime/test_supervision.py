"""What holds when the manager, the supervisor or the machine goes away."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.runtime.conftest import ONE, TWO, Start, running, shadow, soon, until
from xds_server.errors import RuntimeFailedError
from xds_server.runtime.base import Ending, Life
from xds_server.runtime.process import ProcessRuntime

MANAGER = """
import asyncio, json, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xds_server.model.profile import ProcessSpec
from xds_server.runtime.process import ProcessRuntime

async def main(root, seconds, *command):
    runtime = ProcessRuntime(Path(root))
    spec = ProcessSpec(command=command, stop_timeout=0.5)
    until = datetime.now(UTC) + timedelta(seconds=float(seconds))
    started = await runtime.start("11111111-0000-4000-8000-000000000001", spec, deadline=until)
    await runtime.ready(started, spec)
    print(json.dumps(started.handle), flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def killed_manager(root: Path, *, seconds: float, wishes: tuple[str, ...] = ()) -> dict[str, str]:
    """Start a shadow from a manager of its own, kill that with SIGKILL, and return the shadow's handle."""
    command = [sys.executable, "-c", MANAGER, str(root), str(seconds), *shadow(*wishes).command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as manager:
        assert manager.stdout is not None
        line = manager.stdout.readline()
        manager.kill()
    handle: dict[str, str] = json.loads(line)
    return handle


def sleeping_stranger() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


async def test_a_killed_managers_shadow_runs_on_and_is_taken_over(runtime: ProcessRuntime, root: Path) -> None:
    handle = killed_manager(root, seconds=60)
    found = await runtime.adopt(handle)
    assert found.alive
    assert runtime._ports.held() == {int(handle["port"]): ONE}
    assert await runtime.usage(handle) is not None
    waiting = asyncio.create_task(runtime.wait(handle))
    await runtime.stop(handle, shadow())
    assert (await waiting).ending is Ending.STOPPED
    assert not runtime._ports.held()


async def test_a_deadline_passes_without_a_manager(runtime: ProcessRuntime, root: Path) -> None:
    handle = killed_manager(root, seconds=10.0, wishes=("grandchild", "deaf"))
    ended = await asyncio.wait_for(runtime.wait(handle), 40.0)
    assert (ended.ending, ended.failed) == (Ending.DEADLINE, False)
    await until(lambda: not running(root))
    assert (await runtime.adopt(handle)).describe() == "its time to live was over"


async def test_a_deadline_can_be_moved_both_ways(runtime: ProcessRuntime, start: Start) -> None:
    started = await start(shadow(), deadline=soon(4.0))
    await runtime.extend(started.handle, soon(60))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(runtime.wait(started.handle), 4.5)
    await runtime.extend(started.handle, soon(0.0))
    assert (await asyncio.wait_for(runtime.wait(started.handle), 15.0)).ending is Ending.DEADLINE
    await runtime.stop(started.handle, shadow())
    with pytest.raises(RuntimeFailedError, match="has ended"):
        await runtime.extend(started.handle, soon(60))


async def test_a_deadline_is_measured_on_a_clock_that_nobody_sets(root: Path) -> None:
    wrong = datetime(2001, 1, 1, tzinfo=UTC)
    runtime = ProcessRuntime(root, now=lambda: wrong)
    started = await runtime.start(ONE, shadow(), deadline=wrong + timedelta(seconds=60))
    assert _status(root)["deadline"] == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) + 60, abs=30)
    await runtime.stop(started.handle, shadow())


async def test_a_killed_supervisor_takes_the_whole_tree_with_it(
    runtime: ProcessRuntime, start: Start, root: Path
) -> None:
    spec = shadow("grandchild", "daemon")
    started = await start(spec)
    await runtime.ready(started, spec)
    waiting = asyncio.create_task(runtime.wait(started.handle))
    os.kill(_status(root)["supervisor"], signal.SIGKILL)
    ended = await asyncio.wait_for(waiting, 10.0)
    assert (ended.ending, ended.failed) == (Ending.LOST, True)
    assert ended.describe() == "its supervisor was killed"
    assert "listening" in ended.log
    assert not running(root)
    assert not runtime._ports.held()


async def test_the_kernel_ends_the_shadow_of_a_killed_supervisor(
    runtime: ProcessRuntime, start: Start, root: Path
) -> None:
    spec = shadow()
    await runtime.ready(await start(spec), spec)
    os.kill(_status(root)["supervisor"], signal.SIGKILL)
    await until(lambda: not running(root))


async def test_a_supervisor_that_hangs_is_woken_or_killed(runtime: ProcessRuntime, start: Start, root: Path) -> None:
    started = await start(shadow())
    os.kill(_status(root)["supervisor"], signal.SIGSTOP)
    await asyncio.wait_for(runtime.stop(started.handle, shadow()), 10.0)
    assert not running(root)


async def test_the_death_of_a_shadow_is_noticed_though_its_supervisor_hangs(
    runtime: ProcessRuntime, start: Start, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds_server.runtime.process.NOTE_TIMEOUT", 0.1)
    started = await start(shadow())
    status = _status(root)
    os.kill(status["supervisor"], signal.SIGSTOP)
    os.kill(status["child"], signal.SIGKILL)
    ended = await asyncio.wait_for(runtime.wait(started.handle), 10.0)
    assert ended.failed
    assert ended.detail == "its supervisor does not answer"


async def test_a_reused_pid_is_never_taken_for_the_shadow(runtime: ProcessRuntime, root: Path) -> None:
    with sleeping_stranger() as stranger:
        status = {"boot": _boot(), "state": "running", "deadline": 9e9}
        for who in ("supervisor", "child"):
            status |= {who: stranger.pid, f"{who}_start": 1}
        (root / ONE).mkdir(parents=True)
        (root / ONE / "status.json").write_text(json.dumps(status))
        handle = {"instance": ONE, "port": "21000"}
        assert (await runtime.adopt(handle)).ending is Ending.LOST
        await runtime.stop(handle, shadow())
        assert await runtime.usage(handle) is None
        assert stranger.poll() is None, "a stranger must not be signalled"
        stranger.kill()


async def test_after_a_restart_of_the_machine_it_is_lost(runtime: ProcessRuntime, start: Start, root: Path) -> None:
    started = await start(shadow())
    await runtime.stop(started.handle, shadow())
    status = _status(root) | {"boot": "another", "state": "running", "supervisor": os.getpid()}
    del status["ending"], status["exit"]
    (root / ONE / "status.json").write_text(json.dumps(status))
    assert (await runtime.adopt(started.handle)).describe() == "the machine was restarted"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": "x"}'])
async def test_a_broken_status_is_no_reason_to_fall_over(runtime: ProcessRuntime, root: Path, text: str) -> None:
    (root / ONE).mkdir(parents=True)
    (root / ONE / "status.json").write_text(text)
    assert not (await runtime.adopt({"instance": ONE, "port": "21000"})).alive
    await runtime.stop({"instance": ONE, "port": "21000"}, shadow())
    await runtime.sweep(())


async def test_a_shadow_whose_folder_is_taken_away_ends(runtime: ProcessRuntime, start: Start, root: Path) -> None:
    started = await start(shadow())
    supervisor = _status(root)["supervisor"]
    (root / ONE).rename(root / "away")
    os.kill(supervisor, signal.SIGUSR1)  # spares us the ten seconds until it looks by itself
    await until(lambda: not running(root))
    assert (await runtime.inspect(started.handle)).life is Life.UNKNOWN


async def test_orphans_are_swept_and_the_known_stay(runtime: ProcessRuntime, start: Start, root: Path) -> None:
    known = await start(shadow(), name=TWO)
    handle = killed_manager(root, seconds=60, wishes=("grandchild",))
    (root / "half-made").mkdir()
    assert await runtime.sweep([TWO]) == [ONE]
    assert (await runtime.inspect(handle)).ending is Ending.STOPPED
    assert (await runtime.inspect(known.handle)).alive
    assert not (root / "half-made").exists()
    assert await runtime.sweep([TWO]) == []


def _status(root: Path) -> dict[str, int]:
    status: dict[str, int] = json.loads((root / ONE / "status.json").read_text())
    return status


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
