"""What an example shows: both answers, the request, how to send it again; and that it stays small."""

import gzip
from typing import Any

import orjson
import pytest

from tests.unit.analysis.entries import batch, entry, pair
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.examples.example import EXCERPT, LARGEST, Example, make_example
from xds_server.analysis.examples.redact import Redactor
from xds_server.analysis.ingest.als import read_batch

JSON = {"content-type": "application/json"}
ASKED = {":authority": "shop.example:8080", "content-type": "application/json", "x-tenant": "7", "user-agent": "test"}


def made(original: dict[str, Any], shadow: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of the example of a pair."""
    legs = pair(original, shadow)
    differences = compare(*legs).differences
    example = make_example(*legs, endpoint="GET /x", differences=differences, redactor=Redactor(key=b"k"))
    orjson.dumps(example.pack())
    return example.data


def test_an_example_shows_both_answers_and_the_request() -> None:
    headers = JSON | {"etag": '"1"', "date": "today", "x-envoy-y": "z"}
    ours = {"body": b'{"a":1}', "path": "/x?y=1", "method": 3, "headers": headers}
    theirs = {**ours, "body": b'{"a":2}', "asked": ASKED, "sent_body": b'{"n": 1}'}
    data = made(ours, theirs)
    assert data["original"]["body"] == '{\n  "a": 1\n}'
    assert data["original"]["headers"] == JSON | {"etag": '"1"'}
    assert (data["original"]["truncated"], data["shadow"]["bytes"]) == (False, 7)
    assert data["request"] == {
        "method": "POST",
        "path": "/x?y=1",
        "headers": {"content-type": "application/json", "x-tenant": "7", "user-agent": "test"},
        "body": '{\n  "n": 1\n}',
        "bytes": 8,
        "truncated": False,
    }
    assert data["curl"] == (
        "curl -sS -i -g --path-as-is -X POST 'http://shop.example:8080/x?y=1' -H 'content-type: application/json' "
        "-H 'x-tenant: 7' -H 'user-agent: test' --data-raw '{\"n\": 1}'"
    )


def test_without_a_captured_request_there_is_neither_request_nor_line() -> None:
    data = made({"body": b"1"}, {"body": b"2"})
    assert not {"request", "curl"} & set(data)


def test_credentials_that_only_the_original_had_are_said() -> None:
    data = made({"body": b"1", "credentials": True}, {"body": b"2", "asked": ASKED})
    assert data["curl"].startswith("# the request carried credentials, which its copies do not")


def test_bodies_are_cut_and_said_to_be() -> None:
    whole, more = orjson.dumps({"a": "w " * 100}), orjson.dumps({"a": ["w " * 100] * 40})
    data = made({"body": whole}, {"body": more})
    assert (data["original"]["truncated"], data["shadow"]["truncated"]) == (False, True)
    assert len(data["shadow"]["body"]) == EXCERPT + 1
    data = made({"body": b"x" * 99, "size": 10_000, "headers": {}}, {"body": b"y", "headers": {}})
    assert data["original"]["truncated"]


def test_compressed_bodies_are_shown_as_what_they_say() -> None:
    headers = JSON | {"content-encoding": "gzip"}
    data = made(*({"body": gzip.compress(b'{"a":%d}' % n), "headers": headers} for n in (1, 2)))
    assert data["original"]["body"] == '{\n  "a": 1\n}'


@pytest.mark.parametrize("kind", ["image/png", "application/grpc", "application/x-protobuf", ""])
def test_what_is_not_text_is_described(kind: str) -> None:
    data = made(*({"body": b"\0password" + n, "headers": {"content-type": kind}} for n in (b"1", b"2")))
    assert data["original"]["body"].startswith("(10 bytes, not text, crc32 ")


def test_texts_are_shown_around_their_first_difference_with_secrets_hidden() -> None:
    text = "word " * 50 + "token=planted1 and {} end"
    data = made(*({"body": text.format(n).encode(), "headers": {"content-type": "text/plain"}} for n in ("A", "B")))
    (difference,) = data["differences"]
    assert difference["original"].endswith("] and A end")
    assert difference["shadow"].endswith("] and B end")
    assert "planted" not in str(data)


def test_texts_that_differ_in_a_secret_alone_are_seen_to_differ() -> None:
    legs = ({"body": b"token=planted%d" % n, "headers": {"content-type": "text/plain"}} for n in (1, 2))
    (difference,) = made(*legs)["differences"]
    assert difference["original"] != difference["shadow"]
    assert difference["original"].startswith("token=[redacted ")


@pytest.mark.parametrize("text", ["x", "\x01", "é", '"', "€ ", "a@b.example "])
def test_an_example_is_bounded_whatever_it_holds(text: str) -> None:
    long = {f"{text}{n}": text * 60 for n in range(60)}
    headers = {f"h{n}": "v" * 900 for n in range(20)}
    ours = {"body": orjson.dumps(long), "headers": JSON | headers, "path": "/" + "p" * 9_000}
    theirs = {**ours, "body": orjson.dumps(dict.fromkeys(long, 1)), "asked": ASKED | headers}
    data = made(ours, {**theirs, "sent_body": (text * 9_000).encode()})
    assert len(orjson.dumps(data)) <= LARGEST
    assert len(data["differences"]) > 0


def test_a_request_in_the_log_is_read_with_its_body_and_weighs() -> None:
    (record,) = read_batch(batch(entry(shadow="i", asked=ASKED, sent_body=b"x" * 8))).records
    (bare,) = read_batch(batch(entry(shadow="i"))).records
    assert (record.request_size, record.request_head) == (8, "eHh4eHh4eHg=")
    assert (bare.request_size, bare.request_head, bare.request_headers) == (0, None, None)
    assert record.weight - bare.weight == len(record.request_headers or "") + 12
    (original,) = read_batch(batch(entry(asked=ASKED))).records
    assert original.request_headers is None


def test_examples_are_ordered_by_time() -> None:
    assert Example(1.0, "b", {}) < Example(2.0, "a", {})
