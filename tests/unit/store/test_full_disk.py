"""The database on a disk that is really full, or was when the manager started."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from xds_server.errors import StoreError
from xds_server.model.ids import NetworkID
from xds_server.model.network import VirtualNetwork
from xds_server.store.base import Changes
from xds_server.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "shadowmesh-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk of our own could not be mounted (mount -t tmpfs needs the right to)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    for size in (1 << 16, 256, 1):
        with (disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(size)):
                pass


def a_network(name: str) -> Changes:
    return Changes(networks=(VirtualNetwork(NetworkID(name), name, (), created_at=NOW, revision=1),))


async def test_a_database_is_opened_and_read_on_a_full_disk_and_written_once_there_is_room(disk: Path) -> None:
    path = disk / "shadowmesh.db"
    store = SqliteStore(path)
    await store.open()
    await store.apply(a_network("one"))
    await store.close()  # in order: what SQLite needs beside it is gone, and there is no room for it any more
    fill(disk)
    store = SqliteStore(path)
    await store.open()
    assert "no room" in store.trouble
    for _ in range(2):
        assert [n.name for n in (await store.load()).networks] == ["one"]
        with pytest.raises(StoreError, match=r"full.*make room"):
            await store.apply(a_network("two"))
        assert "full" in store.trouble
    (disk / "filler").unlink()
    await store.apply(a_network("two"))
    await store.apply(a_network("three"))
    assert store.trouble == ""
    await store.close()
    again = SqliteStore(path)
    await again.open()
    assert [n.name for n in (await again.load()).networks] == ["one", "two", "three"]
    await again.close()


async def test_what_nobody_has_written_cannot_be_opened_on_a_full_disk_and_that_is_said(disk: Path) -> None:
    fill(disk)
    with pytest.raises(StoreError, match="full"):
        await SqliteStore(disk / "shadowmesh.db").open()
    (disk / "filler").unlink()
    store = SqliteStore(disk / "shadowmesh.db")
    await store.open()
    await store.apply(a_network("one"))
    await store.close()
