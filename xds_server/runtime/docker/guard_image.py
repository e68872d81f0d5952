"""The image of guards: a shell, `sleep` and `nft`, taken from the manager's own machine. No registry is asked.

Guarantees: the same files give the same tag, so an engine gets the image once; some 5 MB.
Not guaranteed: that an engine of another architecture can run it; its guard then fails to start, and says so.
"""

import hashlib
import shutil
from functools import cache
from pathlib import Path

from xds_server.errors import RuntimeFailedError
from xds_server.runtime.docker.root_fs import PATH, libraries, tar

REPOSITORY = "shadowmesh-guard"
_PROGRAMS = {"sh": "/bin/sh", "sleep": "/bin/sleep", "nft": "/usr/sbin/nft"}
"""Program, and where it is in the image."""


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
        for library in libraries(found):
            files[library] = Path(library).read_bytes()
    digest = hashlib.sha256()
    for path, data in sorted(files.items()):
        digest.update(f"{path} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()[:12], tar(files)
