"""Whatever happens, the folder is gone and the exit code is right."""

import asyncio
import io
import os
import shlex
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from xds_server.demo import main as module
from xds_server.demo.main import INTERRUPTED, run
from xds_server.demo.stage import Stage, catalogue_command
from xds_server.errors import NotFoundError
from xds_server.stage.show import Show


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module.tempfile, "mkdtemp", lambda **_: str(_made(tmp_path / "demo")))
    return tmp_path


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def printing() -> Console:
    return Console(file=io.StringIO(), width=120)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_an_envoy_it_fails_in_one_line_and_leaves_nothing(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def set_up(self: Stage) -> None:
        (self.folder / "manager.log").write_text("last words\n")
        raise NotFoundError("no Envoy found")

    monkeypatch.setattr(Stage, "set_up", set_up)
    console = printing()
    assert run(console=console) == 1
    assert "failed: no Envoy found" in text_of(console)
    assert "last words" in text_of(console)
    assert "folder removed" in text_of(console)
    assert not list(folders.iterdir())


def test_a_signal_ends_the_children_and_removes_the_folder(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Any] = []

    async def set_up(self: Stage) -> None:
        children.append(self.start("v1", catalogue_command(version=1, port=str(self.household.free_port()))))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    monkeypatch.setattr(Stage, "set_up", set_up)
    console = printing()
    assert run(console=console) == INTERRUPTED
    assert not children[0].alive
    assert "interrupted" in text_of(console)
    assert "1 processes and their children ended, 1 ports free again, folder removed" in text_of(console)
    assert not list(folders.iterdir())


def test_the_commands_to_try_can_be_copied_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "a folder [of] a very long name, longer than any terminal is wide, which is no reason to wrap it"
    monkeypatch.setattr(module.sys, "executable", str(home / "python"))
    ports = SimpleNamespace(envoy=1, admin=2, xds=3)
    stage: Any = SimpleNamespace(ports=ports, manager=SimpleNamespace(url="http://127.0.0.1:4"))
    console = Console(file=io.StringIO(), width=60)
    module._invite(stage, Show(console))
    lines = [line.strip() for line in text_of(console).splitlines()]
    assert f"export PATH={shlex.quote(str(home))}:$PATH SHADOWMESH_SERVER=http://127.0.0.1:4" in lines
    assert "curl -s 'http://127.0.0.1:2/stats?filter=shadow'" in lines


def test_after_the_run_signals_are_what_they_were(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def set_up(self: Stage) -> None:
        raise NotFoundError("no Envoy found")

    monkeypatch.setattr(Stage, "set_up", set_up)
    before = signal.getsignal(signal.SIGTERM)
    run(console=printing())
    assert signal.getsignal(signal.SIGTERM) == before
