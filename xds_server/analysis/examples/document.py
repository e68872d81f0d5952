"""A captured body as the document that the comparison saw: by it, what stands beside a value is known.

Guarantees: bounded, as what it reads is; nothing raises. Not guaranteed: the part that `excerpt.READ` cuts off.
"""

from collections.abc import Sequence
from typing import Any

from xds_server.analysis.diff.descriptors import Descriptors
from xds_server.analysis.diff.event_streams import EVENTS, LINES, read_events, read_lines
from xds_server.analysis.diff.grpc_frames import read_messages
from xds_server.analysis.examples.excerpt import Captured, parsed
from xds_server.analysis.examples.redact import Redactor
from xds_server.analysis.examples.secret_beside import is_value, level_beside, level_in_pair
from xds_server.analysis.examples.sensitive import Level


def document(body: Captured, headers: bytes, *, path: str, descriptors: Descriptors | None) -> Any:
    """Return JSON, events, lines or messages as one value; None when it is none of them."""
    if body.type == EVENTS:
        return read_events(body.data, complete=body.complete)
    if body.type in LINES:
        return read_lines(body.data, complete=body.complete)
    if body.is_message and descriptors is not None:
        found = read_messages(body.data, headers, path=path, complete=body.complete, descriptors=descriptors)
        return found.value if found is not None else None
    return parsed(body)


def level_at(documents: Sequence[Any], steps: Sequence[str | int], redactor: Redactor) -> Level:
    """Return what names that stand beside the values on the way to a place hide there, in any of the documents."""
    found = [_follow(each, steps, redactor) for each in documents]
    if not any(followed for _, followed in found) and steps and is_value(str(steps[-1])):
        # What stands beside it is not known.
        return Level.ALL
    return max(level for level, _ in found)


def _follow(value: Any, steps: Sequence[str | int], redactor: Redactor) -> tuple[Level, bool]:
    level = Level.SHOWN
    for step in steps:
        if isinstance(value, dict) and step in value:
            if is_value(str(step)):
                level = max(level, level_beside(value, redactor.level))
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            if step == 1:
                level = max(level, level_in_pair(value, redactor.level))
            value = value[step]
        else:
            return level, False
    return level, True
