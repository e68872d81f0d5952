"""What the capture filter says about a body, whatever way it came in."""

import base64
from typing import Any

import pytest

from tests.envoy.als_sink import captured
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.model.profile import Capture

HEAD = 1000
Pair = tuple[dict[str, Any], dict[str, Any]]


async def captures(mesh: Mesh, path: str = "/body", method: str = "GET", **capture: Any) -> Pair:
    """Send one request; return what was captured of the original's answer and of the shadow's."""
    if not hasattr(mesh, "envoy"):
        kept = profile(capture=Capture(**{"head_bytes": HEAD, **capture}))
        mirrored = active(kept, shadow(port=mesh.shadow.port))
        await mesh.start_envoy(state(component(port=mesh.original.port), profiles=(mirrored,)))
    count = len(mesh.sink._paired())
    async with await mesh.client() as client, client.stream(method, path) as answer:
        async for _ in answer.aiter_raw():
            pass
    pairs = await mesh.sink.pairs(count + 1)
    original, copy = pairs[-1]
    return captured(original), captured(copy)


@pytest.mark.parametrize("piece", [1, 7, 333, 1000, 1460])
async def test_head_size_and_checksum_do_not_depend_on_chunks(mesh: Mesh, piece: int) -> None:
    body = bytes(n * 7 % 256 for n in range(1203 if piece == 1 else 9001))
    mesh.original.answers["/body"] = mesh.shadow.answers["/body"] = body
    mesh.shadow.piece = piece
    original, copy = await captures(mesh)
    assert base64.b64decode(copy["b"]) == body[:HEAD]
    assert copy["n"] == len(body)
    assert copy["t"] is False
    assert {key: original[key] for key in "bnc"} == {key: copy[key] for key in "bnc"}


@pytest.mark.parametrize("where", [HEAD, HEAD + 3, 4000, -1])
async def test_one_byte_beyond_the_head_changes_the_checksum_and_nothing_else(mesh: Mesh, where: int) -> None:
    body = bytearray(bytes(range(256)) * 30)
    mesh.original.answers["/body"] = bytes(body)
    body[where] ^= 1
    mesh.shadow.answers["/body"] = bytes(body)
    original, copy = await captures(mesh)
    assert {key for key in "bnc" if original[key] != copy[key]} == {"c"}


async def test_two_words_that_changed_places_change_the_checksum(mesh: Mesh) -> None:
    body = b"h" * HEAD + b"".join(n.to_bytes(4, "big") for n in range(500))
    swapped = body[: HEAD + 40] + body[HEAD + 168 : HEAD + 172] + body[HEAD + 44 : HEAD + 168]
    swapped += body[HEAD + 40 : HEAD + 44] + body[HEAD + 172 :]
    assert sorted(swapped) == sorted(body)
    mesh.original.answers["/body"], mesh.shadow.answers["/body"] = body, swapped
    original, copy = await captures(mesh)
    assert original["c"] != copy["c"]


async def test_there_is_no_checksum_within_the_head_beyond_a_megabyte_encoded_or_off(mesh: Mesh) -> None:
    exact, long, largest = b"x" * HEAD, b"x" * (1024 * 1024 + 1), b"x" * (1024 * 1024)
    mesh.original.answers = {"/exact": exact, "/long": long, "/largest": largest, "/body": b"x" * 5000}
    original, _ = await captures(mesh, "/exact")
    assert (base64.b64decode(original["b"]), original["n"], "c" in original) == (exact, HEAD, False)
    original, _ = await captures(mesh, "/largest")
    assert "c" in original
    original, _ = await captures(mesh, "/long")
    assert (original["n"], "c" in original) == (len(long), False)
    mesh.original.headers = {"content-encoding": "gzip"}
    original, _ = await captures(mesh)
    assert (original["n"], "c" in original) == (5000, False)
    mesh.original.headers = {"content-encoding": "identity"}
    original, _ = await captures(mesh)
    assert "c" in original


async def test_the_checksum_can_be_switched_off_and_the_head_be_nothing(mesh: Mesh) -> None:
    original, _ = await captures(mesh, "/size/5000", head_bytes=0, checksum=False)
    assert (original["b"], original["n"], "c" in original) == ("", 5000, False)


async def test_an_answer_without_a_body_is_captured_too(mesh: Mesh) -> None:
    original, copy = await captures(mesh, "/size/5000", "HEAD")
    assert (original["b"], original["n"], original["t"], "c" in copy) == ("", 0, False, False)


async def test_headers_are_captured_as_lines_with_the_status_and_a_limit(mesh: Mesh) -> None:
    mesh.original.headers = {"x-own": "a: b", **{f"x-{n}": "v" * 1000 for n in range(30)}}
    original, _ = await captures(mesh)
    block = base64.b64decode(original["h"]).decode()
    lines = block.splitlines()
    assert ":status: 200" in lines
    assert "x-own: a: b" in lines
    assert 15000 < len(block) <= 16384
