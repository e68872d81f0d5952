"""Bodies as they were sent back into what they say: content encodings undone, within bounds.

Guarantees: never more than `limit` bytes come out, whatever goes in (a gzip bomb is cut, and said to be); a body
whose end was not captured is decoded as far as it goes; what cannot be decoded comes back as it was, and is said to
be.
Not guaranteed: checksums inside the encodings are verified (a cut body has none).
"""

import codecs
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

_GZIP_MAGIC = b"\x1f\x8b"
_ENCODING = re.compile(rb"^content-encoding:[ \t]*([^\n]*)", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(rb"^content-type:[ \t]*([^;\n]*)", re.IGNORECASE | re.MULTILINE)
_CHARSET = re.compile(
    rb"^content-type:[^\n]*;[ \t]*charset=[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE | re.MULTILINE
)
_KNOWN = re.compile(
    r"iso8859-\d+|cp\d+|utf-(?:16|32)(?:-[lb]e)?|koi8-[ru]|shift_jis|euc_(?:jp|kr)|gb(?:2312|k|18030)|big5"
)
"""Python's names of charsets in the wild; some of its other codecs are slow, or none of texts."""


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded body.

    `complete` is False when its end was not captured or lies beyond the limit. `readable` is False when the encoding is
    unknown, or broken (also when a body that was captured whole breaks off inside its encoding: a client cannot read it
    either); `data` is then as on the wire.
    """

    data: bytes
    complete: bool
    readable: bool = True
    capped: bool = False
    """More than the limit would have come out."""


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


def charset(headers: bytes) -> str:
    """Return Python's name of the charset of captured headers; UTF-8 when none is given that is known."""
    found = _CHARSET.search(headers)
    try:
        name = codecs.lookup(found[1].decode()).name if found else ""
    except LookupError:
        name = ""
    # To browsers, and so to services, the one means the other (WHATWG Encoding, 4.2).
    name = "cp1252" if name == "iso8859-1" else name
    return name if _KNOWN.fullmatch(name) else "utf-8"


def encodings(headers: bytes) -> list[str]:
    """Return the content encodings of captured headers, in the order they were applied."""
    lines = _ENCODING.findall(headers)
    if not lines:
        return []
    names = [name.strip() for name in b",".join(lines).decode("latin-1").lower().split(",")]
    return [name for name in names if name not in {"", "identity"}]


def decode(data: bytes, applied: list[str], *, complete: bool, limit: int = LIMIT) -> Body:
    """Undo content encodings.

    Args:
        data: the body as on the wire, or its head.
        applied: from `encodings`.
        complete: whether `data` is all of it.
        limit: bytes that may come out.
    """
    if not data:
        # Of HEAD, 204, 304: the header is there, the body is not.
        return Body(data, complete)
    wire = Body(data, complete, readable=False)
    if len(applied) > MAX_ENCODINGS:
        return wire
    for name in reversed(applied):
        decoder = _DECODERS.get(name)
        if decoder is None:
            return wire
        decoded, whole = decoder(data, limit)
        if not whole and (not decoded or (complete and len(decoded) < limit)):
            return wire
        data, complete = decoded, complete and whole
    return Body(data, complete, capped=not complete and len(data) >= limit)


Decoded = tuple[bytes, bool]


def _inflate(data: bytes | memoryview, limit: int, *, bits: int) -> tuple[bytes, bool, int]:
    """Feed piece by piece, so that what came before an error is kept; also return how far the input was used."""
    inflater = zlib.decompressobj(bits)
    out, left, used = [], limit, 0
    try:
        for start in range(0, len(data), 1024):
            fed = data[start : start + 1024]
            piece = inflater.decompress(fed, left)
            out.append(piece)
            left -= len(piece)
            used = start + len(fed) - len(inflater.unused_data)
            if left <= 0 or inflater.eof:
                break
    except zlib.error:
        return b"".join(out), False, used
    return b"".join(out), inflater.eof, used


def _gzip(data: bytes, limit: int) -> Decoded:
    """Members one after another are one body (RFC 1952, 2.2)."""
    out, left, rest = [], limit, memoryview(data)
    while True:
        piece, whole, used = _inflate(rest, left, bits=31)
        out.append(piece)
        left -= len(piece)
        rest = rest[used:]
        more = rest[:2] == _GZIP_MAGIC
        if not (whole and more) or left <= 0:
            return b"".join(out), whole and not more


def _deflate(data: bytes, limit: int) -> Decoded:
    """RFC 9110 means zlib; some servers send raw deflate under the same name."""
    decoded, whole, _ = _inflate(data, limit, bits=15)
    return (decoded, whole) if decoded or whole else _inflate(data, limit, bits=-15)[:2]


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
