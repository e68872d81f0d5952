"""The connection of the demo's clients."""

import gzip
import json
from collections.abc import Awaitable, Callable

import pytest

from xds_server.stage.client import Connection, ReplyError, Request


async def test_requests_follow_each_other_on_one_connection(catalogue_port: int) -> None:
    async with Connection(catalogue_port) as connection:
        first = await connection.send(Request("GET", "/api/export", ""))
        streams = connection._streams
        second = await connection.send(Request("GET", "/api/export", ""))
        assert connection._streams is streams
    assert first == second
    assert first.status == 200
    assert first.header("transfer-encoding") == "chunked"


async def test_a_chunked_answer_is_put_together(catalogue_port: int) -> None:
    async with Connection(catalogue_port) as connection:
        reply = await connection.send(Request("GET", "/api/export", ""))
    assert reply.header("content-encoding") == "gzip"
    assert len(json.loads(gzip.decompress(reply.body))) == 60


async def test_a_body_is_sent(catalogue_port: int) -> None:
    async with Connection(catalogue_port) as connection:
        reply = await connection.send(Request("POST", "/api/orders", "", b'{"item": 3, "count": 2}'))
    assert reply.status == 201


async def test_head_has_no_body(catalogue_port: int) -> None:
    async with Connection(catalogue_port) as connection:
        assert (await connection.send(Request("HEAD", "/api/items/3", ""))).body == b""
        assert (await connection.send(Request("GET", "/healthz", ""))).body == b"ok\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        b"not http\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error(
    scripted: Callable[[bytes], Awaitable[int]], answer: bytes
) -> None:
    async with Connection(await scripted(answer)) as connection:
        with pytest.raises(ReplyError):
            await connection.send(Request("GET", "/", ""))


async def test_no_answer_in_time_is_an_error(scripted: Callable[[bytes], Awaitable[int]]) -> None:
    port = await scripted(b"HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n")
    async with Connection(port, timeout=0.0) as connection:
        with pytest.raises(ReplyError, match="no answer within"):
            await connection.send(Request("GET", "/", ""))


async def test_after_an_error_the_next_request_gets_a_new_connection(catalogue_port: int) -> None:
    async with Connection(catalogue_port) as connection:
        await connection.send(Request("GET", "/healthz", ""))
        assert connection._streams is not None
        connection._streams[1].close()
        with pytest.raises(ReplyError):
            await connection.send(Request("GET", "/healthz", ""))
        assert (await connection.send(Request("GET", "/healthz", ""))).status == 200
