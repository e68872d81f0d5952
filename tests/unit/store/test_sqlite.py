"""The store on a real file."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.lifecycle.fakes import a_network, a_profile
from xds_server.errors import StoreError
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.profile import Abort, Fault, FaultParameters
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.store import schema
from xds_server.store import sqlite as module
from xds_server.store.base import ArchiveRecord, Changes, Contents, IdempotencyRecord
from xds_server.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NETWORK = replace(a_network(), id=NetworkID("n1"), created_at=NOW)
PROFILE = a_profile(id=ProfileID("p1"), network_id=NETWORK.id)
INSTANCE = ShadowInstance(
    id=InstanceID("i1"),
    network_id=NETWORK.id,
    profile_id=PROFILE.id,
    component_name="catalog",
    variant="v2",
    node="here",
    status=InstanceStatus.PENDING,
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
)
FAULT = Fault(FaultID("f1"), INSTANCE.id, FaultParameters(abort=Abort(503)), NOW, NOW + timedelta(minutes=1))
ALL = Changes(
    networks=(NETWORK,), profiles=(PROFILE,), instances=(INSTANCE,), faults=(FAULT,), summaries={PROFILE.id: b"pairs"}
)

ARCHIVED = ArchiveRecord(
    profile_id=PROFILE.id,
    network_id=NETWORK.id,
    name="v2",
    component_name="catalog",
    variants={INSTANCE.id: "v2"},
    created_at=None,
    ended_at=NOW,
    expires_at=NOW + timedelta(days=1),
    pairs=3,
    discrepancies=1,
    size=8,
    verdict={"decision": "PASS"},
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "state" / "test.db")
    await store.open()
    yield store
    await store.close()


async def again(store: SqliteStore) -> Contents:
    """Everything, as a new process finds it."""
    await store.close()
    await store.open()
    return await store.load()


async def test_what_was_applied_is_found_again(store: SqliteStore) -> None:
    await store.apply(ALL)
    assert await again(store) == Contents((NETWORK,), (PROFILE,), (INSTANCE,), (FAULT,), {PROFILE.id: b"pairs"})


async def test_the_archive_outlives_its_profile_and_not_its_network(store: SqliteStore) -> None:
    await store.apply(ALL)
    await store.apply(Changes(drop_profiles=(PROFILE.id,), archive=((ARCHIVED, b"compared"),)))
    contents = await again(store)
    assert (contents.profiles, contents.summaries, contents.archive) == ((), {}, (ARCHIVED,))
    assert await store.archived(PROFILE.id) == b"compared"
    later = replace(ARCHIVED, pairs=4)
    await store.apply(Changes(archive=((later, b"more"),)))
    assert (await store.load()).archive == (later,)
    assert await store.archived(PROFILE.id) == b"more"
    await store.apply(Changes(drop_networks=(NETWORK.id,)))
    assert (await again(store)).archive == ()
    assert await store.archived(PROFILE.id) is None
    # A network that was deleted meanwhile has none.
    await store.apply(Changes(archive=((ARCHIVED, b"compared"),)))
    assert (await store.load()).archive == ()


async def test_what_is_dropped_from_the_archive_is_gone(store: SqliteStore) -> None:
    await store.apply(ALL)
    other = replace(ARCHIVED, profile_id=ProfileID("p2"))
    await store.apply(Changes(archive=((ARCHIVED, b"1"), (other, b"2"))))
    await store.apply(Changes(drop_archive=(PROFILE.id,)))
    assert (await store.load()).archive == (other,)
    assert (await store.archived(PROFILE.id), await store.archived(other.profile_id)) == (None, b"2")


async def test_what_was_changed_keeps_its_place(store: SqliteStore) -> None:
    other = replace(NETWORK, id=NetworkID("n2"), name="other")
    await store.apply(Changes(networks=(NETWORK, other)))
    await store.apply(Changes(networks=(replace(NETWORK, revision=2),)))
    assert [(n.name, n.revision) for n in (await again(store)).networks] == [("shop", 2), ("other", 1)]


async def test_a_step_is_made_whole_or_not_at_all(store: SqliteStore) -> None:
    orphan = replace(FAULT, instance_id=InstanceID("nobody"))
    with pytest.raises(StoreError):
        await store.apply(replace(ALL, faults=(orphan,)))
    assert await store.load() == Contents()
    await store.apply(ALL)


async def test_dropping_a_network_drops_what_belongs_to_it(store: SqliteStore) -> None:
    await store.apply(ALL)
    await store.apply(Changes(drop_networks=(NETWORK.id,)))
    assert await again(store) == Contents()


async def test_what_is_ending_is_marked(store: SqliteStore) -> None:
    await store.apply(ALL)
    await store.apply(Changes(ending_networks=(NETWORK.id,), ending_profiles=(PROFILE.id,)))
    await store.apply(Changes(networks=(NETWORK,), profiles=(PROFILE,)))
    found = await again(store)
    assert (found.ending_networks, found.ending_profiles) == ({NETWORK.id}, {PROFILE.id})


async def test_a_summary_of_a_deleted_profile_is_left_out(store: SqliteStore) -> None:
    await store.apply(ALL)
    await store.apply(Changes(drop_profiles=(PROFILE.id,)))
    await store.apply(Changes(summaries={PROFILE.id: b"late"}))
    assert (await store.load()).summaries == {}


async def test_a_verdict_is_found_again_and_goes_with_its_profile(store: SqliteStore) -> None:
    await store.apply(ALL)
    await store.apply(Changes(verdicts={PROFILE.id: b"first"}))
    await store.apply(Changes(verdicts={PROFILE.id: b"then"}))
    assert (await again(store)).verdicts == {PROFILE.id: b"then"}
    await store.apply(Changes(drop_profiles=(PROFILE.id,)))
    await store.apply(Changes(verdicts={PROFILE.id: b"late"}))
    assert (await again(store)).verdicts == {}


async def test_a_file_from_before_there_were_verdicts_is_brought_up_to_date(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
        old = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
        assert schema.migrate(old) == 0
        old.close()
    store = SqliteStore(tmp_path / "test.db")
    await store.open()
    await store.apply(replace(ALL, verdicts={PROFILE.id: b"latched"}))
    assert (await again(store)).verdicts == {PROFILE.id: b"latched"}
    await store.close()


def key(number: int, *, hours: float = 0.0) -> IdempotencyRecord:
    return IdempotencyRecord(NETWORK.id, f"k{number}", "hash", PROFILE.id, NOW + timedelta(hours=hours))


async def test_a_key_is_recalled_until_it_is_too_old(store: SqliteStore) -> None:
    await store.apply(replace(ALL, remember=key(1)))
    assert await store.recall(NETWORK.id, "k1", since=NOW) == key(1)
    assert await store.recall(NETWORK.id, "k1", since=NOW + timedelta(seconds=1)) is None
    assert await store.recall(NETWORK.id, "k2", since=NOW) is None


async def test_keys_are_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 3)
    await store.apply(ALL)
    for number in range(6):
        await store.apply(Changes(remember=key(number, hours=number)))
    kept = [n for n in range(6) if await store.recall(NETWORK.id, f"k{n}", since=NOW)]
    assert kept == [3, 4, 5]


async def test_writes_take_effect_in_the_order_in_which_they_were_made(store: SqliteStore) -> None:
    await asyncio.gather(*(store.apply(Changes(networks=(replace(NETWORK, revision=n),))) for n in range(1, 101)))
    assert (await store.load()).networks[0].revision == 100


async def test_a_cancelled_write_was_made(store: SqliteStore) -> None:
    call = asyncio.create_task(store.apply(ALL))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await store.load()).networks == (NETWORK,)


async def test_writes_survive_a_power_cut(store: SqliteStore) -> None:
    def pragma(name: str) -> object:
        assert store._connection is not None
        return store._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert await store._call(pragma, "journal_mode") == "wal"
    assert await store._call(pragma, "synchronous") == 2
    assert await store._call(pragma, "foreign_keys") == 1


async def test_the_file_is_for_its_owner_only(store: SqliteStore) -> None:
    await store.apply(ALL)
    for path in store._path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


async def test_a_closed_store_says_so(store: SqliteStore) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.load()


async def test_a_second_user_of_the_file_is_refused(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="another manager"):
        await SqliteStore(store._path).open()


async def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(b"#!/bin/sh\necho this is something else\n" * 1000)
    with pytest.raises(StoreError, match="not a database") as caught:
        await SqliteStore(path).open()
    assert caught.value.hint


async def test_a_damaged_database_is_one_clear_error(store: SqliteStore) -> None:
    await store.apply(ALL)
    for number in range(50):
        await store.apply(Changes(remember=key(number)))
    await store.close()
    whole = bytearray(store._path.read_bytes())
    for page in range(2, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    store._path.write_bytes(whole)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        await store.open()


async def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        await SqliteStore(tmp_path / "file" / "test.db").open()


async def test_a_schema_of_the_future_is_refused(store: SqliteStore) -> None:
    await store.close()
    with sqlite3.connect(store._path) as db:
        db.execute("INSERT INTO migrations (version, name) VALUES (99, 'from the future')")
    db.close()
    with pytest.raises(StoreError, match="newer Shadowmesh"):
        await store.open()


async def test_a_new_step_of_the_schema_is_taken_on_an_old_file(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.apply(ALL)
    await store.close()
    step = ("notes", ("CREATE TABLE notes (text TEXT)", "INSERT INTO notes VALUES ('here')"))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    assert (await again(store)).networks == (NETWORK,)
    await store.close()
    db = sqlite3.connect(store._path)
    assert db.execute("SELECT version, name FROM migrations ORDER BY version").fetchall()[-1] == (
        len(schema.MIGRATIONS),
        "notes",
    )
    assert db.execute("SELECT text FROM notes").fetchall() == [("here",)]
    db.close()


async def test_a_step_that_fails_leaves_the_schema_as_it_was(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.apply(ALL)
    await store.close()
    step = ("broken", ("CREATE TABLE notes (text TEXT)", "NOT SQL"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        with pytest.raises(StoreError):
            await store.open()
    assert (await again(store)).networks == (NETWORK,)


async def test_a_full_disk_says_what_to_do(store: SqliteStore) -> None:
    def shrink() -> None:
        assert store._connection is not None
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")

    await store.apply(ALL)
    await store._call(shrink)
    big = replace(NETWORK, labels={str(n): "x" * 1000 for n in range(100)})
    with pytest.raises(StoreError, match="full") as caught:
        await store.apply(Changes(networks=(big,)))
    assert "room" in caught.value.hint
    assert (await store.load()).networks == (NETWORK,)


def replace_it(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def cut_it(path: Path) -> None:
    os.truncate(path, 4096)


@pytest.mark.parametrize(
    ("name", "harm", "told"),
    [
        ("test.db", Path.unlink, "deleted"),
        ("test.db", replace_it, "replaced"),
        ("test.db", cut_it, "cut"),
        ("test.db-wal", Path.unlink, "deleted"),
        ("test.db-wal", replace_it, "replaced"),
    ],
)
async def test_what_somebody_does_to_the_file_in_use_is_found_before_the_next_write(
    store: SqliteStore, name: str, harm: Callable[[Path], None], told: str
) -> None:
    await store.apply(ALL)
    await store._call(lambda: store._database().execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchall())
    await store.apply(Changes(remember=key(1)))
    harm(store._path.with_name(name))
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"{name} was {told}") as caught:
            await store.apply(Changes(remember=key(2)))
        assert "shadowmesh restore" in caught.value.hint
        assert caught.value.status == 503


async def test_a_file_that_is_put_back_is_written_again(store: SqliteStore) -> None:
    await store.apply(ALL)
    away = store._path.rename(store._path.with_name("away"))
    with pytest.raises(StoreError, match="deleted"):
        await store.apply(Changes(remember=key(1)))
    away.rename(store._path)
    await store.apply(Changes(remember=key(1)))
