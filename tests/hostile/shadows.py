"""Shadows that do what no service should: `python shadows.py BEHAVIOUR PORT` serves one of `BEHAVIOURS`.

A process of its own, so that what it burns or holds is not the clients'. HTTP/1.1 behaviours get a connection as it
comes; those of HTTP/2 write their frames by hand, since no library would.

Not guaranteed: that a behaviour is HTTP at all; that is the point.
"""

import asyncio
import itertools
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TEN_GIGABYTES = 10 * 1024**3
FOR_EVER = 3600.0
TINY = 4096
"""Bytes that the kernel takes for a shadow that does not read: as few as it lets us ask for."""
_PIECE = bytes(64 * 1024)
_PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _AWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
_REFUSED, _ENHANCE_YOUR_CALM = 0x7, 0xB
_STATUS_200 = b"\x88"
"""`:status: 200` in HPACK."""
_MALFORMED = (
    b"HTTP/9.9 two hundred\r\n\r\n",
    b"\x00\x01\x02\x03 this is no HTTP at all \xff\xfe\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 50000\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-\x00: a\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok, and much more than was said\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 200,
)
_which = itertools.cycle(_MALFORMED)


async def never_answers(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(1 << 20):
        pass


async def never_reads(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(FOR_EVER)


async def reads_a_byte_a_second(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    own = socket.socket(fileno=writer.get_extra_info("socket").fileno())
    try:
        while True:
            with suppress(BlockingIOError):
                if not own.recv(1):
                    return
            await asyncio.sleep(1.0)
    finally:
        own.detach()


async def answers_ten_gigabytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % TEN_GIGABYTES)
    for _ in range(TEN_GIGABYTES // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()


async def sends_endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        writer.write(b"x-%d: %s\r\n" % (number, b"a" * 100))
        await writer.drain()


async def sends_one_endless_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nx-endless: ")
    while True:
        writer.write(b"a" * 4096)
        await writer.drain()


async def closes_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def sends_malformed_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(next(_which))
    await writer.drain()
    await asyncio.sleep(0.05)


async def resets_each_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/2: each request is reset as soon as its headers are seen; ten times, to be sure."""
    await _greeted(reader, writer)
    while True:
        kind, _, stream, _ = await _frame(reader)
        if kind == _HEADERS:
            writer.write(_framed(_RESET, 0, stream, _number(_ENHANCE_YOUR_CALM)) * 10)


async def goes_away_at_each_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/2: each request is answered by headers, a reset, and a GOAWAY that claims to know no stream."""
    await _greeted(reader, writer)
    while True:
        kind, _, stream, _ = await _frame(reader)
        if kind == _HEADERS:
            writer.write(_framed(_HEADERS, 0x4, stream, _STATUS_200) + _framed(_RESET, 0, stream, _number(_REFUSED)))
            writer.write(_framed(_AWAY, 0, 0, _number(0) + _number(_ENHANCE_YOUR_CALM)))


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/2: pings, settings and empty DATA frames without end."""
    await _greeted(reader, writer)
    while True:
        kind, _, stream, _ = await _frame(reader)
        if kind == _HEADERS:
            break
    writer.write(_framed(_HEADERS, 0x4, stream, _STATUS_200))
    while True:
        several = _framed(_PING, 0, 0, bytes(8)) + _framed(_SETTINGS, 0, 0, b"") + _framed(_DATA, 0, stream, b"")
        writer.write(several * 100)
        await writer.drain()


async def opens_no_window(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/2: a window of 0 bytes, so that no body can be sent; it never answers either."""
    await _greeted(reader, writer, settings=struct.pack(">HI", 0x4, 0))
    while True:
        await _frame(reader)


async def _greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, settings: bytes = b"") -> None:
    await reader.readexactly(_PREFACE)
    writer.write(_framed(_SETTINGS, 0, 0, settings) + _framed(_SETTINGS, 0x1, 0, b""))


async def _frame(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    head = await reader.readexactly(9)
    body = await reader.readexactly(int.from_bytes(head[:3], "big"))
    return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, body


def _framed(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + _number(stream) + body


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


async def forks_and_eats_memory(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each request leaves a process behind that burns the processor and takes 4 MiB more again and again.

    Only for a shadow that its runtime confines.
    """
    await reader.readuntil(b"\r\n\r\n")
    with suppress(OSError):
        if os.fork() == 0:
            _eat()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    await writer.drain()


def _eat() -> None:
    held = []
    while True:
        held.append(b"x" * (4 * 1024 * 1024))


BEHAVIOURS: dict[str, Behaviour] = {
    each.__name__: each
    for each in (
        never_answers,
        reads_a_byte_a_second,
        never_reads,
        answers_ten_gigabytes,
        sends_endless_headers,
        sends_one_endless_header,
        closes_at_once,
        resets,
        sends_malformed_http,
        resets_each_stream,
        goes_away_at_each_stream,
        floods,
        opens_no_window,
        forks_and_eats_memory,
    )
}
_DEAF = {never_reads, reads_a_byte_a_second}


async def serve(behaviour: Behaviour, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await behaviour(reader, writer)
        writer.close()

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if behaviour in _DEAF:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY)
    listening.bind((os.environ.get("HOST", "127.0.0.1"), port))
    await (await asyncio.start_server(connected, sock=listening, backlog=1024)).serve_forever()


if __name__ == "__main__":
    os.nice(19)  # the processor is the runtime's to share out; here it is what Envoy does that counts
    asyncio.run(serve(BEHAVIOURS[sys.argv[1]], int(sys.argv[2])))
