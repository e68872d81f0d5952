"""Clusters: of a component's originals, and the two of a shadow.

The original's cluster has no limits of ours (Envoy's default circuit breakers would cut clients at 1,024 requests). The
shadow's two are guarded: circuit breakers that overflow alone, and connections that are closed when they stay stuffed,
so a stuck shadow cannot push back on the client's stream. A copy that the shadow's own breaker refuses is logged as
such (`UO`); the outer breaker is wider, since what it refuses leaves only a counter behind.
"""

import ipaddress
from collections.abc import Iterable
from functools import cache, lru_cache

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address as EnvoyAddress,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    EnvoyInternalAddress,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    TransportSocket,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonHttpProtocolOptions,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    Endpoint as EnvoyEndpoint,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CertificateValidationContextSystemRootCerts,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any

from xds_server.model.ids import InstanceID
from xds_server.model.names import component_cluster, shadow_cluster, shadow_in_cluster, shadow_listener
from xds_server.model.network import Address, Component, Endpoint, Protocol, UpstreamTLS
from xds_server.translate.encode import from_ads, packed, seconds
from xds_server.translate.endpoints import load_assignment

CONNECT_TIMEOUT = 5.0
STUFFED_TIMEOUT = 1.0
"""Seconds that a connection to a shadow may stay above its buffer's high watermark before it is closed."""
SHADOW_IDLE_TIMEOUT = 1.0
"""Seconds until an idle connection to a shadow is closed: sooner than servers do (2 to 5 s is usual), because samples
are thin, and a copy that meets a server's closing would count as the shadow's error."""
SHADOW_REQUESTS = 1024
SHADOW_IN_REQUESTS = 4096
_UNLIMITED = 2**32 - 1
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@lru_cache(maxsize=4096)
def component_cluster_message(component: Component) -> Cluster:
    """Return the cluster of a component's endpoints: by EDS, or when one is a DNS name, resolved by Envoy."""
    name = component_cluster(component.name)
    cluster = Cluster(
        name=name,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        circuit_breakers=_breakers(_UNLIMITED),
        typed_extension_protocol_options={
            _OPTIONS: _protocol_options(component.protocol, None, _connects(component)),
        },
    )
    if by_dns(component.endpoints):
        cluster.type = ClusterDiscoveryType.STRICT_DNS
        cluster.load_assignment = ClusterLoadAssignment.parse(load_assignment(name, component.endpoints))
    else:
        cluster.type = ClusterDiscoveryType.EDS
        cluster.eds_cluster_config = ClusterEdsClusterConfig(eds_config=from_ads())
    if component.tls is not None:
        cluster.transport_socket = _tls(component.tls, component)
    return cluster


def shadow_cluster_message(instance: InstanceID, address: Address, protocol: Protocol) -> Cluster:
    """Return the cluster of the shadow itself."""
    name = shadow_cluster(instance)
    endpoint = Endpoint(address.address, address.port)
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STRICT_DNS if by_dns([endpoint]) else ClusterDiscoveryType.STATIC,
        load_assignment=ClusterLoadAssignment.parse(load_assignment(name, (endpoint,))),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        per_connection_buffer_high_watermark_timeout=seconds(STUFFED_TIMEOUT),
        circuit_breakers=_breakers(SHADOW_REQUESTS),
        typed_extension_protocol_options={_OPTIONS: _protocol_options(protocol, SHADOW_IDLE_TIMEOUT, False)},  # noqa: FBT003 - cached, hence positional
    )


def shadow_in_cluster_message(instance: InstanceID) -> Cluster:
    """Return the cluster that leads copies into the shadow's internal listener, always over HTTP/2."""
    name = shadow_in_cluster(instance)
    inside = EnvoyInternalAddress(server_listener_name=shadow_listener(instance))
    endpoint = LbEndpoint(endpoint=EnvoyEndpoint(address=EnvoyAddress(envoy_internal_address=inside)))
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STATIC,
        load_assignment=ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])],
        ),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        per_connection_buffer_high_watermark_timeout=seconds(STUFFED_TIMEOUT),
        circuit_breakers=_breakers(SHADOW_IN_REQUESTS),
        typed_extension_protocol_options={_OPTIONS: _protocol_options(Protocol.HTTP2, None, False)},  # noqa: FBT003
    )


def by_dns(endpoints: Iterable[Endpoint]) -> bool:
    """Tell whether an address is a name that has to be resolved."""
    return any(not _is_ip(endpoint.address) for endpoint in endpoints)


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


@cache
def _breakers(limit: int) -> CircuitBreakers:
    threshold = CircuitBreakersThresholds(
        max_connections=limit,
        max_pending_requests=limit,
        max_requests=limit,
        max_retries=limit,
    )
    return CircuitBreakers(thresholds=[threshold])


def _connects(component: Component) -> bool:
    return bool(component.upgrades)


@cache
def _protocol_options(protocol: Protocol, idle_timeout: float | None, allow_connect: bool) -> Any:  # noqa: FBT001
    explicit = HttpProtocolOptionsExplicitHttpConfig()
    if protocol is Protocol.HTTP1:
        explicit.http_protocol_options = Http1ProtocolOptions()
    else:
        explicit.http2_protocol_options = Http2ProtocolOptions(allow_connect=allow_connect)
    options = HttpProtocolOptions(explicit_http_config=explicit)
    if idle_timeout is not None:
        options.common_http_protocol_options = CommonHttpProtocolOptions(idle_timeout=seconds(idle_timeout))
    return packed(options)


def _tls(tls: UpstreamTLS, component: Component) -> TransportSocket:
    named = next((e.address for e in component.endpoints if not _is_ip(e.address)), "")
    sni = tls.sni or named
    names = tls.subject_alt_names or ((sni,) if sni else ())
    trusted = CertificateValidationContext(
        match_typed_subject_alt_names=[
            SubjectAltNameMatcher(san_type=SubjectAltNameMatcherSanType.DNS, matcher=StringMatcher(exact=name))
            for name in names
        ],
    )
    if tls.ca_file:
        trusted.trusted_ca = DataSource(filename=tls.ca_file)
    else:
        trusted.system_root_certs = CertificateValidationContextSystemRootCerts()
    context = UpstreamTlsContext(
        sni=sni,
        common_tls_context=CommonTlsContext(
            validation_context=trusted,
            alpn_protocols=["http/1.1" if component.protocol is Protocol.HTTP1 else "h2"],
        ),
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))
