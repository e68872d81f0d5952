"""A client is hurt by any answer that is not the expected one, bit for bit."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from xds_server.demo.load import Clients, Tally, ask, catalogue_requests, harm
from xds_server.stage.client import Reply, ReplyError, Request

GOOD = Reply(200, (("content-type", "application/json"), ("content-length", "4"), ("server", "envoy")), b"body")


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (Reply(503, GOOD.headers, GOOD.body), "status 503 instead of 200"),
        (Reply(200, GOOD.headers, b"bodY"), "another body"),
        (Reply(200, (("content-type", "text/plain"), *GOOD.headers[1:]), GOOD.body), "content-type 'text/plain'"),
        (Reply(200, GOOD.headers[1:], GOOD.body), "content-type None"),
        (Reply(200, (*GOOD.headers, ("content-encoding", "gzip")), GOOD.body), "content-encoding 'gzip'"),
    ],
)
def test_a_changed_answer_is_harm(got: Reply, words: str) -> None:
    assert words in harm(GOOD, got)


def test_what_a_proxy_adds_is_no_harm() -> None:
    assert harm(GOOD, Reply(200, (*GOOD.headers[:2], ("server", "other"), ("x-envoy-upstream", "1")), b"body")) == ""


async def test_clients_of_the_right_service_are_not_hurt_and_all_requests_are_counted(catalogue_port: int) -> None:
    expected = await ask(catalogue_port, [*catalogue_requests((1, 2, 3))])
    clients = Clients(port=catalogue_port, expected=expected, chance=Random(7), rate=3000)
    clients.start()
    await _until(lambda: clients.tally.requests > 50)
    clients.phase("second")
    await _until(lambda: clients.tally.phases[1].requests > 50)
    await clients.stop()
    assert clients.tally.hurt == 0
    assert [phase.name for phase in clients.tally.phases] == ["start", "second"]
    assert sum(len(phase.seconds) for phase in clients.tally.phases) == clients.tally.requests


async def test_each_wrong_answer_hurts_a_client_and_the_first_are_described(catalogue_port: int) -> None:
    expected = dict.fromkeys(catalogue_requests((1,)), GOOD)
    clients = Clients(port=catalogue_port, expected=expected, chance=Random(7), rate=3000)
    clients.start()
    await _until(lambda: clients.tally.requests > 20)
    await clients.stop()
    assert clients.tally.hurt == clients.tally.requests
    assert len(clients.tally.hurt_examples) == 5


async def test_a_connection_that_is_cut_hurts_a_client(scripted: Callable[[bytes], Awaitable[int]]) -> None:
    port = await scripted(b"HTTP/1.1 200 OK\r\n")
    clients = Clients(port=port, expected={Request("GET", "/", "GET /"): GOOD}, chance=Random(7), rate=3000)
    clients.start()
    await _until(lambda: clients.tally.requests > 3)
    await clients.abandon()
    assert clients.tally.hurt == clients.tally.requests
    with pytest.raises(ReplyError):
        await ask(port, [Request("GET", "/", "GET /")])


async def test_noise_that_does_not_fit_hurts_a_client(scripted: Callable[[bytes], Awaitable[int]]) -> None:
    head = b"HTTP/1.1 200 OK\r\nx-request-id: 7a1fe5d9-7a4c-4d4c-9d38-5f0d64b5f0a1\r\ncontent-length: 12\r\n\r\n"
    port = await scripted(head + b'{"shard": 9}')
    good = Reply(200, (("content-length", "12"),), b'{"shard": 1}')
    clients = Clients(port=port, expected={Request("GET", "/", "GET /"): good}, chance=Random(7), rate=3000)
    clients.start()
    await _until(lambda: clients.tally.requests > 3)
    await clients.abandon()
    assert clients.tally.hurt == clients.tally.requests
    assert "shard 9 with the id" in clients.tally.hurt_examples[0]


def test_an_empty_tally_has_no_requests() -> None:
    assert (Tally().requests, Tally().hurt) == (0, 0)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is a count, it cannot wake anybody
            await asyncio.sleep(0.01)
