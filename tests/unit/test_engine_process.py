"""The engine as a child: which process it takes for its own, and which it never touches."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from xds_server import __version__, engine_process
from xds_server.config import EngineSettings, Settings
from xds_server.engine_process import EngineProcess
from xds_server.runtime.supervisor import boot_id, start_time

MANAGER = "127.0.0.1:1"


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    child = EngineProcess(Settings(state=tmp_path, engine=EngineSettings(port=0)))
    yield child
    await child.stop()  # also when the test failed


@pytest.fixture
def somebody() -> Iterator[psutil.Process]:
    """A process that is not ours."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield psutil.Process(child.pid)
        child.kill()


def record(state: Path, process: psutil.Process, *, started: float, **other: Any) -> int:
    """Write what an earlier manager wrote of its engine; return the engine's port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    folder = state / "engine"
    folder.mkdir()
    settings = EngineSettings(manager=MANAGER, port=port).model_dump(mode="json", exclude={"spawn"})
    wanted = {"version": __version__, "node": Settings().node.name, **settings, **other}
    written = {"pid": process.pid, "started": started, "port": port, "wanted": wanted}
    (folder / "process.json").write_bytes(orjson.dumps(written))
    return port


async def test_a_process_that_got_the_pid_of_an_engine_long_gone_is_left_alone(
    tmp_path: Path, child: EngineProcess, somebody: psutil.Process
) -> None:
    record(tmp_path, somebody, started=somebody.create_time() - 60)
    await child.start(manager=MANAGER)
    assert child.pid != somebody.pid
    await child.stop()
    assert somebody.is_running()
    assert somebody.status() != psutil.STATUS_ZOMBIE


async def test_the_engine_of_the_manager_before_is_taken_over(
    tmp_path: Path, child: EngineProcess, somebody: psutil.Process
) -> None:
    port = record(tmp_path, somebody, started=somebody.create_time())
    await child.start(manager=MANAGER)
    assert (child.pid, child.port) == (somebody.pid, port)


@pytest.mark.parametrize("other", [{}, {"start": 1}, {"boot": "another"}])
async def test_an_engine_is_known_by_its_ticks_since_boot_whatever_the_clock_was_set_to(
    tmp_path: Path, child: EngineProcess, somebody: psutil.Process, other: dict[str, Any]
) -> None:
    record(tmp_path, somebody, started=somebody.create_time() + 3600)
    path = tmp_path / "engine/process.json"
    known = {"start": start_time(somebody.pid), "boot": boot_id()}
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **known, **other}))
    await child.start(manager=MANAGER)
    assert (child.pid == somebody.pid) is not bool(other)


async def test_an_engine_that_is_left_goes_on_and_is_taken_over(tmp_path: Path, child: EngineProcess) -> None:
    await child.start(manager=MANAGER)
    pid = child.pid
    assert pid is not None
    await child.leave()
    assert psutil.pid_exists(pid)
    again = EngineProcess(Settings(state=tmp_path, engine=EngineSettings(port=child.port)))
    try:
        await again.start(manager=MANAGER)
        assert again.pid == pid
    finally:
        await again.stop()
    assert isinstance(child._process, psutil.Popen)
    assert child._process.poll() is not None


@pytest.mark.parametrize(
    "other", [{"manager": "127.0.0.1:2"}, {"pair_timeout": 7.0}, {"version": "0.0.1"}, {"node": "another"}]
)
async def test_an_engine_that_was_started_for_something_else_is_replaced(
    tmp_path: Path, child: EngineProcess, somebody: psutil.Process, other: dict[str, Any]
) -> None:
    record(tmp_path, somebody, started=somebody.create_time(), **other)
    await child.start(manager=MANAGER)
    assert child.pid != somebody.pid
    assert not somebody.is_running() or somebody.status() == psutil.STATUS_ZOMBIE


async def test_a_log_that_grew_too_long_is_set_aside(
    tmp_path: Path, child: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_process, "LOG_LIMIT", 3)
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "log").write_text("long")
    await child.start(manager=MANAGER)
    await child.stop()
    assert (tmp_path / "engine" / "log.1").read_text() == "long"
    assert "long" not in (tmp_path / "engine" / "log").read_text()
