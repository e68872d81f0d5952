"""Where things lie in the pictures."""

import math
import re
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.samples import histograms, verdict
from xds_server.report.geometry import HEIGHT, MARGIN, PLOT, WIDTH, bars, distribution

NUMBER = st.one_of(st.none(), st.floats(), st.integers(-5, 5), st.text(max_size=3))
CHECK = st.fixed_dictionaries(
    {
        "effect": NUMBER,
        "threshold": NUMBER,
        "limit": NUMBER,
        "interval": st.one_of(st.none(), st.lists(NUMBER, min_size=1, max_size=3)),
        "unit": st.sampled_from(["share", "ratio", None]),
    }
)


def test_a_passing_interval_ends_left_of_the_limit_and_a_failing_one_begins_right_of_it() -> None:
    for name in ("fail", "pass"):
        checks = verdict(name)["checks"]
        for check in checks:
            (bar,) = bars([check])
            if bar is None:
                assert check["effect"] is None
                continue
            assert bar.left <= bar.effect <= bar.right
            if check["decision"] == "PASS":
                assert bar.right < bar.limit
            if check["decision"] == "FAIL":
                assert bar.left > bar.limit
            if check["decision"] == "INCONCLUSIVE":
                assert bar.left <= bar.limit <= bar.right


def test_the_limit_is_drawn_on_the_scale_of_the_interval() -> None:
    check = {"effect": 1.9, "threshold": 1.25, "interval": [1.8, 2.0], "unit": "ratio"}
    (beyond,) = bars([check])
    (within,) = bars([{**check, "limit": 3.04, "allowance": 0.001}])
    assert beyond is not None
    assert within is not None
    assert beyond.left > beyond.limit
    assert within.right < within.limit


def test_checks_of_one_metric_share_their_scale_and_a_wide_interval_is_cut_and_says_so() -> None:
    found = [bar for bar in bars([c for c in verdict("fail")["checks"] if c["metric"] == "error_rate"]) if bar]
    assert len({bar.limit for bar in found}) == 1
    assert [(bar.left_open, bar.right_open) for bar in found] == [(False, False)] * 4 + [(True, True)]


def test_a_ratio_is_drawn_as_its_logarithm() -> None:
    halves, twice = {"effect": 0.5, "interval": [0.5, 0.5]}, {"effect": 2.0, "interval": [2.0, 2.0]}
    first, second = bars([each | {"threshold": 2.0, "unit": "ratio"} for each in (halves, twice)])
    assert first is not None
    assert second is not None
    assert math.isclose(first.none - first.effect, second.effect - second.none, abs_tol=0.2)


@given(st.lists(CHECK, max_size=4))
def test_whatever_the_numbers_are_the_picture_stays_in_its_frame(checks: list[dict[str, Any]]) -> None:
    for bar in bars(checks):
        if bar is not None:
            assert all(MARGIN <= x <= WIDTH - MARGIN for x in (bar.left, bar.right, bar.effect, bar.limit, bar.none))


def test_a_distribution_is_drawn_within_its_frame_and_its_axis_has_ticks() -> None:
    for endpoint in histograms()["endpoints"]:
        found = distribution(endpoint)
        assert found is not None
        assert [curve.leg for curve in found.curves] == ["original", "shadow", "control"]
        assert len(found.ticks) >= 2
        for curve in found.curves:
            points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+),([\d.]+)", curve.line)]
            assert all(0 <= x <= PLOT and 0 <= y <= HEIGHT for x, y in points)
            assert all(left[0] <= right[0] for left, right in pairwise(points))
        assert min(y for curve in found.curves for y in map(float, re.findall(r",([\d.]+)", curve.line))) == 0


def test_a_slower_version_lies_to_the_right() -> None:
    original, shadow, _ = histograms({"v2": 3.0})["endpoints"][0]["legs"]
    found = distribution(histograms({"v2": 3.0})["endpoints"][0])
    assert found is not None
    left, right = found.at(original["p50"]), found.at(shadow["p50"])
    assert left is not None
    assert right is not None
    assert right > left + 10
    assert found.at(1e9) is None


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert distribution({}) is None
    assert distribution({"bounds": [1, "x"], "legs": [{"counts": [1]}]}) is None
    assert distribution({"bounds": [2, 1], "legs": [{"counts": [1]}]}) is None
    assert distribution({"bounds": [1, 2], "legs": [{"counts": [0]}]}) is None
    assert distribution({"bounds": [1, 2], "legs": [{"counts": [1, 2]}]}) is None
