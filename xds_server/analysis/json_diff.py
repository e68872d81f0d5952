"""Two JSON values compared by structure, as an expert would: few differences, each with its path.

Paths are JSONPath (RFC 9535) with array positions generalised (`$.items[*].price`); keys that are identifiers (an
object used as a map) are generalised to `*` as well. Elements of arrays are matched by an identifying key where they
have one, else by content, so one insertion is one difference.

Guarantees: no recursion, so no depth breaks it; at most `budget` values are visited, then one `too_complex` says so.
Of a field and class, the first place is returned. `true` is not `1`, but `1` is `1.0`: JSON has one kind of number.
Not guaranteed: the smallest possible set of differences; integers beyond 64 bits are told apart no better than as
doubles, and of a key that is there twice only the last value is compared (RFC 8259, 4 and 6).
"""

import re
from collections import Counter
from functools import lru_cache
from typing import Any

import orjson

from xds_server.analysis.difference import ABSENT, Difference
from xds_server.analysis.kinds import Kind
from xds_server.analysis.recognise import kind_of_text

BUDGET = 100_000
"""Values visited of one pair; about 50 ms."""
MATCHED_DEPTH = 12
"""Arrays nested deeper are compared by position: matching encodes each element, which would be quadratic in depth."""
LONGEST_FIELD = 300
"""Characters of a generalised path."""
LONGEST_KEY = 100
"""Characters of a key in a path."""
CUT = "\0cut"
"""Marks, in a value parsed from a cut text, the containers whose end was not seen (see `json_head`)."""
IDENTITIES = ("id", "uuid", "key", "sku", "code", "slug", "name")
"""Keys that may tell the elements of an array apart, best first."""

_Path = tuple[Any, str, str | int]
"""The parent's path (None for the root), the generalised path so far, and the last step."""
_ROOT: _Path = (None, "$", "")
_NUMBERS = frozenset({int, float})
_INTEGRAL = re.compile(rb"\d(?:\.0|e\d)")
_LARGEST = 2.0**63
_SORTED = orjson.OPT_SORT_KEYS


def json_differences(original: Any, shadow: Any, *, budget: int = BUDGET) -> list[Difference]:
    """Return the differences between two parsed JSON values, one for each field and class."""
    return _Comparer(budget).run(original, shadow)


