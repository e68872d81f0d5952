"""Templates by cardinality: a position of the path with very many names in it is a parameter, `/users/{*}`.

The names are a tree of segments, with the hits of each. A position collapses when it has more than `MOST` names in it,
and not before, however uneven their hits are: the first hit of a route looks like a probe for one that is not there,
beside one hot route all others look rare, and what has collapsed never comes back. The names that are seen often keep
their own place: at least `OFTEN` hits, and `AHEAD` times as many as the tenth of the names that is seen least. All
others become `{*}`, and so do names that come later. What was beneath them is united, and looked at in the same way.

Guarantees: memory is bounded whatever the names: `MAX_NODES` positions, `limit` names told apart, the rest `other`. A
position with up to `MOST` names keeps them, whatever their hits, while there is room. What is kept depends on names and
hits alone, never on what was found to differ. A name that changed is told with the new one (`settle`), so that counts
can move; it never changes back. Names that another learner has collapsed (`{*}`) collapse here too.
Not guaranteed: that a scan for routes that are not there leaves no names, up to `MOST` in a position. A route that is
first used after its position collapsed gets no name of its own; a pattern of the user does that. Two learners that saw
the same in another order may keep other names.
"""

from collections.abc import Iterator, Sequence

from xds_server.analysis.endpoints.template import DEEPEST, FIXED, WILD
from xds_server.analysis.kinds import OTHER

MOST = 100
"""Names in a position, at most."""
OFTEN = 10
"""Hits of a name that keeps its place."""
AHEAD = 8
MAX_NODES = 5_000
"""Positions of one profile."""
_CROWDED = 16
"""Names in a position that is worth collapsing when there are too many positions."""
_AT_ONCE = 20
_PATIENCE = 10_000
"""Names turned away until it is tried again."""


class Leaf:
    """A method at the end of a path. `name` is what it is called now, `other` when there are too many names."""

    __slots__ = ("hits", "into", "name")

    def __init__(self, name: str = OTHER) -> None:
        self.name = name
        self.hits = 0
        self.into: Leaf | None = None
        """The leaf that took its place."""


class _Node:
    __slots__ = ("children", "leaves", "wild")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.leaves: dict[str, Leaf] = {}
        self.wild = False
        """Whether the position below has collapsed."""

    @property
    def crowd(self) -> int:
        """How many names the position below has."""
        children = self.children
        return len(children) - sum(1 for each in FIXED if each in children)

    def next(self, segment: str) -> "_Node | None":
        found = self.children.get(segment)
        return found if found is not None or not self.wild or segment in FIXED else self.children.get(WILD)

    def all_leaves(self) -> Iterator[Leaf]:
        yield from self.leaves.values()
        for child in self.children.values():
            yield from child.all_leaves()

    def size(self) -> int:
        return 1 + sum(child.size() for child in self.children.values())


