"""Removals in an order that breaks nothing: first the union of before and after, then, when it is safe, after alone.

Purpose: a cluster must be there as long as a route leads to it. Additions go out make-before-break; what a new snapshot
no longer has is kept until the client accepted the routes without it.

A listener does not wait when a new one takes its address: an Envoy refuses the second of two on one address for good,
but of one response it handles removals before additions (tried on 1.40).

Guarantees: the union of two snapshots is computed once and shared by the streams that need it. Not guaranteed: that a
client that never answers keeps it; the wait is bounded by the caller.
"""

from collections import OrderedDict

from xds_server.cache.references import bound_to
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from xds_server.cache.snapshot import Snapshot, make_snapshot

KEPT = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
"""Types whose removal waits: others refer to them."""
_LIMIT = 64

_memo: OrderedDict[tuple[int, int], tuple[Snapshot, Snapshot, Snapshot | None]] = OrderedDict()


def overlay(before: Snapshot, after: Snapshot) -> Snapshot | None:
    """Return `after` with what only `before` has; None when there is no such thing."""
    key = (id(before), id(after))
    known = _memo.get(key)
    if known is None:
        # The memo holds both, so their ids stay theirs.
        known = _memo[key] = (before, after, _overlay(before, after))
        if len(_memo) > _LIMIT:
            _memo.popitem(last=False)
    return known[2]


def _overlay(before: Snapshot, after: Snapshot) -> Snapshot | None:
    kept: list[Resource] = []
    for type_url in KEPT:
        still = after.of_type(type_url)
        gone = [r for name, r in before.of_type(type_url).items() if name not in still]
        if gone and type_url == LISTENER:
            taken = {bound_to(listener) for listener in still.values()} - {None}
            gone = [listener for listener in gone if bound_to(listener) not in taken]
        kept.extend(gone)
    if not kept:
        return None
    return make_snapshot([*(r for named in after.resources.values() for r in named.values()), *kept])
