import gzip
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.unit.analysis.diff.test_compare import outcome
from xds_server.analysis.diff.difference import Difference, window
from xds_server.analysis.diff.event_streams import read_events, read_lines
from xds_server.analysis.diff.json_diff import CUT
from xds_server.analysis.diff.rules import DEFAULT_RULES
from xds_server.analysis.diff.texts import text_differences
from xds_server.analysis.kinds import Kind

TEXT = {"content-type": "text/plain"}
EVENTS = {"content-type": "text/event-stream"}
LINES = {"content-type": "application/x-ndjson"}


def differences(headers: Mapping[str, str], *bodies: bytes, **more: Any) -> list[Difference]:
    result = outcome(*({"headers": headers, "body": body, **more} for body in bodies))
    assert result.reason is None
    return result.differences


def found(headers: Mapping[str, str], *bodies: bytes, **more: Any) -> list[tuple[str, str]]:
    return [(d.field, str(d.kind)) for d in differences(headers, *bodies, **more)]


def test_events_are_compared_by_their_fields() -> None:
    one = b'event: price\nid: 1\ndata: {"p":1}\n\n: ping\n\ndata: a\ndata: b\n\n'
    assert found(EVENTS, one, one.replace(b"\n", b"\r\n")) == []
    assert found(EVENTS, one, one.replace(b": ping", b": pong")) == []
    assert found(EVENTS, one, one.replace(b'"p":1', b'"p":2')) == [("$[*].data.p", "value")]
    assert found(EVENTS, one, one.replace(b"data: b", b"data: c")) == [("$[*].data", "value")]
    assert found(EVENTS, one, one + b"data: more\n\n") == [("$", "array_length")]
    assert found(EVENTS, one, one.replace(b"event: price", b"event: cost")) == [("$[*].event", "value")]


def test_an_event_that_was_cut_off_is_no_difference() -> None:
    one = b"".join(b'data: {"n":%d}\n\n' % n for n in range(100))
    result = outcome(*({"headers": EVENTS, "body": body, "head": 500} for body in (one, one.replace(b"99}", b"98}"))))
    assert result.head_only
    assert result.differences == []
    assert found(EVENTS, one, one.replace(b":3}", b":33}"), head=500) == [("$[*].data.n", "value")]
    assert read_events(one[:25], complete=False) == [{"data": {"n": 0}}, CUT]


def test_documents_one_a_line_are_compared_by_structure() -> None:
    one = b'{"id":1,"p":1}\n{"id":2,"p":2}\n'
    assert found(LINES, one, b'{"p": 1, "id": 1}\n\n{"id":2,"p":2}') == []
    assert found(LINES, one, one.replace(b'"p":2', b'"p":3')) == [("$[*].p", "value")]
    assert found(LINES, one, b'{"id":3,"p":1}\n' + one) == [("$", "array_length")]
    assert found(LINES, one, one.replace(b'"p":2}', b"oops")) == [("$[*]", "type")]
    assert read_lines(b'{"a":1}\n{"a":', complete=False) == [{"a": 1}, CUT]


def test_streams_are_bounded() -> None:
    assert len(read_lines(b"1\n" * 100_000, complete=True)) <= 20_002
    assert len(read_events(b"data: 1\n\n" * 100_000, complete=True)) <= 20_002


@pytest.mark.parametrize(
    ("headers", "document"), [(LINES, b"%d\n"), (EVENTS, b"data: %d\n\n")], ids=["lines", "events"]
)
def test_a_difference_beyond_the_bound_of_documents_is_not_called_identical(
    headers: Mapping[str, str], document: bytes
) -> None:
    one = b"".join(document % 1 for _ in range(25_000))
    other = one[: -len(document % 1)] + document % 2
    assert found(headers, one, other, head=10**6) == [("$", "too_complex")]
    assert found(headers, one, one, head=10**6) == []
    ((_, kind),) = found(headers, document % 2 + one, document % 3 + one, head=10**6)
    assert kind == "value"
    cut = outcome(*({"headers": headers, "body": body, "head": 30_000} for body in (one, other)))
    assert (cut.differences, cut.head_only) == ([], True)


@pytest.mark.parametrize("charset", ["iso-8859-1", '"windows-1252"', "utf-16", "UTF-16LE", "Shift_JIS"])
def test_texts_are_read_in_the_charset_that_they_name(charset: str) -> None:
    headers = {"content-type": f"text/plain; charset={charset}"}
    words = ("caf\u00e9 1", "caf\u00e9 2") if charset != "Shift_JIS" else ("\u732b 1", "\u732b 2")
    (difference,) = differences(headers, *(f"x\n{word}".encode(charset.strip('"')) for word in words))
    assert (str(difference.kind), difference.original, difference.shadow) == (
        "text",
        *(f"x\n{word}" for word in words),
    )


