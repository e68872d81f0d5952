import copy
import math
from typing import Any

import orjson
import pytest
from deepdiff import DeepDiff
from hypothesis import given, settings
from hypothesis import strategies as st

from xds_server.analysis.diff.json_diff import json_differences
from xds_server.analysis.diff.json_head import parse_json_head
from xds_server.analysis.diff.rules import RuleBook
from xds_server.analysis.kinds import Kind
from xds_server.model.analysis import Analysis, Ignore, Normalize, Tolerance

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "b", "id"])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)


def found(original: Any, shadow: Any, **options: Any) -> set[tuple[str, str]]:
    return {(d.field, str(d.kind)) for d in json_differences(original, shadow, **options)}


def spelled(document: Any) -> Any:
    """Return the document with its booleans as words: to Python, and in lists to deepdiff, `False` equals 0."""
    if isinstance(document, bool):
        return f"<{document}>"
    if isinstance(document, list):
        return [spelled(each) for each in document]
    return {name: spelled(each) for name, each in document.items()} if isinstance(document, dict) else document


@given(documents, documents)
@settings(max_examples=300)
def test_something_is_found_exactly_when_deepdiff_finds_something(a: Any, b: Any) -> None:
    assert bool(json_differences(a, b)) == bool(DeepDiff(spelled(a), spelled(b)))


@given(documents)
def test_nothing_differs_from_its_own_copy(a: Any) -> None:
    assert json_differences(a, copy.deepcopy(a)) == []


@given(documents, documents)
def test_of_a_field_and_class_one_difference_is_returned(a: Any, b: Any) -> None:
    differences = json_differences(a, b)
    assert len({(d.field, d.kind) for d in differences}) == len(differences)


@given(documents, documents)
def test_missing_one_way_is_extra_the_other_way(a: Any, b: Any) -> None:
    swap = {"missing": "extra", "extra": "missing"}
    # Which elements of unlike arrays meet depends on the direction only where neither order nor length agree.
    there, back = found(a, b), found(b, a)
    assert {kind for _, kind in there} == {swap.get(kind, kind) for _, kind in back}


@pytest.mark.parametrize(
    ("original", "shadow", "expected"),
    [
        ({"price": 1.5}, {"price": "1.5"}, {("$.price", "type")}),
        ({"price": 1}, {"price": 1.0}, set()),
        ({"in_stock": True}, {"in_stock": 1}, {("$.in_stock", "type")}),
        ({"items": [{"ok": True}]}, {"items": [{"ok": 1}]}, {("$.items[*].ok", "type")}),
        ({"a": None}, {}, {("$.a", "missing")}),
        ({}, {"a": None}, {("$.a", "extra")}),
        ({"a": 1}, {"a": 2}, {("$.a", "value")}),
        ([1, 2, 3], [3, 2, 1], {("$", "array_order")}),
        ([1, 2.0], [2, 1], {("$", "array_order")}),
        ([1.0, 2.0], [1, 2], set()),
        ([1, 2, 3], [1, 3], {("$", "array_length")}),
        ([1, 2, 3], [1, 2, 9], {("$[*]", "value")}),
        ({"a b": 1}, {"a b": 2}, {("$['a b']", "value")}),
        ({"it's": 1}, {"it's": 2}, {("$['it\\'s']", "value")}),
        ([], {}, {("$", "type")}),
    ],
)
def test_each_class_has_its_name_and_path(original: Any, shadow: Any, expected: set[tuple[str, str]]) -> None:
    assert found(original, shadow) == expected


def test_one_insertion_is_one_difference() -> None:
    original = [{"id": i, "name": f"n{i}"} for i in range(1000)]
    shadow = [*original[:500], {"id": -1, "name": "new"}, *original[500:]]
    assert found(original, shadow) == {("$", "array_length")}


def test_elements_are_matched_by_their_identity_even_when_all_have_moved_and_changed() -> None:
    original = [{"id": i, "price": i} for i in range(10)]
    shadow = [{"id": i, "price": str(i)} for i in reversed(range(10))]
    assert found(original, shadow) == {("$", "array_order"), ("$[*].price", "type")}


def test_the_identity_of_a_document_store_counts() -> None:
    original = [{"_id": i, "v": i} for i in range(9)]
    assert found(original, [{"_id": 99, "v": 0}, *original[:4], {"_id": 4, "v": 7}, *original[5:]]) == {
        ("$", "array_length"),
        ("$[*].v", "value"),
    }


