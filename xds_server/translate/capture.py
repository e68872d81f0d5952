"""The capture filter and the access log: alike on both legs, for all networks, hence encoded once.

The filter is in every chain and disabled there; a route switches it on (`switched_on`). The log takes only requests
that carry the pair header, which Envoy itself sets on sampled requests and takes from all others. So a component's own
listener is the same, byte for byte, whether something is mirrored or not: an update of it would drain its clients.
"""

from functools import cache, lru_cache

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog, AccessLogFilter, HeaderFilter
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    DataSource,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.route.v3 import FilterConfig, HeaderMatcher
from envoy_data_plane.envoy.extensions.access_loggers.grpc.v3 import (
    CommonGrpcAccessLogConfig,
    HttpGrpcAccessLogConfig,
)
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua, LuaPerRoute
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation as EarlyHeaderMutation,
)
from envoy_data_plane.google.protobuf import Any, Struct

from xds_server.model.names import ENGINE_CLUSTER, LOG_NAME, PAIR_HEADER, SHADOW_HEADER, USERS
from xds_server.model.profile import Capture
from xds_server.model.rollout import Cohort
from xds_server.translate.assets import asset
from xds_server.translate.encode import packed, seconds

CAPTURE_FILTER = "shadowmesh.capture"
FLUSH_INTERVAL = 0.1
"""Longest that an entry waits in Envoy, in seconds."""
BUFFER_BYTES = 64 * 1024
"""Entries that are sent at once. Envoy writes them on the worker that serves clients, so a big batch holds up the
requests behind it (256 KiB: twice the p99 when all is captured). Envoy drops what does not fit while the engine's
stream is still connecting, so it cannot be much smaller."""
_GRPC_OUTCOME = ["grpc-status", "grpc-message"]


@cache
def capture_filter() -> HttpFilter:
    """Return the filter as it is in a chain: present, and off."""
    script = Lua(default_source_code=DataSource(inline_string=asset("capture.lua")))
    return HttpFilter(name=CAPTURE_FILTER, typed_config=packed(script), disabled=True)


@cache
def copies_capture_filter() -> HttpFilter:
    """Return the filter of a copy's leg, which can capture the request too; the component's listener lacks that part.

    So a change of it drains no client, and no mistake in it can reach a request of theirs.
    """
    script = Lua(default_source_code=DataSource(inline_string=asset("capture.lua") + asset("capture_request.lua")))
    return HttpFilter(name=CAPTURE_FILTER, typed_config=packed(script), disabled=True)


@lru_cache(maxsize=256)
def switched_on(capture: Capture, *, request: bool = False) -> dict[str, Any]:
    """Return a route's `typed_per_filter_config` that switches capture on, of the request too (on a copy's leg)."""
    more = {"request": True} if request else {}
    context = Struct.from_dict({"checksum": capture.checksum, "head_bytes": capture.head_bytes, **more})
    return {CAPTURE_FILTER: packed(FilterConfig(config=packed(LuaPerRoute(filter_context=context))))}


@lru_cache(maxsize=256)
def users_noted(cohort: Cohort) -> dict[str, Any]:
    """Return a route's `typed_per_filter_config` that notes a number for each user, and nothing of the answer."""
    key = {"user_cookie": cohort.cookie} if cohort.cookie else {"user_header": cohort.header}
    context = Struct.from_dict({**key, "users": USERS})
    return {CAPTURE_FILTER: packed(FilterConfig(config=packed(LuaPerRoute(filter_context=context))))}


@cache
def access_log() -> AccessLog:
    """Return the log of both legs. One configuration is one stream to the engine."""
    config = HttpGrpcAccessLogConfig(
        common_config=CommonGrpcAccessLogConfig(
            log_name=LOG_NAME,
            grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=ENGINE_CLUSTER)),
            transport_api_version=ApiVersion.V3,
            buffer_flush_interval=seconds(FLUSH_INTERVAL),
            buffer_size_bytes=BUFFER_BYTES,
        ),
        additional_request_headers_to_log=[PAIR_HEADER, SHADOW_HEADER],
        additional_response_headers_to_log=[*_GRPC_OUTCOME, "content-type", "content-encoding"],
        additional_response_trailers_to_log=_GRPC_OUTCOME,
    )
    sampled = AccessLogFilter(
        header_filter=HeaderFilter(header=HeaderMatcher(name=PAIR_HEADER, present_match=True)),
    )
    return AccessLog(name=LOG_NAME, filter=sampled, typed_config=packed(config))


@cache
def own_headers_removed() -> TypedExtensionConfig:
    """Return the mutation, before routing, that takes our headers from what clients send, so nobody can forge them."""
    mutation = EarlyHeaderMutation(mutations=[HeaderMutation(remove=PAIR_HEADER), HeaderMutation(remove=SHADOW_HEADER)])
    return TypedExtensionConfig(name="shadowmesh.own_headers", typed_config=packed(mutation))
