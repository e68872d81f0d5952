"""What commands print: tables for people, JSON and YAML for programs.

Guarantees: JSON and YAML are what the API answered; tables are cut to the terminal, and never when they go elsewhere.
Control characters (a shadow's log may hold any) do not reach the terminal.
"""

import enum
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDE = 2000
_ON_THE_WAY = timedelta(seconds=2)
"""As much as two clocks may differ and be the same: an answer takes its time."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLES = {
    "Running": "green",
    "ACKED": "green",
    "Failed": "red",
    "NACKED": "red",
    "Pending": "yellow",
    "SENT": "yellow",
    "STALE": "yellow",
    "PASS": "green",
    "FAIL": "red",
    "INCONCLUSIVE": "yellow",
}


class Format(enum.StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def console(*, to: IO[str] | None = None) -> Console:
    """Return the console of a stream (standard output when none is given), as wide as it takes where no terminal is."""
    stream = to or sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def emit(data: Any, how: Format, view: Callable[[], RenderableType | Iterable[RenderableType]]) -> None:
    """Print `data` as JSON or YAML, or else what `view` makes of it."""
    if how is Format.JSON:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    elif how is Format.YAML:
        sys.stdout.write(to_yaml(data))
    else:
        seen = view()
        out = console()
        for part in [seen] if isinstance(seen, (Table, Text, str)) else _parts(seen):
            out.print(part)


def _parts(seen: Any) -> Iterable[RenderableType]:
    return list(seen)


def to_yaml(data: Any) -> str:
    """Return `data` as YAML, in its order."""
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120))


def table(*columns: str) -> Table:
    """Return an empty table."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def rows(made: Table, lines: Iterable[Sequence[Any]]) -> Table:
    """Fill a table."""
    for line in lines:
        made.add_row(*map(cell, line))
    return made


def cell(value: Any) -> Text:
    """Return a value as it stands in a table."""
    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = clean(str(value))
    return Text(text, style=_STYLES.get(text.split(" ", maxsplit=1)[0], ""))


def clean(text: str) -> str:
    """Return `text` with control characters made visible."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def since(moment: str | None, *, now: datetime | None = None) -> str:
    """Return how long ago (`5m`) or how far ahead (`in 5m`) a moment is."""
    if not moment:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    text = _span(abs(seconds))
    return f"in {text}" if seconds < 0 else text


_ahead: ContextVar[timedelta] = ContextVar("ahead", default=timedelta())


def manager_says(now: str | None) -> None:
    """Take note of the time that the manager counts lives by; None: it does not tell."""
    if now is None:
        return
    with suppress(ValueError, TypeError):
        ahead = datetime.fromisoformat(now) - datetime.now(UTC)
        _ahead.set(ahead if abs(ahead) > _ON_THE_WAY else timedelta())


def lived(moment: str | None) -> str:
    """Return how long ago, or how far ahead, a moment of a life is, by the manager's clock: ours may have been set."""
    return since(moment, now=datetime.now(UTC) + _ahead.get())


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def number(value: float | None, unit: str = "") -> str:
    """Return a number as people read it: `1.2 ms`, `34 MiB`, `12 %`."""
    if value is None:
        return ""
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit == "bytes":
        for name in ("B", "KiB", "MiB"):
            if value < 1024:  # noqa: PLR2004 - bytes
                return f"{value:.3g} {name}"
            value /= 1024
        return f"{value:.3g} GiB"
    if unit == "%":
        return f"{value * 100:.3g} %"
    return f"{value:,.6g}"
