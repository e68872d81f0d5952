"""Reads the inventory, `nodes.yaml`.

Guarantees: each problem names the file, the line and the field (`nodes[1].docker.host`), all of them are told at once,
and the files of certificates that it names were readable.
Not guaranteed: that an engine answers, or that its certificate is right; the health of its node tells.
"""

from dataclasses import replace
from pathlib import Path

from api.manifests import parse_one
from api.schemas.inventory import InventoryDocument
from xds_server.errors import FieldProblem, InvalidFieldsError
from xds_server.model.docker_host import TLSFiles
from xds_server.model.nodes import NodeEntry

_FLAG = "--nodes (SHADOWMESH_NODES)"


def read_nodes(path: Path) -> tuple[NodeEntry, ...]:
    """Return the nodes of a file.

    Raises:
        InvalidFieldsError: it is not there, cannot be read, or cannot be right.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise InvalidFieldsError([FieldProblem(_FLAG, f"{path} {why}", "a file with nodes: [...]")]) from error
    document = parse_one(InventoryDocument, text, str(path), hint="an object with nodes: [...]")
    entries, problems = [], []
    for index, entry in enumerate(document.to_model()):
        if entry.docker is None or entry.docker.tls is None:
            entries.append(entry)
            continue
        tls, wrong = _found(entry.docker.tls, path.parent, f"nodes[{index}].docker.tls")
        problems += wrong
        entries.append(replace(entry, docker=replace(entry.docker, tls=tls)))
    if problems:
        raise InvalidFieldsError([replace(one, field=f"{path}: {one.field}") for one in problems])
    return tuple(entries)


def _found(tls: TLSFiles, folder: Path, where: str) -> tuple[TLSFiles, list[FieldProblem]]:
    """Return the files with their whole paths, and what is wrong with them."""
    problems, paths = [], {}
    for name in ("ca", "cert", "key"):
        given = getattr(tls, name)
        if not given:
            continue
        paths[name] = str((folder / given).absolute())
        try:
            Path(paths[name]).read_bytes()
        except OSError as error:
            told = f"{paths[name]} cannot be read: {error.strerror}"
            problems.append(FieldProblem(f"{where}.{name}", told, "a file in PEM that the manager may read"))
    return replace(tls, **paths), problems
