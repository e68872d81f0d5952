"""One pair in full: both answers side by side, what differs marked by colour and by a letter between them.

Guarantees: nothing is cut (long lines go on in the next row); the sides stay apart also where characters are two cells
wide, or none; control characters do not reach the terminal; bounded
time whatever the bodies are: beyond `MOST_LINES` they stand side by side unaligned.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import RenderableType
from rich.text import Text

from xds_server.analysis.windows.noise import OPEN
from xds_server.cli.client import JSON
from xds_server.cli.diff_views import ORIGINAL, SHADOW
from xds_server.cli.output import clean, number, since

PIPED = 120
"""Columns when nobody says how wide it is."""
NARROWEST = 40
CONTEXT = 3
"""Equal lines shown around a difference."""
MOST_LINES = 2_000
_MARKS = {"equal": " ", "replace": "|", "delete": "<", "insert": ">"}
_FIELDS = {"status": "status", "grpcStatus": "gRPC status", "details": "ended by", "bytes": "bytes"}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of each side (None: there is none), and how they compare: a key of `_MARKS`."""

    mark: str
    original: str | None
    shadow: str | None


def pair(one: JSON, *, width: int | None, everything: bool = False) -> Iterator[RenderableType]:
    """Return a pair, part by part.

    Args:
        one: what the API answered.
        width: of the terminal; None when it goes elsewhere.
        everything: whether long equal parts are shown too.
    """
    columns = max(width or PIPED, NARROWEST)
    yield Text.assemble((clean(f"{one['method']} {one['path']}"), "bold"), (f"  {clean(one['endpoint'])}", "dim"))
    gone = " (deleted)" if one.get("archived") else ""
    yield Text(
        f"{since(one['time'])} ago, {one['time']}; profile {clean(one['profile'] or one['profileID'])}{gone}, "
        f"version {clean(one['variant'] or '(gone)')}",
        style="dim",
    )
    yield Text(f"pair {clean(one['pairID'])}", style="dim")
    yield from _request(one)
    yield Text("")
    yield from _differences(one)
    yield Text("")
    yield _line(Row("equal", "ORIGINAL", f"SHADOW {clean(one['variant'])}"), columns, style="bold")[0]
    for name, rows in (("", _facts(one)), ("headers", _headers(one)), ("body", _bodies(one))):
        if not rows:
            continue
        if name:
            yield Text(f"── {name} ".ljust(columns, "─"), style="dim")
        for row in rows if everything or not name else folded(rows):
            yield from _line(row, columns)


def _request(one: JSON) -> Iterator[Text]:
    request = one.get("request")
    if isinstance(request, Mapping):
        headers = request.get("headers")
        for name, value in _named(headers):
            yield Text(f"  {clean(name)}: {clean(value)}", style="dim")
        if body := request.get("body"):
            yield Text(f"  {clean(str(body))}")
    if curl := one.get("curl") or (request.get("curl") if isinstance(request, Mapping) else None):
        yield Text(clean(str(curl)), style="cyan")


def _differences(one: JSON) -> Iterator[Text]:
    for each in one["differences"]:
        nature = each.get("nature", "")
        real = not nature or nature in OPEN
        told = f"{each['surprise']:.1f} bits" if real and "surprise" in each else nature
        at = each.get("at") or each["field"]
        style = "bold" if real else "dim"
        yield Text.assemble(
            ("! " if real else "~ ", "yellow"), (clean(at), style), (f"  {each['class']}  {told}", "dim")
        )
        for mark, side, colour in (("-", "original", ORIGINAL), ("+", "shadow", SHADOW)):
            value = each.get(side)
            text = "(not there)" if value is None else clean(str(value))
            yield Text(f"    {mark} {text}", style=colour if real else "dim")
    if more := one.get("moreDifferences"):
        yield Text(f"and {more} more differences", style="dim")


def _facts(one: JSON) -> list[Row]:
    original, shadow = one["original"], one["shadow"]
    rows = []
    for name, words in _FIELDS.items():
        sides = [f"{words} {leg[name]}" if name in leg else None for leg in (original, shadow)]
        if any(sides):
            mark = "equal" if sides[0] == sides[1] else _mark(*sides)
            rows.append(Row(mark, *sides))
    times = [leg.get("responseTimeMs") for leg in (original, shadow)]
    sides = [None if t is None else f"answered in {number(t / 1000, 's')}" for t in times]
    # Times always differ; that is no difference between the answers.
    return [*rows, Row("equal", *sides)] if any(sides) else rows


def _headers(one: JSON) -> list[Row]:
    lists = [[f"{n}: {v}" for n, v in _named(one[leg].get("headers"))] for leg in ("original", "shadow")]
    return aligned(*map(sorted, lists))


def _named(headers: Any) -> list[tuple[str, str]]:
    if isinstance(headers, Mapping):
        return [(str(name), str(value)) for name, value in headers.items()]
    if isinstance(headers, Sequence) and not isinstance(headers, str):
        return [(str(h[0]), str(h[1])) for h in headers if isinstance(h, Sequence) and len(h) > 1]
    return []


