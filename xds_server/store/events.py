"""The audit trail in the database: appended to, read in order, bounded.

Guarantees: what is appended in a transaction is there with the rest of it, or not at all; of one network at most
`MOST_OF_NETWORK` events are kept and `MOST` in all, the oldest go first, and how many of a network are gone is known.
The events of a deleted network stay until the bounds push them out, the oldest first; they are found by its id, and by
its name while no network that lives has it. An event's number grows from one to the next and never comes back.
Not guaranteed: that the order is that of the times in them; it is that of their writing.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from xds_server.model.audit import AuditEvent, EventPage, EventQuery
from xds_server.model.ids import NetworkID
from xds_server.store import codec
from xds_server.store.codec_time import time_to

MOST_OF_NETWORK = 10_000
"""Events kept of one network."""
MOST = 100_000
"""Events kept in all; about 50 MB on disk."""
_ALL = ""
"""The row of `event_counts` for all networks together."""


def append(db: sqlite3.Connection, events: Sequence[AuditEvent]) -> None:
    """Write events, and drop the oldest that are too many; within a transaction of the caller's."""
    if not events:
        return
    db.executemany(
        "INSERT INTO events (network_id, at, kind, profile_id, profile, instance_id, document)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (e.network_id, time_to(e.at), e.kind.value, e.profile_id, e.profile, e.instance_id, codec.encode_event(e))
            for e in events
        ],
    )
    names = {event.network_id: event.network for event in events}
    for network, more in Counter(event.network_id for event in events).items():
        _count(db, network, kept=more, name=names[network])
        surplus = _kept(db, network) - MOST_OF_NETWORK
        if surplus > 0:
            _drop(db, "SELECT seq, network_id FROM events WHERE network_id = ? ORDER BY seq LIMIT ?", network, surplus)
    surplus = _kept(db, _ALL) - MOST
    if surplus > 0:
        _drop(db, "SELECT seq, network_id FROM events ORDER BY seq LIMIT ?", surplus)


def read(db: sqlite3.Connection, query: EventQuery) -> EventPage:
    """Return the events that are asked for."""
    where, values = _where(query)
    start = query.after or 0
    if query.tail is not None:
        newest = f"SELECT seq FROM events WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - words of ours
        (first,) = db.execute(f"SELECT MIN(seq) FROM ({newest})", (*values, query.tail)).fetchone()  # noqa: S608
        start = (first or 1) - 1
    found = db.execute(
        f"SELECT seq, document FROM events WHERE {where} AND seq > ? ORDER BY seq LIMIT ?",  # noqa: S608
        (*values, start, query.limit + 1),
    ).fetchall()
    shown, more = found[: query.limit], len(found) > query.limit
    (newest_of_all,) = db.execute("SELECT COALESCE(MAX(seq), 0) FROM events").fetchone()
    dropped = db.execute("SELECT dropped FROM event_counts WHERE network_id = ?", (query.network_id,)).fetchone()
    return EventPage(
        events=[(int(seq), codec.decode_event(document)) for seq, document in shown],
        last=int(shown[-1][0]) if more else max(start, int(newest_of_all)),
        more=more,
        dropped=int(dropped[0]) if dropped else 0,
        known=bool(shown) or _occurs(db, query),
    )


def network_of(db: sqlite3.Connection, ref: str) -> NetworkID | None:
    """Return the network that events are kept of, by id or name; of several of one name, that of the newest events."""
    row = db.execute(
        "SELECT network_id FROM event_counts WHERE network_id <> '' AND (network_id = ? OR name = ?)"
        " ORDER BY network_id = ? DESC, newest DESC LIMIT 1",
        (ref, ref, ref),
    ).fetchone()
    return NetworkID(row[0]) if row else None


def _where(query: EventQuery) -> tuple[str, tuple[object, ...]]:
    parts: list[tuple[str, tuple[object, ...]]] = [("network_id = ?", (query.network_id,))]
    if query.since is not None:
        parts.append(("at >= ?", (time_to(query.since),)))
    if query.kind is not None:
        parts.append(("kind = ?", (query.kind.value,)))
    parts += _subject(query)
    return " AND ".join(text for text, _ in parts), tuple(value for _, values in parts for value in values)


def _subject(query: EventQuery) -> list[tuple[str, tuple[object, ...]]]:
    parts: list[tuple[str, tuple[object, ...]]] = []
    if query.profile is not None:
        parts.append(("(profile_id = ? OR profile = ?)", (query.profile, query.profile)))
    if query.instance is not None:
        parts.append(("instance_id = ?", (query.instance,)))
    return parts


def _occurs(db: sqlite3.Connection, query: EventQuery) -> bool:
    """Tell whether the profile and the instance that are asked for are in the trail at all."""
    for text, values in _subject(query):
        found = f"SELECT 1 FROM events WHERE network_id = ? AND {text} LIMIT 1"  # noqa: S608 - words of ours
        if db.execute(found, (query.network_id, *values)).fetchone() is None:
            return False
    return True


def _count(db: sqlite3.Connection, network: str, *, kept: int = 0, dropped: int = 0, name: str = "") -> None:
    for key in (network, _ALL):
        db.execute(
            "INSERT INTO event_counts (network_id, name, newest, kept, dropped)"
            " VALUES (?, ?, (SELECT MAX(seq) FROM events), ?, ?)"
            " ON CONFLICT (network_id) DO UPDATE SET kept = kept + excluded.kept, dropped = dropped + excluded.dropped,"
            " newest = CASE WHEN excluded.kept > 0 THEN excluded.newest ELSE newest END",
            (key, name if key else "", kept, dropped),
        )


def _kept(db: sqlite3.Connection, network: str) -> int:
    row = db.execute("SELECT kept FROM event_counts WHERE network_id = ?", (network,)).fetchone()
    return int(row[0]) if row else 0


def _drop(db: sqlite3.Connection, which: str, *values: object) -> None:
    rows = db.execute(which, values).fetchall()
    db.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq, _ in rows])
    for network, less in Counter(network for _, network in rows).items():
        _count(db, network, kept=-less, dropped=less)
        db.execute(  # of a deleted network of which nothing is kept, nothing is told
            "DELETE FROM event_counts WHERE network_id = ? AND kept <= 0"
            " AND NOT EXISTS (SELECT 1 FROM networks WHERE id = ?)",
            (network, network),
        )
