"""Whether the database that is open is still the file that has its name.

A file that was deleted, replaced or cut while it is open still takes what is written, and loses it: with its last
descriptor, or in pages that are not there. Guarantees: what somebody did to database or log before a write is found
before that write, in a few microseconds. So is a lock that was deleted: a second manager gets a new one of that name,
and the first writes no more. Not guaranteed: that damage within the file is found; SQLite finds it when it reads the
page, and the check of the next start does.
"""

import os
from pathlib import Path

from xds_server.errors import StoreError

_HINT = (
    "nothing is written any more; end this manager, put the file back or `shadowmesh restore` a backup, "
    "and start it again"
)
_LOCK_HINT = "nothing is written any more, as another manager may work on the same state; end one, and start it again"


class SameFile:
    """The files of a database that has just been opened. All methods may raise OSError.

    Args:
        path: the database. Its log is looked for beside it, once there is one.
        lock: the file that keeps others away from it.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self._paths = (path, path.with_name(path.name + "-wal"), lock)
        self._known: dict[Path, tuple[int, int]] = {}
        self._size = 0
        self.note()

    def note(self) -> None:
        """Take what is there for what is open; to be called after a write, when SQLite has made what it needs."""
        for path in self._paths:
            if path not in self._known and (found := _look(path)) is not None:
                self._known[path] = found.st_dev, found.st_ino

    def check(self) -> None:
        """Refuse to go on with another file. Raises: StoreError."""
        for path, known in self._known.items():
            found, hint = _look(path), _LOCK_HINT if path == self._paths[-1] else _HINT
            if found is None:
                raise StoreError(f"{path} was deleted while it was in use", hint=hint)
            if (found.st_dev, found.st_ino) != known:
                raise StoreError(f"{path} was replaced while it was in use", hint=hint)
            if path == self._paths[0]:
                if found.st_size < self._size:
                    raise StoreError(f"{path} was cut while it was in use", hint=_HINT)
                self._size = found.st_size  # it never gets smaller: it is not vacuumed


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
