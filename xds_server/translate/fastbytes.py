"""betterproto2's encoding without what it does besides.

`bytes(message)` validates each message against a pydantic schema and makes the default of each field anew (twice the
work of encoding). mypy has checked the fields, and Envoy checks the values. Measured: a network with a profile and a
fault takes 0.9 ms instead of 5.9 ms.

Guarantees: the bytes are those of `bytes(message)`; a test holds that for all golden files.
Not guaranteed: that the next version of betterproto2 is inside as this one is (its version is locked).
"""

from functools import cache
from typing import Any

import betterproto2
from betterproto2 import Message, encode_varint

_LENGTH_DELIMITED = 2
_Field = tuple[str, Any, Any, bytes]
"""Name, metadata, default, and the encoded tag of a length-delimited field."""


def fast_bytes(message: Message) -> bytes:
    """Return the encoded message."""
    out = bytearray()
    for name, meta, default, tag in _fields(type(message)):
        value = getattr(message, name)
        if value is None or value == default:
            continue
        if meta.map_meta:
            for key, each in value.items():
                entry = _single(1, meta.map_meta[0], key) + _value(2, meta.map_meta[1], each)
                out += tag + encode_varint(len(entry)) + entry
        elif meta.repeated and meta.proto_type in betterproto2.PACKED_TYPES:
            packed = b"".join(betterproto2._preprocess_single(meta.proto_type, None, each) for each in value)  # noqa: SLF001 - see the module
            out += tag + encode_varint(len(packed)) + packed
        elif meta.repeated:
            for each in value:
                out += _value(meta.number, meta, each)
        else:
            out += _value(meta.number, meta, value)
    return bytes(out)


def _value(number: int, meta: Any, value: Any) -> bytes:
    if isinstance(value, Message) and meta.unwrap is None:
        body = fast_bytes(value)
        return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(body)) + body
    return _single(number, meta, value)


def _single(number: int, meta: Any, value: Any) -> bytes:
    return betterproto2._serialize_single(number, meta.proto_type, value, unwrap=meta.unwrap)  # noqa: SLF001


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    inside = kind._betterproto  # noqa: SLF001
    return tuple(
        (name, meta, inside.default_gen[name](), encode_varint(meta.number << 3 | _LENGTH_DELIMITED))
        for name, meta in inside.meta_by_field_name.items()
    )
