"""Rules made of what was seen; every one is such as a profile accepts."""

from typing import Any

import pytest
import yaml

from api.schemas.analysis import AnalysisBody
from api.schemas.base import validate
from tests.unit.analysis.differing import a_tally, judged, seen, versions
from xds_server.analysis.query.diff_page import page_of, pair_of
from xds_server.analysis.query.diff_query import DiffQuery, Group
from xds_server.analysis.query.suggest import Suggestion, key_of, suggest
from xds_server.analysis.windows.tally import Tally
from xds_server.cli.suggesting import accepted, as_yaml

NOISE = {"both": 400, "alone": 1, "control": 2}
ENDPOINT = "GET /items/{id}"


def suggested(tally: Tally) -> list[Suggestion]:
    sources = versions(tally)
    items = page_of(sources, DiffQuery(group=Group.CLASS, limit=1000))["items"]
    return suggest(items, lambda name: pair_of(sources, name))


def one(field: str, kind: str = "value", **more: Any) -> list[tuple[str, dict[str, Any]]]:
    tally = a_tally()
    judged(tally, 1000, trios=500)
    seen(tally, field, kind, **{"count": 1000, **more})
    return [(s.section, {k: v for k, v in s.rule.items() if k != "endpoint"}) for s in suggested(tally)]


@pytest.mark.parametrize(
    ("field", "kind", "more", "rule"),
    [
        ("$.at", "same_kind", {"what": "timestamp"}, ("ignore", {"path": "$.at"})),
        ("$.id", "value", {**NOISE, "values": [('"a"', '"b"')]}, ("ignore", {"path": "$.id"})),
        ("$.tags", "array_order", {}, ("normalize", {"path": "$.tags", "unordered": True})),
        (
            "$.score",
            "value",
            {"values": [("0.95", "0.951"), ("1.5", "1.5")]},
            ("tolerance", {"path": "$.score", "relative": 0.002}),
        ),
        (
            "$.load",
            "value",
            {**NOISE, "values": [("100.5", "80.25")]},
            ("tolerance", {"path": "$.load", "relative": 0.5}),
        ),
        ("header:etag", "header", NOISE, ("ignore", {"header": "etag"})),
        (
            "header:x-cost",
            "header",
            {"values": [("a", "b"), ("c", "d")]},
            ("ignore", {"header": "x-cost"}),
        ),
        ("body", "text", NOISE, ("ignore", {"field": "body"})),
    ],
)
def test_each_sort_of_noise_has_its_rule(field: str, kind: str, more: Any, rule: Any) -> None:
    assert one(field, kind, **more) == [rule]


@pytest.mark.parametrize(
    ("field", "kind", "more"),
    [
        ("$.price", "type", {}),
        ("$.price", "value", {"values": [("9.5", "19.5"), ("1.0", "2.0")]}),
        ("$.count", "value", {"values": [("3", "4"), ("5", "6")]}),
        ("$.score", "value", {"values": [("0.95", "0.951")]}),
        ("$.name", "value", {"values": [('"a"', '"b"'), ('"c"', '"d"')]}),
        ("header:server", "header", {"values": [("one", "two"), ("one", "two")]}),
        ("status", "status", {}),
        ("other", "value", NOISE),
    ],
)
def test_a_difference_that_may_be_real_has_none(field: str, kind: str, more: Any) -> None:
    assert one(field, kind, **more) == []


def test_a_header_of_several_endpoints_is_one_rule_for_all() -> None:
    tally = a_tally()
    for endpoint in ("GET /a", "GET /b"):
        judged(tally, 100, endpoint=endpoint, trios=500)
        seen(tally, "header:etag", "header", endpoint=endpoint, **NOISE)
    (found,) = suggested(tally)
    assert found.rule == {"header": "etag"}


def test_arrays_whose_elements_have_a_key_are_told_apart_by_it() -> None:
    tally = a_tally()
    judged(tally, 1000)
    seen(tally, "$.items[*].price", count=40)
    data = seen(tally, "$.items", "array_length", count=30).examples[0].data
    price = tally.endpoints[ENDPOINT].fields["$.items[*].price", "value"].examples[0].data
    for each in (data, price):
        each["original"]["body"] = '{"items":[{"sku":"a","price":1},{"sku":"b","price":2}]}'
        each["shadow"]["body"] = '{"items":[{"sku":"new","price":9},{"sku":"a","price":1},{"sku":"b","price":2}]}'
    (found,) = suggested(tally)
    assert (found.section, dict(found.rule)) == (
        "arrayKeys",
        {"path": "$.items", "key": "sku", "endpoint": ENDPOINT},
    )


