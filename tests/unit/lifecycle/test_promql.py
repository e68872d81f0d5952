"""One number from a Prometheus: what is asked, and what is taken for an answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from xds_server.config import PrometheusSettings
from xds_server.errors import InvalidError
from xds_server.lifecycle.promql import MOST_BYTES, NOT_CONFIGURED, SEVERAL, Prometheus, QueryError, filled, number_of

Answer = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


def said(body: bytes, *, status: str = "200 OK") -> Answer:
    async def answer(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body))

    return answer


@asynccontextmanager
async def answering(answer: Answer, **settings: Any) -> AsyncIterator[Prometheus]:
    """Run a server that gives one answer, and ask it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(writer, await reader.readuntil(b"\r\n\r\n"))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    prometheus = Prometheus(PrometheusSettings(url=url, **settings))
    try:
        yield prometheus
    finally:
        await prometheus.close()
        server.close()


def test_placeholders_are_filled_in_and_promqls_own_braces_are_left() -> None:
    query = 'sum(rate(e{job="{component}-{variant}",n="{network}"}[{window}])) / {other}'
    made = filled(query, network='s"\\', component="{variant}", variant="v2", window=29.5)
    assert made == 'sum(rate(e{job="{variant}-v2",n="s\\"\\\\"}[30s])) / {other}'


@pytest.mark.parametrize(
    ("result", "value"), [([{"metric": {}, "value": [1.0, "2.5"]}], 2.5), ([1.0, "3"], 3.0), ([1.0, "0"], 0.0)]
)
def test_a_series_or_a_scalar_is_a_number(result: Any, value: float) -> None:
    assert number_of(result) == value


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ([], "returned nothing"),
        ([{"value": [1, "1"]}, {"value": [1, "2"]}], SEVERAL),
        ([{"values": [[1, "1"]]}], "gives a range"),
        ([{"histogram": {}}], "gives a histogram"),
        ([{"value": [1, "NaN"]}], "gives NaN"),
        ([{"value": [1, "+Inf"]}], "gives +Inf"),
        ([{"value": [1, "-0.5"]}], "gives -0.5"),
        ([1.0, "text"], "no number"),
        ([{"value": [1]}], "like a Prometheus"),
        ({"odd": 1}, "like a Prometheus"),
        (None, "returned nothing"),
    ],
)
def test_everything_else_is_no_number_and_why(result: Any, why: str) -> None:
    with pytest.raises(QueryError) as refused:
        number_of(result)
    assert why in str(refused.value)


async def test_without_a_prometheus_the_reason_names_the_flag() -> None:
    prometheus = Prometheus(PrometheusSettings())
    assert not prometheus.configured
    with pytest.raises(QueryError) as refused:
        await prometheus.number("1")
    assert str(refused.value) == NOT_CONFIGURED
    await prometheus.close()


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "ftp://x", "http://", "http://x:port", "http://x/?a=1"])
def test_what_is_no_url_is_refused_by_its_flag(url: str) -> None:
    with pytest.raises(InvalidError) as refused:
        Prometheus(PrometheusSettings(url=url))
    assert refused.value.field == "prometheus.url"


def test_a_header_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        PrometheusSettings(headers=("secret",))
    assert "NAME: VALUE" in str(refused.value.errors()[0]["msg"])


async def test_tokens_and_headers_go_along(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    heard: list[bytes] = []

    async def answer(writer: asyncio.StreamWriter, request: bytes) -> None:
        heard.append(request)
        await said(b'{"status":"success","data":{"resultType":"scalar","result":[1,"4"]}}')(writer, request)

    async with answering(answer, token_file=file, headers=("X-Scope-OrgID: shop",)) as prometheus:
        assert await prometheus.number("up + 1") == 4.0
    assert b"Authorization: Bearer from-file\r\n" in heard[0]
    assert b"X-Scope-OrgID: shop\r\n" in heard[0]
    assert heard[0].startswith(b"GET /api/v1/query?query=up+%2B+1&limit=2 ")
    async with answering(answer, token_file=tmp_path / "none") as prometheus:
        with pytest.raises(QueryError, match="token's file cannot be read"):
            await prometheus.number("1")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(b'{"status":"error","errorType":"bad_data","error":"parse error"}', status="400 X"), "bad_data: parse"),
        (said(b"<html>", status="502 X"), "Prometheus answered 502"),
        (said(b"", status="302 X"), "Prometheus answered 302"),
        (said(b"<html>"), "does not answer like a Prometheus"),
        (said(b"[]"), "does not answer like a Prometheus"),
        (said(b"x" * (MOST_BYTES + 1)), SEVERAL),
    ],
)
async def test_a_bad_answer_is_a_reason(answer: Answer, why: str) -> None:
    async with answering(answer) as prometheus:
        with pytest.raises(QueryError) as refused:
            await prometheus.number("1")
    assert why in str(refused.value)


async def test_one_who_drips_or_never_answers_is_not_waited_for() -> None:
    async def drip(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def nothing(_: asyncio.StreamWriter, __: bytes) -> None:
        await asyncio.sleep(0.6)

    for answer, timeout, why in ((drip, 2.0, "too slowly"), (nothing, 0.2, "timed out")):
        async with answering(answer, timeout=timeout) as prometheus:
            with pytest.raises(QueryError, match=why):
                await asyncio.wait_for(prometheus.number("1"), 15)


async def test_nobody_there_is_a_reason() -> None:
    prometheus = Prometheus(PrometheusSettings(url="http://127.0.0.1:1"))
    with pytest.raises(QueryError, match="Connection refused"):
        await prometheus.number("1")
    await prometheus.close()
    with pytest.raises(QueryError, match="stopping"):
        await prometheus.number("1")
