"""What `backup` and `restore` share: where the database is, and how a copy is told of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xds_server.config import Settings

if TYPE_CHECKING:
    from xds_server.store.backup import Facts

DATABASE = "shadowmesh.db"
"""Name of the database in a state folder."""
DEFAULT_STATE: Path = Settings.model_fields["state"].default
State = Annotated[
    Path,
    typer.Option("--state", envvar="SHADOWMESH_STATE", metavar="PATH", help="The manager's state folder, as in serve."),
]


def described(facts: "Facts") -> str:
    """Return what is in a database, in words."""
    parts = (_count(facts.networks, "network"), _count(facts.profiles, "profile"), _count(facts.instances, "shadow"))
    return f"{', '.join(parts)} on record, {facts.size // 1024:,} KiB, schema version {facts.schema}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
