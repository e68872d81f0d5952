"""The rules of a profile compiled, each with the fields that it concerns.

Guarantees: compiling raises nothing but `BadRuleError`; matching never raises.
"""

import fnmatch
import re
from collections.abc import Iterable
from typing import Protocol, TypeVar

from xds_server.analysis.diff.expressions import BadRuleError, Expression, Meter, compile_replacement
from xds_server.analysis.diff.jsonpath import JSONPath, compile_path
from xds_server.model.analysis import ArrayKey, Ignore, Normalize, Tolerance

_BODY = ("$", "body")
_STATUS = frozenset({"status", "grpc-status"})


class _Where:
    """The endpoint, place and header of a rule."""

    __slots__ = ("_endpoint", "header", "path")

    def __init__(self, endpoint: str, path: str, header: str) -> None:
        self._endpoint = _glob(endpoint) if endpoint else None
        self.path = compile_path(path) if path else None
        self.header = header.lower()

    def at_endpoint(self, endpoint: str) -> bool:
        """Say whether the rule holds at an endpoint; a pattern without a method is for all methods."""
        if self._endpoint is None:
            return True
        return any(map(self._endpoint.match, (endpoint, endpoint.partition(" ")[2])))

    def _in_header(self, field: str) -> bool:
        if self.header.endswith("*"):
            start = self.header[:-1]
            return field.startswith(f"header:{start}") or ("set-cookie".startswith(start) and _is_cookie(field))
        name = f"header:{self.header}"
        # A location is compared by its parts: `header:location.path`.
        return field == name or field.startswith(f"{name}.") or (self.header == "set-cookie" and _is_cookie(field))


class IgnoreRule(_Where):
    """Differences that do not count."""

    __slots__ = ("_field", "everything", "value")

    def __init__(self, rule: Ignore) -> None:
        """Compile. Raises: BadRuleError."""
        super().__init__(rule.endpoint, rule.path, rule.header)
        self._field = Expression(rule.field) if rule.field else None
        self.value = Expression(rule.value) if rule.value else None
        self.everything = not (rule.path or rule.header or rule.field or rule.value)
        """Nothing but the endpoint is given."""
        if self.everything and not rule.endpoint:
            raise BadRuleError("ignores nothing in particular", "at least one of endpoint, path, header, field, value")

    @property
    def whole_header(self) -> str:
        """The header that is ignored whatever it says; empty when there are conditions."""
        alone = self.path is None and self._field is None and self.value is None
        return self.header if alone and not self.header.endswith("*") else ""

    def concerns(self, field: str) -> bool:
        """Say whether it is about the field."""
        if self.path is not None and not self.path.covers(field):
            return False
        if self.header and not self._in_header(field):
            return False
        if field in _STATUS and self._field is None:
            # Both of 200 and 201 match "0", and nobody meant them.
            return False
        return self._field is None or self._field.is_all_of(field)


class NormalizeRule(_Where):
    """What is done to both values."""

    __slots__ = ("_by", "_ignore_case", "_regex", "for_texts", "unordered")

    def __init__(self, rule: Normalize) -> None:
        """Compile. Raises: BadRuleError."""
        super().__init__(rule.endpoint, rule.path, rule.header)
        self._regex = Expression(rule.regex, ignore_case=rule.ignore_case) if rule.regex else None
        self._by = compile_replacement(rule.replace, self._regex.groups if self._regex else 0)
        self._ignore_case = rule.ignore_case
        self.unordered = rule.unordered
        self.for_texts = self._regex is not None or rule.ignore_case

    def concerns(self, field: str) -> bool:
        """Say whether it is about the field."""
        if self.path is not None:
            return self.path.matches(field)
        return self._in_header(field) if self.header else field.startswith(_BODY)

    def normal(self, text: str, meter: Meter) -> str:
        """Return the text evened out."""
        if self._regex is not None:
            text = self._regex.replaced(text, self._by, meter)
        return text.casefold() if self._ignore_case else text


class ToleranceRule(_Where):
    """How far numbers may be apart."""

    __slots__ = ("absolute", "relative")

    def __init__(self, rule: Tolerance) -> None:
        """Compile. Raises: BadRuleError."""
        super().__init__(rule.endpoint, rule.path, "")
        self.absolute, self.relative = rule.absolute, rule.relative

    def concerns(self, field: str) -> bool:
        """Say whether it is about the field."""
        return field.startswith("$") if self.path is None else self.path.matches(field)


class ArrayKeyRule(_Where):
    """By which member the elements of an array are told apart; `$.items` and `$.items[*]` are the same array."""

    __slots__ = ("_array", "key")

    def __init__(self, rule: ArrayKey) -> None:
        """Compile. Raises: BadRuleError."""
        super().__init__(rule.endpoint, rule.path, "")
        array = rule.path.removesuffix("[*]")
        self._array: JSONPath = compile_path(array)
        self.key = rule.key

    def concerns(self, field: str) -> bool:
        """Say whether it is about the array at the field."""
        return self._array.matches(field)


_Model_contra = TypeVar("_Model_contra", contravariant=True)
_Rule_co = TypeVar("_Rule_co", covariant=True)


class _Compiler(Protocol[_Model_contra, _Rule_co]):
    def __call__(self, rule: _Model_contra, /) -> _Rule_co: ...


def compile_all(compiler: _Compiler[_Model_contra, _Rule_co], rules: Iterable[_Model_contra]) -> tuple[_Rule_co, ...]:
    """Return the compiled rules, without those that cannot be."""
    made = []
    for rule in rules:
        try:
            made.append(compiler(rule))
        except BadRuleError:
            continue
    return tuple(made)


def _is_cookie(field: str) -> bool:
    return field.startswith("cookie:")


def _glob(pattern: str) -> re.Pattern[str]:
    """Return what matches the pattern, `*` for anything; fnmatch makes atomic groups, which never backtrack."""
    only_stars = pattern.replace("[", "[[]").replace("?", "[?]")
    return re.compile(fnmatch.translate(only_stars))
