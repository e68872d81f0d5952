"""Files under the state folder that hold what users send, or tell of it: nobody else on the machine may read them.

Guarantees: files are 0600 and folders 0700 from the moment they are there, whatever the umask; `tighten` makes those of
an earlier version so. Links are not followed.
Not guaranteed: a state folder that was there before us stays as open as it was, as other things may be in it; what is
ours in it is not.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

FILE, FOLDER = 0o600, 0o700


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, where they are missing. Raises: OSError."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER, exist_ok=True)


def opener(path: str, flags: int) -> int:
    """Open a file, made 0600 when missing, and made so when it was not; for `open`. Raises: OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & ~FILE:
        with suppress(PermissionError):  # somebody else's, who let us write
            os.fchmod(descriptor, FILE)
    return descriptor


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step; the folder is made when missing. Raises: OSError."""
    make_folder(path.parent)
    fresh = path.with_suffix(".new")
    with open(fresh, "wb", opener=opener) as file:
        file.write(data)
    fresh.replace(path)


def tighten(path: Path) -> None:
    """Close a file, or a folder with all in it, to others. What cannot be is left, as it is not ours."""
    with suppress(OSError):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            _restrict(path, mode, FILE)
        elif stat.S_ISDIR(mode):
            _restrict(path, mode, FOLDER)
            for each in path.iterdir():
                tighten(each)


def _restrict(path: Path, mode: int, to: int) -> None:
    if stat.S_IMODE(mode) & ~to:
        path.chmod(to)
