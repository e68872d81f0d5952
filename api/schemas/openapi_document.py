"""The endpoints of an OpenAPI 3 or Swagger 2 document, as patterns; nothing else of it is looked at.

Guarantees: each problem names the place in the document; nothing is fetched, references lead nowhere but into the
document itself; the time is linear in the paths.
Not guaranteed: that the rest of the document is valid.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from api.schemas.base import kind_of, refuse, shown
from xds_server.analysis.endpoints.patterns import problem_of

MOST = 1000
"""Patterns of a document."""
_METHODS = ("get", "head", "post", "put", "delete", "options", "trace", "patch")
_LONGEST = 500
_MOST_PREFIXES = 10
_Json = Mapping[str, Any]


def patterns_of(document: Any) -> list[str]:
    """Return `GET /base/items/{id}` for each operation, the more literal paths first, as OpenAPI wants them matched.

    Raises:
        PydanticCustomError: naming the place below the document, when it is none or has no paths.
    """
    if isinstance(document, str):
        refuse(
            f"{shown(document)} is not an object",
            "the OpenAPI document itself; in a manifest the path of its file, which shadowmesh apply -f reads",
        )
    if not isinstance(document, dict):
        refuse(f"is {kind_of(document)}, not an object", "an OpenAPI 3 or Swagger 2 document")
    swagger = _version(document)
    paths = document.get("paths")
    if not isinstance(paths, dict) or not paths:
        told = "is required" if "paths" not in document else f"{shown(paths)} is not an object with paths"
        refuse(told, 'an object like {"/items/{id}": {"get": {…}}}', at=".paths")
    everywhere = _swagger_prefixes(document) if swagger else _prefixes(document, "")
    found: dict[str, tuple[int, ...]] = {}
    for path, item in paths.items():
        if not isinstance(path, str) or path.startswith("x-"):
            continue
        for prefix, method in _operations(document, path, item, everywhere):
            pattern = f"{method} {prefix}{_encoded(path)}" if method else f"{prefix}{_encoded(path)}"
            problem = problem_of(pattern) or _too_long(pattern)
            if problem is not None:
                refuse(problem[0], problem[1], at=f".paths.{path[:80]}")
            found.setdefault(pattern, _literal_first(pattern))
            if len(found) > MOST:
                refuse(f"has more than {MOST} operations", f"at most {MOST}", at=".paths")
    return sorted(found, key=found.__getitem__)


def _version(document: _Json) -> bool:
    """Return whether it is Swagger."""
    if str(document.get("swagger")) in {"2", "2.0"}:
        return True
    if "swagger" in document:
        refuse(f"{shown(document['swagger'])} is not known", '"2.0"', at=".swagger")
    if "openapi" not in document:
        refuse("is no OpenAPI document", 'an object with "openapi": "3.…" (or "swagger": "2.0") and "paths"')
    if not str(document["openapi"]).startswith("3"):
        refuse(f"{shown(document['openapi'])} is not known", '"3.0.…" or "3.1.…"', at=".openapi")
    return False


def _operations(document: _Json, path: str, item: Any, everywhere: list[str]) -> Iterator[tuple[str, str]]:
    at = f".paths.{path[:80]}"
    if not path.startswith("/"):
        refuse(f"{shown(path)} is not a path", 'a path that begins with "/"', at=at)
    if isinstance(item, dict) and "$ref" in item:
        item = _referred(document, item["$ref"], at) | {k: v for k, v in item.items() if k != "$ref"}
    if not isinstance(item, dict):
        refuse(f"is {kind_of(item)}, not an object", "the operations of the path", at=at)
    here = _prefixes(item, at) if "servers" in item else everywhere
    methods = [method for method in _METHODS if method in item]
    for method in methods:
        operation = item[method]
        own = isinstance(operation, dict) and "servers" in operation
        for prefix in _prefixes(operation, f"{at}.{method}") if own else here:
            yield prefix, method.upper()
    for prefix in here if not methods else ():
        yield prefix, ""


def _referred(document: _Json, reference: Any, at: str) -> dict[str, Any]:
    local = isinstance(reference, str) and reference.startswith("#/")
    found: Any = document if local else None
    for part in str(reference)[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict) or "$ref" in found:
        hint = "a reference into the same document: bundle it first"
        refuse(f"{shown(reference)} leads nowhere", hint, at=f"{at}.$ref")
    return found


def _swagger_prefixes(document: _Json) -> list[str]:
    base = document.get("basePath", "")
    if not isinstance(base, str) or (base and not base.startswith("/")):
        refuse(f"{shown(base)} is not a path", 'a path that begins with "/"', at=".basePath")
    return [_encoded(base.rstrip("/"))]


def _prefixes(of: _Json, at: str) -> list[str]:
    servers = of.get("servers") or [{"url": "/"}]
    if not isinstance(servers, list):
        refuse(f"is {kind_of(servers)}, not a list", "a list of objects with url", at=f"{at}.servers")
    prefixes: dict[str, None] = {}
    for index, server in enumerate(servers[:_MOST_PREFIXES]):
        url = server.get("url") if isinstance(server, dict) else None
        if not isinstance(url, str):
            refuse("is required", "a URL", at=f"{at}.servers[{index}].url")
        variables = server.get("variables")
        for name, variable in variables.items() if isinstance(variables, dict) else ():
            if isinstance(variable, dict) and isinstance(name, str):
                url = url.replace("{" + name + "}", str(variable.get("default", "")))
        try:
            path = urlsplit(url[: 2 * _LONGEST]).path.rstrip("/")
        except ValueError:
            refuse(f"{shown(url)} is not a URL", "a URL, or a path", at=f"{at}.servers[{index}].url")
        prefixes[_encoded(path if path.startswith("/") or not path else f"/{path}")] = None
    return list(prefixes)


def _encoded(path: str) -> str:
    """Return a path as requests have it: without query and fragment, with what is no part of a path encoded."""
    path = path.split("?", 1)[0].split("#", 1)[0]
    return quote(path.encode("utf-8", "replace"), safe="/{}%:@!$&'()*+,;=-._~")


def _too_long(pattern: str) -> tuple[str, str] | None:
    return (f"has {len(pattern)} characters", f"at most {_LONGEST}") if len(pattern) > _LONGEST else None


def _literal_first(pattern: str) -> tuple[int, ...]:
    """Order paths so that of two that both fit, the one that is literal where they first part comes first."""
    segments = pattern.partition("/")[2].split("/")
    return tuple(0 if "{" not in s else 2 if s.startswith("{") and s.endswith("}") else 1 for s in segments)
