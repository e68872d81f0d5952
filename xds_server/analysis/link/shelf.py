"""The engine's books on disk: those of every closing that may turn out to be the last one that the manager has.

An engine that is killed leaves windows behind that the manager took in or did not; only the manager knows. So its
successor asks, and goes on from the books of just that closing: what is in no window before it was received by nobody.

Guarantees: books are on disk before their closing can be sent; the file is replaced in one step. Small: closings that
cannot be the last one any more are dropped (`keep`), and an outbox holds few.
Not guaranteed: that what the machine's own crash took is found again; nothing is synced.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import orjson

from xds_server.analysis.link.last_good import write_whole

Books = Mapping[str, Any]


class Shelf:
    """The books of one engine, and at the start those of its predecessor.

    Args:
        path: the file.
        engine: id of the engine.
    """

    def __init__(self, path: Path, engine: str) -> None:
        self._path = path
        self._engine = engine
        self._own: dict[int, bytes] = {}
        self._written = b""
        self._before: list[tuple[int, Books]] = []
        self.predecessor = ""
        """Id of the engine that left books, until its successor has taken them up."""

    def load(self, packed: Any) -> None:
        """Take note of what was found on disk. Raises: KeyError, TypeError, ValueError when it is something else."""
        before = [(int(closing), dict(books)) for closing, books in packed["books"]]
        predecessor = str(packed["engine"])
        if before and predecessor:
            self.predecessor, self._before = predecessor, sorted(before, key=lambda each: each[0])

    def left_at(self, closing: int) -> Books:
        """Return the predecessor's books as of a closing."""
        # The oldest are of a closing that was acknowledged once, though nothing of it may be left to know that by.
        return [books for number, books in self._before if number <= closing or number == self._before[0][0]][-1]

    def begin(self, books: Books) -> None:
        """Go on from these books, under the engine's own name."""
        self.predecessor, self._before = "", []
        self._own = {0: orjson.dumps(books)}
        self._write()

    def put(self, closing: int, books: Books) -> None:
        """Write down the books as of a closing, or what they are now when nothing was closed since."""
        self._own[closing] = orjson.dumps(books)
        self._write()

    def keep(self, closings: Collection[int]) -> None:
        """Drop the books of all other closings, but for the newest."""
        newest = max(self._own, default=0)
        kept = {n: books for n, books in self._own.items() if n in closings or n == newest}
        if len(kept) < len(self._own):
            self._own = kept
            self._write()

    def _write(self) -> None:
        entries = b",".join(b"[%d,%b]" % (closing, books) for closing, books in sorted(self._own.items()))
        whole = b'{"engine":%b,"books":[%b]}' % (orjson.dumps(self._engine), entries)
        if whole != self._written and write_whole(self._path, whole):
            self._written = whole
