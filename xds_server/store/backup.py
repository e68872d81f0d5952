"""A copy of the database, and a copy put in the database's place.

Guarantees: a backup is one moment of the database, taken beside a manager that runs or without one; it is one file of
mode 0600, checked before it gets its name, so a name never stands for half a copy. A restore is refused while a manager
works on the database and checks the copy first; what it replaces is kept beside it, and a crash in the middle leaves
the old database or the new one. Numbers of events and revisions go on above those that were given out (`numbers`), and
the audit trail says what was restored.
Not guaranteed: that what a backup says of shadows still holds; the manager that starts next looks at each of them.
What is beside the database (logs of shadows, what the engine keeps for Envoys) is not in it.
"""

import fcntl
import glob
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

from xds_server.errors import ConflictError, InvalidError, NotFoundError, StoreError, cut
from xds_server.model.audit import SYSTEM, AuditEvent, AuditKind, Who
from xds_server.model.network import VirtualNetwork
from xds_server.private_files import FILE, make_folder, opener
from xds_server.store import codec, events, schema
from xds_server.store.numbers import Numbers, go_on

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a database, by the end of its name."""
LOCK = ".lock"
"""End of the name of the file that a manager holds locked."""
BEFORE_SCHEMA = ".before-schema-"
"""Between the database's name and its version, in the name of the copy that is made before a migration."""
KEPT = ".before-restore-"
"""Between the database's name and the time, in the name of one that was replaced."""
_DAMAGED = "restore an earlier backup with `shadowmesh restore`, or start with another state folder"
_NO_BACKUP = "name a file that `shadowmesh backup` has made"
_HINTS = {
    "disk I/O": "look at the disk: whether it is full, or fails",
    "not a database": _NO_BACKUP,
    "unable to open": "it must be readable: run this as the user who runs the manager",
    "readonly": "it must be writable: run this as the user who runs the manager",
}
_DOCUMENTS: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
    ("networks", codec.decode_network),
    ("profiles", codec.decode_profile),
    ("instances", codec.decode_instance),
    ("faults", codec.decode_fault),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in a database. `size` is in bytes, `schema` its version."""

    networks: int
    profiles: int
    instances: int
    schema: int
    size: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place, and where the database is that was there before; None: there was none."""

    facts: Facts
    kept: Path | None


def back_up(database: Path, target: Path, *, replace: bool = False) -> Facts:
    """Copy a database to a file.

    Args:
        database: the manager's; it may be in use.
        target: the file to be made.
        replace: whether it may be there already.

    Raises:
        NotFoundError: there is no database, or no folder for the copy.
        ConflictError: the target is there already.
        InvalidError: the target can be no backup: a folder, or the database itself.
        StoreError: the database is damaged or of a newer Shadowmesh, or the copy cannot be written.
    """
    if not database.is_file():
        raise NotFoundError(f"{database}: there is no database", hint="--state names the state folder of a manager")
    _check_target(database, target, replace=replace)
    with _fresh(target) as fresh:
        facts = _copy(database, fresh)
        fresh.replace(target)
    _sync(target.parent)
    return facts


def restore(source: Path, database: Path, *, now: datetime, who: Who = SYSTEM, why: str = "") -> Restored:
    """Put a backup in the place of a database.

    Args:
        source: the backup; it stays as it is.
        database: the manager's, which must not run; need not be there.
        now: for the name of what is replaced, and for the audit trail.
        who: does it; the audit trail says so.
        why: the reason they give.

    Raises:
        NotFoundError: there is no such backup.
        InvalidError: it is the database itself.
        ConflictError: a manager works on the database.
        StoreError: the backup is no database of Shadowmesh, damaged, or of a newer one; or it cannot be written.
    """
    if not source.is_file():
        raise NotFoundError(f"{source}: there is no such file", hint=_NO_BACKUP)
    if database.exists() and source.samefile(database):
        raise InvalidError(f"{source} is the database itself", field="FILE", hint="name a backup of it")
    with _writing(database):
        make_folder(database.parent)
    with _alone(database), _fresh(database) as fresh:
        facts = _copy(source, fresh)
        told, jump = partial(_told, source, now=now, who=who, why=why), round(now.timestamp() * 1000)
        _go_on(fresh, source, given=_given(database), jump=jump, told=told)
        with _writing(database):
            kept = _keep(database, now) if database.exists() else None
            for end in BESIDE:  # a log of the old database must not be taken for one of the new
                _beside(database, end).unlink(missing_ok=True)
            fresh.replace(database)
    _sync(database.parent)
    return Restored(facts, kept)


