"""Listeners: one for each address that components listen on, and the internal one of each shadow.

Guarantees: a component's listener depends on the network alone, never on profiles, faults or shadows.
"""

from collections.abc import Sequence
from functools import cache, lru_cache

from envoy_data_plane.envoy.config.core.v3 import Address as EnvoyAddress
from envoy_data_plane.envoy.config.core.v3 import Http2ProtocolOptions, SocketAddress
from envoy_data_plane.envoy.config.listener.v3 import (
    Filter,
    FilterChain,
    Listener,
    ListenerInternalListenerConfig,
)
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.bandwidth_limit.v3 import BandwidthLimit, BandwidthLimitEnableMode
from envoy_data_plane.envoy.extensions.filters.http.buffer.v3 import Buffer
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerServerHeaderTransformation,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
    Rds,
)
from envoy_data_plane.google.protobuf import Any

from xds_server.model.ids import InstanceID
from xds_server.model.names import shadow_listener
from xds_server.model.network import Address
from xds_server.model.profile import Fault
from xds_server.translate.capture import access_log, capture_filter, copies_capture_filter, own_headers_removed
from xds_server.translate.encode import from_ads, merged, packed
from xds_server.translate.faults import fault_filter

_MANAGER = "envoy.filters.network.http_connection_manager"
ANSWERS_KIB = 64 * 1024
"""KiB a second that a shadow's answers may be, all together, in one Envoy (64 MiB: half of what a gigabit carries). An
answer that never ends would be read as fast as the worker can, which serves clients too (tried: ten gigabytes for each
request made the original answer a hundred times later)."""
ANSWER_HELD = 64 * 1024
"""Bytes of an answer that wait for that limit before the shadow is read no further. Envoy takes a stream's window for
it (16 MiB by default: tried, 2 GB were held within ten seconds). The cap of a copy counts instead when it is larger."""


@lru_cache(maxsize=4096)
def component_listener_message(name: str, address: Address, upgrades: tuple[str, ...]) -> Listener:
    """Return the listener of the components at `address`; its routes come by RDS under the listener's own name.

    A route enables the upgrades of its component; without one that does, an upgrade is refused as Envoy always does.
    """
    own = HttpConnectionManager(
        stat_prefix=name,
        rds=Rds(config_source=from_ads(), route_config_name=name),
        http2_protocol_options=Http2ProtocolOptions(allow_connect=bool(upgrades)),
        upgrade_configs=[HttpConnectionManagerUpgradeConfig(upgrade_type=each, enabled=False) for each in upgrades],
    )
    socket = SocketAddress(address=address.address, port_value=address.port)
    return Listener(
        name=name,
        address=EnvoyAddress(socket_address=socket),
        filter_chains=_chain(merged(_of_components(), own)),
        # Two Envoys on one port would share its clients without a word; so the second one says that it cannot bind.
        enable_reuse_port=False,
    )


def shadow_listener_message(
    instance: InstanceID, routes: RouteConfiguration, *, faults: Sequence[Fault], max_request_bytes: int
) -> Listener:
    """Return the internal listener that copies for a shadow pass: guard, faults, capture, access log."""
    # The guard is first: it takes the whole request in, so nothing behind it can push back on the client's stream.
    guard = HttpFilter(name="shadowmesh.guard", typed_config=packed(Buffer(max_request_bytes=max_request_bytes)))
    own = HttpConnectionManager(
        stat_prefix=shadow_listener(instance),
        route_config=routes,
        http_filters=[guard, _pace(), *map(fault_filter, faults), copies_capture_filter(), _router()],
    )
    return Listener(
        name=shadow_listener(instance),
        internal_listener=ListenerInternalListenerConfig(),
        filter_chains=_chain(merged(_of_shadows(), own)),
    )


@cache
def _of_components() -> Any:
    return packed(
        HttpConnectionManager(
            codec_type=HttpConnectionManagerCodecType.AUTO,
            http_filters=[capture_filter(), _router()],
            access_log=[access_log()],
            early_header_mutation_extensions=[own_headers_removed()],
            use_remote_address=True,
            preserve_external_request_id=True,
            server_header_transformation=HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        )
    )


@cache
def _of_shadows() -> Any:
    return packed(
        HttpConnectionManager(
            codec_type=HttpConnectionManagerCodecType.HTTP2,
            http2_protocol_options=Http2ProtocolOptions(initial_stream_window_size=ANSWER_HELD),
            access_log=[access_log()],
            # The copy comes from the same Envoy: nothing about its origin is to be told again.
            use_remote_address=False,
            generate_request_id=False,
            server_header_transformation=HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        )
    )


@cache
def _pace() -> HttpFilter:
    """Return the limit on the speed of a shadow's answers. It is passed after the capture, so it changes no measure."""
    limit = BandwidthLimit(
        stat_prefix="shadowmesh.pace",
        enable_mode=BandwidthLimitEnableMode.RESPONSE,
        limit_kbps=ANSWERS_KIB,
    )
    return HttpFilter(name="shadowmesh.pace", typed_config=packed(limit))


@cache
def _router() -> HttpFilter:
    # No headers of Envoy's own in answers: clients see what the original said.
    return HttpFilter(name="envoy.filters.http.router", typed_config=packed(Router(suppress_envoy_headers=True)))


def _chain(manager: Any) -> list[FilterChain]:
    return [FilterChain(filters=[Filter(name=_MANAGER, typed_config=manager)])]
