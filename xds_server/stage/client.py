"""A client's end of one keep-alive HTTP/1.1 connection, thin enough to send load and check every byte of the answers.

Guarantees: a `Reply` holds exactly what came over the wire, only the chunked framing is undone; whatever is not a whole
answer raises `ReplyError`.
Not guaranteed: anything else of HTTP (redirects, TLS, pipelining, trailers).
"""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self


class ReplyError(Exception):
    """No whole answer came: the connection was refused, reset, cut, or the answer is not HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request that clients send; `endpoint` is its name in reports (method and path template)."""

    method: str
    target: str
    endpoint: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Header names are in lower case, in the order they came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of the first header called `name` (lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)


class Connection:
    """One connection to `127.0.0.1:port`, opened by the first request and again after an error.

    Args:
        port: where to.
        timeout: seconds for one request, from sending to the last byte of the answer.
    """

    def __init__(self, port: int, *, timeout: float = 10.0) -> None:
        self._port = port
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def send(self, request: Request) -> Reply:
        """Send one request and return its answer.

        Raises:
            ReplyError: there is no whole answer.
        """
        whole = False
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._exchange(request)
            whole = reply.header("connection") != "close"
        except TimeoutError as error:
            raise ReplyError(f"no answer within {self._timeout:g} s") from error
        except (OSError, EOFError, ValueError) as error:
            raise ReplyError(f"{type(error).__name__}: {error}") from error
        else:
            return reply
        finally:
            if not whole:
                self.close()

    async def _exchange(self, request: Request) -> Reply:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = [f"{request.method} {request.target} HTTP/1.1", f"host: 127.0.0.1:{self._port}"]
        if request.body:
            lines += ["content-type: application/json", f"content-length: {len(request.body)}"]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + request.body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        headers = tuple(
            (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)
        )
        by_name = dict(headers)
        if request.method == "HEAD" or status in {204, 304}:
            body = b""
        elif by_name.get("transfer-encoding", "").lower() == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(by_name["content-length"]))
        return Reply(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
