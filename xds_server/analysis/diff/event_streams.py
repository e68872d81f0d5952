"""Streams of documents as one JSON array each: server-sent events, and JSON one a line.

Guarantees: linear, bounded in documents; what was cut off in the middle is left out and marked as cut, so it does not
differ. A document that is no JSON is its text.
Not guaranteed: comments and `retry` of server-sent events; they are for the connection.
"""

import re
from typing import Any

from xds_server.analysis.diff.json_diff import CUT
from xds_server.analysis.diff.json_text import NOT_JSON, parse_json

MOST = 20_000
"""Documents of one body; the rest is taken for cut."""
LINES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/json-lines",
        "application/json-seq",
        "application/stream+json",
    }
)
"""Types of JSON one a line."""
EVENTS = "text/event-stream"

_BLANK = re.compile(rb"\r?\n\r?\n|\r\r")
_LINE = re.compile(rb"\r\n|\r|\n")


def read_lines(data: bytes, *, complete: bool) -> list[Any]:
    """Return the documents of JSON one a line."""
    lines = data.replace(b"\x1e", b"\n").split(b"\n", MOST + 1)
    return _read(lines, complete=complete)


def read_events(data: bytes, *, complete: bool) -> list[Any]:
    """Return the events, each an object with `event`, `id` and `data`, as far as it has them."""
    blocks = _BLANK.split(data, MOST + 1)
    complete = complete and len(blocks) <= MOST
    # What stands after the last blank line was never dispatched.
    events = [event for block in blocks[: len(blocks) - 1 if not complete else MOST] if (event := _event(block))]
    return [*events, CUT] if not complete else events


def _read(lines: list[bytes], *, complete: bool) -> list[Any]:
    complete = complete and len(lines) <= MOST
    if not complete:
        lines = lines[:-1]
    found = [_value(line) for line in lines if line.strip()]
    return found if complete else [*found, CUT]


def _event(block: bytes) -> dict[str, Any]:
    event: dict[str, Any] = {}
    said: list[bytes] = []
    for line in _LINE.split(block):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            said.append(value)
        elif name in {b"event", b"id"}:
            event[name.decode()] = value.decode("utf-8", "replace")
    if said:
        event["data"] = _value(b"\n".join(said))
    return event


def _value(data: bytes) -> Any:
    value = parse_json(data.strip()).value
    return data.decode("utf-8", "replace") if value is NOT_JSON else value
