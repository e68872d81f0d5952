"""Two JSON values compared by structure, as an expert would: few differences, each with its path.

Paths are JSONPath (RFC 9535) with array positions generalised (`$.items[*].price`); keys that are identifiers (an
object used as a map) are generalised to `*` as well. Elements of arrays are matched by an identifying key where they
have one, else by content, so one insertion is one difference.

Guarantees: no recursion of our own, so no depth breaks it; at most `budget` values are visited and `MOST` differences
found, then one `too_complex` says so. Of a field and class, the first place that counts is returned; values of the same
recognised kind only where no other value of the field differs. `true` is not `1`, but `1` is `1.0`: JSON has one kind
of number.
Not guaranteed: the smallest possible set of differences; of a key that is there twice only the last value is compared
here (RFC 8259, 4 and 6).
"""

import secrets
from collections import Counter
from contextlib import suppress
from operator import itemgetter
from typing import Any

import orjson

from xds_server.analysis.diff.codes import in_order, one_kind_of_number, sortable, split, unlike
from xds_server.analysis.diff.difference import ABSENT, Difference
from xds_server.analysis.diff.evened import EnoughError, Evener
from xds_server.analysis.diff.json_text import Literal
from xds_server.analysis.diff.jsonpath import LONGEST_KEY, exact_step, general_step
from xds_server.analysis.diff.looks import same_kind
from xds_server.analysis.diff.rules import DEFAULT_RULES, Rules
from xds_server.analysis.kinds import Kind

BUDGET = 100_000
"""Values visited of one pair; about 50 ms."""
MOST = 1_000
"""Differences of one pair; more say no more."""
MATCHED_DEPTH = 12
"""Arrays nested deeper are compared by position: matching encodes each element, which would be quadratic in depth."""
LONGEST_FIELD = 300
"""Characters of a generalised path."""
CUT = f"\0cut {secrets.token_hex(8)}"
"""Marks, in a value parsed from a cut text, the containers whose end was not seen (see `json_head`).

Another one in each process, so that no answer has it for a key.
"""
IDENTITIES = ("id", "_id", "uuid", "key", "sku", "code", "slug", "name")
"""Keys that may tell the elements of an array apart, best first."""

_NUMBERS = frozenset({int, float, Literal})
_SORTED = orjson.OPT_SORT_KEYS


class _Shape:
    """A generalised place, shared by all places like it, with the classes of difference found there."""

    __slots__ = ("_steps", "field", "kinds")

    def __init__(self, field: str) -> None:
        self.field = field
        self.kinds: set[Kind] = set()
        self._steps: dict[str, _Shape] = {}

    def at(self, step: str | int) -> "_Shape":
        """Return the shape of a place below."""
        name = "[*]" if type(step) is int else general_step(step[: LONGEST_KEY + 1])  # type: ignore[index]
        found = self._steps.get(name)
        if found is None:
            field = self.field
            if len(field) <= LONGEST_FIELD:
                field += name
                field = field if len(field) <= LONGEST_FIELD else field[:LONGEST_FIELD] + "…"
            found = self._steps[name] = _Shape(field)
        return found


class _Place:
    """A container's place; its shape is made when a difference is found in it, most have none."""

    __slots__ = ("depth", "parent", "shape", "step")

    def __init__(self, parent: "_Place | None", step: str | int, depth: int) -> None:
        self.parent = parent
        self.step = step
        self.depth = depth
        self.shape: _Shape | None = None

    def shaped(self) -> _Shape:
        """Return its shape."""
        chain: list[_Place] = []
        place: _Place = self
        while place.shape is None and place.parent is not None:
            chain.append(place)
            place = place.parent
        shape = place.shape
        if shape is None:
            shape = place.shape = _Shape("$")
        for place in reversed(chain):
            shape = place.shape = shape.at(place.step)
        return shape

    def exact(self, step: str | int) -> str:
        """Return the path of the very place below it."""
        steps = [step]
        place: _Place = self
        while place.parent is not None:
            steps.append(place.step)
            place = place.parent
        return "$" + "".join(f"[{x}]" if isinstance(x, int) else exact_step(x) for x in reversed(steps))

    def whole(self) -> str:
        """Return its own path."""
        return "$" if self.parent is None else self.parent.exact(self.step)