class _Comparer:
    def __init__(self, budget: int) -> None:
        self._left = budget
        self._found: dict[tuple[str, Kind], Difference] = {}
        self._todo: list[tuple[_Path, int, Any, Any]] = []

    def run(self, original: Any, shadow: Any) -> list[Difference]:
        todo = self._todo
        self._pair(_ROOT, 0, original, shadow)
        while todo:
            path, depth, a, b = todo.pop()
            self._left -= len(a) + len(b) + 1
            if self._left < 0:
                self._add(_ROOT, Kind.TOO_COMPLEX, ABSENT, ABSENT)
                break
            if type(a) is dict:
                self._objects(path, depth, a, b)
            else:
                self._arrays(path, depth, a, b)
        return list(self._found.values())

    def _pair(self, path: _Path, depth: int, a: Any, b: Any) -> None:
        kind = type(a)
        if kind is type(b):
            if kind is dict or kind is list:
                self._todo.append((path, depth, a, b))
            elif a != b:
                self._add(path, Kind.VALUE, a, b)
        elif kind in _NUMBERS and type(b) in _NUMBERS:
            if a != b:
                self._add(path, Kind.VALUE, a, b)
        else:
            self._add(path, Kind.TYPE, a, b)

    def _objects(self, path: _Path, depth: int, a: dict[str, Any], b: dict[str, Any]) -> None:
        a_open, b_open = CUT in a, CUT in b
        get = b.get
        depth += 1
        common = 0
        for key, left in a.items():
            right = get(key, ABSENT)
            if right is ABSENT:
                if not b_open and key != CUT:
                    self._add((path, path[1] + _general(key[: LONGEST_KEY + 1]), key), Kind.MISSING, left, ABSENT)
                continue
            common += 1
            if left is not right:
                kind = type(left)
                if kind is not type(right) or kind is dict or kind is list or left != right:
                    self._pair((path, path[1] + _general(key[: LONGEST_KEY + 1]), key), depth, left, right)
        if common != len(b) and not a_open:
            for key, right in b.items():
                if key not in a and key != CUT:
                    self._add((path, path[1] + _general(key[: LONGEST_KEY + 1]), key), Kind.EXTRA, ABSENT, right)

    def _arrays(self, path: _Path, depth: int, a: list[Any], b: list[Any]) -> None:
        depth += 1
        inside = path[1] + "[*]"
        a_open, b_open = bool(a) and a[-1] == CUT, bool(b) and b[-1] == CUT
        if a_open or b_open:
            # Of a cut array, only what both sides have can be compared; or it has more already than a whole one.
            ours, theirs = len(a) - a_open, len(b) - b_open
            if (not a_open and theirs > ours) or (not b_open and ours > theirs):
                self._add(path, Kind.ARRAY_LENGTH, ours, theirs)
            for index, (left, right) in enumerate(zip(a, b, strict=False)):
                if CUT not in (left, right):
                    self._pair((path, inside, index), depth, left, right)
            return
        if depth > MATCHED_DEPTH or not self._matched(path, depth, a, b):
            if len(a) != len(b):
                self._add(path, Kind.ARRAY_LENGTH, len(a), len(b))
            for index, (left, right) in enumerate(zip(a, b, strict=False)):
                self._pair((path, inside, index), depth, left, right)

    def _matched(self, path: _Path, depth: int, a: list[Any], b: list[Any]) -> bool:
        """Compare by identity or content; False when the elements cannot be encoded (nested too deep)."""
        try:
            left_codes = [orjson.dumps(x, option=_SORTED) for x in a]
            right_codes = [orjson.dumps(x, option=_SORTED) for x in b]
        except (orjson.JSONEncodeError, RecursionError):
            return False
        if left_codes == right_codes:
            return True
        left_codes, right_codes = _one_kind_of_number(a, left_codes), _one_kind_of_number(b, right_codes)
        if left_codes == right_codes:
            return True
        if len(a) != len(b):
            self._add(path, Kind.ARRAY_LENGTH, len(a), len(b))
        if (identity := _identity(a, b)) is not None:
            self._by_identity(path, depth, a, b, identity)
        else:
            self._by_content(path, depth, (a, left_codes), (b, right_codes))
        return True

    def _by_identity(self, path: _Path, depth: int, a: list[Any], b: list[Any], identity: str) -> None:
        left: dict[Any, tuple[int, Any]] = {x[identity]: (i, x) for i, x in enumerate(a)}
        right: dict[Any, Any] = {x[identity]: x for x in b}
        inside = path[1] + "[*]"
        common = [key for key in left if key in right]
        if not common:
            # Perhaps they have become texts, or numbers.
            left, right = {str(key): x for key, x in left.items()}, {str(key): x for key, x in right.items()}
            common = [key for key in left if key in right]
        if common != [key for key in right if key in left]:
            self._add(path, Kind.ARRAY_ORDER, list(left), list(right))
        for key in common:
            index, element = left[key]
            self._pair((path, inside, index), depth, element, right[key])
        if len(a) == len(b) and len(common) < len(a):
            index, gone = next(found for key, found in left.items() if key not in right)
            self._add((path, inside, index), Kind.MISSING, gone, ABSENT)
            new = next(x for key, x in right.items() if key not in left)
            self._add((path, inside, index), Kind.EXTRA, ABSENT, new)

    def _by_content(
        self, path: _Path, depth: int, left: tuple[list[Any], list[bytes]], right: tuple[list[Any], list[bytes]]
    ) -> None:
        both = Counter(left[1]) & Counter(right[1])
        left_same, left_rest = _split(left[1], both)
        right_same, right_rest = _split(right[1], both)
        if left_same != right_same:
            self._add(path, Kind.ARRAY_ORDER, left[0], right[0])
        inside = path[1] + "[*]"
        for i, j in zip(left_rest, right_rest, strict=False):
            self._pair((path, inside, i), depth, left[0][i], right[0][j])

    def _add(self, path: _Path, kind: Kind, original: Any, shadow: Any) -> None:
        field = path[1] if len(path[1]) <= LONGEST_FIELD else path[1][:LONGEST_FIELD] + "…"
        if (field, kind) not in self._found:
            self._found[field, kind] = Difference(field, kind, original, shadow, _exact(path))


def _one_kind_of_number(elements: list[Any], codes: list[bytes]) -> list[bytes]:
    """Encode 1.0 as 1, where there is any, so that elements which are equal are encoded alike."""
    return [
        orjson.dumps(_whole(element), option=_SORTED) if _INTEGRAL.search(code) else code
        for element, code in zip(elements, codes, strict=True)
    ]


def _whole(value: Any) -> Any:
    """Return the value with integral floats as integers; it could be encoded, so it is not nested deep."""
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < _LARGEST else value
    if kind is list:
        return [_whole(x) for x in value]
    return {key: _whole(x) for key, x in value.items()} if kind is dict else value


def _split(codes: list[bytes], both: Counter[bytes]) -> tuple[list[bytes], list[int]]:
    """Return the elements that the other side has too, in order, and the positions of the others."""
    left = both.copy()
    same, rest = [], []
    for index, code in enumerate(codes):
        if left[code] > 0:
            left[code] -= 1
            same.append(code)
        else:
            rest.append(index)
    return same, rest


def _identity(a: list[Any], b: list[Any]) -> str | None:
    """Return the key whose value tells the elements of both arrays apart."""
    if not a or not b or type(a[0]) is not dict:
        return None
    for name in IDENTITIES:
        if name in a[0] and all(_tells_apart(elements, name) for elements in (a, b)):
            return name
    return None


def _tells_apart(elements: list[Any], name: str) -> bool:
    values = [x.get(name) for x in elements if type(x) is dict]
    if len(values) != len(elements) or any(type(v) is not str and type(v) is not int for v in values):
        return False
    return len(set(values)) == len(values)


def _exact(path: _Path) -> str:
    """Return the path of the very place."""
    parts: list[str] = []
    step: _Path | None = path
    while step is not None and step is not _ROOT:
        parts.append(f"[{step[2]}]" if isinstance(step[2], int) else _name(step[2]))
        step = step[0]
    return "$" + "".join(reversed(parts))


@lru_cache(maxsize=8192)
def _general(key: str) -> str:
    return ".*" if kind_of_text(key) else _name(key)


def _name(key: str) -> str:
    key = key if len(key) <= LONGEST_KEY else key[:LONGEST_KEY] + "…"
    if key.isidentifier():
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"
