"""Bodies as they were sent back into what they say: content encodings undone, within bounds.

Guarantees: never more than `limit` bytes come out, whatever goes in (a gzip bomb is cut, and said to be); a body
whose end was not captured is decoded as far as it goes; what cannot be decoded comes back as it was, and is said to
be.
Not guaranteed: checksums inside the encodings are verified (a cut body has none).
"""

import re
import zlib
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]
import zstandard

LIMIT = 4 * 1024 * 1024
"""Decoded bytes of one body at most; 256 times the default head."""
WINDOW = 2**23
"""Largest zstd window: RFC 9659, 3 (8 MB)."""
MAX_ENCODINGS = 3
"""Encodings undone one after another; more is not seen in the wild and multiplies the work."""

_ENCODING = re.compile(rb"^content-encoding:[ \t]*([^\n]*)", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(rb"^content-type:[ \t]*([^;\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded body.

    `complete` is False when its end is missing, for whatever reason; `readable` is False when the encoding is unknown
    or broken from the start, and `data` is then as on the wire.
    """

    data: bytes
    complete: bool
    readable: bool = True


def unbase64(text: str | None) -> bytes:
    """Return the bytes of captured base64; nothing for None or for what is no base64."""
    if not text:
        return b""
    try:
        return a2b_base64(text)
    except (Base64Error, ValueError):
        return b""


def content_type(headers: bytes) -> str:
    """Return the media type of captured headers, in lower case without parameters; empty when there is none."""
    found = _TYPE.search(headers)
    return found[1].strip().lower().decode("latin-1") if found else ""


def encodings(headers: bytes) -> list[str]:
    """Return the content encodings of captured headers, in the order they were applied."""
    found = _ENCODING.search(headers)
    if not found:
        return []
    names = [name.strip() for name in found[1].decode("latin-1").lower().split(",")]
    return [name for name in names if name not in {"", "identity"}]


def decode(data: bytes, applied: list[str], *, complete: bool, limit: int = LIMIT) -> Body:
    """Undo content encodings.

    Args:
        data: the body as on the wire, or its head.
        applied: from `encodings`.
        complete: whether `data` is all of it.
        limit: bytes that may come out.
    """
    if len(applied) > MAX_ENCODINGS:
        return Body(data, complete, readable=False)
    for name in reversed(applied):
        decoder = _DECODERS.get(name)
        if decoder is None:
            return Body(data, complete, readable=False)
        decoded, whole = decoder(data, limit)
        if not decoded and data and not whole:
            return Body(data, complete, readable=False)
        data, complete = decoded, complete and whole
    return Body(data, complete)


Decoded = tuple[bytes, bool]


def _inflate(data: bytes, limit: int, *, bits: int) -> Decoded:
    """Feed piece by piece, so that what came before an error is kept."""
    inflater = zlib.decompressobj(bits)
    out, left = [], limit
    try:
        for start in range(0, len(data), 1024):
            piece = inflater.decompress(data[start : start + 1024], left)
            out.append(piece)
            left -= len(piece)
            if left <= 0 or inflater.eof:
                break
    except zlib.error:
        return b"".join(out), False
    return b"".join(out), inflater.eof


def _gzip(data: bytes, limit: int) -> Decoded:
    return _inflate(data, limit, bits=31)


def _deflate(data: bytes, limit: int) -> Decoded:
    """RFC 9110 means zlib; some servers send raw deflate under the same name."""
    decoded, whole = _inflate(data, limit, bits=15)
    return (decoded, whole) if decoded or whole else _inflate(data, limit, bits=-15)


def _brotli(data: bytes, limit: int) -> Decoded:
    decompressor = brotli.Decompressor()
    out, left = [], limit
    try:
        piece = decompressor.process(data, output_buffer_limit=left)
        while True:
            out.append(piece)
            left -= len(piece)
            if left <= 0 or decompressor.is_finished() or (decompressor.can_accept_more_data() and not piece):
                break
            piece = decompressor.process(b"", output_buffer_limit=left)
    except brotli.error:
        return b"".join(out)[:limit], False
    return b"".join(out)[:limit], decompressor.is_finished()


def _zstd(data: bytes, limit: int) -> Decoded:
    out, left = [], limit
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(data, read_across_frames=True)
        while left > 0 and (piece := reader.read(min(left, 65536))):
            out.append(piece)
            left -= len(piece)
    except (zstandard.ZstdError, MemoryError):
        return b"".join(out), False
    # The reader ends quietly on a frame that lacks its end; only the frame's own size tells.
    decoded = b"".join(out)
    return decoded, left > 0 and _zstd_whole(data, decoded)


def _zstd_whole(data: bytes, decoded: bytes) -> bool:
    try:
        size = zstandard.frame_content_size(data)
        if size >= 0:
            return len(decoded) >= size
        unzip = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
        unzip.decompress(data)
    except (zstandard.ZstdError, MemoryError):
        return False
    return bool(unzip.eof)


_DECODERS: dict[str, Callable[[bytes, int], Decoded]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
