"""A small HTTP/1.1 server that behaves, well or badly, as the path says; records what it was asked.

/ok            200, JSON           /echo          200, the request's body
/status/NNN    that status         /size/N        200, N bytes
/hang          reads, never answers   /slow/S     200 after S seconds
/close         closes without an answer   /cut    announces all, sends 10 bytes, closes
/drip/S        headers and 10 bytes at once, the rest after S seconds
/deaf          does not read the body and never answers
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Backend:
    """One backend on a free port of loopback. `name` is in the body of /ok, so answers tell who gave them."""

    name: str = "original"
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    """Bodies of further paths."""
    instead: dict[str, str] = field(default_factory=dict)
    """A path that is answered as if it were another one: how a shadow is made to differ."""
    piece: int = 0
    """Bodies are written in pieces of this size, each for itself on the wire; 0 is all at once."""
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def until_asked(self, count: int = 1, *, seconds: float = 10.0) -> None:
        """Wait until this many requests have come (their headers, at least)."""
        async with asyncio.timeout(seconds):
            while len(self.asked) < count:
                self._came.clear()
                await self._came.wait()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        block = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = block.split("\r\n")
        method, path, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        asked = Asked(method, path, headers)
        self.asked.append(asked)
        self._came.set()
        if headers.get("upgrade", "").lower() == "websocket":
            return await self._upgraded(reader, writer)
        if self.instead.get(path, path) == "/deaf":
            await asyncio.sleep(3600)
        asked.body = await _body(reader, headers)
        return await self._answer(asked, writer)

    async def _upgraded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
        return False

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        path, _, _ = asked.path.partition("?")
        path = self.instead.get(path, path)
        _, kind, *rest = path.split("/")
        if kind in {"hang", "slow"}:
            await asyncio.sleep(float(rest[0]) if rest else 3600)
        if kind == "close":
            return False
        status = int(rest[0]) if kind == "status" else 200
        body = self._content(path, kind, asked)
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}{extra}\r\n".encode())
        first = body[:10] if kind in {"cut", "drip"} else body
        await self._write(b"" if asked.method == "HEAD" else first, writer)
        if kind == "drip":
            await asyncio.sleep(float(rest[0]))
            writer.write(body[10:])
        return kind != "cut"

    async def _write(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        size = self.piece or max(1, len(body))
        for start in range(0, len(body), size):
            writer.write(body[start : start + size])
            await writer.drain()
            if self.piece:
                await asyncio.sleep(0.001)

    def _content(self, path: str, kind: str, asked: Asked) -> bytes:
        if path in self.answers:
            return self.answers[path]
        if kind == "echo":
            return asked.body
        if kind == "size":
            size = int(path.rpartition("/")[2])
            return (b"0123456789abcdef" * (size // 16 + 1))[:size]
        return f'{{"from": "{self.name}"}}'.encode()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return b""
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)
