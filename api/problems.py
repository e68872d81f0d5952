"""Problem documents (RFC 9457): the one form of every error that the API answers with.

`type` ends in a stable name (`…/problems/invalid`), `errors` lists each field with what is wrong and what would be
right. Guarantees: no traceback and nothing of an unexpected exception's text leaves the process.
"""

import http
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from xds_server.errors import (
    InvalidFieldsError,
    RuntimeFailedError,
    ShadowmeshError,
    UnauthorizedError,
    UnrecordedError,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:shadowmesh:problems:"
"""Prefix of `type`; what follows is the `code` of the error's class, or a name of HTTP."""


_HTTP_CODES = {
    400: "malformed",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}


class ProblemResponse(JSONResponse):
    """An answer that is a problem document."""

    media_type = MEDIA_TYPE


class HttpProblem(HTTPException):
    """A problem of HTTP itself (a body, a header), raised before there is a document to be right or wrong.

    Args:
        status: HTTP status.
        detail: what is wrong.
        hint: what would be right.
        headers: of the answer.
    """

    def __init__(self, status: int, detail: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.hint = hint


def problem(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> ProblemResponse:
    """Return a problem document; members that are empty are left out."""
    content = {"type": TYPE + code, "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    content |= {name: value for name, value in members.items() if value}
    return ProblemResponse(content, status, dict(headers) if headers else None)


def of_error(error: ShadowmeshError) -> ProblemResponse:
    """Return the problem document of one of our own errors."""
    headers = {"WWW-Authenticate": 'Bearer realm="shadowmesh"'} if isinstance(error, UnauthorizedError) else None
    applied = isinstance(error, UnrecordedError)
    if isinstance(error, InvalidFieldsError):
        errors = [{"field": p.field, "detail": p.detail, "hint": p.hint} for p in error.problems]
    elif error.field:
        errors = [{"field": error.field, "detail": error.detail, "hint": error.hint}]
    else:
        errors = []
    logged = list(error.log) if isinstance(error, RuntimeFailedError) else []
    return problem(
        error.status,
        error.code,
        str(error),
        headers=headers,
        hint=error.hint,
        applied=applied,
        errors=errors,
        log=logged,
    )


def of_http(error: HttpProblem) -> ProblemResponse:
    """Return the problem document of a problem of HTTP itself."""
    status = error.status_code
    code = _HTTP_CODES.get(status) or http.HTTPStatus(status).phrase.lower().replace(" ", "-")
    return problem(status, code, error.detail, headers=error.headers, hint=error.hint)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    app.add_exception_handler(ShadowmeshError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_parameters)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_error(_request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, ShadowmeshError)  # noqa: S101 - registered for this class
    return of_error(error)


async def _on_http(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if isinstance(error, HttpProblem):
        return of_http(error)
    path, status = request.url.path, error.status_code
    if status == http.HTTPStatus.NOT_FOUND:
        return of_http(HttpProblem(status, f"there is nothing at {path}", hint="the paths are in /openapi.json"))
    if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed(request))
        told = f"{request.method} is not for {path}"
        return of_http(HttpProblem(status, told, hint=f"one of {allowed}", headers={"Allow": allowed}))
    return of_http(HttpProblem(status, error.detail, headers=error.headers))


async def _on_parameters(_request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    errors = [{"field": str(entry["loc"][-1]), "detail": _parameter(entry), "hint": ""} for entry in error.errors()]
    first = errors[0]
    return problem(422, "invalid", f"{first['field']}: {first['detail']}", errors=errors)


async def _on_unexpected(request: Request, error: Exception) -> ProblemResponse:
    log.error("a request failed", path=request.url.path, method=request.method, exc_info=error)
    return problem(500, "internal", "something went wrong in the manager; its log says what")


def _parameter(entry: Mapping[str, Any]) -> str:
    message = str(entry["msg"])
    return f"{entry['input']!r:.80}: {message[:1].lower()}{message[1:]}"


def _allowed(request: Request) -> list[str]:
    methods: set[str] = set()
    for route in request.app.state.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= set(getattr(route, "methods", None) or ())
    return sorted(methods)
