"""Clusters: of a component's originals, and the two of a shadow.

The original's cluster has no limits of ours (Envoy's default circuit breakers would cut clients at 1,024 requests). The
shadow's two are guarded: circuit breakers that overflow alone, and connections that are closed when they stay stuffed,
so a stuck shadow cannot push back on the client's stream. A copy that the shadow's own breaker refuses is logged as
such (`UO`); the outer breaker is wider, since what it refuses leaves only a counter behind.
"""

import ipaddress
from collections.abc import Iterable
from functools import cache

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterEdsClusterConfig,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    TransportSocket,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonHttpProtocolOptions,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
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
from xds_server.translate.endpoints import cluster_of, internal_cluster_of

CONNECT_TIMEOUT = 5.0
STUFFED_TIMEOUT = 1.0
"""Seconds that a connection into an internal listener may stay above its buffer's high watermark before it is closed.
The shadow's own connection has no such limit: what goes there was taken in whole, so it holds up nobody."""
SHADOW_READ = 16 * 1024
"""Bytes that Envoy reads of a shadow at one go, and that wait at a connection. Its own default is 1 MiB: each new copy
had that much read, captured and hashed by the worker before the limit on the speed of answers held it (tried: the
original's p50 was 12 ms beside 1 ms without a shadow, at whatever speed; with 64 KiB 7 ms, with this 2 ms)."""
SHADOW_IDLE_TIMEOUT = 1.0
"""Seconds until an idle connection to a shadow is closed: sooner than servers do (2 to 5 s is usual), because samples
are thin, and a copy that meets a server's closing would count as the shadow's error."""
INSIDE_DURATION = 0.5
"""Seconds that a connection into an internal listener is used for new copies. When that listener is changed (a fault
came), connections keep what it was until they end; Envoy would take its drain time, 10 minutes, to end them."""
SHADOW_REQUESTS = 256
"""Most copies that a shadow may be busy with, and most that may wait for it, in one Envoy. It is less where copies may
be large: a copy that waits is held in Envoy's memory."""
SHADOW_HELD = 256 * 1024 * 1024
"""Bytes that the copies a shadow is busy with may be together; those that wait may be as many again."""
SHADOW_IN_FACTOR = 16
"""How much wider the outer breaker is than the inner one."""
SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"
"""The system's trust store on Debian, Ubuntu and Alpine, and in Envoy's images. (Envoy's `system_root_certs` is refused
together with names to verify.)"""
UNLIMITED = 2**32 - 1


def component_cluster_bytes(component: Component) -> bytes:
    """Return the cluster of a component's endpoints: by EDS, or when one is a DNS name, resolved by Envoy."""
    name = component_cluster(component.name)
    shared = _original(component.protocol, resolved=by_dns(component.endpoints), upgrades=bool(component.upgrades))
    secured = b"" if component.tls is None else bytes(Cluster(transport_socket=_tls(component.tls, component)))
    return shared + secured + cluster_of(name, component.endpoints if by_dns(component.endpoints) else None)


def shadow_cluster_bytes(
    instance: InstanceID, address: Address, protocol: Protocol, *, max_request_bytes: int
) -> bytes:
    """Return the cluster of the shadow itself, whose copies are of at most `max_request_bytes` each."""
    endpoint = Endpoint(address.address, address.port)
    shared = _shadow(protocol, resolved=by_dns([endpoint]), copies=_copies(max_request_bytes))
    return shared + cluster_of(shadow_cluster(instance), [endpoint])


def shadow_in_cluster_bytes(instance: InstanceID, *, max_request_bytes: int) -> bytes:
    """Return the cluster that leads copies into the shadow's internal listener, always over HTTP/2."""
    shared = _shadow_in(copies=_copies(max_request_bytes))
    return shared + internal_cluster_of(shadow_in_cluster(instance), shadow_listener(instance))


