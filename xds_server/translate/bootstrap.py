"""The bootstrap of an Envoy of one network: all that Envoy must know before it knows us.

What is in it, and why: the internal listener extension (without it, the shadow's listener is a NACK); the aggregated
stream with the node's engine as failover source, so that an Envoy that starts while the manager is away serves the
original; the runtime layer that carries the shares, for which Envoy waits half a second at most before it serves;
the metrics sink that tells the engine what it should have received.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from envoy_data_plane.envoy.config.bootstrap.v3 import (
    Admin,
    Bootstrap,
    BootstrapDynamicResources,
    BootstrapStaticResources,
    LayeredRuntime,
    RuntimeLayer,
    RuntimeLayerAdminLayer,
    RuntimeLayerRtdsLayer,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, ClusterDnsLookupFamily
from envoy_data_plane.envoy.config.core.v3 import (
    Address as EnvoyAddress,
)
from envoy_data_plane.envoy.config.core.v3 import (
    ApiConfigSource,
    ApiConfigSourceApiType,
    ApiVersion,
    BackoffStrategy,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Http2ProtocolOptions,
    KeepaliveSettings,
    Locality,
    Node,
    RetryPolicy,
    SocketAddress,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.metrics.v3 import MetricsServiceConfig, StatsSink
from envoy_data_plane.envoy.extensions.bootstrap.internal_listener.v3 import InternalListener
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.google.protobuf import Any, Struct

from xds_server.model.names import ADMIN_METADATA, CONTROL_CLUSTER, ENGINE_CLUSTER, NODE_METADATA, RTDS_LAYER
from xds_server.model.network import Address, Endpoint
from xds_server.translate.clusters import by_dns
from xds_server.translate.encode import from_ads, packed, seconds
from xds_server.translate.endpoints import load_assignment
from xds_server.translate.render import dump, plain

LISTEN_METADATA = "shadowmesh.listen"
"""Node metadata: `{component: "address:port"}`, where this Envoy listens instead of where the network says."""
RTDS_FETCH_TIMEOUT = 0.5
"""Longest, in seconds, that a start waits for the runtime layer (tried: with the manager dead, 15 by default)."""
FETCH_TIMEOUT = 5.0
"""Longest that a start waits for clusters or listeners."""
MANAGER = Address("127.0.0.1", 18000)
ENGINE = Address("127.0.0.1", 18001)
ADMIN = Address("127.0.0.1", 9901)
WINDOW = 4 * 1024 * 1024
"""Bytes of the access log that may be on their way: what does not fit while a stream is still connecting is dropped by
Envoy (tried: a burst of 100 sampled requests as the very first ones lost some in half of the runs at 64 KiB)."""
FAILOVER_GUARD = "envoy.restart_features.xds_failover_support"


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """What differs between Envoys.

    `manager` and `engine` are where this Envoy finds them; DNS names are fine. `admin` port 0 picks a free one; any
    other is told to the manager, which reads counters there.
    `stats_interval` is in seconds. `listen` overrides listen addresses, by component.
    """

    network: str
    node_id: str
    manager: Address = MANAGER
    engine: Address = ENGINE
    admin: Address = ADMIN
    mode: Literal["delta", "sotw"] = "delta"
    region: str = ""
    zone: str = ""
    node: str = ""
    """Name of the node of the inventory that it runs on."""
    stats_interval: float = 1.0
    listen: Mapping[str, Address] = field(default_factory=dict)


def bootstrap(options: BootstrapOptions) -> str:
    """Return the YAML that Envoy 1.40 takes as it is (`envoy -c`)."""
    return dump(plain(bootstrap_message(options)))


def bootstrap_message(options: BootstrapOptions) -> Bootstrap:
    """Return the bootstrap."""
    return Bootstrap(
        node=_node(options),
        admin=Admin(address=_address(options.admin)),
        bootstrap_extensions=[
            TypedExtensionConfig(name="envoy.bootstrap.internal_listener", typed_config=packed(InternalListener())),
        ],
        layered_runtime=LayeredRuntime(
            layers=[
                RuntimeLayer(name="static", static_layer=Struct.from_dict({FAILOVER_GUARD: True})),
                RuntimeLayer(
                    name=RTDS_LAYER,
                    rtds_layer=RuntimeLayerRtdsLayer(
                        name=RTDS_LAYER,
                        rtds_config=from_ads(initial_fetch_timeout=RTDS_FETCH_TIMEOUT),
                    ),
                ),
                RuntimeLayer(name="admin", admin_layer=RuntimeLayerAdminLayer()),
            ],
        ),
        dynamic_resources=BootstrapDynamicResources(
            ads_config=_stream(options),
            cds_config=from_ads(initial_fetch_timeout=FETCH_TIMEOUT),
            lds_config=from_ads(initial_fetch_timeout=FETCH_TIMEOUT),
        ),
        stats_flush_interval=seconds(options.stats_interval),
        stats_sinks=[StatsSink(name="envoy.stat_sinks.metrics_service", typed_config=_metrics())],
        static_resources=BootstrapStaticResources(
            clusters=[_cluster(CONTROL_CLUSTER, options.manager), _cluster(ENGINE_CLUSTER, options.engine)],
        ),
    )


def _node(options: BootstrapOptions) -> Node:
    node = Node(id=options.node_id, cluster=options.network)
    if options.region or options.zone:
        node.locality = Locality(region=options.region, zone=options.zone)
    metadata: dict[str, object] = {}
    if options.admin.port:  # one that Envoy picks is known to nobody but Envoy
        metadata[ADMIN_METADATA] = _place(options.admin)
    if options.node:
        metadata[NODE_METADATA] = options.node
    if options.listen:
        metadata[LISTEN_METADATA] = {name: _place(each) for name, each in sorted(options.listen.items())}
    if metadata:
        node.metadata = Struct.from_dict(metadata)
    return node


def _stream(options: BootstrapOptions) -> ApiConfigSource:
    delta = options.mode == "delta"
    # Envoy's own backoff grows to 30 s, longer than anybody waits for a manager that is back.
    backoff = RetryPolicy(retry_back_off=BackoffStrategy(base_interval=seconds(0.2), max_interval=seconds(2)))
    service = partial(GrpcServiceEnvoyGrpc, retry_policy=backoff)
    return ApiConfigSource(
        api_type=ApiConfigSourceApiType.DELTA_GRPC if delta else ApiConfigSourceApiType.GRPC,
        transport_api_version=ApiVersion.V3,
        set_node_on_first_message_only=True,
        grpc_services=[
            GrpcService(envoy_grpc=service(cluster_name=CONTROL_CLUSTER)),
            GrpcService(envoy_grpc=service(cluster_name=ENGINE_CLUSTER)),
        ],
    )


def _metrics() -> Any:
    service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=ENGINE_CLUSTER))
    return packed(MetricsServiceConfig(grpc_service=service, transport_api_version=ApiVersion.V3))


def _cluster(name: str, address: Address) -> Cluster:
    endpoints = [Endpoint(address.address, address.port)]
    keepalive = KeepaliveSettings(interval=seconds(10), timeout=seconds(5))
    options = HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(
            http2_protocol_options=Http2ProtocolOptions(
                connection_keepalive=keepalive,
                initial_stream_window_size=WINDOW,
                initial_connection_window_size=WINDOW,
            ),
        ),
    )
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STRICT_DNS if by_dns(endpoints) else ClusterDiscoveryType.STATIC,
        # Envoy's own default tries IPv6 alone where a name has both.
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=seconds(1),
        load_assignment=ClusterLoadAssignment.parse(load_assignment(name, endpoints)),
        typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(options)},
    )


def _address(address: Address) -> EnvoyAddress:
    return EnvoyAddress(socket_address=SocketAddress(address=address.address, port_value=address.port))


def _place(address: Address) -> str:
    return f"[{address.address}]:{address.port}" if ":" in address.address else f"{address.address}:{address.port}"
