"""The check that a snapshot must pass before it is served.

Guarantees: in a snapshot that passed, every cluster, route configuration and endpoint assignment that is named is in
the set (or in the bootstrap). Not guaranteed: that an Envoy accepts it; only an Envoy can tell.
"""

from collections.abc import Collection

from xds_server.cache.references import references
from xds_server.cache.resource import CLUSTER, ENDPOINTS, ROUTES
from xds_server.cache.snapshot import Snapshot
from xds_server.errors import InconsistentError

_WORDS = {CLUSTER: "cluster", ROUTES: "route configuration", ENDPOINTS: "endpoint assignment"}


def check(snapshot: Snapshot, *, static_clusters: Collection[str] = ()) -> None:
    """Return when everything that is named is there.

    Args:
        snapshot: what is to be served.
        static_clusters: clusters of the Envoys' bootstrap, which may be named without being in the set.

    Raises:
        InconsistentError: a name leads nowhere, or a body is unreadable; it names the resource and what is missing.
    """
    for type_url, named in snapshot.resources.items():
        kind = type_url.rpartition(".")[2]
        for resource in named.values():
            for wanted, name in references(resource):
                if name in snapshot.of_type(wanted) or (wanted == CLUSTER and name in static_clusters):
                    continue
                raise InconsistentError(
                    f"{_WORDS[wanted]} {name!r} is not in the set",
                    field=f"{kind} {resource.name}",
                    hint="the last good set stays in force",
                )
