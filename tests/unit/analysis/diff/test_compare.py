import gzip
import random
from collections.abc import Mapping
from typing import Any

import brotli
import orjson
import pytest
import zstandard

from tests.unit.analysis.entries import pair
from xds_server.analysis.diff.compare import Outcome, Rules, compare
from xds_server.analysis.kinds import Reason

GZIP = {"content-type": "application/json", "content-encoding": "gzip"}
BR = {"content-type": "application/json", "content-encoding": "br"}
TEXT = {"content-type": "text/plain"}
GRPC = {"content-type": "application/grpc"}


def outcome(
    original: Mapping[str, Any] | None = None, shadow: Mapping[str, Any] | None = None, **rules: Any
) -> Outcome:
    return compare(*pair(original, shadow), Rules(**rules))


def found(original: Mapping[str, Any] | None = None, shadow: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    result = outcome(original, shadow)
    assert result.reason is None
    return [(d.field, str(d.kind)) for d in result.differences]


def test_equal_answers_are_identical() -> None:
    assert found() == []


def test_order_of_keys_and_spaces_do_not_matter() -> None:
    assert found({"body": b'{"a":1,"b":2}'}, {"body": b'{ "b": 2, "a": 1 }'}) == []


def test_another_status_is_all_that_is_said() -> None:
    assert found({"body": b'{"a":1}'}, {"status": 500, "body": b"oops"}) == [("status", "status")]


@pytest.mark.parametrize(("status", "other"), [(200, 304), (206, 200), (304, 200)])
def test_conditional_and_range_answers_are_not_judged(status: int, other: int) -> None:
    assert outcome({"status": status}, {"status": other}).reason is Reason.CONDITIONAL


@pytest.mark.parametrize(
    ("asked", "judged"),
    [({"accept": "*/*"}, True), ({"a": "1", "If-None-Match": "x"}, False), ({"range": "bytes=0-5"}, False)],
)
def test_an_answer_304_to_a_request_that_asked_for_no_such_thing_is_a_difference(
    asked: Mapping[str, str], *, judged: bool
) -> None:
    told = outcome({}, {"status": 304, "body": b"", "asked": asked})
    assert (told.reason is None) is judged
    assert [(d.field, str(d.kind)) for d in told.differences] == ([("status", "status")] if judged else [])


def test_two_answers_304_are_judged() -> None:
    assert found({"status": 304, "body": b""}, {"status": 304, "body": b""}) == []


@pytest.mark.parametrize("status", [401, 403, 302, 307])
def test_a_copy_turned_away_without_its_credentials_is_not_judged(status: int) -> None:
    assert outcome({"credentials": True}, {"status": status}).reason is Reason.CREDENTIALS_DROPPED


def test_a_copy_turned_away_with_its_credentials_is_judged() -> None:
    assert outcome({"credentials": True}, {"status": 401}, keep_credentials=True).reason is None
    assert found({}, {"status": 401}) == [("status", "status")]


def test_a_failure_without_credentials_is_judged() -> None:
    assert found({"credentials": True}, {"status": 500}) == [("status", "status")]


@pytest.mark.parametrize("where", ["trailers", "logged"])
def test_the_grpc_status_is_read_from_trailers_and_from_headers(where: str) -> None:
    legs = {"headers": GRPC, where: {"grpc-status": "0"}}, {"headers": GRPC, where: {"grpc-status": "5"}}
    assert found(*legs) == [("grpc-status", "grpc_status")]


def test_a_grpc_call_turned_away_without_credentials_is_not_judged() -> None:
    legs = {"trailers": {"grpc-status": "0"}, "credentials": True}, {"trailers": {"grpc-status": "16"}}
    assert outcome(*legs).reason is Reason.CREDENTIALS_DROPPED


def test_a_grpc_call_answered_before_its_request_had_ended_is_not_judged() -> None:
    said = {"headers": GRPC, "trailers": {"grpc-status": "0"}}
    assert outcome({**said, "sent": 0.3, "first": 0.1}, {**said, "body": b"other"}).reason is Reason.STREAMING
    assert outcome({**said, "sent": 0.1, "first": 0.3}, said).reason is None


def test_an_upload_answered_before_it_had_ended_is_judged() -> None:
    assert found({"sent": 0.3, "first": 0.1}, {"status": 500}) == [("status", "status")]


TIMED_OUT = {"details": "response_timeout", "flags": ["upstream_request_timeout"], "sent": 0.001}
HANGS = {**TIMED_OUT, "status": 504, "first": None, "last": None, "duration": 0.501}
BREAKS_OFF = {**TIMED_OUT, "cut": True, "last": 0.1, "duration": 0.501}


@pytest.mark.parametrize("copy", [HANGS, BREAKS_OFF])
def test_a_copy_cut_at_its_timeout_is_evidence_only_when_the_original_was_quicker(copy: Mapping[str, Any]) -> None:
    slow = {"first": 0.4, "last": 0.7, "duration": 0.7}
    assert outcome(slow, copy).reason is Reason.TIMEOUT
    quick = {"first": 0.4, "last": 0.45, "duration": 0.9}
    assert outcome(quick, copy).reason is None
    assert outcome(quick, copy).differences


def test_another_grpc_message_is_a_difference() -> None:
    legs = ({"trailers": {"grpc-status": "5", "grpc-message": text}} for text in ("no a", "no b"))
    assert found(*legs) == [("grpc-message", "grpc_status")]


def test_grpc_bodies_are_compared_as_bytes() -> None:
    legs = (
        {"headers": GRPC, "body": body, "trailers": {"grpc-status": "0"}} for body in (b"\0\0\0\0\1a", b"\0\0\0\0\1b")
    )
    assert found(*legs) == [("body", "bytes")]


@pytest.mark.parametrize(("headers", "pack"), [(GZIP, gzip.compress), (BR, brotli.compress)])
def test_bodies_are_compared_decoded(headers: Mapping[str, str], pack: Any) -> None:
    one, other = (pack(orjson.dumps({"a": n, "pad": "x" * 50})) for n in (1, 2))
    assert found({"body": one, "headers": headers}, {"body": other, "headers": headers}) == [("$.a", "value")]


def test_an_encoded_and_a_plain_body_that_say_the_same_differ_in_the_header_only() -> None:
    plain = orjson.dumps({"a": 1})
    assert found({"body": plain}, {"body": gzip.compress(plain), "headers": GZIP}) == [
        ("header:content-encoding", "header")
    ]


def test_gzip_with_another_level_or_time_is_identical() -> None:
    text = orjson.dumps(list(range(500)))
    bodies = (gzip.compress(text, compresslevel=level, mtime=level) for level in (1, 9))
    assert found(*({"body": body, "headers": GZIP} for body in bodies)) == []


BIG = b"[" + b",".join(b'{"n":%d}' % i for i in range(5000)) + b"]"


def test_a_difference_in_the_head_of_a_large_body_is_found() -> None:
    other = BIG.replace(b'{"n":3}', b'{"n":"3"}')
    legs = ({"body": body, "head": 1000, "checksum": len(body)} for body in (BIG, other))
    assert found(*legs) == [("$[*].n", "type")]


def test_a_difference_beyond_the_head_is_found_by_the_checksum() -> None:
    legs = ({"body": BIG, "head": 1000, "checksum": checksum} for checksum in (7, 8))
    assert found(*legs) == [("body", "beyond_head")]


def test_a_difference_beyond_the_head_is_found_by_the_size() -> None:
    assert found({"body": BIG, "head": 1000}, {"body": BIG + b" ", "head": 1000}) == [("body", "beyond_head")]


def test_equal_heads_without_a_checksum_are_identical_as_far_as_seen() -> None:
    result = outcome({"body": BIG, "head": 1000}, {"body": BIG, "head": 1000})
    assert result.head_only
    assert not result.differences


def test_equal_heads_with_equal_checksums_are_identical() -> None:
    result = outcome(*({"body": BIG, "head": 1000, "checksum": 7} for _ in range(2)))
    assert not result.head_only
    assert not result.differences


@pytest.mark.parametrize("head", [997, 998, 999, 1000, 1001])
def test_a_body_one_byte_beyond_the_head_is_not_taken_for_seen(head: int) -> None:
    result = outcome(*({"body": b"x" * (head + 1), "headers": TEXT, "head": head} for _ in range(2)))
    assert result.head_only
    result = outcome(*({"body": b"x" * 1000, "headers": TEXT, "head": head} for _ in range(2)))
    assert result.head_only == (head < 1000)


def test_a_head_that_cannot_be_decoded_proves_nothing() -> None:
    headers = {"content-type": "application/json", "content-encoding": "zstd"}
    bodies = (zstandard.ZstdCompressor(level=level).compress(BIG) for level in (1, 19))
    result = outcome(*({"body": body, "headers": headers, "head": 1000} for body in bodies))
    assert result.head_only
    assert not result.differences


def test_a_key_that_a_service_names_like_a_mark_hides_nothing() -> None:
    assert found({"body": b'{"a":1,"b":2}'}, {"body": b'{"a":1,"\\u0000cut":1}'}) == [
        ("$.b", "missing"),
        ("$['\0cut']", "extra"),
    ]
    assert found({"body": b'["a","\\u0000cut"]'}, {"body": b'["a","b","\\u0000cut"]'}) == [("$", "array_length")]


def test_integers_beyond_64_bits_are_compared_as_they_are_written() -> None:
    one = b'{"a":12345678901234567890123,"b":[{"n":12345678901234567890124}]}'
    assert found({"body": one}, {"body": one.replace(b"123,", b"122,")}) == [("$.a", "value")]
    assert found({"body": one}, {"body": one.replace(b"124}", b"125}")}) == [("$.b[*].n", "value")]
    assert found({"body": one}, {"body": one.replace(b":", b": ")}) == []


def test_text_shows_the_place() -> None:
    bodies = ({"headers": TEXT, "body": b"line one\nline " + word} for word in (b"two", b"2"))
    (difference,) = outcome(*bodies).differences
    assert difference.at == "line 2, character 14"
    assert (difference.original, difference.shadow) == ("line one\nline two", "line one\nline 2")


def test_bytes_are_told_by_size_and_checksum() -> None:
    png = {"content-type": "image/png"}
    (difference,) = outcome({"headers": png, "body": b"\x89P\0a"}, {"headers": png, "body": b"\x89P\0bc"}).differences
    assert (str(difference.kind), difference.original[:8], difference.shadow[:8]) == ("bytes", "4 bytes,", "5 bytes,")


def test_a_body_that_says_json_and_is_not_is_invalid() -> None:
    assert found({"body": b'{"a":1}'}, {"body": b"<html>"}) == [("$", "invalid")]


def test_a_body_that_says_that_it_is_no_json_is_another_type() -> None:
    html = {"headers": {"content-type": "text/html"}, "body": b"<html>"}
    assert found({"body": b'{"a":1}'}, html) == [("header:content-type", "header"), ("$", "type")]


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b'{"a":NaN}', b'{"a":1e400}', b"[" * 3000, b'{"a":1,"a":2}', b"", b"null"]
)
def test_strange_bodies_never_raise(body: bytes) -> None:
    for headers in ({"content-type": "application/json"}, TEXT, {}, {"content-type": "application/grpc"}):
        for head in (1, 16384):
            outcome({"body": body, "headers": headers, "head": head}, {"body": b'{"a": 2}', "headers": headers})


