"""Answers that are framed in odd ways: the client gets them as they are, and the capture says the same of both legs."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from tests.envoy.backend import Asked, Backend
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.diff.decode import unbase64
from xds_server.analysis.ingest.als import read_batch
from xds_server.analysis.record import Record
from xds_server.model.profile import Capture

HEAD = 1000
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
BODY = bytes(97 + n * n % 26 for n in range(7001))
LARGE = BODY * 750
EVENT = b"data: 1\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(*sizes: int, trailers: bytes = b"") -> list[bytes]:
    parts, at, turn = [CHUNKED], 0, 0
    while at < len(BODY):
        size = sizes[turn % len(sizes)]
        parts.append(chunk(BODY[at : at + size]))
        at, turn = at + size, turn + 1
    return [*parts, b"0\r\n" + trailers + b"\r\n"]


def sized(body: bytes, more: bytes = b"") -> list[bytes]:
    return [OK + b"content-length: %d\r\n%s\r\n" % (len(body), more) + body]


def answering(backend: Backend, parts: Sequence[bytes], *, ends: bool = True, closes: bool = False) -> None:
    """Have every request answered with these bytes, each part for itself on the wire."""

    async def answer(_asked: Asked, writer: asyncio.StreamWriter) -> bool:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if not ends:
            await asyncio.sleep(3600)
        return not closes

    backend._answer = answer  # type: ignore[method-assign]


async def legs(mesh: Mesh) -> tuple[Record, Record]:
    """Wait for the only pair; return its records, the original's first."""
    await mesh.sink.pairs(1)
    records = [record for raw in mesh.sink.raw for record in read_batch(raw).records]
    return min(records, key=lambda r: r.shadow), max(records, key=lambda r: r.shadow)


async def mirror(mesh: Mesh) -> None:
    kept = profile(capture=Capture(head_bytes=HEAD))
    mirrored = active(kept, shadow(port=mesh.shadow.port))
    await mesh.start_envoy(state(component(port=mesh.original.port), profiles=(mirrored,)))


async def no_script_errors(mesh: Mesh) -> None:
    stats = await mesh.envoy.stats("lua")
    errors = {name: value for name, value in stats.items() if name.endswith("errors")}
    assert errors
    assert not any(errors.values())


FRAMINGS = {
    "chunks of odd sizes": chunked(1, 2, 3, 997, 1),
    "chunks that end at the head": chunked(HEAD),
    "a trailer": chunked(333, trailers=b"x-sum: 1\r\n"),
    "until the connection closes": [b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n", BODY[:500], BODY[500:]],
    "a 100 first": [b"HTTP/1.1 100 Continue\r\n\r\n", *sized(BODY)],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", *sized(BODY)],
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_framing_of_an_answer_makes_no_difference(mesh: Mesh, framing: str) -> None:
    answering(mesh.original, sized(BODY))
    answering(mesh.shadow, FRAMINGS[framing], closes=framing.startswith("until"))
    await mirror(mesh)
    async with await mesh.client() as client:
        assert (await client.get("/x")).content == BODY
    original, copy = await legs(mesh)
    assert (copy.size, copy.cut_off, unbase64(copy.head)) == (len(BODY), False, BODY[:HEAD])
    outcome = compare(original, copy)
    assert (outcome.reason, outcome.differences, outcome.head_only) == (None, [], False)
    await no_script_errors(mesh)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_client_gets_an_answer_however_it_is_framed(mesh: Mesh, framing: str) -> None:
    answering(mesh.original, FRAMINGS[framing], closes=framing.startswith("until"))
    answering(mesh.shadow, sized(BODY))
    await mirror(mesh)
    async with await mesh.client() as client:
        assert (await client.get("/x")).content == BODY
    assert compare(*await legs(mesh)).differences == []
    await no_script_errors(mesh)


async def test_a_large_answer_passes_whole_and_its_size_is_told(mesh: Mesh) -> None:
    answering(mesh.original, sized(LARGE))
    answering(mesh.shadow, sized(LARGE + b"!"))
    await mirror(mesh)
    async with await mesh.client() as client:
        assert (await client.get("/x")).content == LARGE
    original, copy = await legs(mesh)
    assert (original.size, copy.size, original.checksum) == (len(LARGE), len(LARGE) + 1, None)
    assert [str(d.kind) for d in compare(original, copy).differences] == ["beyond_head"]
    await no_script_errors(mesh)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 X\r\netag: 1\r\n\r\n", CHUNKED + b"0\r\n\r\n"]
)
async def test_answers_without_a_body_are_compared(mesh: Mesh, answer: bytes) -> None:
    for backend in (mesh.original, mesh.shadow):
        answering(backend, [answer])
    await mirror(mesh)
    async with await mesh.client() as client:
        assert (await client.get("/x")).content == b""
    original, copy = await legs(mesh)
    assert (original.size, copy.size, original.cut_off) == (0, 0, False)
    outcome = compare(original, copy)
    assert (outcome.reason, outcome.differences, outcome.head_only) == (None, [], False)
    await no_script_errors(mesh)


async def test_headers_of_any_bytes_and_many_of_a_name_are_compared(mesh: Mesh) -> None:
    cookies = b"".join(b"set-cookie: c%d=1; Path=/\r\n" % n for n in range(40))
    answering(mesh.original, sized(b"x", cookies + b"x-name: caf\xe9\r\nx-empty:\r\n"))
    answering(mesh.shadow, sized(b"x", cookies[:-27] + b"x-name: caf\xe8\r\nx-empty:\r\n"))
    await mirror(mesh)
    async with await mesh.client() as client:
        assert len((await client.get("/x")).headers.get_list("set-cookie")) == 40
    differences = compare(*await legs(mesh)).differences
    assert [d.field for d in differences] == ["cookie:c39", "header:x-name"]
    await no_script_errors(mesh)


async def test_an_answer_that_never_ends_reaches_the_client_at_once(mesh: Mesh) -> None:
    stream = [OK.replace(b"plain", b"event-stream") + b"transfer-encoding: chunked\r\n\r\n", chunk(EVENT)]
    for backend in (mesh.original, mesh.shadow):
        answering(backend, stream, ends=False)
    await mirror(mesh)
    reader, writer = await asyncio.open_connection("127.0.0.1", await mesh.port(), family=socket.AF_INET)
    writer.write(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert EVENT in await reader.readuntil(EVENT)
    writer.close()
    await mesh.sink.until(lambda sink: len(sink.originals) == 1)
    (original,) = (r for raw in mesh.sink.raw for r in read_batch(raw).records if not r.shadow)
    assert original.cut_off
    assert original.ending == "client_gone"
    await no_script_errors(mesh)
