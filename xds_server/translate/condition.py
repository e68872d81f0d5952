"""Which requests: conditions that can be intersected, so samples of overlapping profiles stay disjoint.

A profile's `Match` is a list of conditions, of which one must hold; a condition is a conjunction. Pure algebra over
values; `RouteMatch` is made of it in routes.py.

Guarantees: `intersection` is exact; `implies` and "no intersection" are never wrong, but may miss what only an analysis
of regular expressions could find (then a region too many is made, which does not change any sample).
Not guaranteed: the intersection of two different regular expressions; Envoy cannot express it, see `inexpressible`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from xds_server.model.network import Protocol
from xds_server.model.profile import HeaderMatch, HeaderMatchKind, Match

GRPC_CONTENT = HeaderMatch("content-type", HeaderMatchKind.PREFIX, "application/grpc")


class PathKind(StrEnum):
    """The forms of a path condition."""

    PREFIX = "prefix"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Condition:
    """All of: one of `methods`; the path starts with or is `path`, and matches `regex` as a whole; all `headers`."""

    methods: tuple[str, ...]
    path: str = "/"
    kind: PathKind = PathKind.PREFIX
    regex: str = ""
    headers: tuple[HeaderMatch, ...] = ()

    def implies(self, other: "Condition") -> bool:
        """Tell whether each request that meets this one surely meets `other`."""
        return (
            set(self.methods) <= set(other.methods)
            and other.regex in ("", self.regex)
            and _path_within(self, other)
            and all(any(_header_implies(mine, theirs) for mine in self.headers) for theirs in other.headers)
        )

    def intersection(self, other: "Condition") -> "Condition | None":
        """Return the condition that both hold; None when no request can meet both, or it cannot be expressed."""
        methods = tuple(method for method in self.methods if method in other.methods)
        if not methods or self.inexpressible(other) or not (_path_within(self, other) or _path_within(other, self)):
            return None
        narrow = self if _path_within(self, other) else other
        headers = tuple(sorted({*self.headers, *other.headers}, key=_order))
        if any(_header_excludes(a, b) for a in self.headers for b in other.headers):
            return None
        return replace(narrow, methods=methods, regex=self.regex or other.regex, headers=headers)

    def inexpressible(self, other: "Condition") -> bool:
        """Tell whether both may hold for one request and no route could say so: two different regular expressions."""
        return (
            bool(self.regex)
            and bool(other.regex)
            and self.regex != other.regex
            and replace(self, regex="").intersection(replace(other, regex="")) is not None
        )


def conditions(match: Match, protocol: Protocol) -> tuple[Condition, ...]:
    """Return what a profile's match means, in normal form: of these, one must hold."""
    headers = tuple(sorted({replace(h, name=h.name.lower()) for h in match.headers}, key=_order))
    if match.grpc or protocol is Protocol.GRPC:
        # gRPC calls are POSTs of this content type (gRPC over HTTP2, "Requests").
        headers = tuple(sorted({*headers, GRPC_CONTENT}, key=_order))
        found = [_grpc_condition(pattern, headers) for pattern in dict.fromkeys(match.grpc)]
    else:
        methods = tuple(sorted({method.upper() for method in match.methods}))
        if match.path_regex:
            found = [Condition(methods, regex=match.path_regex, path="", headers=headers)]
        elif match.path:
            found = [Condition(methods, match.path, PathKind.EXACT, headers=headers)]
        else:
            found = [Condition(methods, match.path_prefix or "/", headers=headers)]
    return minimal(found)


def minimal(found: list[Condition]) -> tuple[Condition, ...]:
    """Return the conditions without those that another one covers."""
    kept: list[Condition] = []
    for condition in found:
        if any(condition.implies(other) for other in kept):
            continue
        kept = [other for other in kept if not other.implies(condition)] + [condition]
    return tuple(kept)


def _grpc_condition(pattern: str, headers: tuple[HeaderMatch, ...]) -> Condition:
    path = "/" + pattern.removeprefix("/")
    if path.endswith("*"):
        return Condition(("POST",), path[:-1], PathKind.PREFIX, headers=headers)
    return Condition(("POST",), path, PathKind.EXACT, headers=headers)


def _path_within(inner: Condition, outer: Condition) -> bool:
    if outer.kind is PathKind.EXACT:
        return inner.kind is PathKind.EXACT and inner.path == outer.path
    return inner.path.startswith(outer.path)


def _order(header: HeaderMatch) -> tuple[str, str, str]:
    return (header.name, header.kind, header.value)


def _header_implies(mine: HeaderMatch, theirs: HeaderMatch) -> bool:
    if mine.name != theirs.name:
        return False
    if mine == theirs or theirs.kind is HeaderMatchKind.PRESENT:
        return True
    if theirs.kind is HeaderMatchKind.PREFIX:
        literal = mine.kind in {HeaderMatchKind.EXACT, HeaderMatchKind.PREFIX}
        return literal and mine.value.startswith(theirs.value)
    return False


def _header_excludes(a: HeaderMatch, b: HeaderMatch) -> bool:
    if a.name != b.name:
        return False
    kinds = {a.kind, b.kind}
    if kinds == {HeaderMatchKind.EXACT}:
        return a.value != b.value
    if kinds == {HeaderMatchKind.PREFIX}:
        return not (a.value.startswith(b.value) or b.value.startswith(a.value))
    if kinds == {HeaderMatchKind.EXACT, HeaderMatchKind.PREFIX}:
        exact, prefix = (a, b) if a.kind is HeaderMatchKind.EXACT else (b, a)
        return not exact.value.startswith(prefix.value)
    return False
