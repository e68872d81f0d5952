"""Put a backup in the place of a manager's database, with no manager running.

\b
shadowmesh restore monday.db                          into ./shadowmesh-state
shadowmesh restore --state /var/lib/shadowmesh b.db   into another state folder

The backup is checked first. The database that it replaces stays in the state folder as
`shadowmesh.db.before-restore-TIME`, which can be restored in the same way. The manager that starts next looks at each
shadow that the backup says is there: one that still runs is taken up, another is Failed or over; shadows that the
backup knows nothing of are ended.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli import caller
from xds_server.cli.keeping import DATABASE, DEFAULT_STATE, State, described


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    *,
    state: State = DEFAULT_STATE,
) -> None:
    """Restore a backup."""
    from xds_server.model.audit import Who  # noqa: PLC0415 - --help does not wait for it
    from xds_server.store.backup import restore  # noqa: PLC0415

    database = state / DATABASE
    done = restore(
        file,
        database,
        now=datetime.now(UTC),
        who=Who(name=caller.name(), agent="shadowmesh restore"),
        why=caller.reason(),
    )
    sys.stdout.write(f"restored {file} to {database}: {described(done.facts)}\n")
    if done.kept is not None:
        sys.stdout.write(f"what was there before is {done.kept}\n")
