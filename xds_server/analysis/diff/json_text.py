"""JSON texts as services write them: read strictly, and where that fails, as the more tolerant clients do.

Guarantees: bounded by the text; what is wrong with it is said; nothing raises. NaN, Infinity and numbers beyond a
double (10^400) are kept as they are written.
Not guaranteed: keys that stand twice are looked for only where the text seems to have more of them than its value; with
a space before the colon it does not.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

LONGEST = 4 * 1024 * 1024
"""Bytes read tolerantly; that is slower."""
_LONGEST_INTEGER = 1000
"""Digits that are made a number; Python takes time with the square of them."""
_TWICE = 20
"""Keys named that stand twice."""

_SURROGATE = re.compile(
    r"(?P<whole>\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)

_DIGITS = bytes(ord("0") if chr(byte) in "123456789" else byte for byte in range(256))
_LARGE = b"0" * 19
"""Digits of an integer that may need more than 64 bits."""

NOT_JSON: Any = object()


class Literal(str):
    """A number that is no double, as it is written: `NaN`, `-Infinity`, `1e400`. Equal to itself, unlike NaN.

    A mark before it tells it from a text of the same letters.
    """

    __slots__ = ()

    @property
    def written(self) -> str:
        """Return it as it stands in the text."""
        return self[1:]


def _literal(text: str) -> Literal:
    return Literal("\0" + text)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says, `NOT_JSON` when nothing; `flaw` is what is wrong with it, in words."""

    value: Any
    flaw: str = ""


def parse_json(data: bytes) -> Parsed:
    """Return what a whole text says."""
    try:
        return Parsed(orjson.loads(data))
    except orjson.JSONDecodeError:
        return _tolerant(data)


def has_large(data: bytes) -> bool:
    """Say whether a text may hold integers beyond 64 bits."""
    return _LARGE in data.translate(_DIGITS)


def exact(data: bytes) -> Any:
    """Return what a whole text says, integers of any length as they are written; slower than `parse_json`."""
    return _tolerant(data).value


def _tolerant(data: bytes) -> Parsed:
    if len(data) > LONGEST:
        return Parsed(NOT_JSON, "not JSON")
    seen: set[str] = set()

    def constant(text: str) -> Literal:
        seen.add("NaN or Infinity")
        return _literal(text)

    def paired(match: re.Match[str]) -> str:
        if match["whole"]:
            return match[0]
        # Half a character cannot be written out again; it is kept as it is spelled.
        seen.add("half a surrogate pair")
        return "\\" + match[0]

    try:
        text = data.decode()
    except UnicodeDecodeError:
        # A service that does not write UTF-8 most likely writes this, and it loses nothing.
        text = data.decode("latin-1")
        seen.add("not UTF-8")
    if text.startswith("\ufeff"):
        text = text[1:]
        seen.add("a byte order mark")
    try:
        value = json.loads(
            _SURROGATE.sub(paired, text), parse_constant=constant, parse_int=_integer, parse_float=_double
        )
    except (ValueError, RecursionError):
        return Parsed(NOT_JSON, "not JSON")
    return Parsed(value, " and ".join(sorted(seen)))


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _LONGEST_INTEGER else _literal(text)


def _double(text: str) -> Any:
    value = float(text)
    return value if abs(value) != float("inf") else _literal(text)


def twice(data: bytes, value: Any) -> dict[str, list[Any]]:
    """Return the keys that stand more than once in an object of the text, with all their values in order."""
    try:
        if data.count(b'":') <= orjson.dumps(value).count(b'":'):
            return {}
    except (orjson.JSONEncodeError, RecursionError):
        return {}
    found: dict[str, list[Any]] = {}

    def look(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            for key, count in Counter(key for key, _ in pairs).items():
                if count > 1 and len(found) < _TWICE:
                    found.setdefault(key[:100], []).extend(each for name, each in pairs if name == key)
        return made

    try:
        json.loads(data, object_pairs_hook=look, parse_int=_integer, parse_float=_double)
    except (ValueError, RecursionError):
        return {}
    return found
