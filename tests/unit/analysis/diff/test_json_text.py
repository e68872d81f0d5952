from typing import Any

import orjson
import pytest

from tests.unit.analysis.diff.test_compare import outcome
from tests.unit.analysis.work import calls
from xds_server.analysis.diff.difference import Difference
from xds_server.analysis.diff.json_text import NOT_JSON, Literal, parse_json, twice

MOST_CALLS = 1_000_000
"""Of functions, for a pair; the budget allows about three for each value."""


def differences(original: bytes, shadow: bytes) -> list[Difference]:
    result = outcome({"body": original, "head": 10**7}, {"body": shadow, "head": 10**7})
    assert result.reason is None
    return result.differences


def found(original: bytes, shadow: bytes) -> list[tuple[str, str]]:
    return [(d.field, str(d.kind)) for d in differences(original, shadow)]


def test_nan_and_infinity_on_one_side_are_a_value_and_an_invalid_body() -> None:
    assert found(b'{"a":1}', b'{"a":NaN}') == [("$.a", "value"), ("$", "invalid")]
    value, flaw = differences(b'{"a":1}', b'{"a":-Infinity}')
    assert (value.as_json()["original"], value.as_json()["shadow"]) == ("1", "-Infinity")
    assert flaw.as_json()["shadow"] == "JSON with NaN or Infinity"


def test_nan_on_both_sides_is_equal_to_itself_and_told_from_the_text() -> None:
    assert found(b'{"a":NaN,"b":1}', b'{"b":1, "a":NaN}') == []
    assert found(b'{"a":[NaN],"b":NaN}', b'{"a":["NaN"],"b":NaN}') == [("$.a[*]", "type")]
    assert found(b'{"a":[NaN],"b":NaN}', b'{"a":[null],"b":NaN}') == [("$.a[*]", "type")]


def test_numbers_beyond_a_double_are_compared_as_they_are_written() -> None:
    assert found(b'{"a":1e400}', b'{ "a":1e400}') == []
    assert found(b'{"a":1e400}', b'{"a":1e401}') == [("$.a", "value")]
    digits = b"1" + b"0" * 400
    (difference,) = differences(b'{"a":1}', b'{"a":%s}' % digits)
    assert difference.as_json()["shadow"].startswith("1e+400" if difference.shadow == float("inf") else "1000")
    assert found(b"[%s]" % (b"9" * 5000), b"[%s]" % (b"9" * 4999 + b"8"))


def test_bytes_that_are_no_utf_8_are_read_and_said_to_be_invalid() -> None:
    assert found('{"a":"é"}'.encode(), b'{"a":"\xe9"}') == [("$", "invalid")]
    assert found(b'{"a":"\xe8"}', b'{"a":"\xe9"}') == [("$.a", "value")]
    text = {"content-type": "text/plain"}
    result = outcome({"headers": text, "body": b"caf\xe9"}, {"headers": text, "body": "café".encode()})
    assert [(d.field, str(d.kind)) for d in result.differences] == [("body", "invalid")]


def test_keys_that_stand_twice_are_a_class_of_their_own() -> None:
    (difference,) = differences(b'{"a":1,"a":2}', b'{"a":2}')
    assert (str(difference.kind), difference.at) == ("duplicate_keys", "key a")
    assert (difference.as_json()["original"], difference.as_json()["shadow"]) == ("[1,2]", None)
    assert found(b'{"a":1,"a":2}', b'{"a":3,"a":2}') == [("$", "duplicate_keys")]
    assert found(b'{"a":1,"a":2}', b'{"a":1, "a":2}') == []
    assert found(b'{"a":1,"a":2}', b'{"a":3}') == [("$.a", "value"), ("$", "duplicate_keys")]


def test_a_text_that_looks_like_a_key_is_no_key() -> None:
    body = orjson.dumps({"a": '":":":'})
    assert twice(body, orjson.loads(body)) == {}
    assert found(body, body.replace(b"{", b"{ ")) == []


def test_one_that_is_no_json_is_invalid_beside_one_that_is() -> None:
    assert found(b'{"a":1}', b"{'a':1}") == [("$", "invalid")]
    assert found(b"{'a':1}", b"{'a':2}") == [("body", "text")]
    assert found(b'{"a":1}', b'\xef\xbb\xbf{"a":1}') == [("$", "invalid")]


@pytest.mark.parametrize("data", [b"", b"{", b"nul", b"[" * 100_000, b'{"a":' * 5_000, b"\xff", b"NaN NaN", b"[1e]"])
def test_what_is_no_json_is_said_to_be_none(data: bytes) -> None:
    assert parse_json(data).value is NOT_JSON


def test_a_literal_is_shown_without_quotes() -> None:
    assert Difference("$.a", "value", Literal("\0NaN"), "NaN").as_json()["original"] == "NaN"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: [{"id": i, "a": i + n} for i in range(30_000)],
        lambda n: {f"key {i}x": n for i in range(100_000)},
        lambda n: {f"{chr(97 + i % 26)}k{'x' * (i % 50)}{chr(97 + i // 26 % 26)}": n for i in range(100_000)},
        lambda n: [[i, n] for i in range(60_000)],
        lambda n: ["x" * 1_000_000, n],
        lambda n: [i ^ n for i in range(45_000)],
        lambda n: {"a": {"b": [[str(i)] * 10 for i in range(20_000)], "c": n}},
    ],
)
def test_a_body_of_a_megabyte_costs_bounded_work_and_differences(make: Any) -> None:
    one, other = (orjson.dumps(make(n)) for n in (1, 2))
    assert 1 <= len(differences(one, other)) <= 1_001
    assert calls(lambda: differences(one, other)) < MOST_CALLS


def test_depth_costs_bounded_work() -> None:
    wide = b'"x":"' + b"y" * 1000 + b'",'
    one, other = (b"{" + wide + b'"a":' + (b"{" + wide + b'"a":') * 990 + leaf + b"}" * 991 for leaf in (b"1", b"true"))
    assert len(differences(one, other)) == 1
    assert calls(lambda: differences(one, other)) < MOST_CALLS


def test_a_million_keys_of_one_object_are_too_complex() -> None:
    one = b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b"}"
    assert found(one, one.replace(b":1", b":2")) == [("$", "too_complex")]


def test_half_a_surrogate_pair_is_kept_as_it_is_spelled() -> None:
    assert parse_json(rb'["\ud800", "\ud83d\ude00", "\\ud800", NaN]').value[:3] == [r"\ud800", "😀", r"\ud800"]
    value, flaw = differences(b'{"a":"x"}', rb'{"a":"\udfff"}')
    assert (value.shadow, str(flaw.kind)) == (r"\udfff", "invalid")
    orjson.dumps([value.as_json(), flaw.as_json()])