def test_an_answer_that_breaks_off_is_incomplete() -> None:
    details = "upstream_reset_after_response_started{protocol_error}"
    broken = {"cut": True, "details": details, "flags": ["upstream_protocol_error"], "last": None}
    assert found({}, broken) == [("body", "incomplete")]
    assert outcome(broken, {}).reason is Reason.ORIGINAL_INCOMPLETE


def test_envoys_own_words_are_never_compared() -> None:
    local = {
        "status": 503,
        "details": "upstream_reset_before_response_started{overflow}",
        "flags": ["upstream_overflow"],
    }
    assert found({**local, "body": b"upstream connect error a"}, {**local, "body": b"upstream connect error b"}) == []


def test_an_answer_503_differs_from_no_answer() -> None:
    local = {"status": 503, "details": "no_healthy_upstream", "flags": ["no_healthy_upstream"]}
    assert found({"status": 503}, local) == [("status", "status")]


def test_without_captured_bodies_a_pair_is_not_judged_unless_the_status_differs() -> None:
    assert outcome({"body": None}, {}).reason is Reason.NOT_CAPTURED
    assert found({"body": None}, {"status": 500}) == [("status", "status")]


@pytest.mark.parametrize("status", [200, 204, 304])
def test_two_empty_answers_with_an_encoding_are_identical_to_their_end(status: int) -> None:
    result = outcome(*({"body": b"", "headers": GZIP, "status": status, "method": method} for method in (1, 1)))
    assert not result.head_only
    assert not result.differences


