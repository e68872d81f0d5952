"""What the leg of a copy says about the request, whatever way it came in; the original's leg says nothing of it."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.envoy.als_sink import captured
from tests.envoy.harness import Mesh
from tests.envoy.test_capture_odd import no_script_errors
from tests.envoy.test_grpc import CHOSEN, SERVICE, Service, serving
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.analysis.ingest.als import read_batch
from xds_server.analysis.record import Record
from xds_server.model.network import Protocol
from xds_server.model.profile import Capture, Match

HEAD = 1000
ORDER = json.dumps({"item": 7, "note": "grün"}).encode()


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def mirrored(
    mesh: Mesh, method: str = "POST", path: str = "/ok", **request: Any
) -> tuple[dict[str, Any], Record]:
    """Send one request; return what the original's leg captured, and the record of the copy."""
    if not hasattr(mesh, "envoy"):
        kept = profile(capture=Capture(head_bytes=HEAD), match=Match(methods=("POST", "PUT", "GET")))
        sampled = active(kept, shadow(port=mesh.shadow.port))
        await mesh.start_envoy(state(component(port=mesh.original.port), profiles=(sampled,)))
    count = len(mesh.sink._paired())
    async with await mesh.client() as client:
        answer = await client.request(method, path, **request)
        assert answer.status_code == 200
    original, _ = (await mesh.sink.pairs(count + 1))[-1]
    records = [record for raw in mesh.sink.raw for record in read_batch(raw).records if record.shadow]
    return captured(original), records[-1]


def body(record: Record) -> bytes:
    return base64.b64decode(record.request_head or "")


def header_lines(record: Record) -> list[str]:
    return base64.b64decode(record.request_headers or "").decode().splitlines()


async def test_a_posted_body_and_its_headers_are_captured_on_the_copy_alone(mesh: Mesh) -> None:
    sent = {"content-type": "application/json", "x-tenant": "7", "authorization": "Bearer abcdefghijkl"}
    original, copy = await mirrored(mesh, content=ORDER, headers=sent)
    assert (body(copy), copy.request_size) == (ORDER, len(ORDER))
    lines = header_lines(copy)
    assert {"content-type: application/json", "x-tenant: 7"} < set(lines)
    assert any(line.startswith(":authority: 127.0.0.1:") for line in lines)
    assert not [line for line in lines if line.startswith(("x-shadowmesh-", "x-envoy-", ":path", "authorization"))]
    assert set(original) == {"h", "b", "n", "t", "k"}
    assert mesh.original.asked[0].body == mesh.shadow.asked[0].body == ORDER
    await no_script_errors(mesh)


@pytest.mark.parametrize("piece", [1, 333, HEAD, 1460])
async def test_of_a_large_body_the_head_and_the_size_are_kept_however_it_is_chunked(mesh: Mesh, piece: int) -> None:
    sent = bytes(n * 7 % 256 for n in range(3001))
    pieces = [sent[at : at + piece] for at in range(0, len(sent), piece)]
    _, copy = await mirrored(mesh, "PUT", content=in_pieces(*pieces))
    assert (body(copy), copy.request_size) == (sent[:HEAD], len(sent))
    assert mesh.original.asked[0].body == mesh.shadow.asked[0].body == sent
    await no_script_errors(mesh)


@pytest.mark.parametrize("length", [1, HEAD - 1, HEAD, HEAD + 1])
async def test_bodies_around_the_size_of_the_head_are_kept_to_the_byte(mesh: Mesh, length: int) -> None:
    sent = bytes(n * 5 % 256 for n in range(length))
    _, copy = await mirrored(mesh, content=sent)
    assert (body(copy), copy.request_size) == (sent[:HEAD], length)


async def test_a_request_without_a_body_has_headers_only(mesh: Mesh) -> None:
    for method, more in (("GET", {}), ("POST", {}), ("POST", {"content": in_pieces()})):
        _, copy = await mirrored(mesh, method, **more)
        assert copy.method == method
        assert (copy.request_head, copy.request_size) == (None, 0)
        assert header_lines(copy)
    await no_script_errors(mesh)


async def test_headers_of_a_request_are_bounded(mesh: Mesh) -> None:
    _, copy = await mirrored(mesh, headers={f"x-{n}": "v" * 1000 for n in range(30)}, content=b"x")
    assert 14000 < len(base64.b64decode(copy.request_headers or "")) <= 16384
    assert body(copy) == b"x"


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP2])
async def test_a_message_over_http2_is_captured_as_it_was_framed(mesh: Mesh, protocol: Protocol) -> None:
    async with serving(Service("original")) as port, serving(Service("shadow")) as shadow_port:
        mirrored = active(profile(match=CHOSEN), shadow(port=shadow_port))
        await mesh.start_envoy(state(component(port=port, protocol=protocol), profiles=(mirrored,)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await mesh.port()}") as channel:
            assert await channel.unary_unary(f"/{SERVICE}/GetItem")(b"hello") == b"original"
        await mesh.sink.pairs(1)
    (copy,) = (record for raw in mesh.sink.raw for record in read_batch(raw).records if record.shadow)
    assert (body(copy), copy.request_size) == (b"\0\0\0\0\5hello", 10)
    assert "content-type: application/grpc" in header_lines(copy)
    await no_script_errors(mesh)