def json_differences(
    original: Any, shadow: Any, *, budget: int = BUDGET, rules: Rules = DEFAULT_RULES, booleans: bool = True
) -> list[Difference]:
    """Return the differences between two parsed JSON values, one for each field and class.

    `booleans` False promises that there are none, so that Python's own equality is right and need not be checked.
    """
    return _Comparer(budget, rules, booleans=booleans).run(original, shadow)


TOO_COMPLEX = Difference("$", Kind.TOO_COMPLEX, ABSENT, ABSENT)


class _TooComplexError(Exception):
    """Enough was found."""


class _Comparer:
    def __init__(self, budget: int, rules: Rules, *, booleans: bool) -> None:
        self._left = budget
        self._rules = rules
        self._evener = Evener(rules) if rules.evens else None
        self._booleans = booleans
        self._prune = MATCHED_DEPTH
        """Containers above this depth are asked whether they are equal before they are taken apart."""
        self._found: list[Difference] = []
        self._todo: list[tuple[_Place, Any, Any]] = []

    def run(self, original: Any, shadow: Any) -> list[Difference]:
        todo, found = self._todo, self._found
        root = _Place(None, "", 0)
        kind = type(original)
        if kind is type(shadow) and (kind is dict or kind is list):
            todo.append((root, original, shadow))
        elif not ((kind is type(shadow) or {kind, type(shadow)} <= _NUMBERS) and original == shadow):
            self._leaf(root.shaped(), root, None, original, shadow)
        while todo:
            place, a, b = todo.pop()
            self._left -= len(a) + len(b) + 1
            if self._left < 0:
                found.append(TOO_COMPLEX)
                break
            try:
                if type(a) is dict:
                    self._objects(place, a, b)
                else:
                    self._arrays(place, a, b)
            except _TooComplexError:
                found.append(TOO_COMPLEX)
                break
            except RecursionError:
                # Python compares nested values by recursion. Again without that; what was found is not found twice.
                if not self._prune:
                    raise
                self._prune = 0
                todo.append((place, a, b))
        return found

    def _pair(self, place: _Place, step: str | int, a: Any, b: Any) -> None:
        kind = type(a)
        if kind is type(b):
            if kind is dict or kind is list:
                if place.depth >= self._prune or a != b or (self._booleans and not _same_bytes(a, b)):
                    self._todo.append((_Place(place, step, place.depth + 1), a, b))
                return
            if a == b:
                return
        elif kind in _NUMBERS and type(b) in _NUMBERS and a == b:
            return
        self._leaf((place.shape or place.shaped()).at(step), place, step, a, b)

    def _objects(self, place: _Place, a: dict[str, Any], b: dict[str, Any]) -> None:
        a_open, b_open = CUT in a, CUT in b
        get = b.get
        common = 0
        for key, left in a.items():
            right = get(key, ABSENT)
            if right is ABSENT:
                if not b_open and key != CUT:
                    self._add(place, key, Kind.MISSING, left, ABSENT)
                continue
            common += 1
            if left is not right:
                kind = type(left)
                if kind is not type(right) or kind is dict or kind is list or left != right:
                    self._pair(place, key, left, right)
        if common != len(b) and not a_open:
            for key, right in b.items():
                if key not in a and key != CUT:
                    self._add(place, key, Kind.EXTRA, ABSENT, right)

    def _arrays(self, place: _Place, a: list[Any], b: list[Any]) -> None:
        a_open, b_open = bool(a) and a[-1] == CUT, bool(b) and b[-1] == CUT
        if a_open or b_open:
            # Of a cut array, only what both sides have can be compared; or it has more already than a whole one.
            ours, theirs = len(a) - a_open, len(b) - b_open
            if (not a_open and theirs > ours) or (not b_open and ours > theirs):
                self._add_here(place, Kind.ARRAY_LENGTH, ours, theirs)
            for index, (left, right) in enumerate(zip(a, b, strict=False)):
                if CUT not in (left, right):
                    self._pair(place, index, left, right)
            return
        if (found := self._identities(place, a, b)) is not None:
            self._by_identity(place, (a, found[0]), (b, found[1]))
        elif place.depth >= MATCHED_DEPTH or not self._by_codes(place, a, b):
            if len(a) != len(b):
                self._add_here(place, Kind.ARRAY_LENGTH, len(a), len(b))
            for index, (left, right) in enumerate(zip(a, b, strict=False)):
                self._pair(place, index, left, right)

    def _identities(self, place: _Place, a: list[Any], b: list[Any]) -> tuple[list[Any], list[Any]] | None:
        """Return the values that tell the elements of both arrays apart, best first: what a rule names."""
        if not a or not b or type(a[0]) is not dict or type(b[0]) is not dict:
            return None
        first, evener = a[0], self._evener
        key = self._rules.at(place.shaped().field).key if self._rules.array_keys else ""
        for name in (key, *IDENTITIES) if key else IDENTITIES:
            if name in first:
                ours = _telling_apart(a, name)
                theirs = _telling_apart(b, name) if ours is not None else None
                if evener is not None and ours is not None and theirs is not None:
                    field = place.shaped().at(0).at(name).field
                    ours = evener.identities(ours, field, chosen=name == key)
                    theirs = evener.identities(theirs, field, chosen=name == key)
                if ours is not None and theirs is not None:
                    return ours, theirs
        return None

    def _by_codes(self, place: _Place, a: list[Any], b: list[Any]) -> bool:
        """Compare by content; False when the elements cannot be encoded (nested too deep)."""
        try:
            left_codes = [orjson.dumps(x, option=_SORTED) for x in a]
            right_codes = [orjson.dumps(x, option=_SORTED) for x in b]
        except (orjson.JSONEncodeError, RecursionError):
            return False
        if left_codes == right_codes:
            return True
        left_codes, right_codes = one_kind_of_number(a, left_codes), one_kind_of_number(b, right_codes)
        if left_codes == right_codes:
            return True
        if self._evener is not None:
            with suppress(EnoughError):
                shape = place.shaped()
                left_codes, right_codes = self._evener.codes(a, shape), self._evener.codes(b, shape)
            if left_codes == right_codes:
                return True
        if len(a) != len(b):
            self._add_here(place, Kind.ARRAY_LENGTH, len(a), len(b))
        left, right = unlike(left_codes, right_codes)
        both = Counter(left_codes[i] for i in left) & Counter(right_codes[i] for i in right)
        left_same, left_rest = split(left_codes, left, both)
        right_same, right_rest = split(right_codes, right, both)
        if self._rules.normalizers and self._rules.at(place.shaped().field).unordered:
            # The like of each stands where it is sorted to, if anywhere.
            left_rest.sort(key=lambda i: sortable(a[i], left_codes[i]))
            right_rest.sort(key=lambda i: sortable(b[i], right_codes[i]))
        elif left_same != right_same and not in_order(left_codes, left, right_codes, right):
            self._add_here(place, Kind.ARRAY_ORDER, a, b)
        for i, j in zip(left_rest, right_rest, strict=False):
            self._pair(place, i, a[i], b[j])
        return True

    def _by_identity(
        self, place: _Place, original: tuple[list[Any], list[Any]], shadow: tuple[list[Any], list[Any]]
    ) -> None:
        (a, ours), (b, theirs) = original, shadow
        if ours == theirs:
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                self._pair(place, index, x, y)
            return
        if len(a) != len(b):
            self._add_here(place, Kind.ARRAY_LENGTH, len(a), len(b))
        left: dict[Any, tuple[int, Any]] = {key: (i, x) for i, (key, x) in enumerate(zip(ours, a, strict=True))}
        right: dict[Any, Any] = dict(zip(theirs, b, strict=True))
        common = [key for key in left if key in right]
        if not common:
            # Perhaps they have become texts, or numbers.
            left, right = {str(key): x for key, x in left.items()}, {str(key): x for key, x in right.items()}
            common = [key for key in left if key in right]
        if common != [key for key in right if key in left] and not (
            self._rules.normalizers and self._rules.at(place.shaped().field).unordered
        ):
            self._add_here(place, Kind.ARRAY_ORDER, list(left), list(right))
        for key in common:
            index, element = left[key]
            self._pair(place, index, element, right[key])
        if len(a) == len(b) and len(common) < len(a):
            gone = [found for key, found in left.items() if key not in right]
            new = [x for key, x in right.items() if key not in left]
            if not common:
                # None is found again: identities made anew for each answer rather than other elements.
                for (index, element), other in zip(gone, new, strict=False):
                    self._pair(place, index, element, other)
                return
            self._add(place, gone[0][0], Kind.MISSING, gone[0][1], ABSENT)
            self._add(place, gone[0][0], Kind.EXTRA, ABSENT, new[0])

    def _leaf(self, shape: _Shape, place: _Place, step: str | int | None, a: Any, b: Any) -> None:
        """Note a difference of two values at a step below a place (None: the place itself)."""
        kinds, rules = shape.kinds, self._rules
        kind, what = Kind.TYPE, ""
        if type(a) is type(b) or (type(a) in _NUMBERS and type(b) in _NUMBERS):
            if Kind.VALUE in kinds:
                # That a value differs says more than that another one does which was to be expected.
                return
            what = same_kind(a, b, rules.recognise, shape.field) if rules.recognise else ""
            kind = Kind.SAME_KIND if what else Kind.VALUE
        if kind in kinds:
            return
        if not rules.plain:
            at = rules.at(shape.field)
            if rules.exhausted(at, a, b):
                raise _TooComplexError
            same = not at.counts(a, b) or (kind is not Kind.TYPE and at.same(a, b, rules.meter))
            if rules.meter.exhausted:
                raise _TooComplexError
            if same:
                return
        kinds.add(kind)
        if kind is Kind.VALUE and Kind.SAME_KIND in kinds:
            expected = next(d for d in self._found if d.field == shape.field and d.kind is Kind.SAME_KIND)
            self._found.remove(expected)
        exact = place.whole() if step is None else place.exact(step)
        self._note(Difference(shape.field, kind, a, b, exact, what))

    def _add(self, place: _Place, step: str | int, kind: Kind, a: Any, b: Any) -> None:
        """Note a difference at a step below a place."""
        shape = (place.shape or place.shaped()).at(step)
        if kind not in shape.kinds and self._counts(shape, a, b):
            shape.kinds.add(kind)
            self._note(Difference(shape.field, kind, a, b, place.exact(step)))

    def _add_here(self, place: _Place, kind: Kind, a: Any, b: Any) -> None:
        """Note a difference of the place itself."""
        shape = place.shaped()
        if kind not in shape.kinds and self._counts(shape, a, b):
            shape.kinds.add(kind)
            self._note(Difference(shape.field, kind, a, b, place.whole()))

    def _counts(self, shape: _Shape, a: Any, b: Any) -> bool:
        at = self._rules.at(shape.field)
        if self._rules.exhausted(at, a, b):
            raise _TooComplexError
        return at.counts(a, b)

    def _note(self, difference: Difference) -> None:
        self._found.append(difference)
        if len(self._found) >= MOST:
            raise _TooComplexError


def _same_bytes(a: Any, b: Any) -> bool:
    """Say whether two values that Python calls equal are: to Python, true is 1."""
    try:
        return orjson.dumps(a) == orjson.dumps(b)
    except (orjson.JSONEncodeError, RecursionError):
        return False


_TELLING = frozenset({str, int})


def _telling_apart(elements: list[Any], name: str) -> list[Any] | None:
    try:
        values = list(map(itemgetter(name), elements))
        kinds = set(map(type, values))
        return values if kinds <= _TELLING and len(set(values)) == len(values) else None
    except (KeyError, TypeError, IndexError):
        return None