class Learner:
    """The names of one profile.

    Args:
        limit: names told apart.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._root = _Node()
        self._nodes = 1
        self._admitted = 0
        self._touched: list[tuple[str, ...]] = []
        self._turned_away = 0
        self._pressed = False
        self._other = Leaf()
        self.collapses = 0
        """Positions that have collapsed; leaves got before are no longer good."""

    def __len__(self) -> int:
        return self._admitted

    @property
    def nodes(self) -> int:
        """Positions it remembers."""
        return self._nodes

    @property
    def unsettled(self) -> bool:
        """Whether `settle` has something to look at."""
        return bool(self._touched) or self._pressed

    def leaf(self, name: str) -> Leaf:
        """Return the leaf of a name like `GET /items/{id}`; whoever calls adds the hits."""
        method, _, path = name.partition(" ")
        segments = path.split("/", DEEPEST + 2)
        node = self._root
        for depth, segment in enumerate(segments):
            child = node.next(segment)
            if child is None:
                if self._nodes >= MAX_NODES:
                    return self._no_room()
                self._nodes += 1
                child = node.children[segment] = _Node()
                if len(node.children) > MOST or segment == WILD:
                    self._touched.append(tuple(segments[:depth]))
            node = child
        leaf = node.leaves.get(method)
        if leaf is None:
            leaf = node.leaves[method] = Leaf()
        if leaf.name == OTHER and self._admitted < self._limit:
            # The segments in the way may have collapsed, so it is called by the place where it stands.
            leaf.name = f"{method} {'/'.join(self._resolved(segments)[1])}"
            self._admitted += 1
        return leaf

    def settle(self) -> dict[str, str]:
        """Collapse what has to; return the names that changed, with the new ones."""
        moved: dict[str, str] = {}
        touched, self._touched = self._touched, []
        for prefix in dict.fromkeys(touched):
            node, path = self._resolved(prefix)
            if node is not None and _is_parameter(node):
                self._collapse(node, path, moved)
        if self._pressed:
            self._pressed = False
            self._make_room(moved)
        return moved

    def _make_room(self, moved: dict[str, str]) -> None:
        crowded = [(node.crowd, path) for node, path in _positions(self._root, ()) if node.crowd >= _CROWDED]
        for _, prefix in sorted(crowded, reverse=True)[:_AT_ONCE]:
            # What was collapsed before it may have taken it in.
            node, path = self._resolved(prefix)
            if node is not None and not node.wild and node.crowd >= _CROWDED:
                self._collapse(node, path, moved)

    def _no_room(self) -> Leaf:
        if self._turned_away % _PATIENCE == 0:
            self._pressed = True
        self._turned_away += 1
        return self._other

    def _resolved(self, segments: Sequence[str]) -> tuple[_Node | None, tuple[str, ...]]:
        """Return the position where these segments lead, None when it is gone, and what they are called there."""
        node, path = self._root, []
        for segment in segments:
            found = node.next(segment)
            if found is None:
                return None, ()
            path.append(segment if segment in node.children else WILD)
            node = found
        return node, tuple(path)

    def _collapse(self, node: _Node, path: tuple[str, ...], moved: dict[str, str]) -> None:
        before = [(leaf, leaf.name) for leaf in node.all_leaves()]
        size = node.size()
        _unite(node)
        _look_below(node.children[WILD])
        self.collapses += 1
        self._nodes += node.size() - size
        self._admitted -= sum(name != OTHER for _, name in before)
        for leaf, name in _named(node, path):
            if leaf.name != OTHER:
                leaf.name = name
                self._admitted += 1
        now: dict[str, str] = {}
        for leaf, name in before:
            last = leaf
            while last.into is not None:
                last = last.into
            if name not in {OTHER, last.name}:
                now[name] = last.name
        for old, new in moved.items():
            moved[old] = now.get(new, new)
        moved.update(now)


def _hits(node: _Node) -> int:
    return sum(leaf.hits for leaf in node.all_leaves())


def _names(node: _Node) -> dict[str, int]:
    return {segment: _hits(child) for segment, child in node.children.items() if segment not in FIXED}


def _is_parameter(node: _Node) -> bool:
    return not node.wild and (WILD in node.children or node.crowd > MOST)


def _unite(node: _Node) -> None:
    """Collapse the position below a node."""
    hits = _names(node)
    ordered = sorted(hits.values())
    least = ordered[len(ordered) // 10] if ordered else 0
    node.wild = True
    wild = node.children.setdefault(WILD, _Node())
    for name, count in hits.items():
        if count < max(OFTEN, AHEAD * least):
            _merge(wild, node.children.pop(name))


def _look_below(node: _Node) -> None:
    if _is_parameter(node):
        _unite(node)
    for child in node.children.values():
        _look_below(child)


def _merge(into: _Node, node: _Node) -> None:
    for method, leaf in node.leaves.items():
        there = into.leaves.setdefault(method, leaf)
        if there is not leaf:
            there.hits += leaf.hits
            if there.name == OTHER:
                there.name = leaf.name
            leaf.into = there
    for segment, child in node.children.items():
        there_below = into.next(segment)
        if there_below is None:
            into.children[segment] = child
        else:
            _merge(there_below, child)


def _named(node: _Node, path: tuple[str, ...]) -> Iterator[tuple[Leaf, str]]:
    for method, leaf in node.leaves.items():
        yield leaf, f"{method} {'/'.join(path)}"
    for segment, child in node.children.items():
        yield from _named(child, (*path, segment))


def _positions(node: _Node, path: tuple[str, ...]) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    yield node, path
    for segment, child in node.children.items():
        yield from _positions(child, (*path, segment))
