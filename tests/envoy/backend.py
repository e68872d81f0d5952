"""A small HTTP/1.1 server that behaves, well or badly, as the path says; records what it was asked.

/ok            200, JSON           /echo          200, the request's body
/status/NNN    that status         /size/N        200, N bytes
/hang          reads, never answers   /slow/S     200 after S seconds
/close         closes without an answer   /cut    announces 100 bytes, sends 10, closes
/drip/S        headers and 10 bytes at once, the rest after S seconds
/deaf          does not read the body and never answers
"""

import asyncio
import contextlib
from dataclasses import dataclass, field


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
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> "Backend":
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
        status, body, sent = 200, f'{{"from": "{self.name}"}}'.encode(), None
        if path in self.answers:
            body = self.answers[path]
        elif kind == "echo":
            body = asked.body
        elif kind == "status":
            status = int(rest[0])
        elif kind == "size":
            body = (b"0123456789abcdef" * (int(rest[0]) // 16 + 1))[: int(rest[0])]
        elif kind == "hang":
            await asyncio.sleep(3600)
        elif kind == "slow":
            await asyncio.sleep(float(rest[0]))
        elif kind == "close":
            return False
        elif kind == "cut":
            body, sent = b"x" * 100, 10
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode()
        )
        if asked.method == "HEAD":
            body = b""
        if kind == "drip":
            writer.write(body[:10])
            await writer.drain()
            await asyncio.sleep(float(rest[0]))
            body = body[10:]
        writer.write(body if sent is None else body[:sent])
        await writer.drain()
        return sent is None


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
