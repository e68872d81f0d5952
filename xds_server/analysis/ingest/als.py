"""Envoy's access log messages into records.

Source: envoy/service/accesslog/v3/als.proto, envoy/data/accesslog/v3/accesslog.proto.

Guarantees: no message, however broken, raises; what cannot be used is counted. A record never keeps the message it
came from alive. Speed is the reason for the style here: each submessage is fetched once (a fetch costs about 100 ns,
a record about 5 us), and bodies stay base64 until somebody needs to look at them.
Not guaranteed: order; Envoy's workers each send their own stream.
"""

from dataclasses import dataclass, field
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf.message import DecodeError

from xds_server.analysis.ingest.ending import ending_of
from xds_server.analysis.kinds import Ending
from xds_server.analysis.record import ASKED_FIRST, NOT_ASKED, Record
from xds_server.analysis.windows.arms import MARK
from xds_server.model.names import CANDIDATES, CAPTURE_METADATA, LOG_NAME, PAIR_HEADER, SHADOW_HEADER, USERS

DROPPED_HEADER = "x-shadowmesh-dropped"
"""Set to 1 on a copy whose credentials were removed."""
SERVICE = "envoy.service.accesslog.v3.AccessLogService"
METHOD = "StreamAccessLogs"

_parse = als_pb2.StreamAccessLogsMessage.FromString
_METHODS = {number: name if number else "" for name, number in base_pb2.RequestMethod.items()}
_NANO = 1e-9
_LARGEST = 2.0**53
_GRPC_STATUS, _GRPC_MESSAGE = "grpc-status", "grpc-message"
_BY_SERVICE = "via_upstream"
_NOT_CAPTURED = (None, None, 0)


@dataclass(slots=True)
class Batch:
    """What one message held. `node` and `log_name` are in the first message of a stream only (the proto says so)."""

    node: str | None = None
    cluster: str | None = None
    log_name: str | None = None
    records: list[Record] = field(default_factory=list)
    foreign: int = 0
    """Entries without our pair header: another access log that was pointed here."""
    broken: int = 0
    """Messages that are not the protobuf they should be."""


def read_batch(message: bytes) -> Batch:
    """Return what one encoded `StreamAccessLogsMessage` holds."""
    batch = Batch()
    try:
        parsed = _parse(message)
    except DecodeError:
        batch.broken = 1
        return batch
    if parsed.HasField("identifier"):
        identifier = parsed.identifier
        batch.node, batch.cluster = identifier.node.id, identifier.node.cluster
        batch.log_name = identifier.log_name
        if batch.log_name not in {"", LOG_NAME}:
            batch.foreign = len(parsed.http_logs.log_entry)
            return batch
    keep = batch.records.append
    for entry in parsed.http_logs.log_entry:
        record = _record(entry)
        if record is None:
            batch.foreign += 1
        else:
            keep(record)
    return batch


def _record(entry: Any) -> Record | None:  # noqa: C901, PLR0912, PLR0915 - a call costs as much as three fields
    request = entry.request
    headers = request.request_headers
    pair = headers.get(PAIR_HEADER)
    if not pair:
        return None
    common, response = entry.common_properties, entry.response
    details = response.response_code_details
    flags = common.response_flags
    if not flags.ListFields():
        flags = None
    capture = common.metadata.filter_metadata.get(CAPTURE_METADATA)
    head = head_headers = checksum = user = None
    size, cut_off, credentials = response.response_body_bytes, False, False
    if capture is not None:
        fields = capture.fields
        head, head_headers = fields["b"].string_value, fields["h"].string_value
        # The filter writes `t` as true at the headers, and as false together with `n` at the end; so a body that was
        # cut has no `n`, and where there is one `t` need not be looked at.
        whole = "n" in fields
        cut_off = not whole and "t" in fields and fields["t"].bool_value
        if not cut_off:
            number = fields["n"].number_value if whole else 0.0
            # A comparison with NaN is false.
            size = int(number) if 0 <= number < _LARGEST else size
            if "c" in fields:
                number = fields["c"].number_value
                checksum = int(number) if 0 <= number < _LARGEST else None
        credentials = "k" in fields and fields["k"].bool_value
        if not whole and "u" in fields:
            number = fields["u"].number_value
            user = int(number) if 0 <= number < USERS else None
    # To look whether a map has a key costs a third of getting it.
    answer = response.response_headers
    grpc_status = grpc_message = ""
    if _GRPC_STATUS in answer:
        grpc_status = answer[_GRPC_STATUS]
    if _GRPC_MESSAGE in answer:
        grpc_message = answer[_GRPC_MESSAGE]
    trailers = response.response_trailers
    if trailers:
        grpc_status = trailers.get(_GRPC_STATUS, grpc_status)
        grpc_message = trailers.get(_GRPC_MESSAGE, grpc_message)
    moment = common.start_time
    started = moment.seconds + moment.nanos * _NANO
    moment = common.duration
    duration = moment.seconds + moment.nanos * _NANO
    moment = common.time_to_last_upstream_tx_byte
    sent = moment.seconds + moment.nanos * _NANO
    moment = common.time_to_first_upstream_rx_byte
    first = moment.seconds + moment.nanos * _NANO
    moment = common.time_to_last_upstream_rx_byte
    last = moment.seconds + moment.nanos * _NANO
    response_time = None
    if first > 0.0:
        # An answer that begins before the request is sent whole took no time; it cannot take less.
        response_time = first - sent if first > sent > 0.0 else 0.0
    elif sent > 0.0:
        response_time = duration - sent
    shadow, dropped = "", False
    if SHADOW_HEADER in headers:
        shadow = headers[SHADOW_HEADER]
    if DROPPED_HEADER in headers:
        dropped = headers[DROPPED_HEADER] == "1"
    asked = _NOT_CAPTURED if capture is None or not shadow else _asked(fields)
    own = flags is None and details == _BY_SERVICE
    return Record(
        pair,
        shadow,
        _METHODS.get(request.request_method, ""),
        request.original_path or request.path,
        response.response_code.value,
        Ending.OWN if own else ending_of(details, flags, copy=shadow != ""),
        started,
        started + duration,
        response_time,
        last - sent if last > sent > 0.0 else None,
        head,
        head_headers,
        size,
        checksum,
        cut_off,
        flags is not None and flags.delay_injected,
        dropped,
        credentials,
        grpc_status,
        grpc_message,
        details,
        *asked,
        instead=_instead(common) if MARK in pair else 0,
        user=user,
    )


def _instead(common: Any) -> int:
    """Tell whether the original answered in a candidate's place; in the arms of an original alike, it says nothing."""
    if common.upstream_cluster.startswith(CANDIDATES) or not common.upstream_cluster:
        return 0
    return ASKED_FIRST if common.upstream_request_attempt_count > 1 else NOT_ASKED


def _asked(fields: Any) -> tuple[str | None, str | None, int]:
    """Return headers, head of the body and its size of the request that a copy is; bodies stay base64 here too."""
    if "rh" not in fields:
        return _NOT_CAPTURED
    headers = fields["rh"].string_value
    if "rn" not in fields:
        return headers, None, 0
    number = fields["rn"].number_value
    return headers, fields["rb"].string_value, int(number) if 0 <= number < _LARGEST else 0
