"""Whose ending is it: tells a version's own answers from faults, guards, cancellations and departed clients.

Source: Envoy's `response_code_details` (docs: "Response Code Details") and `ResponseFlags` of the access log;
CORRECTIONS 6.
Guarantees: anything not known to be ours or the client's counts as the service's own, so that a version cannot hide a
failure behind a code we have not seen yet.
"""

from typing import Any

from xds_server.analysis.kinds import Ending

_INJECTED = frozenset({"fault_filter_abort"})
_GUARD = frozenset(
    {
        "request_payload_too_large",
        "request_payload_exceeded_retry_buffer_limit",
        "cluster_not_found",
        "route_not_found",
        "route_configuration_not_found",
        "filter_chain_not_found",
    }
)
_RESET = ("http2.remote_reset", "http1.remote_reset", "downstream_remote_reset")
_GONE = ("downstream_remote_disconnect", "downstream_local_disconnect")


def ending_of(details: str, flags: Any, *, copy: bool) -> Ending:
    """Return whose ending a record is.

    Args:
        details: `response_code_details`.
        flags: the `ResponseFlags` message, None when no flag is set.
        copy: whether it is a copy's record. A reset of the stream is, on a copy, its original's doing; on an original,
            the client's.
    """
    if details == "via_upstream" and flags is None:
        return Ending.OWN
    if details in _INJECTED or (flags is not None and flags.fault_injected):
        return Ending.INJECTED
    gone = details.startswith((*_RESET, *_GONE))
    if copy and gone and flags is not None and flags.delay_injected:
        # It may have ended before its original did, had it not been held back.
        return Ending.INJECTED
    if details.startswith(_RESET) or (flags is not None and flags.downstream_remote_reset):
        return Ending.CANCELLED if copy else Ending.CLIENT_GONE
    if details.startswith(_GONE) or (flags is not None and flags.downstream_connection_termination):
        return Ending.CLIENT_GONE
    guard = details in _GUARD or (flags is not None and _not_configured(flags))
    return Ending.GUARD if guard else Ending.OWN


def _not_configured(flags: Any) -> bool:
    return bool(
        flags.no_route_found or flags.no_cluster_found or flags.no_filter_config_found or flags.overload_manager
    )
