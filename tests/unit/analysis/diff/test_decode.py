import gzip
import os
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.diff.decode import content_type, decode, encodings, unbase64

TEXT = b"".join(b'{"id": %d, "name": "item number %d"},' % (i, i * 7) for i in range(2000))


def deflate(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


def zstd_stream(data: bytes) -> bytes:
    """Without the content size in the frame, as servers that stream send it."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


ENCODED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": deflate(TEXT, 15),
    "br": brotli.compress(TEXT),
    "zstd": zstandard.ZstdCompressor().compress(TEXT),
}
VARIANTS = [*ENCODED.items(), ("deflate", deflate(TEXT, -15)), ("zstd", zstd_stream(TEXT))]


@pytest.mark.parametrize(("name", "data"), VARIANTS)
def test_a_whole_body_is_decoded(name: str, data: bytes) -> None:
    body = decode(data, [name], complete=True)
    assert body.data == TEXT
    assert body.complete
    assert body.readable


@pytest.mark.parametrize(("name", "data"), VARIANTS)
def test_a_head_is_decoded_as_far_as_it_goes_and_said_to_be_one(name: str, data: bytes) -> None:
    body = decode(data[: len(data) * 3 // 4], [name], complete=False)
    assert not body.complete
    if name == "zstd":
        # A block of up to 128 KiB is decoded whole or not at all.
        assert not body.readable
    else:
        assert TEXT.startswith(body.data)
        assert len(body.data) > 1000


@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "deflate"])
def test_a_bomb_is_cut_at_the_limit(name: str) -> None:
    big = b"\0" * 50_000_000
    bomb = {
        "gzip": lambda: gzip.compress(big),
        "br": lambda: brotli.compress(big, quality=1),
        "zstd": lambda: zstd_stream(big),
        "deflate": lambda: deflate(big, 15),
    }[name]()
    body = decode(bomb, [name], complete=True, limit=100_000)
    assert len(body.data) == 100_000
    assert not body.complete


@pytest.mark.parametrize("name", ENCODED)
@given(data=st.binary(max_size=300))
def test_garbage_never_raises(name: str, data: bytes) -> None:
    assert len(decode(data, [name], complete=True).data) <= 4 * 1024 * 1024


@pytest.mark.parametrize("name", ENCODED)
def test_a_body_that_turns_into_garbage_keeps_its_good_part(name: str) -> None:
    good = ENCODED[name]
    body = decode(good[: len(good) // 2] + os.urandom(200), [name], complete=True)
    assert not (body.complete and body.readable)


def test_encodings_are_undone_in_reverse() -> None:
    twice = brotli.compress(gzip.compress(TEXT))
    assert decode(twice, ["gzip", "br"], complete=True).data == TEXT


def test_an_unknown_encoding_leaves_the_bytes_and_says_so() -> None:
    body = decode(b"abc", ["snappy"], complete=True)
    assert (body.data, body.readable) == (b"abc", False)


def test_a_long_chain_of_encodings_is_not_followed() -> None:
    assert not decode(gzip.compress(b"x"), ["gzip"] * 4, complete=True).readable


def test_encodings_and_type_are_read_from_captured_headers() -> None:
    headers = b":status: 200\nContent-Type: Application/JSON; charset=utf-8\ncontent-encoding: GZip, identity, br\n"
    assert encodings(headers) == ["gzip", "br"]
    assert content_type(headers) == "application/json"
    assert encodings(b"x-content-encoding: gzip\n") == []


@pytest.mark.parametrize("text", [None, "", "not base64!", "é", "abc"])
def test_what_is_no_base64_is_nothing(text: str | None) -> None:
    assert unbase64(text) == b""


@pytest.mark.parametrize(("name", "data"), VARIANTS)
def test_a_body_that_came_whole_and_breaks_off_inside_its_encoding_cannot_be_read(name: str, data: bytes) -> None:
    broken = data[: len(data) * 3 // 4]
    body = decode(broken, [name], complete=True)
    assert (body.data, body.complete, body.readable) == (broken, True, False)


def test_gzip_members_one_after_another_are_one_body() -> None:
    members = [gzip.compress(TEXT[start : start + 999]) for start in range(0, len(TEXT), 999)]
    body = decode(b"".join(members), ["gzip"], complete=True)
    assert (body.data, body.complete) == (TEXT, True)
    cut = decode(b"".join(members)[:-30], ["gzip"], complete=False)
    assert TEXT.startswith(cut.data)
    assert not cut.complete
    assert len(decode(gzip.compress(b"x" * 900) * 50, ["gzip"], complete=True, limit=1000).data) == 1000


@pytest.mark.parametrize("name", ENCODED)
def test_no_body_is_no_body_whatever_the_encoding_would_be(name: str) -> None:
    body = decode(b"", [name], complete=True)
    assert (body.data, body.complete, body.readable) == (b"", True, True)


def test_encodings_on_several_lines_are_all_read() -> None:
    assert encodings(b"content-encoding: gzip\nx: y\ncontent-encoding: br\n") == ["gzip", "br"]