def _given(database: Path) -> Numbers:
    """Return the numbers that a database has given out, as far as that can be found out."""
    with suppress(sqlite3.Error), closing(_shared(database)) as db:
        return Numbers.of(db)
    return Numbers()


def _go_on(
    fresh: Path, source: Path, *, given: Numbers, jump: int, told: Callable[[VirtualNetwork], AuditEvent]
) -> None:
    """Have a copy go on above all numbers that were given out, and its trail say what happened to each network."""
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            schema.migrate(db)
            db.execute("BEGIN IMMEDIATE")
            go_on(db, given, jump=jump)
            networks = [
                codec.decode_network(row[0]) for row in db.execute("SELECT document FROM networks ORDER BY seq")
            ]
            events.append(db, [told(network) for network in networks])
            db.execute("COMMIT")
        with _writing(fresh), fresh.open("rb") as file:
            os.fsync(file.fileno())
    except sqlite3.Error as error:
        raise _explained(source, error) from error


def _told(source: Path, network: VirtualNetwork, *, now: datetime, who: Who, why: str) -> AuditEvent:
    what = f"{network.name} restored from {source.name}; what was done since that backup is not known any more"
    return AuditEvent(
        network_id=network.id,
        network=network.name,
        at=now,
        kind=AuditKind.NETWORK,
        event="restored",
        who=who,
        what=what,
        why=why,
    )


def _check_target(database: Path, target: Path, *, replace: bool) -> None:
    if not target.parent.is_dir():
        raise NotFoundError(f"{target.parent}: there is no such folder", hint="make it, or choose another file")
    if target.is_dir():
        raise InvalidError(f"{target} is a folder", field="FILE", hint=f"a file in it, like {target / 'backup.db'}")
    ours = {database.resolve(), *(_beside(database.resolve(), end) for end in (*BESIDE, LOCK))}
    if target.resolve() in ours:
        raise InvalidError(f"{target} is the manager's own", field="FILE", hint="choose another file")
    if target.exists() and not replace:
        raise ConflictError(f"{target} is there already", hint="choose another file, or replace it with --force")


