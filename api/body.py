"""Bodies of requests: read with a limit, parsed once, validated into a document.

Guarantees: a body that is too large is refused before it was read; what cannot be parsed is told with line and
column; a name that is there twice is refused (two readers might see two different documents).
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request

from api.problems import HttpProblem
from api.schemas.base import Document, shown, validate

D = TypeVar("D", bound=Document)

JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})


def document(model: type[D]) -> Callable[[Request], Coroutine[Any, Any, D]]:
    """Return the dependency that reads the request's body as `model`.

    The dependency raises InvalidFieldsError for a body that is no such document, HttpProblem for one that is no JSON.
    """

    async def read(request: Request) -> D:
        return validate(model, await read_json(request))

    return read


async def read_json(request: Request) -> Any:
    """Return the parsed body.

    Raises:
        HttpProblem: 415 for another media type, 400 for what cannot be parsed.
    """
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() not in JSON_TYPES:
        told = f"Content-Type is {shown(given)}" if given else "there is no Content-Type"
        raise HttpProblem(415, told, hint="Content-Type: application/json", headers={"Accept": "application/json"})
    return parse(await request.body())


def parse(body: bytes) -> Any:
    """Return what the bytes say. NaN passes, so that the validation can name the field.

    Raises:
        HttpProblem: 400, with the place.
    """
    if not body.strip():
        raise HttpProblem(400, "the body is empty", hint="a JSON object")
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        ended = error.pos >= len(error.doc.rstrip())
        told = f"the body ends at {where}, in the middle of the JSON" if ended else f"{where}: {error.msg.lower()}"
        raise HttpProblem(400, f"the body is not JSON: {told}", hint="a JSON object") from error
    except UnicodeDecodeError as error:
        raise HttpProblem(400, f"the body is not UTF-8: byte {error.start}", hint="JSON in UTF-8") from error
    except RecursionError as error:
        raise HttpProblem(400, "the body is nested too deeply", hint="fewer than a few hundred levels") from error
    except ValueError as error:
        raise HttpProblem(
            400, f"the body cannot be used: {error}", hint="each name once, numbers of usual size"
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"{shown(name)} is there twice in one object")
            seen.add(name)
    return found
