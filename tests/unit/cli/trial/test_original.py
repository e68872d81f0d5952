"""An original is an address that answers; one that does not is told with how it was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from xds_server.cli.trial.original import Original, original_of, reach
from xds_server.errors import InvalidError, UnavailableError
from xds_server.model.network import Address, Protocol
from xds_server.stage.children import port_is_free

Answering = Callable[[bytes], Coroutine[Any, Any, int]]


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    servers: list[asyncio.Server] = []
    asked: list[asyncio.Task[Any]] = []

    async def start(answer: bytes) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(answer)
            writer.close()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(asyncio.create_task(handle(reader, writer)))

        servers.append(await asyncio.start_server(connected, "127.0.0.1", 0))
        return int(servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()
    await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://127.0.0.1:9001", Original("127.0.0.1", 9001)),
        ("http://shop.local:9001/", Original("shop.local", 9001)),
        ("127.0.0.1:9001", Original("127.0.0.1", 9001)),
        ("http://[::1]:9001", Original("::1", 9001)),
        ("http://localhost", Original("localhost", 80)),
    ],
)
def test_an_address_is_read(text: str, found: Original) -> None:
    assert original_of(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://shop:1", "TLS"),
        ("http://shop:99999", "is not an address"),
        ("http://", "is not an address"),
        ("http://shop:1/api", "has a path"),
        ("ftp://shop", "is not an address"),
        ("http://a:b@shop:1", "is not an address"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(InvalidError, match=f"--original.*{words}.*http://127.0.0.1:9001"):
        original_of(text)


async def test_any_status_is_an_answer(answering: Answering) -> None:
    port = await answering(b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert await reach(Original("localhost", port), Protocol.HTTP1) == Address("127.0.0.1", port)


async def test_settings_are_the_answer_of_http2(answering: Answering) -> None:
    port = await answering(b"\0\0\0\4\0\0\0\0\0")
    assert await reach(Original("127.0.0.1", port), Protocol.GRPC) == Address("127.0.0.1", port)


@pytest.mark.parametrize(
    ("answer", "protocol", "words"),
    [
        (b"hello\r\n", Protocol.HTTP1, "is not HTTP/1.1.*GET /ready"),
        (b"", Protocol.HTTP1, "the connection was closed.*GET /ready"),
        (b"HTTP/1.1 400 Bad Request\r\n", Protocol.HTTP2, "is not HTTP/2.*the beginning of HTTP/2"),
    ],
)
async def test_what_is_no_answer_is_told_with_how_it_was_asked(
    answering: Answering, answer: bytes, protocol: Protocol, words: str
) -> None:
    port = await answering(answer)
    with pytest.raises(UnavailableError, match=words):
        await reach(Original("127.0.0.1", port), protocol, "/ready")


async def test_nobody_there_is_told() -> None:
    port = next(port for port in range(9950, 9999) if port_is_free(port))
    with pytest.raises(UnavailableError, match=rf"does not answer: .*asked at http://127.0.0.1:{port}, GET /"):
        await reach(Original("127.0.0.1", port), Protocol.HTTP1)
