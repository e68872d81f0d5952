"""A table that leaves out columns where there is no room for all.

Guarantees: the columns that are never left out keep their least width; which are left out follows from the width alone.
Not guaranteed: that it fits into less than about 60 columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from xds_server.cli.output import cell, rows, table

WRAPPED = {"CHECK": 16, "WHERE": 16}
"""Columns that may take several lines, and the least width of each."""
SPARED = ("PAIRS", "ORIGINAL", "SHADOW", "NEEDED", "EFFECT", "NOW")
"""Columns that are left out where it is narrow, in this order."""
GAP = 2


class Fitting:
    """A table of checks, as wide as there is room.

    Args:
        columns: their names.
        lines: the rows.
    """

    def __init__(self, columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
        self._columns = columns
        self._lines = list(lines)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with the columns that there is room for."""
        least = {name: self._least(at, name) for at, name in enumerate(self._columns)}
        for name in SPARED:
            if sum(least.values()) + GAP * (len(least) - 1) <= options.max_width:
                break
            least.pop(name, None)
        yield self._made(least)

    def _least(self, at: int, name: str) -> int:
        """Return the least width of a column."""
        width = max(cell_len(name), *(cell(line[at]).cell_len for line in self._lines), 0)
        return min(width, WRAPPED.get(name, width))

    def _made(self, least: Mapping[str, int]) -> Table:
        kept = [at for at, name in enumerate(self._columns) if name in least]
        made = table(*(self._columns[at] for at in kept))
        made.padding = (0, GAP, 0, 0)
        for column in made.columns:
            name = str(column.header)
            column.no_wrap = name not in WRAPPED
            column.min_width = least[name]
        return rows(made, ([line[at] for at in kept] for line in self._lines))
