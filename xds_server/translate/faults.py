"""Faults of a shadow: one fault filter each, in the shadow's own internal listener.

What a fault is stands in the filter; whether it strikes, in the runtime layer. Its percentages are 0 in the filter, so
a fault is lifted by the runtime layer alone, and by itself when the manager is gone.
"""

from collections.abc import Iterable

from envoy_data_plane.envoy.extensions.filters.common.fault.v3 import (
    FaultDelay,
    FaultRateLimit,
    FaultRateLimitFixedLimit,
)
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from xds_server.model.names import MILLION, fault_key
from xds_server.model.profile import Fault
from xds_server.translate.encode import NO_SHARE, packed, seconds
from xds_server.translate.matchers import header_matcher

DELAY = "delay_percent"
ABORT = "abort_percent"
RATE_LIMIT = "rate_limit_percent"


def fault_filter(fault: Fault) -> HttpFilter:
    """Return the filter of one fault."""
    wanted = fault.parameters
    config = HttpFault(
        headers=[header_matcher(header) for header in wanted.headers],
        delay_percent_runtime=fault_key(fault.id, DELAY),
        abort_percent_runtime=fault_key(fault.id, ABORT),
        response_rate_limit_percent_runtime=fault_key(fault.id, RATE_LIMIT),
    )
    if wanted.delay is not None:
        config.delay = FaultDelay(fixed_delay=seconds(wanted.delay.fixed_delay), percentage=NO_SHARE)
    if wanted.abort is not None:
        config.abort = FaultAbort(
            http_status=wanted.abort.http_status,
            grpc_status=wanted.abort.grpc_status,
            percentage=NO_SHARE,
        )
    if wanted.response_rate_limit is not None:
        limit = FaultRateLimitFixedLimit(limit_kbps=wanted.response_rate_limit.kbps)
        config.response_rate_limit = FaultRateLimit(fixed_limit=limit, percentage=NO_SHARE)
    return HttpFilter(name=f"shadowmesh.fault.{fault.id}", typed_config=packed(config))


def fault_values(faults: Iterable[Fault]) -> dict[str, int]:
    """Return the percentages of these faults by runtime key, in millionths."""
    values = {}
    for fault in faults:
        wanted = fault.parameters
        parts = {DELAY: wanted.delay, ABORT: wanted.abort, RATE_LIMIT: wanted.response_rate_limit}
        for part, each in parts.items():
            if each is not None:
                values[fault_key(fault.id, part)] = round(each.percentage / 100 * MILLION)
    return values
