"""Numbers and foreign text as a reader sees them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.samples import HOSTILE, NOW
from xds_server.report import words

ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers())
)


TIGHT = {"metric": "response_time", "unit": "ratio", "threshold": 1.25, "limit": 3.0357, "allowance": 0.001}


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (words.figure(4810), "4,810"),
        (words.figure(0.00249), "0.00249"),
        (words.figure(123456.7), "123,457"),
        (words.share(0.0223), "2.23 %"),
        (words.milliseconds(12.13), "12.1 ms"),
        (words.milliseconds(1500), "1.5 s"),
        (words.size(91226112.0), "87 MiB"),
        (words.size(5 * 2**50), "5,120 TiB"),
        (words.times(1.42), "1.42\N{MULTIPLICATION SIGN}"),
        (words.title({"metric": "response_time", "name": "response_time p99"}), "Response time p99"),
        (words.title({"metric": "error_rate", "name": "error_rate"}), "Errors"),
        (words.title({"metric": "prometheus", "name": "checkout_errors"}), "checkout_errors"),
        (words.effect({"metric": "error_rate", "unit": "share"}, 0.01), "+1 %"),
        (words.effect({"metric": "error_rate", "unit": "share"}, -0.01), "-1 %"),
        (words.limit({"metric": "difference_rate", "unit": "share", "threshold": 0.01}), "at most 1 %"),
        (words.limit(TIGHT), "at most 3.04\N{MULTIPLICATION SIGN} (1.25\N{MULTIPLICATION SIGN} and 1 ms)"),
        (words.bound(TIGHT), "3.04\N{MULTIPLICATION SIGN}"),
        (words.moment("2026-05-04T09:31:12.500Z"), "2026-05-04 09:31:12 UTC"),
        (words.moment(NOW), "2026-05-04 09:35:00 UTC"),
        (words.moment("yesterday"), "yesterday"),
        (words.plain("unpaired_original"), "unpaired original"),
    ],
)
def test_values_read_as_people_write_them(made: str, shown: str) -> None:
    assert made == shown


@pytest.mark.parametrize(
    ("metric", "unit", "ends", "shown"),
    [
        ("response_time", "ratio", [0, None], "not known yet"),
        ("response_time", "ratio", [1.2, None], "at least 1.2\N{MULTIPLICATION SIGN}"),
        ("error_rate", "share", [None, None], "not known yet"),
        ("error_rate", "share", [None, 0.02], "at most +2 %"),
    ],
)
def test_an_interval_with_an_open_end_says_what_is_known(
    metric: str, unit: str, ends: list[float | None], shown: str
) -> None:
    assert words.interval({"metric": metric, "unit": unit, "interval": ends}) == shown


def test_what_is_missing_is_told_by_causes_that_do_not_overlap() -> None:
    one = {"copies": 1, "share": 0.0005, "kinds": {"als_gap": 1, "unpaired_original": 1}}
    assert words.missing(one) == "1 copy is missing (0.05 %): 1 whose answer, or the record of it, never came"
    assert words.missing({"copies": 0, "kinds": {}}) == words.missing(None) == ""
    assert words.plain("als_gap") == "records that never came"


@given(ANYTHING)
def test_whatever_a_document_holds_becomes_text(value: Any) -> None:
    for metric in ("error_rate", "response_time", "memory", "cpu", "prometheus", "new"):
        check = {"metric": metric, "unit": "ratio", "threshold": value, "interval": [value, value], "name": "n"}
        made = (words.measured(check, value), words.effect(check, value), words.limit(check), words.interval(check))
        made += (words.missing({"copies": value, "share": value, "kinds": {"overflow": value}}),)
        assert all(isinstance(each, str) for each in made)
    assert isinstance(words.moment(value), str)


def test_what_is_no_number_is_a_dash() -> None:
    assert {words.share(each) for each in (None, math.nan, math.inf, "7", True)} == {words.NOTHING}


def test_foreign_text_is_cut_and_has_no_control_characters() -> None:
    assert words.clip("a" * 600) == "a" * 500 + "… (100 more characters)"
    made = words.clip(HOSTILE)
    assert "\\x1b[31m\\x00\\xd800" in made
    made.encode()
