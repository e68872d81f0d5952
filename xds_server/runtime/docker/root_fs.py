"""Root file systems made of programs of this machine, for images that no registry has."""

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Mapping
from pathlib import Path

from xds_server.errors import RuntimeFailedError, cut

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = "/usr/bin/python3"
"""Where `python` puts it."""
_FOLDERS = ("run", "proc", "sys", "dev", "etc", "tmp")
_LIBRARY = re.compile(r"(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)")
_TIMEOUT = 10.0
_NOT_NEEDED = {"site-packages", "test", "tests", "__pycache__", "idlelib", "tkinter", "ensurepip", "lib2to3"}


def libraries(program: str) -> list[str]:
    """Return the paths of the shared libraries that a program loads, the loader itself included.

    Raises:
        RuntimeFailedError: it cannot be known here.
    """
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


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return a root file system with these files, all of them executable."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folders = {parent for path in files for parent in Path(path).parents if parent != Path("/")}
        for folder in sorted({str(f).lstrip("/") for f in folders} | set(_FOLDERS)):
            _folder(archive, folder)
        for path, data in sorted(files.items()):
            _file(archive, path, data)
    return out.getvalue()


def python(files: Mapping[str, bytes]) -> bytes:
    """Return a root file system with this machine's Python, its standard library, and these files; some 60 MB.

    Raises:
        RuntimeFailedError: what Python loads cannot be known here.
    """
    program = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    wanted = {str(program)}
    for each in (program, *library.glob("lib-dynload/*.so")):
        wanted.update(libraries(str(each)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for folder in _FOLDERS:
            _folder(archive, folder)
        for path in sorted(wanted):
            archive.add(Path(path).resolve(), path.lstrip("/"))
        archive.add(library, str(library).lstrip("/"), filter=_needed)
        link = tarfile.TarInfo(PYTHON.lstrip("/"))
        link.type, link.linkname = tarfile.SYMTYPE, str(program)
        archive.addfile(link)
        for path, data in sorted(files.items()):
            _file(archive, path, data)
    return out.getvalue()


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _NOT_NEEDED & set(Path(entry.name).parts) else entry


def _folder(archive: tarfile.TarFile, path: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(entry)


def _file(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(data), 0o755
    archive.addfile(entry, io.BytesIO(data))
