"""Numbers that a database has given out, and a restored one goes on above: of events, and revisions (ETags).

Who follows the trail misses nothing, and who holds an ETag from after the backup changes nothing that they have not
seen: no number stands for two things. Where it is not known how many were given, they jump by the milliseconds since
1970: by more at each restore.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

_TABLES = ("networks", "profiles")
_UNREADABLE = (sqlite3.Error, ValueError, TypeError, KeyError)
"""What a damaged database, or a document in it, may raise; SQLite's own words may be damaged too."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The largest ones given out: of an event; revisions by the id of a network or a profile.

    `whole` is False where some could not be read.
    """

    event: int = 0
    revisions: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False

    @classmethod
    def of(cls, db: sqlite3.Connection) -> Self:
        """Read them from a database that may be damaged; what cannot be read is not there."""
        revisions: dict[str, int] = {}
        event, whole = 0, True
        try:
            event = _last_event(db)
        except _UNREADABLE:
            whole = False
        for table in _TABLES:
            whole = _read(db, table, into=revisions) and whole
        return cls(event, revisions, whole)


def go_on(db: sqlite3.Connection, given: Numbers, *, jump: int) -> None:
    """Have a restored database go on above what was given out.

    Args:
        db: a transaction is open.
        given: by the database that it replaces.
        jump: where that is not known; more at each restore.

    Raises:
        sqlite3.Error, ValueError: it is damaged.
    """
    last = _last_event(db)
    last = max(last, given.event) if given.whole else max(last + jump, given.event)
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (last,))
    for table in _TABLES:
        for seq, document in db.execute(f"SELECT seq, document FROM {table}").fetchall():  # noqa: S608 - our names
            found = orjson.loads(document)
            own, known = _revision(found), given.revisions.get(found["id"])
            # One that is not there any more was changed nobody knows how often before it was deleted.
            found["revision"] = own + jump if known is None else max(own, known) + 1
            db.execute(f"UPDATE {table} SET document = ? WHERE seq = ?", (orjson.dumps(found), seq))  # noqa: S608


def _read(db: sqlite3.Connection, table: str, *, into: dict[str, int]) -> bool:
    """Read revisions; return whether all could be read."""
    whole = True
    try:
        for (document,) in db.execute(f"SELECT document FROM {table}"):  # noqa: S608 - our names
            try:
                found = orjson.loads(document)
                into[str(found["id"])] = int(found["revision"])
            except _UNREADABLE:
                whole = False
    except _UNREADABLE:
        whole = False
    return whole


def _revision(document: Mapping[str, Any]) -> int:
    with suppress(ValueError, TypeError):
        return int(document["revision"])
    return 0


def _last_event(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0
