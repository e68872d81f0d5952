"""Bodies of gRPC: messages with a length before each, read by the profile's descriptor set.

Guarantees: bounded in messages and in bytes that come out of a compressed one; a frame of which the end is missing is
left out and marked as cut; nothing raises.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from xds_server.analysis.diff.decode import decode
from xds_server.analysis.diff.descriptors import Descriptors
from xds_server.analysis.diff.json_diff import CUT

MOST = 10_000
"""Messages of one body."""
LARGEST = 4 * 1024 * 1024
"""Bytes of all messages of one body, decompressed."""
_PREFIX = 5
_ENCODING = re.compile(rb"^grpc-encoding:[ \t]*([^\s]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class Messages:
    """What a body says: a value for a unary method, an array for a stream; and the canonical bytes of each message."""

    value: Any
    canonical: list[bytes] = field(default_factory=list)


def read_messages(
    body: bytes, headers: bytes, *, path: str, complete: bool, descriptors: Descriptors
) -> Messages | None:
    """Return what a body says; None when it cannot be read by the descriptors.

    `complete`: the body was captured to its end, so it should end with a message.
    """
    method = descriptors.method(path)
    if method is None:
        return None
    frames, whole = _frames(body, headers)
    if frames is None or (complete and not whole):
        return None
    values, canonical = [], []
    for frame in frames:
        read = descriptors.read(method, frame)
        if read is None:
            return None
        values.append(read[0])
        canonical.append(read[1])
    if method.server_streaming or len(values) > 1:
        return Messages(values if whole else [*values, CUT], canonical)
    if not whole:
        return Messages({CUT: 0}, canonical)
    return Messages(values[0] if values else None, canonical)


def _frames(body: bytes, headers: bytes) -> tuple[list[bytes] | None, bool]:
    """Return the messages and whether the body ends with the last of them; None when one cannot be decompressed."""
    found = _ENCODING.search(headers)
    encoding = found[1].decode("latin-1").lower() if found else "identity"
    frames: list[bytes] = []
    position, left = 0, LARGEST
    while position + _PREFIX <= len(body):
        end = position + _PREFIX + int.from_bytes(body[position + 1 : position + _PREFIX])
        if end > len(body) or len(frames) >= MOST:
            return frames, False
        frame = body[position + _PREFIX : end]
        if body[position] & 1:
            unpacked = decode(frame, [encoding], complete=True, limit=left + 1)
            if not unpacked.readable or not unpacked.complete:
                return None, False
            frame = unpacked.data
            left -= len(frame)
            if left <= 0:
                return None, False
        frames.append(frame)
        position = end
    return frames, position == len(body)