@contextmanager
def _fresh(target: Path) -> Iterator[Path]:
    """Give an empty file, of mode 0600, beside the target; nothing is left of it unless it was moved away."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with _writing(target):
            fresh.unlink(missing_ok=True)
            os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE))
        yield fresh
    finally:
        for end in ("", *BESIDE):
            with suppress(OSError):
                _beside(fresh, end).unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say of an error of the system which file could not be written."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror or error}", hint="make room, or choose a folder that can be written"
        ) from error


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Keep managers away from a database. Raises: ConflictError."""
    with _writing(database):
        lock = os.open(_beside(database, LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"{database} is in use by a manager",
                hint="end it first (with --keep-shadows its shadows go on), restore, and start it again",
            ) from error
        yield
    finally:
        os.close(lock)


def keep_before_migration(db: sqlite3.Connection, database: Path) -> Path | None:
    """Copy a database that is about to get a newer schema; return the copy, None where there is nothing to be changed.

    There is one such copy at a time: `<database>.before-schema-<its version>`.

    Raises:
        StoreError: it cannot be written.
    """
    had = schema.version(db)
    if not 0 < had < len(schema.MIGRATIONS):
        return None
    target = _beside(database, f"{BEFORE_SCHEMA}{had}")
    try:
        with _fresh(target) as fresh:
            with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
                db.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            fresh.replace(target)
    except sqlite3.Error as error:
        raise _explained(target, error) from error
    for older in database.parent.glob(f"{glob.escape(database.name)}{BEFORE_SCHEMA}*"):
        if older != target:
            older.unlink(missing_ok=True)
    _sync(database.parent)
    return target


def prepare(database: Path) -> None:
    """Look at a database, which may be in use, as a manager that is to work on it; make the copy that it would make.

    Raises:
        StoreError: it is damaged, none of ours, or of a newer Shadowmesh, or that copy cannot be written.
    """
    try:
        with closing(_shared(database)) as db:
            db.execute("BEGIN")  # one moment of it
            _examine(db, database)
            db.execute("COMMIT")
            keep_before_migration(db, database)
    except sqlite3.Error as error:
        raise _explained(database, error) from error


def _shared(database: Path) -> sqlite3.Connection:
    # Writable, as SQLite shares a database with its writer through files beside it.
    uri = f"{database.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None)


def _explained(database: Path, error: sqlite3.Error) -> StoreError:
    hints = (hint for words, hint in _HINTS.items() if words in str(error))
    return StoreError(f"{database}: {cut(str(error), 200)}", hint=next(hints, _DAMAGED))


def _copy(source: Path, fresh: Path) -> Facts:
    """Copy one moment of a database into one file, on the disk when this returns; check it."""
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced below, in one go
            with closing(_shared(source)) as database:
                database.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            facts = _examine(copy, source)
        with _writing(fresh), fresh.open("rb") as file:
            os.fsync(file.fileno())
    except sqlite3.Error as error:
        if "full" in str(error):
            raise StoreError(f"{fresh.parent}: {error}", hint="make room there; nothing was changed") from error
        raise _explained(source, error) from error
    return facts


def _examine(db: sqlite3.Connection, source: Path) -> Facts:
    """Refuse what is damaged or none of ours. Raises: StoreError, sqlite3.Error."""
    found = [str(row[0]) for row in db.execute("PRAGMA integrity_check (3)")]
    if found == ["ok"]:
        found = [f"a row of {row[0]} belongs to nothing" for row in db.execute("PRAGMA foreign_key_check").fetchmany(3)]
    else:
        raise StoreError(f"{source} is damaged: {cut('; '.join(found), 300)}", hint=_DAMAGED)
    if found:
        raise StoreError(f"{source} is damaged: {'; '.join(found)}", hint=_DAMAGED)
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"migrations", *(table for table, _ in _DOCUMENTS)} <= tables:
        raise StoreError(f"{source} is no database of Shadowmesh", hint=_NO_BACKUP)
    version = schema.version(db)
    if version > len(schema.MIGRATIONS):
        raise StoreError(
            f"{source} has schema version {version}, this Shadowmesh knows {len(schema.MIGRATIONS)}",
            hint="it was written by a newer Shadowmesh; use that one",
        )
    counts = {}
    for table, decode in _DOCUMENTS:
        rows = db.execute(f"SELECT document FROM {table}")  # noqa: S608 - our names
        counts[table] = _readable(rows, decode, source)
    (pages,), (page,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
    return Facts(counts["networks"], counts["profiles"], counts["instances"], version, pages * page)


def _readable(rows: sqlite3.Cursor, decode: Callable[[bytes], Any], source: Path) -> int:
    """Return how many there are. Raises: StoreError: one of them cannot be read."""
    count = 0
    for (document,) in rows:
        try:
            decode(document)
        except StoreError as error:
            raise StoreError(f"{source}: {error.detail}", hint=error.hint) from error
        count += 1
    return count


def _keep(database: Path, now: datetime) -> Path:
    """Give a database a second name under which it stays when its own is taken. Raises: OSError."""
    # What is still in the log goes into the database, so that it is whole without it. Where that cannot be (it is
    # damaged, or somebody reads it, which SQLite says in a row and not as an error) its log gets a second name too.
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchall()
    name = f"{database.name}{KEPT}{now:%Y%m%dT%H%M%SZ}"
    kept, number = database.with_name(name), 1
    while kept.exists():
        number += 1
        kept = database.with_name(f"{name}-{number}")
    for end in ("", "-wal"):
        old = _beside(database, end)
        if old.exists():
            _double(old, _beside(kept, end))
    _sync(database.parent)
    return kept


def _double(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a file system without such links
        with open(new, "xb", opener=opener) as file:
            copyfile(old, new)
            os.fsync(file.fileno())


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _sync(folder: Path) -> None:
    """See to it that the names in a folder survive a power cut. What cannot is left."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