def test_an_empty_body_is_not_an_encoded_one() -> None:
    assert found({"body": gzip.compress(b"[1]"), "headers": GZIP}, {"body": b"", "headers": GZIP}) == [("body", "text")]


def test_an_encoded_body_that_no_client_can_read_differs() -> None:
    whole = gzip.compress(orjson.dumps(list(range(300))))
    assert found({"body": whole, "headers": GZIP}, {"body": whole[:-20], "headers": GZIP}) == [("$", "invalid")]
    text = {**TEXT, "content-encoding": "gzip"}
    assert found({"body": whole, "headers": text}, {"body": whole[:-20], "headers": text}) == [("body", "bytes")]


def test_an_encoded_head_that_goes_on_where_the_other_has_ended_differs() -> None:
    text = {**TEXT, "content-encoding": "gzip"}
    long = b"ab" + random.Random(1).randbytes(9000).hex().encode()
    legs = [{"body": gzip.compress(body), "headers": text, "head": 1000} for body in (b"ab", long)]
    assert found(*legs) == found(*reversed(legs)) == [("body", "text")]
    numbers = [n * 7919 % 10007 for n in range(3000)]
    legs = [{"body": gzip.compress(orjson.dumps(n)), "headers": GZIP, "head": 1000} for n in (numbers[:9], numbers)]
    assert found(*legs) == found(*reversed(legs)) == [("$", "array_length")]


