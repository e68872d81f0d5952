"""What all documents share: strictness, and errors in the words of the document.

Purpose: a user who gave something wrong reads which field it is, in the names and the shape of *their* document
(`variants[0].process.command`), what they gave and what would be right.

Guarantees: unknown fields are refused by name, nothing is converted silently ("5" is not 5), NaN and infinities are
refused wherever a number is. All problems of a document are told at once.
Not guaranteed: that the texts are stable.
"""

import difflib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from xds_server.errors import FieldProblem, InvalidFieldsError, cut

D = TypeVar("D", bound="Document")

MOST_PROBLEMS = 50
"""Problems of one document that are told; a body of a hundred thousand unknown fields is no reason to be busy."""
SHOWN = 80
"""Characters of a wrong value that are repeated in an error."""
_MOST_BITS = 200
"""Bits of a whole number up to which its digits are shown."""

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_WANTED = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
}


class Document(BaseModel):
    """Base of everything that users write: names in camelCase, unknown fields refused, no conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


OMITTED: Any = Field(default=None, exclude_if=lambda value: value is None)
"""Default of an optional field that is left out, not shown as null, when there is nothing in it."""


def refuse(detail: str, hint: str = "", *, at: str = "") -> NoReturn:
    """Refuse what a validator was given.

    Args:
        detail: what is wrong, with the value.
        hint: what would be right.
        at: path below the place of the validator, `[1].listen`; empty for the place itself.

    Raises:
        PydanticCustomError: always; `explain` turns it into a problem.
    """
    raise PydanticCustomError("shadowmesh", "{detail}", {"detail": detail, "hint": hint, "at": at})


def shown(value: object) -> str:
    """Return a wrong value as it was written, cut to a readable length."""
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, float) and not math.isfinite(value):
        text = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        text = f"a number of {value.bit_length()} bits"  # Python refuses to write thousands of digits
    elif isinstance(value, (int, float)):
        text = repr(value)
    else:
        text = _KINDS.get(type(value), type(value).__name__)
    return cut(text.encode("utf-8", "backslashreplace").decode(), SHOWN)


def kind_of(value: object) -> str:
    """Return what a value is, in words: `a list`."""
    return _KINDS.get(type(value), type(value).__name__)


def join(prefix: str, path: str) -> str:
    """Return one path of two: `spec` and `[0].name` give `spec[0].name`."""
    if not prefix or not path or path.startswith("["):
        return prefix + path
    return f"{prefix}.{path}"


def validate(model: type[D], value: object, *, prefix: str = "", whole: str = "the body") -> D:
    """Return the document that `value` (parsed JSON or YAML) is.

    Args:
        model: the kind of document.
        value: what was parsed.
        prefix: path of the document in what the user wrote.
        whole: how to call the document itself when it is not even an object.

    Raises:
        InvalidFieldsError: with every problem there is.
    """
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidFieldsError(explain(error, model, prefix=prefix, whole=whole)) from error


def explain(
    error: ValidationError, model: type[BaseModel], *, prefix: str = "", whole: str = "the body"
) -> list[FieldProblem]:
    """Return the problems of a failed validation, each with the path that the user knows."""
    errors = error.errors(include_url=False)
    told = list(_problems(errors[:MOST_PROBLEMS], model, prefix=prefix, whole=whole))
    if len(errors) > MOST_PROBLEMS:
        told.append(FieldProblem(prefix, f"{len(errors) - MOST_PROBLEMS} more problems are not listed"))
    return told


def _problems(
    errors: Sequence[ErrorDetails], model: type[BaseModel], *, prefix: str, whole: str
) -> Iterator[FieldProblem]:
    for entry in errors:
        loc, context = entry["loc"], entry.get("ctx", {})
        path = join(prefix, path_of(loc))
        if entry["type"] == "shadowmesh":
            yield FieldProblem(join(path, context["at"]), context["detail"], context["hint"])
            continue
        detail, hint = _words(entry, model)
        yield FieldProblem(path, detail if path else f"{whole} {detail}", hint)


def _words(entry: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    kind, loc, value = entry["type"], entry["loc"], entry["input"]
    context = entry.get("ctx", {})
    described = _description(model, loc)
    if kind == "missing":
        return "is required", described
    if kind == "extra_forbidden":
        return "is not a known field", _nearest(str(loc[-1]), _names(_model_at(model, loc[:-1])))
    if kind in _WANTED:
        given = shown(value) if isinstance(value, (str, int, float)) else kind_of(value)
        return f"{given} is not {_WANTED[kind]}" if loc else f"is {given}, not {_WANTED[kind]}", described
    if kind == "literal_error":
        return f"{shown(value)} is not one of them", f"one of {context['expected']}"
    if kind in {"too_short", "too_long"}:
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"has {context.get('actual_length') or 'no'} entries", bound
    return f"{shown(value)}: {entry['msg'][:1].lower()}{entry['msg'][1:]}", described


def path_of(loc: Sequence[int | str]) -> str:
    """Return pydantic's location in the user's spelling."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path = join(path, part)
    return path


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not near:
        near = [k for k in known if k.lower() == name.replace("_", "").replace("-", "").lower()]
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}" if known else ""


def _names(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _field(model: type[BaseModel] | None, alias: object) -> FieldInfo | None:
    fields = model.model_fields.items() if model else ()
    return next((field for name, field in fields if (field.alias or name) == alias), None)


def _model_at(model: type[BaseModel] | None, loc: Sequence[int | str]) -> type[BaseModel] | None:
    for part in loc:
        if isinstance(part, str):
            field = _field(model, part)
            model = _model_in(field.annotation) if field else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _description(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    names = [index for index, part in enumerate(loc) if isinstance(part, str)]
    if not names:
        return ""
    field = _field(_model_at(model, loc[: names[-1]]), loc[names[-1]])
    return " ".join((field.description or "").split()) if field else ""
