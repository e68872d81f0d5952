"""Two captured bodies compared, each by what it is.

JSON, streams of events and gRPC messages by structure, HTML and XML by element, text by line, other bytes by size and
checksum.

Guarantees: a body of which only the head was captured is compared as far as it goes; what lies beyond is judged by
size and checksum where the body is not content-encoded. A body that is invalid in its format, has a key twice, or is
too large when decoded differs in a class of its own from one that is not. Bounded in time and memory whatever the
bodies are.
Not guaranteed: a difference beyond the head of an encoded body, or beyond the reach of the checksum, is seen
(`head_only` says so).
"""

import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from xds_server.analysis.diff.decode import Body, charset, content_type, decode, encodings, unbase64
from xds_server.analysis.diff.difference import ABSENT, Difference
from xds_server.analysis.diff.event_streams import EVENTS, LINES, read_events, read_lines
from xds_server.analysis.diff.grpc_frames import read_messages
from xds_server.analysis.diff.json_diff import CUT, TOO_COMPLEX, json_differences
from xds_server.analysis.diff.json_head import parse_json_head
from xds_server.analysis.diff.json_text import NOT_JSON, Parsed, exact, has_large, parse_json, twice
from xds_server.analysis.diff.markup import markup_differences
from xds_server.analysis.diff.rules import DEFAULT_RULES, Rules
from xds_server.analysis.diff.texts import FIELD, text_differences
from xds_server.analysis.kinds import Kind
from xds_server.analysis.record import Record

LONGEST_HEAD = 1024 * 1024
"""Bytes of a cut JSON text that are read."""

