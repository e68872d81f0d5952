"""Backups of real files, and real files replaced by them."""
# ruff: noqa: ASYNC240 - files of some kilobytes

import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from tests.unit.lifecycle.fakes import a_network
from tests.unit.store.test_sqlite import ALL, NETWORK
from xds_server.errors import ConflictError, InvalidError, NotFoundError, ShadowmeshError, StoreError
from xds_server.model.audit import AuditEvent, AuditKind, EventQuery, Who
from xds_server.model.ids import NetworkID
from xds_server.store.backup import back_up, restore
from xds_server.store.base import Changes, Contents
from xds_server.store.schema import MIGRATIONS
from xds_server.store.sqlite import SqliteStore

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
JUMP = round(NOW.timestamp() * 1000)
OTHER = replace(a_network("other"), id=NetworkID("n2"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "shadowmesh.db"


@pytest.fixture
async def store(database: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(database)
    await store.open()
    await store.apply(ALL)
    yield store
    await store.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


async def contents(path: Path) -> Contents:
    store = SqliteStore(path)
    await store.open()
    try:
        return await store.load()
    finally:
        await store.close()


def plain(found: Contents) -> Contents:
    """Leave out revisions, which a restore raises."""
    return replace(
        found,
        networks=tuple(replace(network, revision=0) for network in found.networks),
        profiles=tuple(replace(profile, revision=0) for profile in found.profiles),
    )


def damage(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    for page in range(1, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    path.write_bytes(whole)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def test_a_backup_of_a_database_in_use_has_everything_and_is_one_private_file(
    store: SqliteStore, database: Path, target: Path
) -> None:
    facts = back_up(database, target)
    assert (facts.networks, facts.profiles, facts.instances) == (1, 1, 1)
    assert facts.size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(target.parent) == {"state", "backup.db"}
    await store.apply(Changes(networks=(OTHER,)))
    assert (await contents(target)).networks == (NETWORK,)
    assert len((await store.load()).networks) == 2


async def test_a_backup_of_a_database_that_nobody_uses_has_what_was_only_in_the_log(
    store: SqliteStore, database: Path, target: Path, tmp_path: Path
) -> None:
    left = tmp_path / "killed" / "shadowmesh.db"
    shutil.copytree(database.parent, left.parent)  # as a manager that was killed leaves it
    assert left.with_name("shadowmesh.db-wal").stat().st_size > 0
    before = await store.load()
    back_up(left, target)
    assert await contents(target) == before


async def test_a_backup_is_never_written_over_unless_that_is_wanted(
    store: SqliteStore, database: Path, target: Path
) -> None:
    target.write_text("precious")
    with pytest.raises(ConflictError, match=r"backup\.db") as caught:
        back_up(database, target)
    assert "--force" in caught.value.hint
    assert target.read_text() == "precious"
    back_up(database, target, replace=True)
    assert await contents(target) == await store.load()


@pytest.mark.parametrize("name", ["shadowmesh.db", "shadowmesh.db-wal", "shadowmesh.db.lock"])
def test_a_backup_never_replaces_what_the_manager_works_on(store: SqliteStore, database: Path, name: str) -> None:
    with pytest.raises(InvalidError, match="own"):
        back_up(database, database.parent / ".." / "state" / name, replace=True)


@pytest.mark.parametrize(
    ("source", "to", "error"),
    [
        ("nowhere/shadowmesh.db", "backup.db", NotFoundError),
        ("state/shadowmesh.db", "nowhere/backup.db", NotFoundError),
        ("state/shadowmesh.db", "state", InvalidError),
    ],
)
def test_a_backup_that_cannot_be_names_the_file_and_says_what_to_do(
    store: SqliteStore, tmp_path: Path, source: str, to: str, error: type[ShadowmeshError]
) -> None:
    with pytest.raises(error, match=str(tmp_path)) as caught:
        back_up(tmp_path / source, tmp_path / to)
    assert caught.value.hint
    assert names(tmp_path) == {"state"}


async def test_a_damaged_database_is_not_backed_up(store: SqliteStore, database: Path, target: Path) -> None:
    await store.close()
    damage(database)
    with pytest.raises(StoreError, match=str(database)) as caught:
        back_up(database, target)
    assert "earlier backup" in caught.value.hint
    assert not target.exists()
    assert names(target.parent) == {"state"}


async def test_a_restored_backup_is_what_the_next_manager_finds_and_the_old_database_is_kept(
    store: SqliteStore, database: Path, target: Path
) -> None:
    saved = await store.load()
    back_up(database, target)
    await store.apply(Changes(networks=(OTHER,)))
    newer = await store.load()
    await store.close()
    done = restore(target, database, now=NOW)
    assert done.kept == database.with_name("shadowmesh.db.before-restore-20260304T050607Z")
    assert names(database.parent) == {"shadowmesh.db", "shadowmesh.db.lock", done.kept.name}
    assert stat.S_IMODE(database.stat().st_mode) == stat.S_IMODE(done.kept.stat().st_mode) == 0o600
    assert plain(await contents(database)) == plain(saved)
    again = restore(done.kept, database, now=NOW)
    assert again.kept is not None
    assert again.kept != done.kept
    assert plain(await contents(database)) == plain(newer)


async def test_a_log_of_the_old_database_is_not_taken_for_one_of_the_new(
    store: SqliteStore, database: Path, target: Path, tmp_path: Path
) -> None:
    saved = await store.load()
    back_up(database, target)
    await store.apply(Changes(networks=(OTHER,)))
    left = tmp_path / "killed" / "shadowmesh.db"
    shutil.copytree(database.parent, left.parent)
    done = restore(target, left, now=NOW)
    assert plain(await contents(left)) == plain(saved)
    assert done.kept is not None
    assert len((await contents(done.kept)).networks) == 2


async def test_a_file_that_is_no_database_any_more_is_replaced_and_kept_as_it_is(
    store: SqliteStore, database: Path, target: Path
) -> None:
    saved = await store.load()
    back_up(database, target)
    await store.close()
    rubbish = b"this is something else\n" * 1000
    database.write_bytes(rubbish)
    done = restore(target, database, now=NOW)
    assert done.kept is not None
    assert done.kept.read_bytes() == rubbish
    assert plain(await contents(database)) == plain(saved)


async def test_a_backup_can_be_restored_where_there_was_nothing(
    store: SqliteStore, database: Path, target: Path, tmp_path: Path
) -> None:
    back_up(database, target)
    elsewhere = tmp_path / "new" / "state" / "shadowmesh.db"
    assert restore(target, elsewhere, now=NOW).kept is None
    assert stat.S_IMODE(elsewhere.parent.stat().st_mode) == 0o700
    assert plain(await contents(elsewhere)) == plain(await store.load())


def test_nothing_is_restored_under_a_manager_that_runs(store: SqliteStore, database: Path, target: Path) -> None:
    back_up(database, target)
    before = database.stat()
    with pytest.raises(ConflictError, match="in use by a manager") as caught:
        restore(target, database, now=NOW)
    assert "end it first" in caught.value.hint
    assert database.stat().st_ino == before.st_ino
    assert names(database.parent) == {"shadowmesh.db", *(f"shadowmesh.db{end}" for end in (".lock", "-wal", "-shm"))}


async def test_the_lock_is_let_go_of_after_a_restore(store: SqliteStore, database: Path, target: Path) -> None:
    back_up(database, target)
    await store.close()
    restore(target, database, now=NOW)
    with database.with_name("shadowmesh.db.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def no_database(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\necho this is something else\n" * 1000)


def an_empty_file(path: Path) -> None:
    path.write_bytes(b"")


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def a_stranger(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO migrations (version, name) VALUES (99, 'from the future')")


def an_unreadable_document(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE profiles SET document = '{}'")


def a_profile_without_a_network(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM networks")


@pytest.mark.parametrize(
    "spoil",
    [
        no_database,
        an_empty_file,
        cut_short,
        damage,
        a_stranger,
        newer,
        an_unreadable_document,
        a_profile_without_a_network,
        Path.unlink,
    ],
)
async def test_what_is_no_whole_backup_is_refused_by_name_and_changes_nothing(
    store: SqliteStore, database: Path, target: Path, spoil: object
) -> None:
    back_up(database, target)
    await store.close()
    before, there = database.read_bytes(), names(database.parent)
    assert callable(spoil)
    spoil(target)
    with pytest.raises(ShadowmeshError, match=str(target)) as caught:
        restore(target, database, now=NOW)
    assert caught.value.hint
    assert database.read_bytes() == before
    assert names(database.parent) == there | {"shadowmesh.db.lock"}


async def test_a_database_is_not_restored_from_itself(store: SqliteStore, database: Path) -> None:
    await store.close()
    with pytest.raises(InvalidError, match="itself"):
        restore(database, database, now=NOW)


async def test_a_crash_between_the_steps_of_a_restore_leaves_the_old_database_whole(
    store: SqliteStore, database: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(database, target)
    await store.apply(Changes(networks=(OTHER,)))
    newest = await store.load()
    await store.close()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            restore(target, database, now=NOW)
    assert await contents(database) == newest


async def test_numbers_of_events_never_come_back_and_the_trail_says_what_was_restored(
    store: SqliteStore, database: Path, target: Path
) -> None:
    query = EventQuery(network_id=NETWORK.id)
    back_up(database, target)
    made = AuditEvent(network_id=NETWORK.id, network="shop", at=NOW, kind=AuditKind.NETWORK, event="replaced")
    await store.apply(Changes(events=(made, made)))
    before = (await store.events(query)).last
    await store.close()
    restore(target, database, now=NOW, who=Who(name="anna"), why="ticket 7")
    again = SqliteStore(database)
    await again.open()
    page = await again.events(replace(query, after=before))
    ((number, event),) = page.events
    assert number == before + 1
    assert (event.event, event.who.name, event.why, event.at) == ("restored", "anna", "ticket 7", NOW)
    assert "restored from backup.db" in event.what
    await again.close()


async def test_an_etag_from_after_the_backup_never_matches_again(
    store: SqliteStore, database: Path, target: Path
) -> None:
    saved = await store.load()
    (network,), (profile,) = saved.networks, saved.profiles
    await store.apply(Changes(networks=(OTHER,)))
    back_up(database, target)
    changed = replace(network, revision=network.revision + 6), replace(profile, revision=profile.revision + 8)
    await store.apply(Changes(networks=changed[:1], profiles=changed[1:], drop_networks=(OTHER.id,)))
    await store.close()
    restore(target, database, now=NOW)
    found = await contents(database)
    assert {each.id: each.revision for each in (*found.networks, *found.profiles)} == {
        network.id: network.revision + 7,
        profile.id: profile.revision + 9,
        # It was deleted after the backup: nobody knows what was done to it until then.
        OTHER.id: OTHER.revision + JUMP,
    }
    assert plain(found).profiles == plain(saved).profiles


@pytest.mark.parametrize("was", ["damaged", "missing", "deleted"])
async def test_no_number_is_given_twice_however_often_a_backup_is_restored(
    store: SqliteStore, database: Path, target: Path, was: str
) -> None:
    back_up(database, target)
    await store.close()
    etags, last = set[int](), list[int]()
    for day in range(3):
        if was == "damaged":
            damage(database)
        elif was == "missing":
            database.unlink()
        restore(target, database, now=NOW + timedelta(days=day))
        again = SqliteStore(database)
        await again.open()
        (network,) = (await again.load()).networks
        changed = replace(network, revision=network.revision + 1)
        made = AuditEvent(network_id=NETWORK.id, network="shop", at=NOW, kind=AuditKind.NETWORK, event="replaced")
        await again.apply(Changes(networks=(changed,), events=(made,)))
        etags |= {network.revision, changed.revision}
        last.append((await again.events(EventQuery(network_id=NETWORK.id))).last)
        if was == "deleted":
            await again.apply(Changes(drop_networks=(network.id,)))
        await again.close()
    assert len(etags) == 6
    assert last == sorted(set(last))


async def test_a_backup_that_is_newer_than_the_database_goes_on_above_its_own_numbers(
    store: SqliteStore, database: Path, target: Path
) -> None:
    old = target.with_name("old.db")
    back_up(database, old)
    (network,) = (await store.load()).networks
    await store.apply(Changes(networks=(replace(network, revision=network.revision + 6),)))
    back_up(database, target)
    await store.close()
    shutil.copyfile(old, database)
    restore(target, database, now=NOW)
    assert [each.revision for each in (await contents(database)).networks] == [network.revision + 7]


@pytest.mark.parametrize(
    "document", [b'{"id": "p1", "rev', b'{"id": ["x"], "revision": 1}', b'{"id": "p1", "revision": null}', b"\xff"]
)
async def test_one_damaged_document_costs_the_others_nothing(
    store: SqliteStore, database: Path, target: Path, document: bytes
) -> None:
    back_up(database, target)
    (network,) = (await store.load()).networks
    await store.apply(Changes(networks=(replace(network, revision=network.revision + 6),)))
    made = AuditEvent(network_id=NETWORK.id, network="shop", at=NOW, kind=AuditKind.NETWORK, event="replaced")
    await store.apply(Changes(events=(made,) * 5))
    before = (await store.events(EventQuery(network_id=NETWORK.id))).last
    await store.close()
    with closing(sqlite3.connect(database)) as db:
        db.execute("UPDATE profiles SET document = ?", (document,))
        db.commit()
    restore(target, database, now=NOW)
    again = SqliteStore(database)
    await again.open()
    found = await again.load()
    assert [each.revision for each in found.networks] == [network.revision + 7]
    assert [each.revision > JUMP for each in found.profiles] == [True]
    assert (await again.events(EventQuery(network_id=NETWORK.id))).last > before
    await again.close()


async def test_what_a_newer_shadowmesh_has_put_into_a_document_stays_there(
    store: SqliteStore, database: Path, target: Path
) -> None:
    await store.close()
    with closing(sqlite3.connect(database)) as db:
        (document,) = db.execute("SELECT document FROM networks").fetchone()
        db.execute("UPDATE networks SET document = ?", (orjson.dumps(orjson.loads(document) | {"novel": 1}),))
        db.commit()
    back_up(database, target)
    restore(target, database, now=NOW)
    with closing(sqlite3.connect(database)) as db:
        (document,) = db.execute("SELECT document FROM networks").fetchone()
    assert orjson.loads(document)["novel"] == 1


@pytest.mark.parametrize("was", ["damaged", "missing"])
async def test_where_nobody_knows_which_numbers_were_given_they_jump(
    store: SqliteStore, database: Path, target: Path, was: str
) -> None:
    back_up(database, target)
    await store.close()
    if was == "damaged":
        database.write_bytes(b"rubbish" * 1000)
    else:
        database.unlink()
    restore(target, database, now=NOW)
    again = SqliteStore(database)
    await again.open()
    assert (await again.events(EventQuery(network_id=NETWORK.id))).last > JUMP
    assert [profile.revision > JUMP for profile in (await again.load()).profiles] == [True]
    await again.close()


async def test_a_backup_of_an_older_schema_is_restored_with_a_trail(
    store: SqliteStore, database: Path, target: Path
) -> None:
    back_up(database, target)
    await store.close()
    older(target)
    restore(target, database, now=NOW)
    again = SqliteStore(database)
    await again.open()
    assert [e.event for _, e in (await again.events(EventQuery(network_id=NETWORK.id))).events] == ["restored"]
    await again.close()


async def test_a_database_is_copied_before_it_gets_a_newer_schema(store: SqliteStore, database: Path) -> None:
    saved = await store.load()
    await store.close()
    older(database)
    database.with_name("shadowmesh.db.before-schema-1").write_bytes(b"of an upgrade before")
    assert await contents(database) == saved
    copies = sorted(database.parent.glob("*before*"))
    assert [each.name for each in copies] == [f"shadowmesh.db.before-schema-{len(MIGRATIONS) - 1}"]
    assert stat.S_IMODE(copies[0].stat().st_mode) == 0o600
    with closing(sqlite3.connect(copies[0])) as db:
        assert db.execute("SELECT MAX(version) FROM migrations").fetchone() == (len(MIGRATIONS) - 1,)
    assert await contents(database) == saved
    assert sorted(database.parent.glob("*before*")) == copies


def older(path: Path) -> None:
    """Take a database back to the schema before the newest, which is that of the audit trail."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE events")
        db.execute("DROP TABLE event_counts")
        db.execute("DELETE FROM migrations WHERE version = ?", (len(MIGRATIONS),))
