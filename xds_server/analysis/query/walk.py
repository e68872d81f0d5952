"""Pages over a list that changes while somebody walks along it.

Kinds of cursor, all without anything kept at the server:

- By place, for orders whose keys never change (pairs by time): the cursor holds the key of the last item. The next page
  is what comes behind it. What has come since is newer and belongs before it: the walk does not see it.
- By memory, for orders whose keys move (counts, bits): the cursor holds a digest of each item that was shown. The next
  page is the first of the rest, in the order of that moment.
- By number, for a list that only grows at its end: the cursor holds the number of the last item.

Guarantees, all: an item that is there during the whole walk is shown exactly once, whatever comes, goes or moves. A
cursor belongs to one group, order and set of filters and is refused with others.
Not guaranteed: that pages put together are in order, when keys have moved; more than `MOST` items by memory: then the
walk ends (no next cursor, although `total` is larger), and filters narrow it.
"""

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from xds_server.errors import InvalidError, cut

MOST = 2_000
"""Items of a walk by memory; with them a cursor has 13 KiB, and still fits into the line of a request."""
_DIGEST = 5
"""Bytes of a digest: two of 2,000 items are the same once in 500,000 walks."""
_LONGEST = 64 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A stretch of a list; `total` are the items that there are now."""

    items: list[T]
    total: int
    next_cursor: str | None


def by_place(
    items: Sequence[T], *, key: Callable[[T], tuple[float, str]], scope: str, cursor: str | None, limit: int
) -> Page[T]:
    """Return a page of items that are sorted by a key, largest first.

    Raises:
        InvalidError: the cursor is none, or of another walk.
    """
    rest = items
    if cursor is not None:
        raw = _read(cursor, scope)
        try:
            last = struct.unpack("!d", raw[:8])[0], raw[8:].decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise _none(cursor) from error
        rest = [item for item in items if key(item) < last]
    shown = list(rest[:limit])
    following = None
    if len(rest) > limit:
        number, name = key(shown[-1])
        following = _write(struct.pack("!d", number) + name.encode(), scope)
    return Page(shown, len(items), following)


def by_memory(items: Sequence[T], *, name: Callable[[T], str], scope: str, cursor: str | None, limit: int) -> Page[T]:
    """Return a page of items that are sorted anyhow; `name` tells each from all others for good.

    Raises:
        InvalidError: the cursor is none, or of another walk.
    """
    raw = _read(cursor, scope) if cursor is not None else b""
    if len(raw) % _DIGEST:
        raise _none(cursor or "")
    seen = {raw[at : at + _DIGEST] for at in range(0, len(raw), _DIGEST)}
    rest = [item for item in items if _digest(name(item)) not in seen] if seen else items
    shown = list(rest[:limit])
    seen.update(_digest(name(item)) for item in shown)
    more = len(rest) > limit and len(seen) <= MOST
    return Page(shown, len(items), _write(b"".join(sorted(seen)), scope) if more else None)


def numbered(number: int, scope: str) -> str:
    """Return the cursor of a list that only grows at its end: what comes behind the item of this number."""
    return _write(struct.pack("!q", number), scope)


def number_of(cursor: str, scope: str, *, field: str) -> int:
    """Return the number in such a cursor; `field` is where it was given.

    Raises:
        InvalidError: it is none, or of another list.
    """
    try:
        (number,) = struct.unpack("!q", _read(cursor, scope))
    except struct.error as error:
        raise _none(cursor, field) from error
    except InvalidError as error:
        raise InvalidError(error.detail, field=field, hint=error.hint) from error
    return int(number)


def _digest(text: str, size: int = _DIGEST) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def _write(raw: bytes, scope: str) -> str:
    marked = _digest(scope, 4) + raw
    return base64.urlsafe_b64encode(zlib.crc32(marked).to_bytes(4) + marked).decode().rstrip("=")


def _read(cursor: str, scope: str) -> bytes:
    try:
        if len(cursor) > _LONGEST:
            raise _none(cursor)
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _none(cursor) from error
    if len(raw) < 8 or zlib.crc32(raw[4:]).to_bytes(4) != raw[:4]:  # noqa: PLR2004 - sum and scope
        raise _none(cursor)
    if raw[4:8] != _digest(scope, 4):
        raise InvalidError(
            "this cursor is of a list with another group, sort or filter",
            field="cursor",
            hint="the same parameters as on the page before, but for limit; or no cursor",
        )
    return raw[8:]


def _none(cursor: str, field: str = "cursor") -> InvalidError:
    shown = cut(cursor.encode("utf-8", "backslashreplace").decode(), 80)
    return InvalidError(f'"{shown}" is not a cursor', field=field, hint="the nextCursor of the page before, as it was")