@pytest.mark.parametrize(
    ("original", "shadow", "key"),
    [
        ([{"sku": 1}, {"sku": 2}], [{"sku": 2}, {"sku": 1}], "sku"),
        ([{"sku": 1}, {"sku": 2}], [{"sku": 1}, {"sku": 2}], None),  # in the same places: no need
        ([{"id": 1, "sku": 1}, {"id": 2, "sku": 2}], [{"id": 2, "sku": 2}, {"id": 1, "sku": 1}], None),  # known anyway
        ([{"sku": 1}, {"sku": 1}], [{"sku": 2}, {"sku": 1}], None),  # tells nothing apart
        ([{"sku": 1}, {"sku": 2}], [{"sku": 8}, {"sku": 9}], None),  # found nowhere again
        ([{"sku": []}, {"sku": []}], [{"sku": []}, {"sku": []}], None),
        ([1, 2], [2, 1], None),
        ("text", None, None),
    ],
)
def test_a_key_is_found_where_it_helps(original: Any, shadow: Any, key: str | None) -> None:
    assert key_of(original, shadow) == key


def test_no_rule_hides_what_a_control_has_shown_to_be_the_new_versions_doing() -> None:
    assert one("$.tags", "array_order", alone=400) == []
    assert one("$.tags", "array_order", alone=3) != []


def test_no_rule_for_noise_hides_another_class_of_the_same_field_that_is_no_noise() -> None:
    tally = a_tally()
    judged(tally, 1000, trios=500)
    seen(tally, "$.a", "value", **NOISE, values=[('"a"', '"b"')])
    seen(tally, "$.b", "value", **NOISE, values=[('"a"', '"b"')])
    seen(tally, "$.a", "type", count=500, alone=400)
    seen(tally, "$.b.c", "missing", count=500, alone=400)
    seen(tally, "$.bc", "value", **NOISE, values=[('"a"', '"b"')])
    assert [s.rule["path"] for s in suggested(tally)] == ["$.bc"]


def test_no_rule_for_a_header_or_a_wildcard_hides_what_is_real_elsewhere() -> None:
    tally = a_tally()
    for endpoint in ("GET /a", "GET /b", "GET /c"):
        judged(tally, 1000, trios=500, endpoint=endpoint)
    for endpoint in ("GET /a", "GET /b"):
        seen(tally, "header:etag", "header", endpoint=endpoint, **NOISE)
        seen(tally, "header:x-cost", "header", endpoint=endpoint, **NOISE)
    seen(tally, "header:etag", "header", endpoint="GET /c", count=500, alone=400)
    seen(tally, "$.m.*.t", "value", endpoint="GET /c", **NOISE, values=[('"a"', '"b"')])
    seen(tally, "$.m.k.t", "value", endpoint="GET /c", count=500, alone=400)
    assert [dict(s.rule) for s in suggested(tally)] == [
        {"header": "etag", "endpoint": "GET /a"},
        {"header": "x-cost"},
        {"header": "etag", "endpoint": "GET /b"},
    ]


def test_what_is_printed_is_accepted_as_it_stands_and_what_is_not_valid_is_left_out() -> None:
    tally = a_tally()
    judged(tally, 1000, trios=500)
    seen(tally, "$.at", "same_kind", what="timestamp")
    seen(tally, "$['odd: name #1']", **NOISE, values=[('"a"', '"b"')])
    seen(tally, "$.tags", "array_order")
    seen(tally, "$.score", values=[("0.95", "0.951"), ("1.5", "1.5")])
    seen(tally, "header:x\x1b[31m bad", "header", **NOISE)
    seen(tally, "body", "text", **NOISE)
    found = suggested(tally)
    kept = accepted(found)
    assert len(found) - len(kept) == 1
    text = as_yaml(kept, about="profile v2")
    assert "\x1b" not in text
    document = yaml.safe_load(text)["analysis"]
    rules = validate(AnalysisBody, document).to_model()
    assert (len(rules.ignore), len(rules.normalize), len(rules.tolerance)) == (3, 1, 1)
    # Each has its reason.
    assert text.count("    - ") == 5
    assert text.count("pairs\n") >= 5
    assert as_yaml([], about="profile v2") == "# profile v2: nothing to suggest\n"


def test_a_number_and_its_per_cent_sign_stay_on_one_line() -> None:
    for length in range(60, 75):
        why = f"{'x' * length} in 100 % of them, 96.4 %; and more"
        text = as_yaml([Suggestion("ignore", {"path": "$.at"}, why)], about="p")
        assert " ".join(line.strip(" #") for line in text.splitlines()).count("100 % of") == 1
        assert not any(line.strip().startswith("# %") for line in text.splitlines())
