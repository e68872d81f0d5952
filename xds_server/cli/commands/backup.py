"""Copy a manager's database to a file: networks, profiles, what is known of their shadows, comparisons, the archive.

\b
shadowmesh backup monday.db                           of ./shadowmesh-state
shadowmesh backup --state /var/lib/shadowmesh b.db    of another state folder

It reads the state folder itself, so it is run where the manager is, as the same user; the manager may run or not. The
copy is one moment of the database, is checked before it gets its name, and only its owner can read it: variants may
carry secrets in `env`. `shadowmesh restore` puts it back.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import sys
from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli.keeping import DATABASE, DEFAULT_STATE, State, described


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to be made.")],
    *,
    state: State = DEFAULT_STATE,
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there already.")] = False,
) -> None:
    """Make a backup."""
    from xds_server.store.backup import back_up  # noqa: PLC0415 - --help does not wait for it

    database = state / DATABASE
    facts = back_up(database, file, replace=force)
    sys.stdout.write(f"saved {database} to {file}: {described(facts)}\n")
