"""Files that a manifest names: `openapi: ./api.yaml`, `descriptorSet: ./shop.pb` in a profile's `analysis`.

Guarantees: paths are relative to the manifest's folder; what is put in their place is what REST takes. Problems are
told at the field of the manifest, with the file.
Not guaranteed: `kubectl apply -f` reads no files; there the content itself belongs in the manifest.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.manifests import MAX_BYTES, Attach, read_document
from xds_server.errors import FieldProblem, InvalidFieldsError

_AT = "spec.analysis"


def attach(beside: Path) -> Attach:
    """Return what reads the files of one manifest that lies in the folder `beside`."""

    def put(value: dict[str, Any]) -> None:
        spec = value.get("spec")
        analysis = spec.get("analysis") if isinstance(spec, dict) else None
        if not isinstance(analysis, dict):
            return
        problems: list[FieldProblem] = []
        for field, names_a_file, content in _FIELDS:
            named = analysis.get(field)
            if isinstance(named, str) and names_a_file(named):
                try:
                    analysis[field] = content(beside / named)
                except OSError as error:
                    told = f"{named} cannot be read: {error.strerror}"
                    problems.append(FieldProblem(f"{_AT}.{field}", told, f"a file beside the manifest, in {beside}"))
                except ValueError as error:
                    problems.append(FieldProblem(f"{_AT}.{field}", f"{named}: {error}"))
                except InvalidFieldsError as error:
                    problems += [
                        FieldProblem(f"{_AT}.{field}", f"{p.field}: {p.detail}", p.hint) for p in error.problems
                    ]
        if problems:
            raise InvalidFieldsError(problems)

    return put


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES} bytes")
    return content


def _document(path: Path) -> Any:
    found = read_document(_read(path), str(path))
    if not isinstance(found, dict):
        raise ValueError("holds no object")  # noqa: TRY004 - told like what else is wrong with the file
    return found


def _base64(path: Path) -> str:
    return base64.b64encode(_read(path)).decode()


_FIELDS: tuple[tuple[str, Callable[[str], bool], Callable[[Path], Any]], ...] = (
    ("openapi", bool, _document),
    # No base64 has a dot in it, and nearly every name of a file has.
    ("descriptorSet", lambda text: "." in text, _base64),
)
