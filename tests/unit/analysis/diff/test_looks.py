import base64
import hashlib
import random
import uuid
from itertools import pairwise
from typing import Any

import pytest

from xds_server.analysis.diff.looks import same_kind
from xds_server.model.analysis import RECOGNISED

CHANCE = random.Random(1)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0."


def kind(a: Any, b: Any, name: str = "$.x") -> str:
    return same_kind(a, b, RECOGNISED, name)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("2026-11-24T03:37:14Z", "2026-11-24T03:37:15.123456+01:00"),
        ("2026-11-24 03:37:14", "2026-11-24 03:37:15"),
        ("Tue, 24 Nov 2026 03:37:14 GMT", "Wed, 25 Nov 2026 03:37:14 GMT"),
        ("20261124T033714Z", "20261124T033715Z"),
        ("24/Nov/2026:03:37:14 +0000", "24/Nov/2026:03:37:15 +0000"),
        (1_795_491_434, 1_795_491_435),
        (1_795_491_434.25, 1_795_491_435),
        (1_795_491_434_123, 1_795_491_434_999),
        (1_795_491_434_123_456_789, 1_795_491_434_999_456_789),
        ("1795491434", "1795491435"),
        ('"1795491434123"', '"1795491434124"'),
        ("made on 2026-11-24T03:37:14Z by us", "made on 2026-11-24T03:37:19Z by us"),
    ],
)
def test_timestamps_are_recognised(a: Any, b: Any) -> None:
    assert kind(a, b) in {"timestamp", "clock"}
    assert same_kind(a, b, set(RECOGNISED) - {"timestamp"}, "$.x") == ""


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("2026-11-24T03:37:14Z", "2026-11-24T03:37:15Z", "clock"),
        ("2026-11-24T03:37:14Z", "2026-11-24T04:37:15+01:00", "clock"),
        ("2026-11-24T03:37:14Z", "2026-11-24T03:39:15Z", "timestamp"),
        ("2026-11-24T03:37:14Z", "2020-01-02T03:37:14Z", "timestamp"),
        ("Tue, 24 Nov 2026 03:37:14 GMT", "Tue, 24 Nov 2026 03:37:16 GMT", "clock"),
        ("Tue, 24 Nov 2026 03:37:14 GMT", "Wed, 25 Nov 2026 03:37:14 GMT", "timestamp"),
        ("0001-01-01T00:00:00Z", "2026-11-24T03:37:14Z", ""),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "clock"),
        ("9999-12-31T23:59:59-23:59", "2026-11-24T03:37:14Z", "timestamp"),
        (1_795_491_434, 1_795_491_435, "clock"),
        (1_795_491_434_000, 1_795_491_634_000, "timestamp"),
        ("made on 2026-11-24T03:37:14Z by us", "made on 2026-11-24T03:37:19Z by us", "clock"),
        ("made on 2026-11-24T03:37:14Z by us", "made on 2025-11-24T03:37:19Z by us", "timestamp"),
    ],
)
def test_readings_of_the_clock_are_told_from_other_times(a: Any, b: Any, expected: str) -> None:
    assert kind(a, b) == expected


def test_ids_tokens_and_hashes_are_recognised() -> None:
    ids = [str(uuid.UUID(int=CHANCE.getrandbits(128))) for _ in range(2)]
    assert kind(*ids) == "uuid"
    assert kind(*(f"/jobs/{each}/log" for each in ids)) == "uuid"
    assert kind("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ") == "uuid"
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        assert kind(*(hashlib.new(algorithm, text).hexdigest() for text in (b"a", b"b"))) == "hash"
    assert kind('"5d41402abc4b2a76b9719d911017c592"', 'W/"7d793037a0760186574b0282f2f435e7"') == "hash"
    assert kind("sha256-n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", "sha256-" + "A" * 43 + "=") == "hash"
    assert kind("4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c", "$.traceId") == "trace_id"
    assert kind("00f067aa0ba902b7", "b7ad6b7169203331") == "trace_id"
    assert kind("1-5759e988-bd862e3fe1be46a994272793", "1-581cf771-a006649127e371903a2de979") == "trace_id"
    traces = (f"00-{'4bf92f3577b34da6' * 2}-00f067aa0ba902b{n}-01" for n in (7, 8))
    assert kind(*traces) == "trace_id"
    assert kind(JWT + "abc-_1", JWT + "xyz") == "token"
    tokens = [base64.urlsafe_b64encode(CHANCE.randbytes(30)).decode() for _ in range(201)]
    assert sum(kind(*pair) == "token" for pair in pairwise(tokens)) >= 195


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1.5, 2.5),
        (3, 4),
        (19_99, 24_99),
        (1_999_999_999, 1_400_000_000),
        (1_795_491_434, 1_795_491_434_000),
        (1_795_491_434, "2026-11-24T03:37:14Z"),
        (True, False),
        ("2026-11-24", "2026-11-25"),
        ("1990-01-01", "1991-01-01"),
        ("03:37", "03:38"),
        ("4111111111111111", "5500005555555559"),
        ("deadbeef", "cafebabe"),
        ("feedfacefeedface", "deadbeefdeadbeef"),
        ("GetUserProfileByName2Handler1Service", "GetUserProfileByName3Handler1Service"),
        ("/Images/Photos2023/IMG0001abc", "/Images/Photos2023/IMG0002abc"),
        ("a-rather-long-slug-with-2-numbers-10", "a-rather-long-slug-with-2-numbers-11"),
        ("application/vnd.shop.v1+json", "application/vnd.shop.v2+json"),
        ("item number 1", "item number 2"),
        ("ready", "not ready"),
        ("v1.22.333-rc4", "v1.22.334-rc4"),
        ("", "6fa459ea-ee8a-3ca4-894e-db77e160355e"),
        ("6fa459ea-ee8a-3ca4-894e-db77e160355e", "2026-11-24T03:37:14Z"),
        ("at 2026-11-24T03:37:14Z: ok", "at 2026-11-24T03:37:19Z: failed"),
        ("00000000-0000-0000-0000-000000000000", "6fa459ea-ee8a-3ca4-894e-db77e160355e"),
        ("urn:uuid:00000000-0000-0000-0000-000000000000", "urn:uuid:6fa459ea-ee8a-3ca4-894e-db77e160355e"),
        (None, "x"),
        ([1], [2]),
    ],
)
def test_what_is_no_such_value_is_not_recognised(a: Any, b: Any) -> None:
    assert kind(a, b) == kind(b, a) == ""


def test_kinds_can_be_left_out() -> None:
    assert same_kind("2026-11-24T03:37:14Z", "2026-11-24T03:37:15Z", {"uuid"}) == ""
    assert same_kind(1_795_491_434, 1_795_491_435, {"uuid"}) == ""
    assert same_kind("a" * 31 + "1", "b" * 31 + "2", {"trace_id"}) == "trace_id"


@pytest.mark.parametrize("text", ["a1" * 100_000, "0" * 100_000, "1-" * 2000, "A1b" * 1000, "2026-" * 800, "²" * 12])
def test_strange_texts_are_no_problem(text: str) -> None:
    kind(text, text + "1")
    kind(f"/{text}", f"/{text}1")
