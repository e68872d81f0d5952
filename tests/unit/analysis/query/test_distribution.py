"""Response times as histograms."""

import pytest

from tests.unit.analysis.differing import a_tally, judged
from xds_server.analysis.query.distribution import MOST, histograms_of
from xds_server.analysis.windows.tally import Tally


def timed(tally: Tally, endpoint: str, original: float, shadow: float, count: int = 10) -> None:
    judged(tally, count, endpoint=endpoint)
    for _ in range(count):
        tally.endpoints[endpoint].original.response.add(original)
        tally.endpoints[endpoint].shadow.response.add(shadow)


def test_legs_share_their_bounds_and_every_value_lies_in_its_bucket() -> None:
    tally, control = a_tally("i1"), a_tally("c1", control=True)
    timed(tally, "GET /a", 0.010, 0.020)
    timed(control, "GET /a", 0.010, 0.011)
    whole, one = histograms_of([tally, control], {"i1": "v2", "c1": "control"})["endpoints"]
    assert (whole["endpoint"], one["endpoint"]) == ("", "GET /a")
    assert [(leg["leg"], leg["variant"], leg["count"]) for leg in one["legs"]] == [
        ("original", "", 10),
        ("shadow", "v2", 10),
        ("control", "", 10),
    ]
    for leg, value in zip(one["legs"], (10.0, 20.0, 11.0), strict=True):
        at = leg["counts"].index(10)
        assert one["bounds"][at] <= value * 1.001
        assert value <= one["bounds"][at + 1] * 1.001
        assert leg["p50"] == pytest.approx(value, rel=0.01)
        assert len(leg["counts"]) + 1 == len(one["bounds"])


def test_all_endpoints_together_come_first_then_those_with_the_most_pairs() -> None:
    tally = a_tally("i1")
    for number in range(MOST + 3):
        timed(tally, f"GET /{number}", 0.001, 0.002, count=number + 1)
    found = histograms_of([tally], {"i1": "v2"})
    names = [each["endpoint"] for each in found["endpoints"]]
    assert names[:3] == ["", f"GET /{MOST + 2}", f"GET /{MOST + 1}"]
    assert (len(names), found["leftOut"]) == (MOST + 1, 3)
    assert found["endpoints"][0]["legs"][0]["count"] == sum(range(1, MOST + 4))


def test_versions_are_told_apart_and_what_was_never_timed_is_left_out() -> None:
    first, second = a_tally("i1"), a_tally("i2")
    timed(first, "GET /a", 0.001, 0.002)
    timed(second, "GET /a", 0.001, 0.003)
    judged(first, 5, endpoint="GET /never")
    found = histograms_of([first, second], {"i1": "v2", "i2": "v3"})["endpoints"]
    assert [each["endpoint"] for each in found] == ["", "GET /a"]
    assert [leg["variant"] for leg in found[1]["legs"]] == ["", "v2", "v3"]
    assert histograms_of([], {}) == {"unit": "ms", "endpoints": [], "leftOut": 0}


def test_the_tallies_stay_as_they_are() -> None:
    tally = a_tally("i1")
    timed(tally, "GET /a", 0.001, 0.002)
    before = tally.endpoints["GET /a"].original.response.as_json()
    histograms_of([tally], {})
    assert tally.endpoints["GET /a"].original.response.as_json() == before
