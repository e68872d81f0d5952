"""Endpoints: requests with the same meaning under one name, `GET /items/{id}`.

By patterns of the user first (`patterns.py`), then by the looks of the segments (`template.py`), then by how many
there are in a place (`learning.py`).

Guarantees: as many names as asked for, and the user's, then `other`; memory bounded whatever the paths; names never
depend on what differs.
Not guaranteed: that two services' templates agree with their own routing tables; patterns do.
"""

from collections.abc import Callable, Iterable

from xds_server.analysis.endpoints.learning import Leaf, Learner
from xds_server.analysis.endpoints.patterns import Patterns
from xds_server.analysis.endpoints.template import template
from xds_server.analysis.kinds import OTHER

CACHED = 20_000
"""Paths remembered with their endpoint."""
LONGEST_CACHED = 500
"""Characters of a path that is remembered; Envoy takes up to 60 KiB."""


class Names:
    """At most `limit` names, first come; the rest are `other`. Which ones are kept never depends on what differs."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, name: str) -> str:
        """Return `name`, or `other` when there are too many."""
        if name in self._known:
            return name
        if len(self._known) >= self._limit or name == OTHER:
            return OTHER
        self._known.add(name)
        return name

    def move(self, moved: dict[str, str]) -> None:
        """Call the names anew of which the first part, up to a NUL, has changed."""
        self._known = {
            f"{moved.get(first, first)}{nul}{rest}"
            for first, nul, rest in (name.partition("\0") for name in self._known)
        }


class Endpoints:
    """Endpoints of one profile.

    Args:
        limit: endpoints told apart, besides those of `patterns`.
        patterns: of the user.
        clean: takes out of a name what must not be shown, before anything is learnt of it; called once a path.
    """

    def __init__(self, limit: int, patterns: Iterable[str] = (), *, clean: Callable[[str], str] | None = None) -> None:
        self._learner = Learner(limit)
        self._clean = clean
        self._patterns = Patterns(patterns)
        self._fixed: dict[str, Leaf] = {}
        self._cache: dict[str, dict[str, Leaf]] = {}
        self._cached = 0
        self.moved: dict[str, str] = {}
        """Names that have changed, with the new ones. Whoever has counted something by name moves it and empties it."""

    def of(self, method: str, path: str) -> str:
        """Return the endpoint of a request, and count it as a hit."""
        if "?" in path:
            path = path[: path.index("?")]
        try:
            leaf = self._cache[method][path]
        except KeyError:
            leaf = self._find(method, path)
        leaf.hits += 1
        return leaf.name

    def current(self, name: str) -> str:
        """Return what an endpoint of that name is called now."""
        if name == OTHER or name in self._fixed or self._patterns.named(name):
            return name
        return self._learner.leaf(name).name

    def use(self, patterns: Iterable[str], *, clean: Callable[[str], str] | None = None) -> None:
        """Put others in the place of those before; what was counted by other names stays there."""
        self._patterns = Patterns(patterns)
        self._clean = clean
        self._forget()

    def add(self, names: Iterable[tuple[str, int]]) -> None:
        """Take in names that another has found, each with its hits."""
        for name, hits in names:
            if name != OTHER and not self._patterns.named(name):
                self._learner.leaf(name).hits += hits
        self._settle()

    def _find(self, method: str, path: str) -> Leaf:
        named = self._patterns.of(method, path) if self._patterns else None
        if named is not None:
            leaf = self._fixed.get(named)
            if leaf is None:
                leaf = self._fixed[named] = Leaf(named)
        else:
            name = f"{method} {template(path)}"
            if self._clean is not None:
                name = self._clean(name)
            leaf = self._learner.leaf(name)
            if self._learner.unsettled:
                self._settle()
                leaf = self._learner.leaf(name)
        if len(path) <= LONGEST_CACHED:
            if self._cached >= CACHED:
                self._forget()
            self._cache.setdefault(method, {})[path] = leaf
            self._cached += 1
        return leaf

    def _settle(self) -> None:
        before = self._learner.collapses
        moved = self._learner.settle()
        if self._learner.collapses != before:
            # The leaves are others now, and names that found no room may find some.
            self._forget()
        for old, new in self.moved.items():
            self.moved[old] = moved.get(new, new)
        self.moved.update(moved)

    def _forget(self) -> None:
        self._cache.clear()
        self._cached = 0