def _bodies(one: JSON) -> list[Row]:
    return aligned(*(laid_out(str(one[leg].get("body") or "")) for leg in ("original", "shadow")))


def laid_out(text: str) -> list[str]:
    """Return a body in lines; JSON (also when its end was cut off) with a line for each member and element.

    Nothing but white space outside of texts is changed.
    """
    if not text.lstrip().startswith(("{", "[")):
        return text.splitlines()
    lines: list[str] = []
    line, depth, inside, escaped = "", 0, False, False
    for character in text:
        if inside:
            line += character
            inside = escaped or character != '"'
            escaped = not escaped and character == "\\"
            continue
        if character in "}]":
            depth = max(depth - 1, 0)
            if line.strip() not in {"{", "["} and not line.rstrip().endswith(("{", "[")):
                lines.append(line)
                line = "  " * depth
            line += character
        elif character in "{[":
            line += character
            depth += 1
            lines.append(line)
            line = "  " * depth
        elif character == ",":
            lines.append(line + character)
            line = "  " * depth
        elif character == ":":
            line += ": "
        elif not character.isspace():
            line += character
            inside = character == '"'
    return [each for each in (*lines, line) if each.strip()]


def aligned(original: Sequence[str], shadow: Sequence[str]) -> list[Row]:
    """Return the lines of both sides next to each other, equal ones in the same row."""
    if max(len(original), len(shadow)) > MOST_LINES:
        longest = max(len(original), len(shadow))
        padded = ([*side, *[None] * (longest - len(side))] for side in (original, shadow))
        return [Row("equal" if a == b else _mark(a, b), a, b) for a, b in zip(*padded, strict=True)]
    rows: list[Row] = []
    for tag, i, to_i, j, to_j in difflib.SequenceMatcher(None, original, shadow, autojunk=False).get_opcodes():
        left, right = original[i:to_i], shadow[j:to_j]
        for k in range(max(len(left), len(right))):
            a, b = (side[k] if k < len(side) else None for side in (left, right))
            rows.append(Row("equal" if tag == "equal" else _mark(a, b), a, b))
    return rows


def _mark(original: str | None, shadow: str | None) -> str:
    return "insert" if original is None else "delete" if shadow is None else "replace"


def folded(rows: Sequence[Row]) -> list[Row]:
    """Return rows without long runs of equal ones; a row says how many were left out."""
    near: set[int] = set()
    for index, row in enumerate(rows):
        if row.mark != "equal":
            near.update(range(index - CONTEXT, index + CONTEXT + 1))
    if not near:
        near.update(range(CONTEXT))
    kept: list[Row] = []
    left = 0
    for index, row in enumerate(rows):
        if index in near:
            kept += _left_out(left)
            left = 0
            kept.append(row)
        else:
            left += 1
    return [*kept, *_left_out(left)]


def _left_out(count: int) -> list[Row]:
    if not count:
        return []
    told = f"… {count} equal line{'' if count == 1 else 's'}"
    return [Row("equal", told, told)]


def _line(row: Row, columns: int, style: str = "") -> list[Text]:
    """Return a row in as many lines as its longer side needs."""
    room = (columns - 3) // 2
    sides = [_wrapped(_plain(side), room) for side in (row.original, row.shadow)]
    marks = (_spans(row.original, row.shadow), _spans(row.shadow, row.original)) if row.mark == "replace" else ((), ())
    colours = [style, style] if row.mark == "equal" else [ORIGINAL, SHADOW]
    lines = []
    starts = [0, 0]
    for index in range(max(map(len, sides))):
        made = Text(no_wrap=True)
        for number_of_side, (side, colour) in enumerate(zip(sides, colours, strict=True)):
            piece = side[index] if index < len(side) else ""
            text = Text(piece, style=colour)
            for begin, end in marks[number_of_side]:
                before = starts[number_of_side]
                text.stylize("reverse", max(begin - before, 0), max(end - before, 0))
            starts[number_of_side] += len(piece)
            text.pad_right(room - cell_len(piece) if number_of_side == 0 else 0)
            made.append_text(text)
            if number_of_side == 0:
                made.append(f" {_MARKS[row.mark]} ", "bold yellow")
        made.rstrip()
        lines.append(made)
    return lines


def _wrapped(text: str, room: int) -> list[str]:
    """Return a text in pieces of at most `room` cells."""
    return chop_cells(text, room) if text else [""]


def _plain(text: str | None) -> str:
    """Return a line without what would move the other side."""
    return clean(text or "").replace("\t", "    ").replace("\n", "\\n")


def _spans(text: str | None, other: str | None) -> Iterable[tuple[int, int]]:
    """Return where a line differs from its counterpart: between what they begin and end with alike."""
    one, two = _plain(text), _plain(other)
    begin = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    end = 0
    while end < min(len(one), len(two)) - begin and one[-1 - end] == two[-1 - end]:
        end += 1
    return [(begin, len(one) - end)] if begin < len(one) - end else []
