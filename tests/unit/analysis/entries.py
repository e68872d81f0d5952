"""Access log entries as Envoy 1.40 writes them, made to measure."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2

from xds_server.analysis.ingest.als import read_batch
from xds_server.analysis.record import Record
from xds_server.model.names import CAPTURE_METADATA, LOG_NAME, PAIR_HEADER, SHADOW_HEADER

PROFILE = "prof1"
INSTANCE = "inst1"
START = 1_795_491_434.0
_unique = itertools.count()

JSON_HEADERS = {"content-type": "application/json"}


def entry(  # noqa: C901, PLR0912 - one branch a field that may be absent
    pair: str = "p",
    *,
    profile: str = PROFILE,
    shadow: str = "",
    path: str = "/items/1",
    method: int = 1,
    status: int = 200,
    body: bytes | None = b"{}",
    head: int = 16 * 1024,
    headers: Mapping[str, str] = JSON_HEADERS,
    checksum: int | None = None,
    size: int | None = None,
    cut: bool = False,
    details: str = "via_upstream",
    flags: Sequence[str] = (),
    sent: float = 0.001,
    first: float | None = 0.011,
    last: float | None = 0.012,
    duration: float = 0.013,
    started: float = START,
    credentials: bool = False,
    trailers: Mapping[str, str] | None = None,
    logged: Mapping[str, str] | None = None,
    asked: Mapping[str, str] | None = None,
    sent_body: bytes = b"",
) -> Any:
    """Return one entry; `body` None leaves the capture out, `asked` are the captured headers of the request."""
    made = accesslog_pb2.HTTPAccessLogEntry()
    common, request, response = made.common_properties, made.request, made.response
    common.start_time.FromNanoseconds(int(started * 1e9))
    common.duration.FromNanoseconds(int(duration * 1e9))
    if sent:
        common.time_to_last_upstream_tx_byte.FromNanoseconds(int(sent * 1e9))
    if first is not None:
        common.time_to_first_upstream_rx_byte.FromNanoseconds(int(first * 1e9))
    if last is not None:
        common.time_to_last_upstream_rx_byte.FromNanoseconds(int(last * 1e9))
    common.response_flags.SetInParent()
    for flag in flags:
        setattr(common.response_flags, flag, True)
    request.request_method = method
    request.path = path
    request.request_headers[PAIR_HEADER] = f"{profile}/{pair}"
    if shadow:
        request.request_headers[SHADOW_HEADER] = shadow
    for name, value in (logged or {}).items():
        response.response_headers[name] = value
    for name, value in (trailers or {}).items():
        response.response_trailers[name] = value
    if status:
        response.response_code.value = status
    response.response_code_details = details
    if body is not None:
        response.response_body_bytes = len(body)
        lines = "".join(f"{name}: {value}\n" for name, value in {":status": str(status), **headers}.items())
        capture = common.metadata.filter_metadata[CAPTURE_METADATA]
        capture["h"] = base64.b64encode(lines.encode()).decode()
        capture["t"] = cut
        if not cut:
            capture["b"] = base64.b64encode(body[:head]).decode()
            capture["n"] = len(body) if size is None else size
        if checksum is not None:
            capture["c"] = checksum
        if credentials:
            capture["k"] = True
        if asked is not None:
            capture["rh"] = base64.b64encode("".join(f"{n}: {v}\n" for n, v in asked.items()).encode()).decode()
            if sent_body:
                capture["rb"], capture["rn"] = base64.b64encode(sent_body[:head]).decode(), len(sent_body)
    return made


def batch(*entries: Any, node: str = "node-1") -> bytes:
    """Return an encoded message, the first of a stream."""
    message = als_pb2.StreamAccessLogsMessage()
    message.identifier.node.id, message.identifier.log_name = node, LOG_NAME
    message.http_logs.log_entry.extend(entries)
    return message.SerializeToString()


def record(**of: Any) -> Record:
    """Return the record of one entry."""
    return read_batch(batch(entry(**of))).records[0]


def pair(original: Mapping[str, Any] | None = None, shadow: Mapping[str, Any] | None = None) -> tuple[Record, Record]:
    """Return two legs of one pair."""
    return record(**(original or {})), record(**{"shadow": INSTANCE, **(shadow or {})})


def pair_entries(original: Mapping[str, Any] | None = None, shadow: Mapping[str, Any] | None = None) -> list[Any]:
    """Return the entries of two legs with a pair id of their own."""
    unique = f"u{next(_unique)}"
    return [
        entry(**{"pair": unique, **(original or {})}),
        entry(**{"pair": unique, "shadow": INSTANCE, **(shadow or {})}),
    ]
