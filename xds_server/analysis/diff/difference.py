"""One difference between two answers."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from xds_server.analysis.diff.json_text import Literal
from xds_server.analysis.kinds import Kind

SHOWN = 200
"""Characters of a value that an example shows."""

AROUND = 60
"""Characters of a long text that an example shows on each side of the first difference."""

WINDOW = 2_000
"""Characters of a long text that a difference carries."""
LONGEST_WORD = 8_192
"""Characters by which a window is widened at each end to the end of a word: no secret is cut in half."""

PLACE = 500
"""Characters of a place; JSON nested deep makes it long."""

_BOUNDARY = re.compile(r"[\s\"'<>]")
_LONG = frozenset({Kind.TEXT, Kind.SAME_KIND})
_ABSENT: Any = object()
ABSENT = _ABSENT
"""Stands for the value of what is not there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Field and class, with the two values of one place where it shows.

    `field` is generalised (`$.items[*].price`, `header:etag`, `status`), `at` is the place (`$.items[3].price`).
    Values are raw: of a long text, the window around the first difference, cut where no word or quoted text is cut
    (`window`), so that what is secret can be told before anything is cut shorter.
    """

    field: str
    kind: Kind
    original: Any
    shadow: Any
    at: str = ""
    what: str = ""
    """The kind of value that was recognised on both sides, when it was."""

    def as_json(self) -> dict[str, Any]:
        """Return what an example shows of it."""
        shown = {
            "field": self.field,
            "class": str(self.kind),
            "at": self.at[:PLACE] or self.field,
            "original": self._shown(self.original, self.shadow),
            "shadow": self._shown(self.shadow, self.original),
        }
        return {**shown, "recognised": self.what} if self.what else shown

    def _shown(self, value: Any, other: Any) -> str | None:
        if self.kind in _LONG and isinstance(value, str) and isinstance(other, str):
            return around(value, other)
        # Values of a JSON document are shown as JSON, so that "1" and 1 look different; the rest is plain words.
        if isinstance(value, str) and (self.kind is Kind.INVALID or not self.field.startswith("$")):
            return value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
        return shown(value)


def shown(value: Any, limit: int = SHOWN) -> str | None:
    """Return a value as JSON, cut to a readable length; None for what is absent (JSON's null is the text `null`)."""
    if value is ABSENT:
        return None
    if isinstance(value, str):
        text = value.written if isinstance(value, Literal) else value
        text = text if len(text) <= limit else text[: limit + 1]
        if not isinstance(value, Literal):
            text = f'"{text}"'
    else:
        try:
            text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
        except (orjson.JSONEncodeError, RecursionError):
            # Integers beyond 64 bits are no problem to JSON; they were read, so they are of bounded length.
            text = str(value) if isinstance(value, int) else f"a {type(value).__name__} nested too deep to show"
    return text if len(text) <= limit else f"{text[:limit]}…"


def around(text: str, other: str) -> str:
    """Return a text near where it first differs from another."""
    if len(text) <= SHOWN and len(other) <= SHOWN:
        return text
    at = first_difference(text, other)
    start, end = max(0, at - AROUND), at + AROUND
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def first_difference(left: str, right: str) -> int:
    """Return where two texts part. Halves the interval: slices are compared at the speed of memory."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def window(text: str, at: int) -> str:
    """Return the text around a position, `WINDOW` characters and the rest of the words at both ends."""
    start, end = max(0, at - WINDOW // 2), min(len(text), at + WINDOW // 2)
    if start:
        head = text[max(0, start - LONGEST_WORD) : start]
        start -= len(head) - 1 - max((found.start() for found in _BOUNDARY.finditer(head)), default=-1)
    if end < len(text):
        found = _BOUNDARY.search(text, end, end + LONGEST_WORD)
        end = found.start() if found else min(len(text), end + LONGEST_WORD)
    return text[start:end]
