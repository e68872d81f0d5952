"""Manifests from files, folders and standard input.

A folder stands for its `*.yaml`, `*.yml` and `*.json` in order of name, not for its subfolders.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from api.manifests import Manifest, check_together, parse
from xds_server.cli.attached import attach
from xds_server.errors import FieldProblem, InvalidError, InvalidFieldsError, NotFoundError

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
_STDIN_NAME = "standard input"


def read(names: Sequence[str]) -> list[Manifest]:
    """Return the objects of all files, in the order they were named.

    Raises:
        InvalidFieldsError: with every problem of every file.
        NotFoundError, InvalidError: a file that is not there or cannot be read.
    """
    if not names:
        raise InvalidError("no manifest was named", field="-f", hint="a file, a folder, or - for standard input")
    found: list[Manifest] = []
    problems: list[FieldProblem] = []
    for name, text in _texts(names):
        # Files that a manifest names are beside it; those of standard input, where the command runs.
        beside = Path() if name == _STDIN_NAME else Path(name).parent
        try:
            found += parse(text, name, attach(beside))
        except InvalidFieldsError as error:
            problems += error.problems
    if problems:
        raise InvalidFieldsError(problems)
    check_together(found)
    return found


def _texts(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        if name == STDIN:
            yield _STDIN_NAME, sys.stdin.buffer.read()
            continue
        for path in _paths(Path(name)):
            try:
                yield str(path), path.read_bytes()
            except OSError as error:
                raise InvalidError(f"cannot be read: {error.strerror}", field=str(path)) from error


def _paths(path: Path) -> list[Path]:
    if not path.exists():
        raise NotFoundError("there is no such file", field=str(path), hint="a file, a folder, or - for standard input")
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.is_file())
    if not found:
        raise NotFoundError("the folder holds no manifest", field=str(path), hint=", ".join(f"*{s}" for s in SUFFIXES))
    return found