_TEXT_TYPES = ("text/", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


@dataclass(slots=True)
class BodyResult:
    """What comparing two bodies found. `head_only`: they agree as far as could be seen, which is not to the end."""

    differences: list[Difference] = field(default_factory=list)
    head_only: bool = False


@dataclass(slots=True)
class _Side:
    raw: bytes
    headers: bytes
    type: str
    applied: list[str]
    body: Body
    path: str
    charset: str

    @property
    def is_json(self) -> bool:
        kind = self.type
        return kind.endswith(("/json", "+json")) or (not kind and self.body.data[:1] in {b"{", b"["})


def body_differences(
    original: Record, shadow: Record, headers: tuple[bytes, bytes], rules: Rules = DEFAULT_RULES
) -> BodyResult:
    """Return how two bodies differ; `headers` are the decoded headers of both."""
    ours, theirs = _side(original, headers[0]), _side(shadow, headers[1])
    left, right = ours.body, theirs.body
    result = BodyResult()
    if left.capped != right.capped and left.readable and right.readable:
        # A bomb beside a body: their heads may agree for all that is looked at.
        result.differences = _judged([_too_large(left, right)], rules)
        return result
    if not (left.readable and right.readable) and not (left.complete and right.complete):
        # A head that cannot be decoded says nothing: zstd has blocks of 128 KiB, and two encoders differ in all bytes.
        result.head_only = True
        return result
    if left.data != right.data or left.complete != right.complete:
        result.differences = _differences(ours, theirs, rules)
    if result.differences or (left.complete and right.complete):
        return result
    beyond = None if ours.applied or theirs.applied else _beyond_head(original, shadow)
    # The same JSON written another way so far: the checksum of the rest says nothing.
    if beyond is None or (original.size == shadow.size and ours.raw != theirs.raw):
        result.head_only = True
    elif beyond[0] != beyond[1]:
        result.differences = _judged([Difference(FIELD, Kind.BEYOND_HEAD, *beyond)], rules)
    return result


def _beyond_head(original: Record, shadow: Record) -> tuple[str, str] | None:
    """Return what is known of both wholes; None when it is nothing."""
    if original.size != shadow.size:
        return f"bytes {original.size}", f"bytes {shadow.size}"
    if original.checksum is None or shadow.checksum is None:
        return None
    return f"checksum {original.checksum}", f"checksum {shadow.checksum}"


def _judged(found: list[Difference], rules: Rules) -> list[Difference]:
    return [each for each in found if rules.at(each.field).counts(each.original, each.shadow)]


def _too_large(left: Body, right: Body) -> Difference:
    said = [f"{'more than ' if side.capped else ''}{len(side.data)} bytes decoded" for side in (left, right)]
    return Difference(FIELD, Kind.TOO_LARGE, *said)


def _side(record: Record, headers: bytes) -> _Side:
    raw = unbase64(record.head)
    kind, applied, named = _described_by(headers)
    complete = len(raw) >= record.size and not record.cut_off
    body = decode(raw, applied, complete=complete) if applied else Body(raw, complete)
    return _Side(raw, headers, kind, applied, body, record.path, named)


@lru_cache(maxsize=256)
def _described_by(headers: bytes) -> tuple[str, list[str], str]:
    """Return media type, encodings, charset; most answers of a service have the headers of the one before."""
    return content_type(headers), encodings(headers), charset(headers)


def _differences(ours: _Side, theirs: _Side, rules: Rules) -> list[Difference]:
    if ours.is_json or theirs.is_json:
        found = _json(ours, theirs, rules)
        if found is not None:
            return found
    a, b = ours.body, theirs.body
    if ours.type == theirs.type and (found := _stream(ours, theirs, rules)) is not None:
        return found
    if not (a.complete and b.complete):
        # Of text of which one end is missing, only the common length can be compared, or it goes on beyond an end.
        shorter = min(len(a.data), len(b.data))
        goes_on = any(x.complete and len(x.data) < len(y.data) for x, y in ((a, b), (b, a)))
        if a.data[:shorter] == b.data[:shorter] and not goes_on:
            return []
    return _texts(ours, theirs, rules)


def _json(ours: _Side, theirs: _Side, rules: Rules) -> list[Difference] | None:
    """Compare as JSON; None when neither is."""
    left, right = _parsed(ours), _parsed(theirs)
    a, b = left.value is NOT_JSON, right.value is NOT_JSON
    if a and b:
        return None
    if a or b:
        if not (ours.body.data and theirs.body.data):
            return None
        kind = Kind.INVALID if ours.is_json and theirs.is_json else Kind.TYPE
        return _judged([Difference("$", kind, *(("not JSON", "JSON") if a else ("JSON", "not JSON")))], rules)
    one, other = ours.body.data, theirs.body.data
    booleans = b"true" in one or b"false" in one or b"true" in other or b"false" in other
    found = json_differences(left.value, right.value, rules=rules, booleans=booleans)
    if not found and has_large(one) and has_large(other):
        # Read as doubles they may have become equal; as they are written they need not be.
        written = [_exact(each) for each in (ours, theirs)]
        found = json_differences(*written, rules=rules) if NOT_JSON not in written else []
    if left.flaw != right.flaw:
        flaws = (f"JSON with {each.flaw}" if each.flaw else "JSON" for each in (left, right))
        found += _judged([Difference("$", Kind.INVALID, *flaws)], rules)
    whole = ours.body.complete and theirs.body.complete
    # Both have as many keys, and other values: if one of them has a key twice, it has one more than is told.
    if whole and (not found or one.count(b'":') != other.count(b'":')):
        found += _twice((one, left.value), (other, right.value), rules)
    return found


def _parsed(side: _Side) -> Parsed:
    if not side.is_json:
        return Parsed(NOT_JSON)
    if side.body.complete:
        return parse_json(side.body.data)
    try:
        return Parsed(parse_json_head(side.body.data[:LONGEST_HEAD]))
    except orjson.JSONDecodeError:
        return Parsed(NOT_JSON)


def _exact(side: _Side) -> Any:
    """Return what a JSON text says, with integers beyond 64 bits as they are written."""
    return exact(side.body.data) if side.body.complete else _parsed(side).value


def _twice(original: tuple[bytes, Any], shadow: tuple[bytes, Any], rules: Rules) -> list[Difference]:
    ours, theirs = twice(*original), twice(*shadow)
    if ours == theirs:
        return []
    keys = [key for key in (*ours, *theirs) if ours.get(key) != theirs.get(key)]
    left, right = ours.get(keys[0], ABSENT), theirs.get(keys[0], ABSENT)
    return _judged([Difference("$", Kind.DUPLICATE_KEYS, left, right, f"key {keys[0]}")], rules)


def _stream(ours: _Side, theirs: _Side, rules: Rules) -> list[Difference] | None:
    """Compare streams of events, documents or messages; None when they are none, or cannot be read."""
    kind, sides = ours.type, (ours, theirs)
    if kind == EVENTS or kind in LINES:
        read = read_events if kind == EVENTS else read_lines
        documents = [read(s.body.data, complete=s.body.complete) for s in sides]
        found = json_differences(*documents, rules=rules)
        if not found and any(s.body.complete and CUT in read[-1:] for s, read in zip(sides, documents, strict=True)):
            # Alike as far as was read, and not to the end.
            return _judged([TOO_COMPLEX], rules)
        return found
    if not kind.startswith("application/grpc") or rules.descriptors is None:
        return None
    left, right = (
        read_messages(s.body.data, s.headers, path=s.path, complete=s.body.complete, descriptors=rules.descriptors)
        for s in (ours, theirs)
    )
    if left is None or right is None:
        return None
    found = json_differences(left.value, right.value, rules=rules)
    whole = ours.body.complete and theirs.body.complete
    if not found and whole and left.canonical != right.canonical and not rules.at("$").ignored and rules.plain:
        # They differ in fields that the descriptor set does not know.
        return [_bytes(ours, theirs)]
    return found


def _texts(ours: _Side, theirs: _Side, rules: Rules) -> list[Difference]:
    left, right = _text(ours), _text(theirs)
    if left is None or right is None:
        if (left is None) != (right is None) and _says_text(ours, theirs):
            said = ("not UTF-8", "UTF-8") if left is None else ("UTF-8", "not UTF-8")
            return _judged([Difference(FIELD, Kind.INVALID, *said)], rules)
        return _judged([_bytes(ours, theirs)], rules)
    found = None
    if ours.type == theirs.type and _is_markup(ours.type):
        found = markup_differences(left, right, rules, is_html="html" in ours.type)
    if found is None:
        found = text_differences(left, right, rules)
    if ours.body.complete and theirs.body.complete:
        return found
    cut = f", body truncated at {min(len(left), len(right))} characters"
    return [Difference(d.field, d.kind, d.original, d.shadow, (d.at or d.field) + cut, d.what) for d in found]


def _says_text(ours: _Side, theirs: _Side) -> bool:
    both = ours.type == theirs.type and ours.type.startswith("text/")
    return both and ours.body.readable and theirs.body.readable


def _is_markup(kind: str) -> bool:
    return kind in {"text/html", "text/xml", "application/xml"} or kind.endswith("+xml")


def _text(side: _Side) -> str | None:
    kind, data = side.type, side.body.data
    if kind.startswith("application/grpc"):
        return None
    try:
        # A head may end inside a character.
        text = data.decode(side.charset, "strict" if side.body.complete else "ignore")
    except UnicodeDecodeError:
        return None
    known = kind.startswith(_TEXT_TYPES) or kind.endswith(("+xml", "/json", "+json"))
    return text if known or "\0" not in text else None


def _bytes(ours: _Side, theirs: _Side) -> Difference:
    return Difference(FIELD, Kind.BYTES, _described(ours.body.data), _described(theirs.body.data))


def _described(data: bytes) -> str:
    return f"{len(data)} bytes, crc32 {zlib.crc32(data):08x}"
