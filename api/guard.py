"""Who may reach the API: known hosts, known origins, the token, bodies of a bounded size.

Purpose: a manager on a developer's machine can start processes, so a web page in the same machine's browser must not
be able to make it do so. Known values of `Host` keep DNS rebinding out, known values of `Origin` cross-site requests
(and JSON bodies, which a form cannot send); a token keeps other people out once it listens beyond loopback.

Guarantees: what is refused here was not read and reached no handler.
Not guaranteed: secrecy; without TLS in front, token and documents can be read on the way.
"""

import asyncio
import contextlib
import hmac
import ipaddress
from typing import NoReturn
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.callers import caller
from api.problems import HttpProblem
from api.schemas.base import shown
from api.schemas.values import is_ip
from xds_server.config import HttpSettings
from xds_server.errors import RefusedError, ShadowmeshError, UnauthorizedError
from xds_server.lifecycle.trail import acting

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = ("/healthz", "/readyz", "/v3/discovery:")
"""Asked by probes and Envoys, which name the manager as they like; nothing can be changed there."""
DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 5.0
"""How much of a refused body is read and thrown away, so that the client gets to read the answer."""
_ALL = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach what listens on `address`."""
    if is_ip(address):
        return ipaddress.ip_address(address).is_loopback
    return address == "localhost"


def runs_programs(settings: HttpSettings) -> bool:
    """Tell whether those who reach the API may have it run programs of their choice: processes, containers."""
    return settings.token is not None or is_loopback(settings.address)


def refuse_program(settings: HttpSettings, field: str) -> NoReturn:
    """Refuse a program that a stranger could have asked for. Raises: RefusedError."""
    hint = "start the manager with --http-token, or let it listen on 127.0.0.1; endpoint variants are allowed"
    raise RefusedError(
        f"the API listens on {settings.address} without a token, so it starts nothing", field=field, hint=hint
    )


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, *, settings: HttpSettings) -> None:
        self._app = app
        self._token = settings.token.get_secret_value().encode() if settings.token else None
        self._limit = settings.max_body_bytes
        own = f"[{settings.address}]" if ":" in settings.address else settings.address
        self._hosts = {host.lower() for host in (*settings.allowed_hosts, own)}
        self._any_ip = settings.address in _ALL
        self._origins = {origin.rstrip("/").lower() for origin in settings.allowed_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a problem document."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if not scope["path"].startswith(OPEN_PATHS):
                self._check(scope["method"], headers)
            self._check_length(headers)
        except ShadowmeshError as error:
            await _refuse(problems.of_error(error), scope, receive, send)
        except HttpProblem as error:
            response = problems.of_http(error)
            await _refuse(response, scope, receive, send)
        else:
            token = self._token is not None and _bears(headers.get("authorization", ""), self._token)
            who, reason = caller(scope, headers, token=token)
            with acting(who, reason=reason):
                await self._app(scope, self._limited(receive), send)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._known(_without_port(host)):
            hint = "one of " + ", ".join(sorted(self._hosts)) + "; more with --http-allowed-hosts"
            raise RefusedError(f"{shown(host)} is not a known host", field="Host", hint=hint)
        if method in SAFE:
            return
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin.lower(), host.lower()):
            hint = "the API's own origin; others with --http-allowed-origins"
            raise RefusedError(f"{shown(origin)} may not write", field="Origin", hint=hint)
        if self._token is not None and not _bears(headers.get("authorization", ""), self._token):
            hint = "Authorization: Bearer and the token that the manager was started with"
            raise UnauthorizedError("the token is missing or another one", field="Authorization", hint=hint)

    def _known(self, host: str) -> bool:
        return host in self._hosts or "*" in self._hosts or (self._any_ip and is_ip(host.strip("[]")))

    def _same_site(self, origin: str, host: str) -> bool:
        return origin in self._origins or urlsplit(origin).netloc == host

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limit:
            raise self._too_large(f"the body has {length[:20]} bytes")

    def _limited(self, receive: Receive) -> Receive:
        """Count what has no Content-Length (chunks)."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                await _drain(receive)
                raise self._too_large("the body is too large")
            return message

        return counted

    def _too_large(self, detail: str) -> HttpProblem:
        return HttpProblem(413, detail, hint=f"at most {self._limit} bytes", headers={"Connection": "close"})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def _bears(authorization: str, token: bytes) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1", "replace"), token)


async def _refuse(response: problems.ProblemResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once; then read a bounded part of what the client still sends, or it would see a reset, no answer."""
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    more = scope["method"] not in SAFE
    await send({"type": "http.response.body", "body": bytes(response.body), "more_body": more})
    if more:
        await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    """Read and throw away what still comes, within bounds."""
    left = DRAIN_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
