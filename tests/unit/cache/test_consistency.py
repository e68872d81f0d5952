import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.extensions.clusters.aggregate.v3 import cluster_pb2 as aggregate_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from tests.xds_resources import cluster, endpoints, listener, routes, runtime
from xds_server.cache import Resource, make_resource, make_snapshot
from xds_server.cache.consistency import check
from xds_server.cache.references import endpoints_name, references
from xds_server.cache.resource import CLUSTER, LISTENER, ROUTES, SCOPED_ROUTES
from xds_server.errors import InconsistentError

GOOD = (
    cluster("a", eds="a"),
    cluster("b"),
    endpoints("a"),
    listener("front", "r"),
    listener("inner", "s", internal=True),
    routes("r", "a", mirror="b"),
    routes("s", weighted=("a", "b")),
    runtime(),
)


def test_a_whole_set_passes() -> None:
    check(make_snapshot(GOOD))


@pytest.mark.parametrize(
    ("missing", "blamed"),
    [
        ((CLUSTER, "a"), "RouteConfiguration r"),
        ((CLUSTER, "b"), "RouteConfiguration r"),
        ((ROUTES, "r"), "Listener front"),
        ((ROUTES, "s"), "Listener inner"),
        ((endpoints("a").type_url, "a"), "Cluster a"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(missing: tuple[str, str], blamed: str) -> None:
    with pytest.raises(InconsistentError) as caught:
        check(make_snapshot(r for r in GOOD if (r.type_url, r.name) != missing))
    assert caught.value.field == blamed
    assert repr(missing[1]) in caught.value.detail


def test_a_weighted_cluster_that_is_missing_is_refused() -> None:
    with pytest.raises(InconsistentError, match="'gone'"):
        check(make_snapshot([cluster("a"), routes("r", weighted=("a", "gone"))]))


def test_clusters_of_the_bootstrap_may_be_named() -> None:
    snapshot = make_snapshot([routes("r", "static")])
    check(snapshot, static_clusters={"static"})
    with pytest.raises(InconsistentError):
        check(snapshot)


@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER, ROUTES])
def test_an_unreadable_body_is_refused(type_url: str) -> None:
    with pytest.raises(InconsistentError, match="not a"):
        check(make_snapshot([make_resource("x", type_url, b"\xff\xff")]))


def test_references_inside_listeners_are_seen() -> None:
    message = listener_pb2.Listener(name="l")
    manager = http_connection_manager_pb2.HttpConnectionManager()
    manager.route_config.virtual_hosts.add(name="v").request_mirror_policies.add(cluster="of the host")
    manager.route_config.request_mirror_policies.add(cluster="of the routes")
    message.filter_chains.add().filters.add(name="hcm").typed_config.Pack(manager)
    proxy = tcp_proxy_pb2.TcpProxy(cluster="of the proxy")
    message.default_filter_chain.filters.add(name="tcp").typed_config.Pack(proxy)
    found = references(make_resource("l", LISTENER, message.SerializeToString()))
    assert found == ((CLUSTER, "of the routes"), (CLUSTER, "of the host"), (CLUSTER, "of the proxy"))


def test_references_of_aggregates_and_scopes_are_seen() -> None:
    message = cluster_pb2.Cluster(name="all")
    message.cluster_type.typed_config.Pack(aggregate_pb2.ClusterConfig(clusters=["a", "b"]))
    scope = scoped_route_pb2.ScopedRouteConfiguration(name="s", route_configuration_name="r")
    assert references(make_resource("all", CLUSTER, message.SerializeToString())) == ((CLUSTER, "a"), (CLUSTER, "b"))
    assert references(make_resource("s", SCOPED_ROUTES, scope.SerializeToString())) == ((ROUTES, "r"),)


def test_a_redirect_refers_to_no_cluster() -> None:
    message = route_pb2.RouteConfiguration(name="r")
    message.virtual_hosts.add(name="v").routes.add().redirect.host_redirect = "elsewhere"
    assert references(make_resource("r", ROUTES, message.SerializeToString())) == ()


@pytest.mark.parametrize(
    ("made", "name"), [(cluster("c", eds="e"), "e"), (cluster("c", eds=""), "c"), (cluster("c"), None)]
)
def test_the_name_of_a_clusters_endpoints(made: Resource, name: str | None) -> None:
    assert endpoints_name(made) == name
