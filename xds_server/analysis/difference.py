"""One difference between two answers."""

from dataclasses import dataclass
from typing import Any

import orjson

from xds_server.analysis.kinds import Kind

SHOWN = 200
"""Characters of a value that an example shows."""

PLACE = 500
"""Characters of a place; JSON nested deep makes it long."""

_ABSENT: Any = object()
ABSENT = _ABSENT
"""Stands for the value of what is not there."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Field and class, with the two values of one place where it shows.

    `field` is generalised (`$.items[*].price`, `header:etag`, `status`), `at` is the place (`$.items[3].price`).
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
        return {
            "field": self.field,
            "class": str(self.kind),
            "at": self.at[:PLACE] or self.field,
            "original": self._shown(self.original),
            "shadow": self._shown(self.shadow),
        }

    def _shown(self, value: Any) -> str | None:
        # Values of a JSON document are shown as JSON, so that "1" and 1 look different; the rest is plain words.
        if isinstance(value, str) and not self.field.startswith("$"):
            return value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
        return shown(value)


def shown(value: Any, limit: int = SHOWN) -> str | None:
    """Return a value as JSON, cut to a readable length; None for what is absent (JSON's null is the text `null`)."""
    if value is ABSENT:
        return None
    if isinstance(value, str):
        text = value if len(value) <= limit else value[: limit + 1]
        text = f'"{text}"'
    else:
        try:
            text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
        except (orjson.JSONEncodeError, RecursionError):
            text = f"a {type(value).__name__} nested too deep to show"
    return text if len(text) <= limit else f"{text[:limit]}…"
