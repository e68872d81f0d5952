"""The image of guards: a shell, `sleep` and `nft`, taken from the manager's own machine. No registry is asked.

Guarantees: the same files give the same tag, so an engine gets the image once; some 5 MB.
Not guaranteed: that an engine of another architecture can run it; its guard then fails to start, and says so.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path

from xds_server.errors import RuntimeFailedError, cut

REPOSITORY = "shadowmesh-guard"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = {"sh": "/bin/sh", "sleep": "/bin/sleep", "nft": "/usr/sbin/nft"}
"""Program, and where it is in the image."""
_LIBRARY = re.compile(r"(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)")
_TIMEOUT = 10.0


@cache
def guard_image() -> tuple[str, bytes]:
    """Return tag and tar of the root file system. Blocks for some 50 ms, once.

    Raises:
        RuntimeFailedError: a program is not on this machine.
    """
    files: dict[str, bytes] = {}
    for name, target in _PROGRAMS.items():
        found = shutil.which(name, path=PATH)
        if found is None:
            raise RuntimeFailedError(
                f"{name} is not on the manager's machine, so a container's egress cannot be guarded",
                hint="Debian: apt-get install nftables",
            )
        files[target] = Path(found).read_bytes()
        for library in _libraries(found):
            files[library] = Path(library).read_bytes()
    digest = hashlib.sha256()
    for path, data in sorted(files.items()):
        digest.update(f"{path} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()[:12], _tar(files)


def _libraries(program: str) -> list[str]:
    try:
        told = subprocess.run(  # noqa: S603 - a path that `which` found
            ["ldd", program],  # noqa: S607 - wherever it is
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            env={"PATH": PATH, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFailedError(f"the libraries of {program} are not known: {cut(str(error), 200)}") from error
    return _LIBRARY.findall(told.stdout.decode())


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folders = {parent for path in files for parent in Path(path).parents if parent != Path("/")}
        for folder in sorted({str(f) for f in folders} | {"/run", "/proc", "/sys", "/dev", "/etc"}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(os.fspath(path).lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()
