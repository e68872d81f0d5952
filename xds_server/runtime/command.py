"""A process variant made ready to run: its command, environment and folder, checked before anything starts.

Guarantees: `{port}` is replaced literally, nothing else is interpreted, no shell is involved. The environment is
`INHERITED` of ours, `PORT`, the marker, and what the variant says; nothing of `SHADOWMESH_*` (tokens!) gets through.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from xds_server.errors import InvalidError, cut
from xds_server.model.profile import ProcessSpec, Readiness

PLACEHOLDER = "{port}"
INHERITED = ("PATH", "HOME", "LANG")
MARKER = "SHADOW_INSTANCE"
"""Environment variable with the instance's id: finds what outlived its supervisor, and tells a program what it is."""
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_HTTP_PATH = re.compile(r"/[!-~]*")


def check_process(spec: ProcessSpec, *, environ: Mapping[str, str]) -> None:
    """Refuse what cannot start.

    Raises:
        InvalidError: for `process.command`, `process.env`, `process.workingDirectory`, `process.readiness.path`.
    """
    if not spec.command or not spec.command[0]:
        raise InvalidError("is empty", field="process.command", hint='a list of words: ["python", "app.py", "{port}"]')
    if any("\0" in word for word in spec.command):
        raise InvalidError("contains a NUL character", field="process.command", hint="no word may contain one")
    for name, value in spec.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise InvalidError(f"{cut(name, 60)!r} cannot be set", field="process.env", hint="a name without = and NUL")
    if not any(PLACEHOLDER in text for text in (*spec.command, *spec.env.values())):
        raise InvalidError(
            "nothing tells the shadow its port",
            field="process.command",
            hint='write {port} where the command expects it, like "--port", "{port}", or in env: "PORT": "{port}"',
        )
    folder = working_directory(spec)
    if not folder.is_dir():
        raise InvalidError(
            f"{cut(str(folder), 200)!r} is not a folder",
            field="process.workingDirectory",
            hint="a folder on this machine",
        )
    if _executable(spec, environ=environ) is None:
        raise InvalidError(
            f"{cut(spec.command[0], 200)!r} does not exist or cannot be executed",
            field="process.command",
            hint="a program on PATH, an absolute path, or a path relative to workingDirectory (with a / in it)",
        )
    check_readiness(spec.readiness, kind="process")


def check_readiness(readiness: Readiness, *, kind: str) -> None:
    """Refuse a path that could not stand in a request line.

    Raises:
        InvalidError: for `<kind>.readiness.path`.
    """
    if readiness.path and not _HTTP_PATH.fullmatch(readiness.path):
        raise InvalidError(
            f"{cut(readiness.path, 100)!r} is not a path", field=f"{kind}.readiness.path", hint="like /healthz, ASCII"
        )


def working_directory(spec: ProcessSpec) -> Path:
    """Return the absolute folder that the command runs in; the manager's own when none is given."""
    return Path(spec.working_directory or ".").absolute()


def arguments(spec: ProcessSpec, port: int) -> list[str]:
    """Return the words of the command."""
    return [word.replace(PLACEHOLDER, str(port)) for word in spec.command]


def environment(spec: ProcessSpec, *, port: int, instance: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the shadow."""
    inherited = {name: environ[name] for name in INHERITED if name in environ}
    given = {name: value.replace(PLACEHOLDER, str(port)) for name, value in spec.env.items()}
    return {"PATH": DEFAULT_PATH, **inherited, "PORT": str(port), **given, MARKER: instance}


def _executable(spec: ProcessSpec, *, environ: Mapping[str, str]) -> str | None:
    name = spec.command[0]
    if os.sep in name:
        return shutil.which(working_directory(spec) / name)
    path = spec.env.get("PATH") or environ.get("PATH") or DEFAULT_PATH
    return shutil.which(name, path=path)