def test_one_element_replaced_is_one_gone_and_one_new() -> None:
    assert found([{"id": 1}, {"id": 2}], [{"id": 1}, {"id": 3}]) == {("$[*]", "missing"), ("$[*]", "extra")}


@pytest.mark.parametrize(
    ("original", "shadow", "expected"),
    [
        ([0, 3, 0], [9, 3, 0], ("$[*]", "value")),
        ([{"q": 1}, {"q": 2}, {"q": 1}], [{"q": 9}, {"q": 2}, {"q": 1}], ("$[*].q", "value")),
        (["a", "b"], ["b", "a", "b"], ("$", "array_length")),
        (["a", "b", "a"], ["b", "a"], ("$", "array_length")),
        ([0, 0, 1, 0, 7], [0, 1, 0, 7], ("$", "array_length")),
        ([[0, 1], [1, 0], [0, 1]], [[5, 1], [1, 0], [0, 1]], ("$[*][*]", "value")),
    ],
)
def test_elements_that_repeat_are_no_other_order(original: Any, shadow: Any, expected: tuple[str, str]) -> None:
    assert found(original, shadow) == found(shadow, original) == {expected}


def test_of_elements_that_repeat_the_last_may_be_meant() -> None:
    assert found(["y", "n", "y", "y"], ["n", "y", "y", "x"]) == {("$[*]", "value")}
    assert found(["y", "n"], ["n", "y"]) == {("$", "array_order")}


def test_keys_that_are_identifiers_are_one_field() -> None:
    original = {"users": {str(i): {"age": i} for i in range(10_000, 11_000)}}
    shadow = {"users": {str(i): {"age": i + 1} for i in range(10_000, 11_000)}}
    assert found(original, shadow) == {("$.users.*.age", "value")}


def test_the_very_place_is_told_besides_the_field() -> None:
    (difference,) = json_differences({"items": [{"p": 1}, {"p": 2}]}, {"items": [{"p": 1}, {"p": 3}]})
    assert difference.at == "$.items[1].p"
    assert difference.as_json() == {
        "field": "$.items[*].p",
        "class": "value",
        "at": "$.items[1].p",
        "original": "2",
        "shadow": "3",
    }


def test_a_thousand_levels_are_no_problem() -> None:
    deep = [orjson.loads(b'{"a":[' * 500 + leaf + b"]}" * 500) for leaf in (b"1", b"2")]
    (difference,) = json_differences(*deep)
    assert difference.kind is Kind.VALUE
    assert len(difference.field) <= 301
    assert difference.as_json()["at"]


def test_beyond_the_budget_it_says_so_instead_of_going_on() -> None:
    big = {f"k{i}": [i] for i in range(1000)}
    other = {f"k{i}": [i + 1] for i in range(1000)}
    assert ("$", "too_complex") in found(big, other, budget=500)


def test_a_million_keys_end_in_one_field() -> None:
    original = {f"{i:08x}a1": 1 for i in range(20_000)}
    assert found(original, dict.fromkeys(original, 2)) == {("$.*", "value")}


DOCUMENT = b'{"a":[1,{"b":"x{\\"y,"},3],"c":{"d":[true,null,"s\\\\"]},"e":12,"f":[],"g":{}}'


@pytest.mark.parametrize("length", range(1, len(DOCUMENT) + 1))
def test_a_head_of_a_document_does_not_differ_from_the_document(length: int) -> None:
    head, whole = parse_json_head(DOCUMENT[:length]), orjson.loads(DOCUMENT)
    assert json_differences(head, whole) == json_differences(whole, head) == []


def test_what_stands_complete_in_a_head_is_compared() -> None:
    original, shadow = (parse_json_head(b'[{"p":%d,"q":1},{"p":5' % p) for p in (1, 2))
    assert found(original, shadow) == {("$[*].p", "value")}


@given(documents, st.integers(0, 80))
def test_any_head_can_be_read(document: Any, length: int) -> None:
    text = orjson.dumps([document])
    assert json_differences(parse_json_head(text[: max(1, length)]), [document]) == []


numbers = st.sampled_from([True, 0, 0.0, 1, 1.0, 2, 2.0, 1.5, "a"])
arrays = st.recursive(numbers, lambda inner: st.lists(inner, max_size=5) | st.fixed_dictionaries({"p": inner}))


