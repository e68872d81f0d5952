"""Two captured bodies compared: JSON by structure, text by its first difference, the rest by size and checksum.

Guarantees: a body of which only the head was captured is compared as far as it goes; what lies beyond is judged by
size and checksum where the body is not content-encoded. Bounded in time and memory whatever the bodies are.
Not guaranteed: a difference beyond the head of an encoded body, or beyond the reach of the checksum, is seen
(`head_only` says so).
"""

import zlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from xds_server.analysis.decode import Body, content_type, decode, encodings, unbase64
from xds_server.analysis.difference import Difference
from xds_server.analysis.json_diff import json_differences
from xds_server.analysis.json_head import parse_json_head
from xds_server.analysis.kinds import Kind
from xds_server.analysis.record import Record

AROUND = 60
"""Characters of text shown on each side of the first difference."""
FIELD = "body"

_NOT_JSON: Any = object()
_TEXT_TYPES = ("text/", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


@dataclass(slots=True)
class BodyResult:
    """What comparing two bodies found. `head_only`: they agree as far as could be seen, which is not to the end."""

    differences: list[Difference] = field(default_factory=list)
    head_only: bool = False


@dataclass(slots=True)
class _Side:
    raw: bytes
    type: str
    applied: list[str]
    body: Body


def body_differences(original: Record, shadow: Record, headers: tuple[bytes, bytes]) -> BodyResult:
    """Return how two bodies differ; `headers` are the decoded headers of both."""
    ours, theirs = _side(original, headers[0]), _side(shadow, headers[1])
    left, right = ours.body, theirs.body
    result = BodyResult()
    if not (left.readable and right.readable) and not (left.complete and right.complete):
        # A head that cannot be decoded says nothing: zstd has blocks of 128 KiB, and two encoders differ in all bytes.
        result.head_only = True
        return result
    if left.data != right.data or left.complete != right.complete:
        result.differences = _differences(ours, theirs)
    if result.differences or (left.complete and right.complete):
        return result
    if ours.applied or theirs.applied:
        result.head_only = True
    elif original.size != shadow.size:
        result.differences = [_beyond(original.size, shadow.size, "bytes")]
    elif ours.raw != theirs.raw:
        # The same JSON written another way so far: bytes of the rest say nothing.
        result.head_only = True
    elif original.checksum is not None and shadow.checksum is not None:
        if original.checksum != shadow.checksum:
            result.differences = [_beyond(original.checksum, shadow.checksum, "checksum")]
    else:
        result.head_only = True
    return result


def _beyond(original: int, shadow: int, unit: str) -> Difference:
    return Difference(FIELD, Kind.BEYOND_HEAD, f"{unit} {original}", f"{unit} {shadow}")


def decoded(record: Record) -> Body:
    """Return the body of a record, decoded."""
    return _side(record, unbase64(record.headers)).body


def _side(record: Record, headers: bytes) -> _Side:
    raw = unbase64(record.head)
    applied = encodings(headers)
    complete = len(raw) >= record.size and not record.cut_off
    body = decode(raw, applied, complete=complete) if applied else Body(raw, complete)
    return _Side(raw, content_type(headers), applied, body)


def _differences(ours: _Side, theirs: _Side) -> list[Difference]:
    left, right = _parsed(ours), _parsed(theirs)
    if left is not _NOT_JSON and right is not _NOT_JSON:
        return json_differences(left, right)
    if (left is _NOT_JSON) != (right is _NOT_JSON) and ours.body.data and theirs.body.data:
        said = ("not JSON", "JSON") if left is _NOT_JSON else ("JSON", "not JSON")
        return [Difference("$", Kind.TYPE, *said)]
    a, b = ours.body, theirs.body
    if not (a.complete and b.complete):
        # Of text of which one end is missing, only the common length can be compared, or it goes on beyond an end.
        shorter = min(len(a.data), len(b.data))
        goes_on = any(x.complete and len(x.data) < len(y.data) for x, y in ((a, b), (b, a)))
        if a.data[:shorter] == b.data[:shorter] and not goes_on:
            return []
    left_text, right_text = _text(ours), _text(theirs)
    if left_text is not None and right_text is not None:
        return [_text_difference(left_text, right_text)]
    return [Difference(FIELD, Kind.BYTES, _described(a.data), _described(b.data))]


def _parsed(side: _Side) -> Any:
    kind, data = side.type, side.body.data
    if not (kind.endswith(("/json", "+json")) or (not kind and data[:1] in {b"{", b"["})):
        return _NOT_JSON
    try:
        return orjson.loads(data) if side.body.complete else parse_json_head(data)
    except orjson.JSONDecodeError:
        return _NOT_JSON


def _text(side: _Side) -> str | None:
    kind, data = side.type, side.body.data
    if kind.startswith("application/grpc"):
        return None
    try:
        # A head may end inside a character.
        text = data.decode("utf-8", "strict" if side.body.complete else "ignore")
    except UnicodeDecodeError:
        return None
    known = kind.startswith(_TEXT_TYPES) or kind.endswith(("+xml", "/json", "+json"))
    return text if known or "\0" not in text else None


def _text_difference(left: str, right: str) -> Difference:
    at = _first_difference(left, right)
    start = max(0, at - AROUND)
    line = left.count("\n", 0, at) + 1
    ours, theirs = (("…" if start else "") + text[start : at + AROUND] for text in (left, right))
    return Difference(FIELD, Kind.TEXT, ours, theirs, f"line {line}, character {at}")


def _first_difference(left: str, right: str) -> int:
    """Halve the interval: comparing slices runs at the speed of memory, characters in Python do not."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _described(data: bytes) -> str:
    return f"{len(data)} bytes, crc32 {zlib.crc32(data):08x}"
