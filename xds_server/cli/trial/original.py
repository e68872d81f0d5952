"""The original that runs already: where it is, and whether it answers.

Guarantees: it is asked once, for one path, and nothing else is done to it. What is returned is an IP address at which
it answered.
Not guaranteed: that it goes on answering.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from xds_server.errors import InvalidError, UnavailableError, cut
from xds_server.model.network import Address, Protocol

TIMEOUT = 5.0
"""Seconds for one answer."""
_HINT = "http://HOST:PORT, like http://127.0.0.1:9001"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] \d{3}(?: |\r|$)")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""How HTTP/2 begins: the preface, and empty settings."""
_SETTINGS = 4


@dataclass(frozen=True, slots=True)
class Original:
    """What `--original` names."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def original_of(text: str) -> Original:
    """Return what a URL names.

    Raises:
        InvalidError: it is not `http://HOST:PORT`.
    """
    field = "--original"
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname or "", url.port
    except ValueError as error:
        raise InvalidError(f'"{cut(text, 100)}" is not an address', field=field, hint=_HINT) from error
    if url.scheme == "https":
        raise InvalidError("TLS to the original is not for `try`", field=field, hint=f"{_HINT}; a manifest has tls")
    if url.scheme != "http" or not host or url.username or url.query or url.fragment:
        raise InvalidError(f'"{cut(text, 100)}" is not an address', field=field, hint=_HINT)
    if url.path not in {"", "/"}:
        raise InvalidError(f'"{cut(text, 100)}" has a path', field=field, hint=f"{_HINT}: all paths are meant")
    return Original(host, port or 80)


async def reach(original: Original, protocol: Protocol, path: str = "/") -> Address:
    """Return the address at which it answers; what it answers does not matter.

    Raises:
        UnavailableError: it does not; says how it was asked.
    """
    speaks = "GET " + path if protocol is Protocol.HTTP1 else "the beginning of HTTP/2"
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(original.host, original.port)
            try:
                address = writer.get_extra_info("peername")[0]
                problem = await (
                    _http1(reader, writer, original, path) if protocol is Protocol.HTTP1 else _http2(reader, writer)
                )
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError as error:
        raise _silent(f"no answer within {TIMEOUT:g} s", original, speaks) from error
    except (OSError, EOFError) as error:
        raise _silent(str(error) or "the connection was closed", original, speaks) from error
    if problem:
        raise _silent(problem, original, speaks)
    return Address(address, original.port)


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, original: Original, path: str) -> str:
    host = str(original).removeprefix("http://")
    head = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: shadowmesh\r\nconnection: close\r\n\r\n"
    writer.write(head.encode("ascii", "replace"))
    line = await reader.readline()
    if _STATUS_LINE.match(line):
        return ""
    return f"what it answered is not HTTP/1.1: {cut(repr(line), 60)}" if line else "the connection was closed"


async def _http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(_PREFACE)
    frame = await reader.readexactly(9)
    return "" if frame[3] == _SETTINGS else f"what it answered is not HTTP/2: {cut(repr(frame), 60)}"


def _silent(what: str, original: Original, asked: str) -> UnavailableError:
    return UnavailableError(
        f"the original does not answer: {what}; it was asked at {original}, {asked}",
        field="--original",
        hint="start it first, or name another address, --protocol or --readiness",
    )
