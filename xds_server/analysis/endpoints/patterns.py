"""Endpoints as the user wrote them: `/items/{id}`, `GET /items/{id}/reviews/{review}`, `/files/**`.

A pattern is a path, with a method before it or for all methods. `{name}` stands for a segment, or for a part of one
that is not empty (`/{id}.json`); `*` as a whole segment does too, and `**` at the end for all that follows, at least
one segment. Everything else is taken literally, as it stands in the request: trailing slashes count, and so does
percent-encoding.

Guarantees: the first pattern that fits wins, whatever the order costs to find it; a match takes at most as many steps
as the patterns have segments, and no pattern makes it slow (RE2 for parts of segments).
"""

import re
from collections.abc import Iterable, Sequence

import re2

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_PARAMETER = re.compile(r"\{[^{}/]+\}")
_ONE, _ALL = "*", "**"
DEEPEST = 50
"""Segments of a pattern."""


def problem_of(pattern: str) -> tuple[str, str] | None:
    """Return what is wrong with a pattern, and what would be right; None when nothing is."""
    method, path = split(pattern)
    segments = path.split("/")
    if method and method not in METHODS:
        return f"{method} is not a method", f"one of {', '.join(METHODS)}, or none for all of them"
    if len(segments) > DEEPEST:
        return f"has {len(segments)} segments", f"at most {DEEPEST}"
    if "?" in path or "#" in path:
        return "has a query or a fragment", "the path alone; the query does not tell endpoints apart"
    if any(_ALL in segment for segment in segments[:-1]) or (_ALL in segments[-1] and segments[-1] != _ALL):
        return 'has "**" in the middle', '"**" as the last segment, "*" or "{name}" for one segment'
    return next(filter(None, map(_problem_of_braces, segments)), None)


def _problem_of_braces(segment: str) -> tuple[str, str] | None:
    rest = _PARAMETER.sub("", segment)
    if "{" in rest or "}" in rest:
        return f'has a brace without its other half in "{segment}"', 'names in braces, like "/items/{id}"'
    if "}{" in segment:
        return f'has two names side by side in "{segment}"', "something between them"
    return None


def split(pattern: str) -> tuple[str, str]:
    """Return method (may be empty) and path of a pattern."""
    method, space, path = pattern.partition(" ")
    return (method, path) if space else ("", pattern)


class _Node:
    __slots__ = ("literal", "one", "parts", "rest", "rules")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.one: _Node | None = None
        self.parts: dict[str, tuple[re2.Pattern, _Node]] = {}
        self.rules: dict[str, int] = {}
        """Number of the first pattern that ends here, by method."""
        self.rest: dict[str, int] = {}
        """Likewise of those that end in `**` here."""


class Patterns:
    """The patterns of a profile, made ready. Those that `problem_of` refuses are left out."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._root = _Node()
        self._paths: list[str] = []
        self._deepest = 0
        for pattern in patterns:
            if problem_of(pattern) is None:
                self._add(*split(pattern))

    def __bool__(self) -> bool:
        return bool(self._paths)

    def of(self, method: str, path: str) -> str | None:
        """Return the endpoint of a request by the first pattern that fits; None when none does. `path` has no query."""
        segments = path.split("/", self._deepest + 1)
        best = _first(self._root, segments, 0, method)
        return None if best is None else f"{method} {self._paths[best]}"

    def named(self, name: str) -> bool:
        """Whether an endpoint's name is one that `of` gives."""
        method, _, path = name.partition(" ")
        return bool(method) and path in self._paths

    def _add(self, method: str, path: str) -> None:
        number = len(self._paths)
        self._paths.append(path)
        node, segments = self._root, path.split("/")
        self._deepest = max(self._deepest, len(segments))
        for segment in segments:
            if segment == _ALL:
                node.rest.setdefault(method, number)
                return
            node = _step(node, segment)
        node.rules.setdefault(method, number)


def _step(node: _Node, segment: str) -> _Node:
    if segment == _ONE or _PARAMETER.fullmatch(segment):
        node.one = node.one or _Node()
        return node.one
    if "{" not in segment:
        return node.literal.setdefault(segment, _Node())
    expression = "[^/]+".join(map(re2.escape, _PARAMETER.split(segment)))
    if expression not in node.parts:
        node.parts[expression] = re2.compile(expression), _Node()
    return node.parts[expression][1]


def _first(node: _Node, segments: Sequence[str], at: int, method: str) -> int | None:
    """Return the least number among the patterns below a node that fit; each node is visited once at most."""
    if at == len(segments):
        return _least(node.rules.get(method), node.rules.get(""))
    segment = segments[at]
    best = _least(node.rest.get(method), node.rest.get(""))
    if (literal := node.literal.get(segment)) is not None:
        best = _least(best, _first(literal, segments, at + 1, method))
    if segment:
        if node.one is not None:
            best = _least(best, _first(node.one, segments, at + 1, method))
        for expression, below in node.parts.values():
            if expression.fullmatch(segment):
                best = _least(best, _first(below, segments, at + 1, method))
    return best


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)
