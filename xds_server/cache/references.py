"""What a resource refers to by name: the edges that a consistency check follows.

Purpose: routes name clusters, listeners name route configurations, EDS clusters name endpoints; this module reads those
names out of the encoded bodies, and the address that a listener takes.

Guarantees: the answer for one content is computed once and remembered (bounded); an unreadable body is an
`InconsistentError`. Not guaranteed: names that are chosen at request time (`cluster_header`, plugins) are not seen.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.extensions.clusters.aggregate.v3 import cluster_pb2 as aggregate_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf.message import DecodeError

from xds_server.cache.resource import (
    CLUSTER,
    ENDPOINTS,
    LISTENER,
    ROUTES,
    SCOPED_ROUTES,
    TYPE_PREFIX,
    VIRTUAL_HOST,
    Resource,
)
from xds_server.errors import InconsistentError
from xds_server.model.network import Address

Reference = tuple[str, str]
"""Type URL and name of what must be there."""

_HCM = TYPE_PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TCP = TYPE_PREFIX + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_AGGREGATE = TYPE_PREFIX + "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
_LIMIT = 50_000

_memo: OrderedDict[tuple[str, str], tuple[Reference, ...]] = OrderedDict()


def references(resource: Resource) -> tuple[Reference, ...]:
    """Return what `resource` refers to, each once, in order of appearance.

    Raises:
        InconsistentError: its body is not a message of its type.
    """
    read = _READERS.get(resource.type_url)
    if read is None:
        return ()
    key = (resource.type_url, resource.version)
    found = _memo.get(key)
    if found is None:
        try:
            found = tuple(dict.fromkeys(read(resource.body)))
        except DecodeError as error:
            kind = resource.type_url.rpartition(".")[2]
            raise InconsistentError(
                f"its body is not a {kind}", field=f"{kind} {resource.name}", hint=f"encode a {kind}"
            ) from error
        _memo[key] = found
        if len(_memo) > _LIMIT:
            _memo.popitem(last=False)
    return found


def endpoints_name(cluster: Resource) -> str | None:
    """Return the name under which a cluster asks for its endpoints; None when it does not use EDS."""
    return next((name for type_url, name in references(cluster) if type_url == ENDPOINTS), None)


def bound_to(listener: Resource) -> Address | None:
    """Return the address that a listener takes for itself; None when it takes none (port 0, internal, unreadable)."""
    try:
        address = listener_pb2.Listener.FromString(listener.body).address.socket_address
    except DecodeError:
        return None
    return Address(address.address, address.port_value) if address.port_value else None


def _of_cluster(body: bytes) -> Iterator[Reference]:
    cluster = cluster_pb2.Cluster.FromString(body)
    if cluster.WhichOneof("cluster_discovery_type") == "type" and cluster.type == cluster_pb2.Cluster.EDS:
        yield ENDPOINTS, cluster.eds_cluster_config.service_name or cluster.name
    if cluster.cluster_type.typed_config.type_url == _AGGREGATE:
        aggregate = aggregate_pb2.ClusterConfig.FromString(cluster.cluster_type.typed_config.value)
        for name in aggregate.clusters:
            yield CLUSTER, name


def _of_routes(body: bytes) -> Iterator[Reference]:
    yield from _in_routes(route_pb2.RouteConfiguration.FromString(body))


def _of_virtual_host(body: bytes) -> Iterator[Reference]:
    yield from _in_virtual_host(route_components_pb2.VirtualHost.FromString(body))


def _of_scoped_routes(body: bytes) -> Iterator[Reference]:
    scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(body)
    if scope.route_configuration_name:
        yield ROUTES, scope.route_configuration_name


def _of_listener(body: bytes) -> Iterator[Reference]:
    listener = listener_pb2.Listener.FromString(body)
    chains = [*listener.filter_chains, listener.default_filter_chain]
    for each in (f.typed_config for chain in chains for f in chain.filters):
        if each.type_url == _HCM:
            manager = http_connection_manager_pb2.HttpConnectionManager.FromString(each.value)
            if manager.rds.route_config_name:
                yield ROUTES, manager.rds.route_config_name
            yield from _in_routes(manager.route_config)
        elif each.type_url == _TCP:
            proxy = tcp_proxy_pb2.TcpProxy.FromString(each.value)
            yield from _clusters((proxy.cluster, *(c.name for c in proxy.weighted_clusters.clusters)))


def _in_routes(routes: Any) -> Iterator[Reference]:
    yield from _mirrors(routes)
    for host in routes.virtual_hosts:
        yield from _in_virtual_host(host)


def _in_virtual_host(host: Any) -> Iterator[Reference]:
    yield from _mirrors(host)
    for action in (route.route for route in host.routes if route.HasField("route")):
        yield from _clusters((action.cluster, *(c.name for c in action.weighted_clusters.clusters)))
        yield from _mirrors(action)


def _mirrors(owner: Any) -> Iterator[Reference]:
    yield from _clusters(policy.cluster for policy in owner.request_mirror_policies)


def _clusters(names: Iterable[str]) -> Iterator[Reference]:
    for name in names:
        if name:
            yield CLUSTER, name


_READERS: dict[str, Callable[[bytes], Iterator[Reference]]] = {
    CLUSTER: _of_cluster,
    LISTENER: _of_listener,
    ROUTES: _of_routes,
    SCOPED_ROUTES: _of_scoped_routes,
    VIRTUAL_HOST: _of_virtual_host,
}
