"""A captured body as a person reads it: decoded, redacted, then cut.

Guarantees: bounded (`READ` bytes are looked at); nothing raises; what is not text is described, not shown, for a
binary form has no names by which its secrets could be told.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from xds_server.analysis.diff.decode import content_type, decode, encodings, unbase64
from xds_server.analysis.diff.json_head import parse_json_head
from xds_server.analysis.examples.redact import ELIDED, SCANNED, Redactor

READ = 64 * 1024
"""Decoded bytes of a body that are looked at."""
FEWEST = 2
"""Characters that a value of JSON takes at least (`1,`), so that more values need not be looked at than are shown."""
FEWEST_PRETTY = 4
"""The same on a line of its own: its end, the indent, the value."""
FORM = "application/x-www-form-urlencoded"
_MESSAGES = ("application/grpc", "application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf")
_MEDIA = ("image/", "audio/", "video/", "font/", "application/zip", "application/pdf", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Captured:
    """A body as far as it was captured, its content encodings undone."""

    data: bytes
    type: str
    size: int
    """Bytes of the whole on the wire."""
    complete: bool
    """Whether `data` is all of it."""
    readable: bool
    """Whether the content encoding could be undone."""
    encoded: bool
    """Whether it had one."""

    @property
    def is_message(self) -> bool:
        """Whether it is protobuf, whose fields have numbers in place of names."""
        return self.type.startswith(_MESSAGES)

    @property
    def is_text(self) -> bool:
        """Whether it can be shown."""
        if not self.readable or self.is_message or self.type.startswith(_MEDIA):
            return False
        return b"\0" not in self.data


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is shown of a body."""

    text: str
    cut: bool
    """There is more, not shown or not captured."""
    redacted: bool


def captured(head: str | None, headers: bytes, *, size: int, cut_off: bool = False) -> Captured:
    """Return what was captured of a body: base64 of its head, with the decoded lines of its headers."""
    raw = unbase64(head)
    complete = len(raw) >= size and not cut_off
    applied = encodings(headers)
    if not applied:
        return Captured(raw[:READ], content_type(headers), size, complete and len(raw) <= READ, True, False)  # noqa: FBT003
    body = decode(raw, applied, complete=complete, limit=READ)
    return Captured(body.data, content_type(headers), size, body.complete, body.readable, encoded=True)


def excerpt(body: Captured, redactor: Redactor, *, limit: int, pretty: bool = True) -> Excerpt:
    """Return at most `limit` characters of a body, without its secrets."""
    before = redactor.marks
    text = _shown(body, redactor, limit=limit, pretty=pretty)
    cut = len(text) > limit or not body.complete or text.endswith(ELIDED)
    text = text[:limit] + ELIDED if len(text) > limit else text
    return Excerpt(text, cut, redactor.marks != before)


def redacted_text(body: Captured, redactor: Redactor) -> str:
    """Return a body as its own text, not made pretty, without its secrets; at most `SCANNED` characters."""
    text = body.data[: 4 * SCANNED].decode("utf-8", "replace" if body.complete else "ignore")
    whole = body.complete and len(body.data) <= 4 * SCANNED
    if body.type == FORM:
        cut = len(text) > SCANNED or not whole
        return redactor.form(text[:SCANNED].rpartition("&")[0] if cut else text) + (ELIDED if cut else "")
    return redactor.text(text, whole=whole, document=True)


def _shown(body: Captured, redactor: Redactor, *, limit: int, pretty: bool) -> str:
    if not body.data:
        return ""
    if not body.is_text:
        return f"({body.size} bytes, not text, crc32 {zlib.crc32(body.data):08x})"
    value = parsed(body)
    if value is not None:
        try:
            nodes = limit // (FEWEST_PRETTY if pretty else FEWEST)
            return _json(redactor.value(value, nodes=nodes), pretty=pretty)
        except (orjson.JSONEncodeError, RecursionError):
            # Too odd to be written again.
            pass
    return redacted_text(body, redactor)


def parsed(body: Captured) -> Any:
    """Return a body of JSON as far as it was captured; None when it is none, whatever it says."""
    if not body.is_text or not (
        body.type.endswith(("/json", "+json")) or (not body.type and body.data[:1] in {b"{", b"["})
    ):
        return None
    try:
        return orjson.loads(body.data) if body.complete else parse_json_head(body.data)
    except (orjson.JSONDecodeError, RecursionError):
        return None


def _json(value: Any, *, pretty: bool) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None).decode()
