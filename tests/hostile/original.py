"""The original that a hostile shadow must not hurt: `python original.py PORT`.

GET /size/N    200, N bytes that anybody can foretell (`content`)
POST /sum      200, how many bytes came and their checksum (`summed`): the original got the request whole, or it shows
"""

import asyncio
import sys
import zlib
from contextlib import suppress

PIECE = 256 * 1024


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def summed(size: int, checksum: int) -> bytes:
    return b'{"bytes": %d, "crc32": %d}' % (size, checksum)


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, path, _ = head.split("\r\n", 1)[0].split(" ")
    if method == "GET":
        body = content(int(path.rpartition("/")[2]))
    else:
        body = await _sum(reader, head.lower())
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


async def _sum(reader: asyncio.StreamReader, head: str) -> bytes:
    size = checksum = 0
    if "transfer-encoding: chunked" in head:
        while length := int(await reader.readline(), 16):
            size, checksum = size + length, zlib.crc32(await reader.readexactly(length), checksum)
            await reader.readline()
        await reader.readline()
        return summed(size, checksum)
    left = int(head.partition("content-length:")[2].split("\r\n")[0])
    while left:
        if not (data := await reader.read(min(left, PIECE))):
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        size, checksum = size + len(data), zlib.crc32(data, checksum)
    return summed(size, checksum)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await _one(reader, writer)
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", port, limit=1 << 20, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
