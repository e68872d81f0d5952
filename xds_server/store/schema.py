"""The tables, as the steps that led to them. A step that was released is never changed; a change is a new step.

Documents are JSON of `codec`; columns beside them are what is looked up or cascaded by.
"""

import sqlite3

from xds_server.errors import StoreError

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "networks, profiles, instances, faults, summaries, idempotency keys",
        (
            """CREATE TABLE networks (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                name TEXT NOT NULL UNIQUE,
                ending INTEGER NOT NULL DEFAULT 0,
                document BLOB NOT NULL
            )""",
            """CREATE TABLE profiles (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                network_id TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
                ending INTEGER NOT NULL DEFAULT 0,
                document BLOB NOT NULL
            )""",
            "CREATE INDEX profiles_of_network ON profiles (network_id)",
            """CREATE TABLE instances (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                profile_id TEXT NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
                document BLOB NOT NULL
            )""",
            "CREATE INDEX instances_of_profile ON instances (profile_id)",
            """CREATE TABLE faults (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
                document BLOB NOT NULL
            )""",
            "CREATE INDEX faults_of_instance ON faults (instance_id)",
            """CREATE TABLE summaries (
                profile_id TEXT PRIMARY KEY REFERENCES profiles (id) ON DELETE CASCADE,
                document BLOB NOT NULL
            ) WITHOUT ROWID""",
            """CREATE TABLE idempotency (
                network_id TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
                key TEXT NOT NULL,
                body_hash TEXT NOT NULL,
                profile_id TEXT NOT NULL,
                created_at TEXT NOT NULL,
                PRIMARY KEY (network_id, key)
            ) WITHOUT ROWID""",
            "CREATE INDEX idempotency_by_age ON idempotency (created_at)",
        ),
    ),
    (
        "archive of comparisons whose profile was deleted",
        (
            # No reference to the profile: this is what outlives it.
            """CREATE TABLE archive (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                profile_id TEXT NOT NULL UNIQUE,
                network_id TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
                document BLOB NOT NULL,
                comparison BLOB NOT NULL
            )""",
            "CREATE INDEX archive_of_network ON archive (network_id)",
        ),
    ),
    (
        "verdicts: what was latched and what was done about it",
        (
            """CREATE TABLE verdicts (
                profile_id TEXT PRIMARY KEY REFERENCES profiles (id) ON DELETE CASCADE,
                data BLOB NOT NULL
            ) WITHOUT ROWID""",
        ),
    ),
    (
        "audit trail",
        (
            # No reference to the network: the trail outlives it, and tells who deleted it.
            """CREATE TABLE events (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                network_id TEXT NOT NULL,
                at TEXT NOT NULL,
                kind TEXT NOT NULL,
                profile_id TEXT,
                profile TEXT NOT NULL,
                instance_id TEXT,
                document BLOB NOT NULL
            )""",
            "CREATE INDEX events_of_network ON events (network_id, seq)",
            """CREATE TABLE event_counts (
                network_id TEXT PRIMARY KEY,
                name TEXT NOT NULL,
                newest INTEGER,
                kept INTEGER NOT NULL,
                dropped INTEGER NOT NULL
            ) WITHOUT ROWID""",
        ),
    ),
)
"""Name and statements of each step; step i leads to schema version i + 1."""


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the schema up to date, each step in a transaction of its own; return the version it had.

    Raises:
        StoreError: the file was written by a newer Shadowmesh.
    """
    had = version(connection)
    if had > len(MIGRATIONS):
        raise StoreError(
            f"the database has schema version {had}, this Shadowmesh knows {len(MIGRATIONS)}",
            hint="it was written by a newer Shadowmesh; start that one, or another state folder",
        )
    for number, (name, statements) in enumerate(MIGRATIONS[had:], start=had + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations (version, name) VALUES (?, ?)", (number, name))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return had


def version(connection: sqlite3.Connection) -> int:
    """Return the schema version of a database; 0 for an empty one, which is prepared to have one."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations ("
        "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT (datetime('now')))"
    )
    (newest,) = connection.execute("SELECT COALESCE(MAX(version), 0) FROM migrations").fetchone()
    return int(newest)
