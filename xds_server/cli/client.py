"""The command line's end of the REST API.

Guarantees: whatever goes wrong is one of our own errors again, with field and hint as the manager gave them; a manager
that is not there is one line that says how to start one.
"""

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from api.schemas.base import shown
from api.schemas.values import is_reference
from xds_server.cli import caller
from xds_server.cli.output import manager_says
from xds_server.errors import (
    ConflictError,
    FieldProblem,
    InvalidError,
    InvalidFieldsError,
    NotFoundError,
    RefusedError,
    RuntimeFailedError,
    ShadowmeshError,
    StaleError,
    StoreError,
    UnauthorizedError,
    UnavailableError,
    UnrecordedError,
    cut,
)

DEFAULT_SERVER = "http://127.0.0.1:8080"
TIMEOUT = 60.0
"""Seconds for one answer; ending shadows takes its time."""
_KINDS: tuple[type[ShadowmeshError], ...] = (
    InvalidError,
    NotFoundError,
    ConflictError,
    StaleError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    RuntimeFailedError,
    StoreError,
    UnrecordedError,
)
_BY_CODE = {kind.code: kind for kind in _KINDS}
_HINT = "start one with `shadowmesh serve`, or set --server / SHADOWMESH_SERVER"

_HOST = re.compile(r"[\w.:%-]+")
"""What a host may be of: a name in any script, or an address. `httpx` takes anything, and looks for it."""
_SPACE = re.compile(r"\s")

_SPECIAL = re.compile("inject_fault|[0-9A-Za-z-]+~[0-9A-Za-z-]+")
"""The parts of our paths that are no references: a verb, and ids of pairs."""

JSON = dict[str, Any]


class Client:
    """One manager.

    Args:
        server: URL of its REST API.
        token: for writes, when the manager wants one.
        patience: seconds for one answer.
    """

    def __init__(self, server: str = DEFAULT_SERVER, token: str | None = None, *, patience: float = TIMEOUT) -> None:
        host = _host(server)
        if host is None:
            raise InvalidError(f"{shown(server)} is not the URL of a manager", field="--server", hint=DEFAULT_SERVER)
        self.server = server.rstrip("/")
        self._patience = patience
        headers = {name.encode(): value.encode() for name, value in caller.headers().items()}
        if token:
            headers[b"Authorization"] = b"Bearer " + token.encode()
        # A proxy in the environment is for the world outside, not for this machine.
        inside = host in {"localhost", "127.0.0.1", "::1"}
        self._http = httpx.Client(base_url=self.server, headers=headers, timeout=patience, trust_env=not inside)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, *path: str, **query: str | int | None) -> JSON:
        """Return what is at a path, given in parts; a query's None is left out."""
        return self._json("GET", path, query={name: value for name, value in query.items() if value is not None})

    def find(self, *path: str) -> tuple[JSON, str] | None:
        """Return what is at a path, and its ETag; None when there is nothing."""
        try:
            reply = self._call("GET", path)
        except NotFoundError:
            return None
        return self._read(reply), reply.headers.get("etag", "*")

    def post(self, *path: str, body: Mapping[str, Any]) -> JSON:
        """Create."""
        return self._json("POST", path, body=body)

    def put(self, *path: str, body: Mapping[str, Any], if_match: str = "*") -> JSON:
        """Replace what still has this ETag."""
        return self._json("PUT", path, body=body, if_match=if_match)

    def patch(self, *path: str, body: Mapping[str, Any], if_match: str = "*") -> JSON:
        """Change what still has this ETag."""
        return self._json("PATCH", path, body=body, if_match=if_match)

    def delete(self, *path: str, if_match: str = "*") -> None:
        """Delete what still has this ETag."""
        self._call("DELETE", path, if_match=if_match)

    def items(self, *path: str) -> list[JSON]:
        """Return the items of a list."""
        return list(self.get(*path)["items"])

    def the_network(self, ref: str | None) -> str:
        """Return `ref`, or the only network that there is.

        Raises:
            InvalidError: none was named and there is not exactly one.
        """
        if ref is not None:
            return reference(ref, "--network")
        names = [str(network["name"]) for network in self.items("networks")]
        if len(names) == 1:
            return names[0]
        told = "there are no networks" if not names else f"there are {len(names)} networks"
        raise InvalidError(told, field="network", hint=f"name one: {', '.join(names[:10])}" if names else "apply one")

    def _json(self, method: str, path: Sequence[str], **options: Any) -> JSON:
        return self._read(self._call(method, path, **options))

    def _call(
        self,
        method: str,
        path: Sequence[str],
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        if_match: str | None = None,
    ) -> httpx.Response:
        url = "/" + "/".join(part if _SPECIAL.fullmatch(part) else reference(part) for part in path)
        try:
            reply = self._http.request(
                method, url, json=body, params=query, headers={"If-Match": if_match} if if_match else None
            )
        except httpx.TimeoutException as error:
            raise UnavailableError(f"{self.server} did not answer within {self._patience:g} s") from error
        except httpx.ConnectError as error:
            raise UnavailableError(f"no manager at {self.server}", hint=_HINT) from error
        except httpx.HTTPError as error:
            raise UnavailableError(f"{self.server}: {type(error).__name__}: {error}") from error
        manager_says(reply.headers.get("Shadowmesh-Time"))
        if reply.is_success:
            return reply
        raise error_of(self._read(reply, problem=True))

    def _read(self, reply: httpx.Response, *, problem: bool = False) -> JSON:
        try:
            read = reply.json()
        except ValueError:
            read = None
        if isinstance(read, dict) and (not problem or "detail" in read):
            return read
        told = f"{self.server} is no Shadowmesh manager: it answered {reply.status_code} {cut(reply.text, 80)}"
        raise UnavailableError(told, hint="--server / SHADOWMESH_SERVER")


def reference(text: str, field: str = "") -> str:
    """Return what may be the name or id of something: a part of a path, and never more than one.

    Raises:
        InvalidError: it cannot be.
    """
    if not is_reference(text):
        raise InvalidError(f"{shown(text)} is no name or id", field=field, hint="letters, digits, '-' and '.'")
    return text


def _host(server: str) -> str | None:
    """Return the host of a URL that a manager may have."""
    try:
        parts, _ = urlsplit(server), httpx.URL(server)
        port = parts.port
    except (ValueError, httpx.InvalidURL):
        return None
    host = parts.hostname or ""
    fit = parts.scheme in {"http", "https"} and port != 0 and _HOST.fullmatch(host) and not _SPACE.search(server)
    return host if fit else None


def error_of(problem: Mapping[str, Any]) -> ShadowmeshError:
    """Return the error that a problem document tells."""
    code = str(problem.get("type", "")).rpartition(":")[2]
    kind = _BY_CODE.get(code) or (
        InvalidError if 400 <= int(problem.get("status", 500)) < 500 else ShadowmeshError  # noqa: PLR2004 - HTTP
    )
    found = [
        FieldProblem(e.get("field", ""), e.get("detail", ""), e.get("hint", "")) for e in problem.get("errors", ())
    ]
    if kind is InvalidError and len(found) > 1:
        return InvalidFieldsError(found)
    if kind is RuntimeFailedError:
        return RuntimeFailedError(str(problem["detail"]), log=tuple(problem.get("log", ())))
    if found:
        return kind(found[0].detail, field=found[0].field, hint=found[0].hint)
    detail, hint = str(problem["detail"]), str(problem.get("hint", ""))
    return kind(detail, hint="" if hint in detail else hint)
