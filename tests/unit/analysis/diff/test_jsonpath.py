import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.diff.expressions import BadRuleError
from xds_server.analysis.diff.json_diff import json_differences
from xds_server.analysis.diff.jsonpath import compile_path


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("$", "$"),
        ("$.items[*].price", "$.items[*].price"),
        ("$.items[0].price", "$.items[*].price"),
        ("$.items[-1]", "$.items[*]"),
        ("$['items'][*]['price']", "$.items[*].price"),
        ('$["two words"]', "$['two words']"),
        (r"$['it\'s']", r"$['it\'s']"),
        ("$.two-words", "$['two-words']"),
        ("$.*.price", "$.items.price"),
        ("$.items.*", "$.items[*]"),
        ("$[*]", "$.items"),
        ("$..price", "$.price"),
        ("$..price", "$.a[*].b.price"),
        ("$.a..price", "$.a.b[*]['c d'].price"),
        ("$..a..b", "$.x.a.a.y.b"),
        ("$..['price']", "$.a.price"),
        ("$..[*]", "$.a.b"),
        ("$.users.4711.age", "$.users.*.age"),
        ("$.größe", "$.größe"),
    ],
)
def test_a_path_matches_the_field(path: str, field: str) -> None:
    assert compile_path(path).matches(field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("$.items", "$.item"),
        ("$.items", "$.items[*]"),
        ("$.items[*]", "$.items"),
        ("$.items[0]", "$.items.a"),
        ("$.price", "$.a.price"),
        ("$..price", "$.prices"),
        ("$.a..price", "$.b.price"),
        ("$.body", "body"),
        ("$", "header:etag"),
    ],
)
def test_a_path_does_not_match_another_field(path: str, field: str) -> None:
    assert not compile_path(path).matches(field)


def test_a_path_covers_what_is_below_it_and_nothing_beside_it() -> None:
    path = compile_path("$.items[*].meta")
    assert all(map(path.covers, ("$.items[*].meta", "$.items[*].meta.a", "$.items[*].meta[*].b")))
    assert not any(map(path.covers, ("$.items[*]", "$.items[*].metadata", "$.items[*].x.meta")))
    assert compile_path("$").covers("$.anything[*]")
    assert compile_path("$..a").covers("$.x.a.y")


@pytest.mark.parametrize("path", ["items", "$items", "$.", "$..", "$[", "$[1:2]", "$[?(@.a)]", "$['a", "$.a b", "$[a]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(BadRuleError) as error:
        compile_path(path)
    assert "$.items[*].price" in error.value.hint


def test_a_path_of_many_steps_is_refused() -> None:
    with pytest.raises(BadRuleError, match="steps"):
        compile_path("$" + "..a" * 51)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 1), min_size=1, max_size=3))
def test_a_field_is_a_path_that_matches_itself(document: dict[str, int]) -> None:
    for difference in json_differences({"x": [document]}, {"x": [dict.fromkeys(document, 9)]}):
        assert compile_path(difference.field).matches(difference.field)
