"""Elements of arrays as the rules see them, so that those are matched which the rules call equal.

Guarantees: what is ignored is left out, what is normalised is evened out, arrays whose order means nothing are sorted.
Bounded: `MOST` values for one pair. Never more deeply nested than what could be encoded already.
Not guaranteed: that numbers within a tolerance are matched; they have no common form.
"""

from typing import Any, Protocol

import orjson

from xds_server.analysis.diff.codes import whole
from xds_server.analysis.diff.rules import Rules

MOST = 100_000
"""Values of one pair that are evened out; then elements are matched as they are."""

_LEFT_OUT: Any = object()


class Shape(Protocol):
    """A generalised place."""

    field: str

    def at(self, step: str | int) -> "Shape":
        """Return the shape of a place below."""


class EnoughError(Exception):
    """There are more values than are evened out."""


class Evener:
    """Evens out the values of one pair."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._left = MOST

    def codes(self, elements: list[Any], array: Shape) -> list[bytes]:
        """Return the elements of an array encoded, without what does not count. Raises: EnoughError."""
        shape = array.at(0)
        found = (self._even(element, shape) for element in elements)
        return [b"" if value is _LEFT_OUT else orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in found]

    def identities(self, values: list[Any], field: str, *, chosen: bool) -> list[Any] | None:
        """Return what tells elements apart as the rules see it; None when it then does not, or is ignored.

        `chosen`: a rule says that it tells them apart.
        """
        at = self._rules.at(field)
        if at.ignored and not chosen:
            return None
        if not at.normalizers and not at.values:
            return values
        try:
            evened = [self._leaf(value, field) for value in values]
        except EnoughError:
            return None
        return evened if len(set(evened)) == len(evened) else None

    def _even(self, value: Any, shape: Shape) -> Any:
        self._left -= 1
        if self._left < 0:
            raise EnoughError
        at = self._rules.at(shape.field)
        if at.ignored:
            return _LEFT_OUT
        kind = type(value)
        if kind is dict:
            members = ((key, self._even(member, shape.at(key))) for key, member in value.items())
            return {key: member for key, member in members if member is not _LEFT_OUT}
        if kind is list:
            below = shape.at(0)
            elements = [None if (each := self._even(x, below)) is _LEFT_OUT else each for x in value]
            return sorted(elements, key=_code) if at.unordered else elements
        return self._leaf(value, shape.field) if at.values or at.normalizers else whole(value)

    def _leaf(self, value: Any, field: str) -> Any:
        rules = self._rules
        at = rules.at(field)
        if rules.exhausted(at, value, ""):
            raise EnoughError
        return at.evened(whole(value), rules.meter)


def _code(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
