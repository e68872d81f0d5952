"""Many GETs in little time."""

import asyncio


async def get(port: int, path: str, count: int, *, connections: int = 8) -> None:
    """Send `count` GETs that are each answered 200, over some connections that are kept alive."""
    each, rest = divmod(count, connections)
    await asyncio.gather(*(_many(port, path, each + (n < rest)) for n in range(connections)))


async def _many(port: int, path: str, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
