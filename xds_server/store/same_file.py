"""Whether the database that is open is still the file that has its name.

A file that was deleted, replaced or cut while it is open still takes what is written, and loses it: with its last
descriptor, or in pages that are not there. Guarantees: what somebody did to database or log before a write is found
before that write, in a few microseconds. Not guaranteed: that damage within the file is found; SQLite finds it when it
reads the page, and the check of the next start does.
"""

import os
from pathlib import Path

from xds_server.errors import StoreError

_HINT = (
    "nothing is written any more; end this manager, put the file back or `shadowmesh restore` a backup, "
    "and start it again"
)


class SameFile:
    """The files of a database that has just been opened. All methods may raise OSError.

    Args:
        path: the database. Its log is looked for beside it, once there is one.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (path, path.with_name(path.name + "-wal"))
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
            found = _look(path)
            if found is None:
                raise StoreError(f"{path} was deleted while it was in use", hint=_HINT)
            if (found.st_dev, found.st_ino) != known:
                raise StoreError(f"{path} was replaced while it was in use", hint=_HINT)
            if path == self._paths[0]:
                if found.st_size < self._size:
                    raise StoreError(f"{path} was cut while it was in use", hint=_HINT)
                self._size = found.st_size  # it never gets smaller: it is not vacuumed


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
