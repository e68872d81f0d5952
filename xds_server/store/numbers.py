"""Numbers that a database has given out, and a restored one goes on above: of events, and revisions (ETags).

Who follows the trail misses nothing, and who holds an ETag from after the backup changes nothing that they have not
seen: no number stands for two things. Where nobody knows how many were given, they jump by `UNKNOWN`.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from xds_server.store import codec

UNKNOWN = 1_000_000
"""By how much numbers jump where it is not known how many were given since the backup."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The largest ones given out: of an event; revisions by the id of a network or a profile that is still there."""

    event: int
    revisions: Mapping[str, int]

    @classmethod
    def of(cls, db: sqlite3.Connection) -> Self:
        """Read them. Raises: sqlite3.Error, StoreError (a document is damaged)."""
        networks = [codec.decode_network(row[0]) for row in db.execute("SELECT document FROM networks")]
        profiles = [codec.decode_profile(row[0]) for row in db.execute("SELECT document FROM profiles")]
        revisions: dict[str, int] = {network.id: network.revision for network in networks}
        return cls(_last_event(db), revisions | {profile.id: profile.revision for profile in profiles})


def go_on(db: sqlite3.Connection, given: Numbers | None) -> None:
    """Have a restored database go on above what was given out; None: nobody knows. Raises: sqlite3.Error."""
    last = _last_event(db)
    last = last + UNKNOWN if given is None else max(last, given.event)
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (last,))
    revisions = given.revisions if given is not None else {}

    def above(own: int, of: str) -> int:
        # One that is not there any more was changed nobody knows how often before it was deleted.
        return max(own, revisions[of]) + 1 if of in revisions else own + UNKNOWN

    for seq, document in db.execute("SELECT seq, document FROM networks").fetchall():
        network = codec.decode_network(document)
        network = replace(network, revision=above(network.revision, network.id))
        db.execute("UPDATE networks SET document = ? WHERE seq = ?", (codec.encode_network(network), seq))
    for seq, document in db.execute("SELECT seq, document FROM profiles").fetchall():
        profile = codec.decode_profile(document)
        profile = replace(profile, revision=above(profile.revision, profile.id))
        db.execute("UPDATE profiles SET document = ? WHERE seq = ?", (codec.encode_profile(profile), seq))


def _last_event(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0
