"""`shadowmesh backup` and `shadowmesh restore`, on real files."""

import asyncio
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Shell
from tests.unit.store.test_sqlite import ALL
from xds_server.store.sqlite import SqliteStore


async def fill(state: Path) -> None:
    store = SqliteStore(state / "shadowmesh.db")
    await store.open()
    await store.apply(ALL)
    await store.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "state"))
    return tmp_path / "state"


def test_a_backup_says_what_it_saved_and_a_restore_what_it_replaced(
    offline: Shell, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "monday.db"
    done = offline("backup", "--state", str(state), str(file))
    assert (done.code, done.err) == (0, "")
    assert "1 network, 1 profile, 1 shadow on record" in done.out
    assert "KiB" in done.out
    assert str(file) in done.out
    monkeypatch.setenv("SHADOWMESH_STATE", str(state))
    done = offline("restore", str(file))
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert "1 network, 1 profile" in first
    assert "shadowmesh.db.before-restore-" in second
    assert Path(second.split()[-1]).is_file()


def test_a_backup_that_is_there_is_replaced_only_with_force(offline: Shell, state: Path, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    file.write_text("precious")
    done = offline("backup", "--state", str(state), str(file))
    assert (done.code, done.out) == (4, "")
    assert f"error: {file} is there already" in done.err
    assert offline("backup", "--state", str(state), str(file), "--force").code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("backup", "--state", "{}/nowhere", "{}/new.db"), 3),
        (("backup", "--state", "{}/state", "{}/nowhere/new.db"), 3),
        (("backup", "--state", "{}/state", "{}/state"), 2),
        (("restore", "--state", "{}/state", "{}/nowhere.db"), 3),
        (("restore", "--state", "{}/state", "{}/state/shadowmesh.db"), 2),
        (("restore", "--state", "{}/state", "{}/notes.txt"), 1),
    ],
)
def test_each_error_is_one_line_that_names_the_file_and_what_to_do(
    offline: Shell, state: Path, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    (tmp_path / "notes.txt").write_text("nothing of ours\n" * 100)
    done = offline(*(argument.format(tmp_path) for argument in arguments))
    assert (done.code, done.out) == (code, "")
    assert done.err.count("\n") == 1
    assert str(tmp_path) in done.err
    assert "(" in done.err
