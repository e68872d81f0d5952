"""Who this manager is to an engine that it may share with others: an id in its state folder.

Guarantees: the same for as long as the state folder is; made when it is first asked for.
"""

from pathlib import Path
from uuid import uuid4

from xds_server.private_files import write_private

FILE = "manager-id"


class Identity:
    """The id of the manager of a state folder.

    Args:
        state: the folder.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._id = ""

    def __call__(self) -> str:
        """Return the id. Raises: OSError."""
        if not self._id:
            try:
                self._id = self._path.read_text(encoding="ascii").strip()
            except (FileNotFoundError, UnicodeDecodeError):
                self._id = ""
            if not self._id:
                self._id = str(uuid4())
                write_private(self._path, f"{self._id}\n".encode())
        return self._id
