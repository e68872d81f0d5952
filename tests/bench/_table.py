"""Tables on the terminal."""

import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

_WIDTH = 140
"""Where there is no terminal to ask: wide enough that no figure is cut."""


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """Print a table, the first column to the left, the others to the right, and notes below it."""
    console = Console(width=None if os.isatty(1) else _WIDTH, highlight=False)
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in notes:
        console.print(f"  {note}", markup=False)


def milliseconds(seconds: float) -> str:
    """Return a duration to be read."""
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"
