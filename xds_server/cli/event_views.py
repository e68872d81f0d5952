"""The audit trail as people read it."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from xds_server.cli.client import JSON
from xds_server.cli.output import clean, rows, table

HEAD = ("TIME", "WHO", "KIND", "WHAT", "WHY")


def events(items: Iterable[JSON]) -> Table:
    """Return events as a table, oldest first."""
    return rows(table(*HEAD), map(_event, items))


def line(one: JSON) -> str:
    """Return an event as a line, for those that come one by one."""
    return "  ".join(clean(str(part)) for part in _event(one) if part)


def who(one: JSON) -> str:
    """Return who did it; a name is marked as what it is, a claim."""
    if one["by"] == "system":
        return "system"
    return f'"{one["name"]}" from {one["address"]}' if one["name"] else one["address"] or "somebody"


def _event(one: JSON) -> tuple[Any, ...]:
    return one["time"][:19].replace("T", " "), who(one["who"]), one["kind"], one["what"], one["why"]