def equal(a: Any, b: Any) -> bool:
    """Say what equality means: `true` is not 1, but 1 is 1.0; arrays are in order."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


@given(st.permutations([1, 2.0, 3, 1.0]), st.permutations([1.0, 2, 3, 1]))
def test_numbers_written_another_way_hide_no_change_of_order(a: Any, b: Any) -> None:
    assert bool(json_differences(a, b)) != equal(a, b)


@given(arrays, arrays)
@settings(max_examples=300)
def test_something_is_found_exactly_when_numbers_differ(a: Any, b: Any) -> None:
    assert bool(json_differences(a, b)) != equal(a, b)


def test_identities_that_became_texts_still_tell_the_elements_apart() -> None:
    original = [{"id": 1, "p": 1}, {"id": 2, "p": 2}]
    assert found(original, [{"id": "1", "p": 1}, {"id": "2", "p": 2}]) == {("$[*].id", "type")}


@pytest.mark.parametrize("head", [b"[1,2,3,4,", b'[1,2,3,{"a":', b"[1,2,3,[4"])
def test_a_cut_array_that_has_more_than_a_whole_one_is_longer(head: bytes) -> None:
    cut = parse_json_head(head)
    assert found([1, 2], cut) == found(cut, [1, 2]) == {("$", "array_length")}
    assert found([1, 2, 3, 4, 5], cut) <= {("$[*]", "type")}


def ruled(a: Any, b: Any, **rules: Any) -> list[Any]:
    return json_differences(a, b, rules=RuleBook(Analysis(recognise=(), **rules)).of("GET /"))


@given(documents, documents)
@settings(max_examples=200)
def test_an_ignored_member_is_left_out_as_deepdiff_leaves_it_out(a: Any, b: Any) -> None:
    # Arrays are matched by content before rules are asked, so only members outside of arrays are compared so.
    one, other = {"a": a, "b": b}, {"a": b, "b": a}
    differs = bool(DeepDiff(spelled(one), spelled(other), exclude_paths=["root['a']"]))
    assert bool(ruled(one, other, ignore=(Ignore(path="$.a"),))) == differs


@given(st.lists(st.floats(0, 10), max_size=6), st.floats(0, 2))
def test_numbers_within_a_tolerance_are_those_that_python_calls_close(numbers: list[float], step: float) -> None:
    moved = [{"id": n, "p": x + step} for n, x in enumerate(numbers)]
    original = [{"id": n, "p": x} for n, x in enumerate(numbers)]
    close = all(math.isclose(x, x + step, rel_tol=0.0, abs_tol=1.0 + 1e-14) for x in numbers)
    assert bool(ruled(original, moved, tolerance=(Tolerance(absolute=1.0),))) != close


@given(st.lists(scalars, max_size=6), st.randoms())
def test_without_an_order_any_permutation_is_the_same(elements: list[Any], chance: Any) -> None:
    other = elements.copy()
    chance.shuffle(other)
    assert ruled({"t": elements}, {"t": other}, normalize=(Normalize(path="$.t", unordered=True),)) == []


@given(st.lists(scalars, max_size=5), st.lists(scalars, max_size=5))
@settings(max_examples=200)
def test_without_an_order_something_is_found_exactly_when_deepdiff_finds_something(a: Any, b: Any) -> None:
    differs = bool(DeepDiff(spelled(a), spelled(b), ignore_order=True, report_repetition=True))
    assert bool(ruled(a, b, normalize=(Normalize(unordered=True),))) == differs


@given(documents, documents)
def test_a_promise_of_no_booleans_changes_nothing_where_there_are_none(a: Any, b: Any) -> None:
    one, other = spelled(a), spelled(b)
    assert json_differences(one, other, booleans=False) == json_differences(one, other)


@given(documents, documents)
def test_rules_that_say_nothing_change_nothing(a: Any, b: Any) -> None:
    rules = {"ignore": (Ignore(path="$.zzz"),), "tolerance": (Tolerance(path="$.zzz", absolute=1.0),)}
    assert ruled(a, b, **rules) == json_differences(a, b)


def test_one_insertion_into_objects_that_have_no_identity_is_one_difference() -> None:
    original = [{"text": f"t{i}", "n": [i]} for i in range(1000)]
    assert found(original, [{"text": "new", "n": []}, *original]) == {("$", "array_length")}
