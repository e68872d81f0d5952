"""Posting JSON to a receiver.

Guarantees: certificates are checked; redirects are not followed (a token goes where it was meant to); of an answer
only the beginning is read. The time is bounded by the caller. An error's text has no
URL, since a webhook's is a secret.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from xds_server.alerts.sinks.base import SinkFailedError
from xds_server.errors import InvalidError, cut

_ANSWER = 300
"""Bytes of an error's body that are read."""
_USELESS = {400, 413, 415, 422}
"""The message is at fault: the same one again would be refused again."""
MOST_WAIT = 300.0
"""Longest that a receiver's `Retry-After` is heeded, in seconds."""


class Poster:
    """A receiver's URL, checked, and a client for it.

    Args:
        url: where to.
        setting: name of the setting it comes from, `alerts.webhook`.
        token: bearer token.
        ca_file: what to check its certificate against.

    Raises:
        InvalidError: the URL or the file cannot be right.
    """

    def __init__(self, url: str, *, setting: str, token: SecretStr | None, ca_file: Path | None) -> None:
        self._url = url
        self.target = _target(url, setting)
        self._headers = {"content-type": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token.get_secret_value()}"
        self._verify = _context(ca_file)
        self._client: httpx.AsyncClient | None = None

    async def post(self, body: bytes) -> None:
        """Post it. Raises: SinkFailedError."""
        if self._client is None:
            self._client = httpx.AsyncClient(verify=self._verify, timeout=None, follow_redirects=False)  # noqa: S113 - the courier bounds the whole
        try:
            async with self._client.stream("POST", self._url, content=body, headers=self._headers) as answer:
                if answer.is_success:
                    return
                said = await _beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise SinkFailedError(f"not reached: {str(error) or type(error).__name__}") from error
        raise SinkFailedError(
            f"answered {answer.status_code}{f': {said}' if said else ''}",
            useless=answer.status_code in _USELESS,
            wait=_retry_after(answer.headers),
        )

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()


async def _beginning(answer: httpx.Response) -> str:
    kept = b""
    async for chunk in answer.aiter_bytes(_ANSWER):
        kept += chunk
        if len(kept) >= _ANSWER:
            break
    return " ".join(cut(kept[:_ANSWER].decode("utf-8", "replace")).split())


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(MOST_WAIT, max(0.0, float(headers.get("retry-after", "0"))))
    except ValueError:
        return 0.0


def _target(url: str, setting: str) -> str:
    hint = "like http://127.0.0.1:9093"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        # urllib's words may hold the URL.
        raise InvalidError("is not a URL", field=setting, hint=hint) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidError("is not an http or https URL with a host", field=setting, hint=hint)
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:  # ssl.SSLError among them
        raise InvalidError(
            f"{ca_file}: {error.strerror or error}", field="alerts.ca_file", hint="a file of PEM certificates"
        ) from error