@pytest.mark.parametrize("charset", ["utf-7", "punycode", "unicode_escape", "zlib", "nonsense", "rot13", "utf-8"])
def test_strange_charsets_are_read_as_utf_8(charset: str) -> None:
    headers = {"content-type": f"text/plain; charset={charset}"}
    assert found(headers, "\u00e9".encode(), "\u00e8".encode()) == [("body", "text")]
    assert found(headers, b"\xe9", b"\xe8") == [("body", "bytes")]


def test_a_head_in_another_charset_may_end_inside_a_character() -> None:
    headers = {"content-type": "text/html; charset=utf-16-le"}
    (difference,) = differences(headers, *(f"<p>{n}{'x' * 900}</p>".encode("utf-16-le") for n in (1, 2)), head=1001)
    assert (difference.field, difference.original[0], difference.shadow[0]) == ("body:p", "1", "2")


def test_texts_are_compared_by_line() -> None:
    (difference,) = differences(TEXT, b"a\nb\nc", b"a\nB\nC")
    assert (difference.kind, difference.at) == (Kind.TEXT, "line 2, character 2")
    assert found(TEXT, b"a\nb", b"a\nb\n") == [("body", "text")]
    assert found(TEXT, b"", b"x") == [("body", "text")]


def test_lines_that_differ_in_recognised_values_only_are_of_the_same_kind() -> None:
    one = b"at 2026-11-24T03:37:14Z\nname x\nat 2026-11-24T03:37:15Z"
    other = one.replace(b"03:37", b"04:00")
    (difference,) = differences(TEXT, one, other)
    assert (difference.kind, difference.what) == (Kind.SAME_KIND, "timestamp")
    assert found(TEXT, one, other.replace(b"name x", b"name y")) == [("body", "same_kind"), ("body", "text")]


def test_a_difference_carries_a_window_that_cuts_no_word() -> None:
    secret = "token=" + "s3cret" * 300
    left = "word " * 2000 + f'"{secret}" ' + "x" * 500 + " here " + "word " * 2000
    right = left.replace("here", "there")
    (difference,) = text_differences(left, right, DEFAULT_RULES)
    assert len(difference.original) < 4_000
    assert secret in difference.original
    assert secret in difference.shadow
    shown = difference.as_json()
    assert "here" in shown["original"]
    assert "there" in shown["shadow"]
    assert len(shown["original"]) < 130
    assert len(window("x" * 100_000, 50_000)) <= 2_000 + 2 * 8_192
    assert window("x" * 10, 5) == "x" * 10


def test_texts_of_many_lines_cost_bounded_time() -> None:
    one = "".join(f"2026-11-24T03:37:14Z line {n}\n" for n in range(30_000))
    assert len(text_differences(one, one.replace("03:37", "04:00"), DEFAULT_RULES)) == 2


def test_a_truncated_text_is_said_to_be_truncated() -> None:
    (difference,) = differences(TEXT, b"a" * 50 + b"x" * 5000, b"a" * 50 + b"y" * 5000, head=1000)
    assert difference.at == "line 1, character 50, body truncated at 1000 characters"


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_bomb_beside_a_body_is_a_class_of_its_own(kind: str) -> None:
    headers = {"content-type": kind, "content-encoding": "gzip"}
    bomb, body = gzip.compress(b"[" + b" " * 50_000_000 + b"1]"), gzip.compress(b"[1]")
    (difference,) = outcome(*({"headers": headers, "body": b, "head": 10**6} for b in (body, bomb))).differences
    assert (difference.field, str(difference.kind)) == ("body", "too_large")
    assert difference.shadow == "more than 4194304 bytes decoded"
    other = gzip.compress(b"[" + b" " * 60_000_000 + b"1]")
    both = outcome(*({"headers": headers, "body": b, "head": 10**6} for b in (bomb, other)))
    assert (both.differences, both.head_only) == ([], True)


def test_another_status_of_the_same_class_does_not_hide_the_body() -> None:
    created = {"status": 201, "body": orjson.dumps({"a": 2})}
    result = outcome({"body": orjson.dumps({"a": 1})}, created)
    assert [(d.field, str(d.kind)) for d in result.differences] == [("status", "status_code"), ("$.a", "value")]
    moved = [{"status": s, "headers": {"location": "/x"}, "body": b""} for s in (301, 302)]
    assert [(d.field, str(d.kind)) for d in outcome(*moved).differences] == [("status", "status_code")]
    unseen = outcome({"body": None}, {"status": 201})
    assert [str(d.kind) for d in unseen.differences] == ["status_code"]
