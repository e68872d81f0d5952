"""What is kept under the state folder is for its owner only, also what an earlier version left open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from xds_server.alerts import memory
from xds_server.analysis.engine import AnalysisEngine
from xds_server.config import EngineSettings, Settings
from xds_server.engine_process import EngineProcess
from xds_server.lifecycle.clock import SystemClock
from xds_server.private_files import make_folder, opener, tighten, write_private
from xds_server.store.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Return the mode of each file and folder below."""
    return {str(each.relative_to(folder)): f"{each.stat().st_mode & 0o777:o}" for each in folder.rglob("*")}


def left_open(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_bytes(b"{}")
        path.chmod(0o644)


def test_files_and_folders_are_made_private_whatever_the_umask(tmp_path: Path) -> None:
    write_private(tmp_path / "a" / "b" / "c.json", b"1")
    make_folder(tmp_path / "d" / "e")
    with open(tmp_path / "log", "ab", opener=opener) as file:
        file.write(b"x")
    assert (tmp_path / "a" / "b" / "c.json").read_bytes() == b"1"
    assert modes(tmp_path) == {"a": "700", "a/b": "700", "a/b/c.json": "600", "d": "700", "d/e": "700", "log": "600"}


def test_a_file_that_was_open_is_private_when_it_is_written_again(tmp_path: Path) -> None:
    left_open(tmp_path, "c.json", "c.new", "log")
    write_private(tmp_path / "c.json", b"1")
    with open(tmp_path / "log", "ab", opener=opener):
        pass
    assert set(modes(tmp_path).values()) == {"600"}


def test_what_was_left_open_is_tightened_and_links_are_not_followed(tmp_path: Path) -> None:
    left_open(tmp_path, "ours/a", "ours/deep/b", "theirs")
    (tmp_path / "ours" / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "ours" / "a").chmod(0o444)
    tighten(tmp_path / "ours")
    tighten(tmp_path / "nothing")
    found = modes(tmp_path)
    assert (found["ours"], found["ours/a"], found["ours/deep"], found["ours/deep/b"]) == ("700", "600", "700", "600")
    assert found["theirs"] == "644"


def test_what_fires_is_private(tmp_path: Path) -> None:
    left_open(tmp_path, "alerts.json")
    memory.read(tmp_path / "alerts.json")
    assert modes(tmp_path) == {"alerts.json": "600"}
    memory.write(tmp_path / "new" / "alerts.json", memory.pack(memory.Remembered()))
    assert modes(tmp_path / "new") == {"alerts.json": "600"}


async def test_the_engines_files_are_private(tmp_path: Path) -> None:
    state = tmp_path / "engine"
    left_open(state, "books.json", "profiles.json", "last-good/old.json", "log")
    settings = EngineSettings(port=0, manager="127.0.0.1:1")
    engine = AnalysisEngine(settings=settings, node="n", state=state, clock=SystemClock())
    await engine.start()
    await engine.stop()
    assert {mode for name, mode in modes(tmp_path).items() if not (tmp_path / name).is_dir()} == {"600"}
    assert {mode for name, mode in modes(tmp_path).items() if (tmp_path / name).is_dir()} == {"700"}


async def test_the_engine_as_a_child_logs_where_only_its_owner_reads(tmp_path: Path) -> None:
    left_open(tmp_path, "engine/log", "engine/log.1")
    child = EngineProcess(Settings(state=tmp_path, engine=EngineSettings(port=0)))
    try:
        await child.start(manager="127.0.0.1:1")
        found = modes(tmp_path)
        assert found["engine"] == "700"
        assert {found[f"engine/{name}"] for name in ("log", "log.1", "process.json")} == {"600"}
    finally:
        await child.stop()


async def test_the_database_and_what_stands_beside_it_are_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "shadowmesh.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    for each in path.parent.iterdir():
        each.chmod(0o644)
    store = SqliteStore(path)
    await store.open()
    try:
        assert set(modes(path.parent).values()) == {"600"}
        assert f"{path.parent.stat().st_mode & 0o777:o}" == "700"
    finally:
        await store.close()
