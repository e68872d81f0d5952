"""Cookies compared by name and attribute: `cookie:session`, `cookie:session.samesite`.

Guarantees: the order of cookies and of attributes does not matter, nor does the day on which one expires; what a cookie
holds is taken for a token (another one each time) unless it is a plain word or a short number, like `dark` or `1099`.
Bounded by the headers.
Not guaranteed: two cookies of one name for different paths; the last counts.
"""

import re
from collections.abc import Iterator
from typing import Any

from xds_server.analysis.diff.difference import ABSENT, Difference
from xds_server.analysis.diff.rules import Rules
from xds_server.analysis.kinds import Kind
from xds_server.analysis.recognise import kind_of_text

MOST = 100
"""Cookies of one answer; browsers keep 50 to 180 a site."""
_WORD = 16
"""Letters up to which a value may be a word."""
_NUMBER = re.compile(r"-?[0-9]{1,8}(?:\.[0-9]{1,4})?")
"""A count, an amount or a flag; longer numbers may be ids of sessions."""

_Cookie = tuple[str, dict[str, str]]


def cookie_differences(original: list[str], shadow: list[str], rules: Rules) -> Iterator[Difference]:
    """Return how two answers set cookies; each text is one `set-cookie`."""
    ours, theirs = _parsed(original), _parsed(shadow)
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        field = f"cookie:{'*' if kind_of_text(name[:200]) else name[:200]}"
        left, right = ours.get(name), theirs.get(name)
        if left is None or right is None:
            values: tuple[Any, Any] = (left[0] if left else ABSENT, right[0] if right else ABSENT)
            if rules.at(field).counts(*values):
                yield Difference(field, Kind.COOKIE, *values)
            continue
        if left[0] != right[0] and (found := _value(field, left[0], right[0], rules)) is not None:
            yield found
        for attribute in sorted(left[1].keys() | right[1].keys()):
            values = left[1].get(attribute, ABSENT), right[1].get(attribute, ABSENT)
            if values[0] != values[1] and rules.at(f"{field}.{attribute}").counts(*values):
                yield Difference(f"{field}.{attribute}", Kind.COOKIE, *values)


def _value(field: str, left: str, right: str, rules: Rules) -> Difference | None:
    judged = rules.leaf(field, Kind.COOKIE, left, right)
    if judged is None:
        return None
    kind, what = judged
    if kind is Kind.COOKIE and "token" in rules.recognise and left and right and not (_word(left) and _word(right)):
        kind, what = Kind.SAME_KIND, "token"
    return Difference(field, kind, left, right, what=what)


def _word(value: str) -> bool:
    return len(value) <= _WORD and (value.isalpha() or _NUMBER.fullmatch(value) is not None)


def _parsed(lines: list[str]) -> dict[str, _Cookie]:
    found: dict[str, _Cookie] = {}
    for line in lines[:MOST]:
        pair, *parts = line.split(";")
        name, _, value = pair.partition("=")
        attributes = {}
        for part in parts[:MOST]:
            key, _, said = part.strip().partition("=")
            if key:
                attributes[key.lower()[:50]] = said.strip()
        if "expires" in attributes:
            # When does not matter, whether does.
            attributes["expires"] = "…"
        if attributes.get("domain", "").startswith("."):
            attributes["domain"] = attributes["domain"][1:]
        found[name.strip()] = value.strip(), attributes
    return found
