"""The state in one SQLite file, written by one thread.

Guarantees: WAL with `synchronous=FULL`, so what `apply` returned from survives a power cut; the file is checked at
`open` and refused when it is damaged; it is readable by its owner only (variants may carry secrets in `env`). A full
disk keeps nobody from opening and reading it.
Not guaranteed: speed beyond what `fsync` allows; callers that can wait put several changes in one `apply`.

Why sqlite3 of the standard library and one thread: docs/decisions/0010-sqlite-in-one-thread.md.
"""

import asyncio
import fcntl
import glob
import os
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from xds_server.errors import StoreError, cut
from xds_server.model.audit import EventPage, EventQuery
from xds_server.model.ids import NetworkID, ProfileID
from xds_server.private_files import make_folder, tighten
from xds_server.store import codec, events, schema
from xds_server.store.backup import LOCK, keep_before_migration
from xds_server.store.base import Changes, Contents, IdempotencyRecord
from xds_server.store.codec_time import time_from, time_to
from xds_server.store.same_file import SameFile

log = structlog.get_logger(__name__)

DAMAGED = "`shadowmesh restore` a backup, or start with another state folder"
"""What to do about a damaged database."""
MAX_KEYS = 10_000
"""Idempotency keys kept; the oldest go first."""

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class SqliteStore:
    """A `Store` in a file; see the module.

    Args:
        path: the database; its folder is made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_path = path.with_name(path.name + LOCK)
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._files: SameFile | None = None
        self._cramped = False
        """There was no room for the index of the log beside the database; it is in memory."""
        self.trouble = ""
        """Why nothing can be written, as the last try has shown; empty: it could."""

    async def open(self) -> None:
        """Open the file, bring its schema up to date and check it.

        Raises:
            StoreError: it is damaged, no database, in use by another manager, or of a newer Shadowmesh.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            await self._call(self._open)
        except BaseException:
            await self.close()
            raise
        if self._cramped:
            self.trouble = f"{self._path}: its disk had no room at the start (make room; what is there is served)"

    async def close(self) -> None:
        """Finish what was asked for, close the file, end the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(thread, self._close))
        finally:
            thread.shutdown(wait=True)

    async def load(self) -> Contents:
        """Return everything. Raises: StoreError."""
        return await self._call(self._load)

    async def apply(self, changes: Changes) -> None:
        """Make one step durable, or nothing of it. Raises: StoreError."""
        try:
            await self._call(self._apply, changes)
        except StoreError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""

    async def recall(self, network_id: NetworkID, key: str, *, since: datetime) -> IdempotencyRecord | None:
        """Return what was created under this key at `since` or later. Raises: StoreError."""
        return await self._call(self._recall, network_id, key, since)

    async def archived(self, profile_id: ProfileID) -> bytes | None:
        """Return the comparison of a deleted profile; None when it is not in the archive. Raises: StoreError."""
        return await self._call(self._archived, profile_id)

    async def events(self, query: EventQuery) -> EventPage:
        """Return a stretch of the audit trail of a network, living or deleted. Raises: StoreError."""
        return await self._call(self._events, query)

    async def events_of(self, ref: str) -> NetworkID | None:
        """Return the id of a network that the audit trail knows, by id or name. Raises: StoreError."""
        return await self._call(self._events_of, ref)

    async def _call(self, function: Callable[..., _T], *args: Any) -> _T:
        if self._thread is None:
            raise StoreError("the database is closed")
        # Shielded: a write that was handed to the thread happens, so its caller must not believe that it did not.
        call = asyncio.get_running_loop().run_in_executor(self._thread, self._perform, function, *args)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait((call,))
            if not call.cancelled():
                call.exception()
            raise
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except OSError as error:
            raise StoreError(
                f"{self._path}: {error.strerror or error}", hint="choose a state folder that can be written"
            ) from error

    def _explain(self, error: sqlite3.Error) -> StoreError:
        text = f"{self._path}: {cut(str(error), 200)}"
        if "full" in str(error):
            return StoreError(text, hint="make room on the disk; what was accepted before is safe")
        if "not a database" in str(error) or "malformed" in str(error):
            return StoreError(text, hint=DAMAGED)
        if "I/O" in str(error):
            return StoreError(text, hint="look at the disk: whether it is full, or fails; what was accepted is safe")
        return StoreError(text)

    # Everything below runs in the thread.

    def _open(self) -> None:
        make_folder(self._path.parent)
        for ours in self._path.parent.glob(f"{glob.escape(self._path.name)}*"):
            tighten(ours)
        self._lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"{self._path} is in use by another manager",
                hint="end that one first, take over from it (serve --take-over), or start with another state folder",
            ) from error
        os.ftruncate(self._lock, 0)
        with suppress(OSError):  # a full disk: nobody can take over from us, and that is all
            os.write(self._lock, _own_identity())  # whom a successor asks to let go
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        db = self._connect()
        found = [row[0] for row in db.execute("PRAGMA integrity_check (3)")]
        if found != ["ok"]:
            raise StoreError(
                f"{self._path} is damaged: {cut('; '.join(found), 300)}",
                hint=DAMAGED,
            )
        kept = keep_before_migration(db, self._path)
        if kept is not None:
            log.info("the database gets a newer schema; a copy of what it was is kept", copy=str(kept))
        schema.migrate(db)
        self._files = SameFile(self._path, self._lock_path)

    def _connect(self) -> sqlite3.Connection:
        """Open the file; where the disk has no room for what SQLite needs beside it, so that it can at least be read.

        Whoever reads the log needs its index, 32 KiB that are made at each start. SQLite keeps it in memory when nobody
        else may use the database, which is why this is for a full disk alone, and for no longer than a question takes.
        """
        cramped, self._cramped = self._cramped, False
        try:
            self._connection = self._connected(alone=False)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {
                sqlite3.SQLITE_FULL,
                sqlite3.SQLITE_IOERR,
                sqlite3.SQLITE_CANTOPEN,
            }:
                raise
            self._connection = self._connected(alone=True)
            self._cramped = True
            if not cramped:
                log.warning("the database can only be read until its disk has room", path=str(self._path))
        return self._connection

    def _connected(self, *, alone: bool) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
        try:
            db.execute("PRAGMA foreign_keys = ON")
            if alone:
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log
        except BaseException:
            db.close()
            raise
        return db

    def _perform(self, function: Callable[..., _T], *args: Any) -> _T:
        try:
            return function(*args)
        finally:
            if self._cramped and self._connection is not None:  # or nobody else could read it: a backup, for one
                self._connection.close()
                self._connection = None

    def _close(self) -> None:
        connection, self._connection, self._cramped = self._connection, None, False
        lock, self._lock = self._lock, None
        try:
            if connection is not None:
                connection.close()
        finally:
            if lock is not None:
                os.close(lock)

    def _load(self) -> Contents:
        db = self._database()

        def documents(table: str) -> Iterable[bytes]:
            return (row[0] for row in db.execute(f"SELECT document FROM {table} ORDER BY seq"))  # noqa: S608 - our names

        return Contents(
            networks=tuple(map(codec.decode_network, documents("networks"))),
            profiles=tuple(map(codec.decode_profile, documents("profiles"))),
            instances=tuple(map(codec.decode_instance, documents("instances"))),
            faults=tuple(map(codec.decode_fault, documents("faults"))),
            summaries={ProfileID(row[0]): row[1] for row in db.execute("SELECT profile_id, document FROM summaries")},
            verdicts={ProfileID(row[0]): row[1] for row in db.execute("SELECT profile_id, data FROM verdicts")},
            archive=tuple(map(codec.decode_archive, documents("archive"))),
            ending_networks=frozenset(
                NetworkID(row[0]) for row in db.execute("SELECT id FROM networks WHERE ending = 1")
            ),
            ending_profiles=frozenset(
                ProfileID(row[0]) for row in db.execute("SELECT id FROM profiles WHERE ending = 1")
            ),
        )

    def _apply(self, changes: Changes) -> None:
        db = self._database()
        if self._cramped:
            raise sqlite3.OperationalError("database or disk is full")
        if self._files is not None:
            self._files.check()
        db.execute("BEGIN IMMEDIATE")
        try:
            self._write(db, changes)
            self._drop(db, changes)
            events.append(db, changes.events)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has rolled it back by itself
                db.execute("ROLLBACK")
            raise
        if self._files is not None:
            self._files.note()

    def _write(self, db: sqlite3.Connection, changes: Changes) -> None:
        db.executemany(
            "INSERT INTO networks (id, name, document) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document",
            [(n.id, n.name, codec.encode_network(n)) for n in changes.networks],
        )
        db.executemany(
            "INSERT INTO profiles (id, network_id, document) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            [(p.id, p.network_id, codec.encode_profile(p)) for p in changes.profiles],
        )
        db.executemany(
            "INSERT INTO instances (id, profile_id, document) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            [(i.id, i.profile_id, codec.encode_instance(i)) for i in changes.instances],
        )
        db.executemany(
            "INSERT INTO faults (id, instance_id, document) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            [(f.id, f.instance_id, codec.encode_fault(f)) for f in changes.faults],
        )
        db.executemany(
            # A profile that was deleted meanwhile needs no summary.
            "INSERT INTO summaries (profile_id, document)"
            " SELECT ?, ? WHERE EXISTS (SELECT 1 FROM profiles WHERE id = ?)"
            " ON CONFLICT (profile_id) DO UPDATE SET document = excluded.document",
            [(profile, document, profile) for profile, document in changes.summaries.items()],
        )
        db.executemany(
            # Nor does it need a verdict.
            "INSERT INTO verdicts (profile_id, data)"
            " SELECT ?, ? WHERE EXISTS (SELECT 1 FROM profiles WHERE id = ?)"
            " ON CONFLICT (profile_id) DO UPDATE SET data = excluded.data",
            [(profile, data, profile) for profile, data in changes.verdicts.items()],
        )
        db.executemany(
            # A network that was deleted meanwhile has no archive.
            "INSERT INTO archive (profile_id, network_id, document, comparison)"
            " SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM networks WHERE id = ?)"
            " ON CONFLICT (profile_id) DO UPDATE SET document = excluded.document, comparison = excluded.comparison",
            [(a.profile_id, a.network_id, codec.encode_archive(a), d, a.network_id) for a, d in changes.archive],
        )
        if changes.remember is not None:
            self._remember(db, changes.remember)
        db.executemany("UPDATE networks SET ending = 1 WHERE id = ?", [(i,) for i in changes.ending_networks])
        db.executemany("UPDATE profiles SET ending = 1 WHERE id = ?", [(i,) for i in changes.ending_profiles])

    def _drop(self, db: sqlite3.Connection, changes: Changes) -> None:
        db.executemany("DELETE FROM archive WHERE profile_id = ?", [(i,) for i in changes.drop_archive])
        db.executemany("DELETE FROM faults WHERE id = ?", [(i,) for i in changes.drop_faults])
        db.executemany("DELETE FROM instances WHERE id = ?", [(i,) for i in changes.drop_instances])
        db.executemany("DELETE FROM profiles WHERE id = ?", [(i,) for i in changes.drop_profiles])
        db.executemany("DELETE FROM networks WHERE id = ?", [(i,) for i in changes.drop_networks])

    def _remember(self, db: sqlite3.Connection, record: IdempotencyRecord) -> None:
        db.execute(
            "INSERT OR REPLACE INTO idempotency (network_id, key, body_hash, profile_id, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (record.network_id, record.key, record.body_hash, record.profile_id, time_to(record.created_at)),
        )
        db.execute(
            "DELETE FROM idempotency WHERE (network_id, key) IN"
            " (SELECT network_id, key FROM idempotency ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
            (MAX_KEYS,),
        )

    def _recall(self, network_id: NetworkID, key: str, since: datetime) -> IdempotencyRecord | None:
        row = (
            self._database()
            .execute(
                "SELECT body_hash, profile_id, created_at FROM idempotency"
                " WHERE network_id = ? AND key = ? AND created_at >= ?",
                (network_id, key, time_to(since)),
            )
            .fetchone()
        )
        return row and IdempotencyRecord(
            network_id=network_id,
            key=key,
            body_hash=row[0],
            profile_id=ProfileID(row[1]),
            created_at=time_from(row[2]),
        )

    def _archived(self, profile_id: ProfileID) -> bytes | None:
        query = "SELECT comparison FROM archive WHERE profile_id = ?"
        row = self._database().execute(query, (profile_id,)).fetchone()
        return row and bytes(row[0])

    def _events(self, query: EventQuery) -> EventPage:
        return events.read(self._database(), query)

    def _events_of(self, ref: str) -> NetworkID | None:
        return events.network_of(self._database(), ref)

    def _database(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        if not self._cramped:
            raise StoreError("the database is closed")
        db = self._connect()
        self._files = SameFile(self._path, self._lock_path)
        return db


def _own_identity() -> bytes:
    """Return our process id and when we were started, in ticks since boot (proc(5)): together nobody else's."""
    start = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return f"{os.getpid()} {start}\n".encode()