def _copies(max_request_bytes: int) -> int:
    """Return how many copies a shadow may be busy with."""
    return max(1, min(SHADOW_REQUESTS, SHADOW_HELD // max_request_bytes))


@cache
def _original(protocol: Protocol, *, resolved: bool, upgrades: bool) -> bytes:
    cluster = Cluster(
        connect_timeout=seconds(CONNECT_TIMEOUT),
        circuit_breakers=breakers(UNLIMITED),
        typed_extension_protocol_options=options(protocol, upgrades=upgrades),
    )
    if resolved:
        cluster.type = ClusterDiscoveryType.STRICT_DNS
        cluster.dns_lookup_family = ClusterDnsLookupFamily.V4_PREFERRED
    else:
        cluster.type = ClusterDiscoveryType.EDS
        cluster.eds_cluster_config = ClusterEdsClusterConfig(eds_config=from_ads())
    return bytes(cluster)


@cache
def _shadow(protocol: Protocol, *, resolved: bool, copies: int) -> bytes:
    cluster = Cluster(
        type=ClusterDiscoveryType.STRICT_DNS if resolved else ClusterDiscoveryType.STATIC,
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        per_connection_buffer_limit_bytes=SHADOW_READ,
        circuit_breakers=breakers(copies),
        typed_extension_protocol_options=options(protocol, idle_timeout=SHADOW_IDLE_TIMEOUT),
    )
    return bytes(cluster)


@cache
def _shadow_in(*, copies: int) -> bytes:
    cluster = Cluster(
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        per_connection_buffer_high_watermark_timeout=seconds(STUFFED_TIMEOUT),
        circuit_breakers=breakers(copies * SHADOW_IN_FACTOR),
        typed_extension_protocol_options=options(Protocol.HTTP2, connection_duration=INSIDE_DURATION, forgiving=True),
    )
    return bytes(cluster)


def by_dns(endpoints: Iterable[Endpoint]) -> bool:
    """Tell whether an address is a name that has to be resolved."""
    return any(not _is_ip(endpoint.address) for endpoint in endpoints)


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def breakers(limit: int) -> CircuitBreakers:
    """Return circuit breakers that all open at `limit`."""
    threshold = CircuitBreakersThresholds(
        max_connections=limit,
        max_pending_requests=limit,
        max_requests=limit,
        max_retries=limit,
    )
    return CircuitBreakers(thresholds=[threshold])


def options(
    protocol: Protocol,
    *,
    idle_timeout: float | None = None,
    connection_duration: float | None = None,
    upgrades: bool = False,
    forgiving: bool = False,
) -> dict[str, Any]:
    """Return a cluster's protocol options.

    Args:
        protocol: what is spoken.
        idle_timeout: seconds until an idle connection is closed; Envoy's default when None.
        connection_duration: seconds that a connection is used for new requests; without end when None.
        upgrades: whether HTTP/2 may carry upgrades.
        forgiving: whether an answer that HTTP/2 forbids ends its own stream alone, and not its neighbours' too.
    """
    explicit = HttpProtocolOptionsExplicitHttpConfig()
    if protocol is Protocol.HTTP1:
        explicit.http_protocol_options = Http1ProtocolOptions()
    else:
        explicit.http2_protocol_options = Http2ProtocolOptions(allow_connect=upgrades)
        if forgiving:
            explicit.http2_protocol_options.override_stream_error_on_invalid_http_message = True
    options = HttpProtocolOptions(explicit_http_config=explicit)
    if idle_timeout is not None:
        options.common_http_protocol_options = CommonHttpProtocolOptions(idle_timeout=seconds(idle_timeout))
    if connection_duration is not None:
        lifetime = seconds(connection_duration)
        options.common_http_protocol_options = CommonHttpProtocolOptions(max_connection_duration=lifetime)
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(options)}


def _tls(tls: UpstreamTLS, component: Component) -> TransportSocket:
    own = tuple(dict.fromkeys(endpoint.address for endpoint in component.endpoints))
    sni = tls.sni or next((address for address in own if not _is_ip(address)), "")
    # Without a name to look for, any certificate that is trusted would do, whoever's it is.
    names = tls.subject_alt_names or ((tls.sni,) if tls.sni else own)
    trusted = CertificateValidationContext(
        trusted_ca=DataSource(filename=tls.ca_file or SYSTEM_TRUST),
        match_typed_subject_alt_names=[
            SubjectAltNameMatcher(san_type=_san_type(name), matcher=StringMatcher(exact=name)) for name in names
        ],
    )
    context = UpstreamTlsContext(
        sni=sni,
        common_tls_context=CommonTlsContext(
            validation_context=trusted,
            alpn_protocols=["http/1.1" if component.protocol is Protocol.HTTP1 else "h2"],
        ),
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _san_type(name: str) -> SubjectAltNameMatcherSanType:
    if "://" in name:
        return SubjectAltNameMatcherSanType.URI
    return SubjectAltNameMatcherSanType.IP_ADDRESS if _is_ip(name) else SubjectAltNameMatcherSanType.DNS
