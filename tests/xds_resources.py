"""Resources for the tests, as small as the types allow."""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import config_source_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.service.runtime.v3 import rtds_pb2

from xds_server.cache import Resource, make_resource
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, RUNTIME

_ADS = config_source_pb2.ConfigSource(ads={}, resource_api_version="V3")


def cluster(name: str, *, eds: str | None = None, note: int = 0) -> Resource:
    """Return a cluster; `note` makes another content of it."""
    message = cluster_pb2.Cluster(name=name)
    if note:
        message.connect_timeout.FromSeconds(note)
    if eds is not None:
        message.type = cluster_pb2.Cluster.EDS
        message.eds_cluster_config.service_name = eds
        message.eds_cluster_config.eds_config.CopyFrom(_ADS)
    return make_resource(name, CLUSTER, message.SerializeToString())


def endpoints(name: str, port: int = 80) -> Resource:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    address = message.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", port
    return make_resource(name, ENDPOINTS, message.SerializeToString())


def listener(
    name: str, routes_name: str | None = None, *, note: int = 0, internal: bool = False, port: int = 0
) -> Resource:
    message = listener_pb2.Listener(name=name)
    if port:
        message.address.socket_address.address, message.address.socket_address.port_value = "127.0.0.1", port
    if internal:
        message.internal_listener.SetInParent()
    if note:
        message.listener_filters_timeout.FromSeconds(note)
    if routes_name is not None:
        manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix=name)
        manager.rds.route_config_name = routes_name
        manager.rds.config_source.CopyFrom(_ADS)
        message.filter_chains.add().filters.add(name="hcm").typed_config.Pack(manager)
    return make_resource(name, LISTENER, message.SerializeToString())


def routes(
    name: str, *clusters: str, mirror: str | None = None, weighted: tuple[str, ...] = (), note: int = 0
) -> Resource:
    message = route_pb2.RouteConfiguration(name=name)
    if note:
        message.max_direct_response_body_size_bytes.value = note
    host = message.virtual_hosts.add(name="all", domains=["*"])
    for each in clusters:
        route = host.routes.add()
        route.match.prefix = f"/{each}"
        route.route.cluster = each
        if mirror is not None:
            route.route.request_mirror_policies.add(cluster=mirror)
    if weighted:
        route = host.routes.add()
        route.match.prefix = "/"
        for each in weighted:
            route.route.weighted_clusters.clusters.add(name=each).weight.value = 1
    return make_resource(name, ROUTES, message.SerializeToString())


def runtime(name: str = "shadowmesh", value: int = 1, *, ttl: float | None = None) -> Resource:
    message = rtds_pb2.Runtime(name=name)
    message.layer.update({"key": value})
    return make_resource(name, RUNTIME, message.SerializeToString(), ttl=ttl)