def test_the_same_json_written_another_way_does_not_differ_beyond_the_head() -> None:
    ways = (b'{"a":%d,"b":1}', b'{"b":1,"a":%d}')
    bodies = (b"[" + b",".join(way % n for n in range(1000)) + b"]" for way in ways)
    result = outcome(*({"body": body, "head": 1000, "checksum": len(body[:9]) + n} for n, body in enumerate(bodies)))
    assert result.head_only
    assert not result.differences


def test_a_grpc_status_in_the_headers_holds_when_the_trailers_have_none() -> None:
    legs = ({"headers": GRPC, "logged": {"grpc-status": s}, "trailers": {"x": "y"}} for s in ("0", "5"))
    assert found(*legs) == [("grpc-status", "grpc_status")]


def test_a_copy_that_says_itself_that_its_credentials_were_removed_is_believed() -> None:
    original, shadow = pair({}, {"status": 401})
    shadow.credentials_dropped = True
    assert compare(original, shadow).reason is Reason.CREDENTIALS_DROPPED


def test_a_stream_that_the_client_reset_is_the_clients_doing_and_a_copys_its_originals() -> None:
    reset = {"status": 0, "details": "http2.remote_reset", "flags": ["downstream_remote_reset"], "first": None}
    assert outcome(reset, {}).reason is Reason.CLIENT_GONE
    assert outcome({}, reset).reason is Reason.CANCELLED
