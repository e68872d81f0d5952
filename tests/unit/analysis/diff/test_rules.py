from typing import Any

import orjson
import pytest

from tests.unit.analysis.entries import pair
from tests.unit.analysis.work import calls
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.diff.expressions import LONGEST_VALUE, BadRuleError, Expression, Meter, compile_replacement
from xds_server.analysis.diff.json_diff import json_differences
from xds_server.analysis.diff.rules import RuleBook, Rules
from xds_server.analysis.kinds import Kind
from xds_server.model.analysis import Analysis, ArrayKey, Ignore, Normalize, Tolerance

ENDPOINT = "GET /items/{id}"


def rules(*of: Any, endpoint: str = ENDPOINT, **more: Any) -> Rules:
    names = {Ignore: "ignore", Normalize: "normalize", Tolerance: "tolerance", ArrayKey: "array_keys"}
    given: dict[str, tuple[Any, ...]] = {}
    for rule in of:
        given[names[type(rule)]] = (*given.get(names[type(rule)], ()), rule)
    return RuleBook(Analysis(**given, **more)).of(endpoint)


def found(original: Any, shadow: Any, *of: Any, **more: Any) -> list[tuple[str, str]]:
    return [(d.field, str(d.kind)) for d in json_differences(original, shadow, rules=rules(*of, **more))]


def answers(original: dict[str, Any], shadow: dict[str, Any], *of: Any, **more: Any) -> list[tuple[str, str]]:
    outcome = compare(*pair(original, shadow), rules(*of, **more))
    assert outcome.reason is None
    return [(d.field, str(d.kind)) for d in outcome.differences]


@pytest.mark.parametrize("endpoint", ["", "GET /items/*", "* /items/{id}", "/items/{id}", "*"])
def test_a_rule_holds_at_endpoints_like_its_pattern(endpoint: str) -> None:
    assert found({"a": 1}, {"a": 2}, Ignore(endpoint=endpoint, path="$.a")) == []


@pytest.mark.parametrize("endpoint", ["POST *", "GET /items", "/items/[{]id}", "GET /items/?id?"])
def test_a_rule_does_not_hold_at_other_endpoints(endpoint: str) -> None:
    assert found({"a": 1}, {"a": 2}, Ignore(endpoint=endpoint, path="$.a")) == [("$.a", "value")]


def test_a_pattern_of_many_stars_costs_no_time() -> None:
    assert rules(Ignore(endpoint="*a" * 100 + "b", path="$"), endpoint="a" * 200).ignores == ()


def test_an_ignored_path_covers_what_is_below_and_every_class() -> None:
    original = {"meta": {"a": 1, "b": [1]}, "price": 1}
    shadow = {"meta": {"a": 2, "c": 1, "b": [1, 2]}, "price": 2}
    assert found(original, shadow, Ignore(path="$.meta")) == [("$.price", "value")]
    assert found(original, {"price": 1}, Ignore(path="$.meta")) == []


def test_everything_that_is_given_must_hold() -> None:
    rule = Ignore(path="$.items", value="^tmp-", field=r"\$.*\.name")
    original = {"items": [{"id": 1, "name": "tmp-1"}, {"id": 2, "name": "b"}, {"id": 3, "note": "tmp-1"}]}
    shadow = {"items": [{"id": 1, "name": "tmp-2"}, {"id": 2, "name": "tmp-b"}, {"id": 3, "note": "tmp-2"}]}
    (name, note) = json_differences(original, shadow, rules=rules(rule))[::-1]
    # The first name does not count, the second does: of its values only one is as the rule says.
    assert {(d.field, d.at, d.original) for d in (name, note)} == {
        ("$.items[*].name", "$.items[1].name", "b"),
        ("$.items[*].note", "$.items[2].note", "tmp-1"),
    }


def test_a_rule_of_values_holds_for_numbers_too_and_not_for_what_is_absent() -> None:
    assert found({"a": 12}, {"a": 13}, Ignore(value="^1")) == []
    assert found({"a": 12}, {}, Ignore(value="^1")) == [("$.a", "missing")]


def test_headers_can_be_ignored_by_name_and_by_beginning() -> None:
    headers = [{"x-build": n, "x-ver": n, "cache-control": n} for n in ("1", "2")]
    legs = [{"headers": h} for h in headers]
    assert answers(*legs, Ignore(header="X-Build")) == [("header:cache-control", "header"), ("header:x-ver", "header")]
    assert answers(*legs, Ignore(header="x-*")) == [("header:cache-control", "header")]
    assert answers(*legs, Ignore(header="*")) == []
    assert answers(*legs, Ignore(header="x-ver", value="9")) == answers(*legs)


@pytest.mark.parametrize("header", ["set-cookie", "set-*"])
def test_cookies_and_redirects_are_ignored_by_their_header(header: str) -> None:
    legs = [{"headers": {"set-cookie": f"theme=x; Max-Age={n}"}, "body": b""} for n in (1, 2)]
    assert answers(*legs, Ignore(header=header)) == []
    assert answers(*legs, Ignore(header="location")) == [("cookie:theme.max-age", "cookie")]
    legs = [{"status": 302, "headers": {"location": f"/{n}"}, "body": b""} for n in ("a", "b")]
    assert answers(*legs, Ignore(header="location")) == []
    assert answers(*legs, Ignore(header=header)) == [("header:location.path", "redirect")]


def test_with_only_an_endpoint_nothing_of_it_counts() -> None:
    legs = {"body": b"1"}, {"status": 500, "body": b"2"}
    assert answers(*legs, Ignore(endpoint="GET /items/*")) == []
    assert answers(*legs, Ignore(endpoint="GET /other")) == [("status", "status")]


def test_a_rule_that_says_nothing_ignores_nothing() -> None:
    legs = {"body": b"1"}, {"status": 500, "body": b"2"}
    assert answers(*legs, Ignore()) == [("status", "status")]
    assert not rules(Ignore()).everything


def test_a_status_can_be_ignored_by_its_field() -> None:
    assert answers({}, {"status": 500}, Ignore(field="status")) == []
    assert answers({}, {"status": 500}, Ignore(field="status", value="^2")) == [("status", "status")]
    calls = [{"headers": {"content-type": "application/grpc"}, "trailers": {"grpc-status": s}} for s in ("0", "5")]
    assert answers(*calls, Ignore(field="grpc-.*")) == []


def test_a_rule_of_values_hides_no_status() -> None:
    rule = Ignore(value="^2|0$")
    assert answers({"body": b"[21]"}, {"body": b"[22]", "status": 201}, rule) == [("status", "status_code")]
    calls = [{"headers": {"content-type": "application/grpc"}, "trailers": {"grpc-status": s}} for s in ("2", "20")]
    assert answers(*calls, rule) == [("grpc-status", "grpc_status")]


def test_values_are_compared_after_they_were_evened_out() -> None:
    rule = Normalize(path="$.url", regex="^https?://([^/]+)", replace=r"\1")
    assert found({"url": "http://a/x"}, {"url": "https://a/x"}, rule) == []
    assert found({"url": "http://a/x"}, {"url": "https://b/x"}, rule) == [("$.url", "value")]
    assert found({"other": "http://a/x"}, {"other": "https://a/x"}, rule) == [("$.other", "value")]
    assert found({"a": "ABC"}, {"a": "abc"}, Normalize(ignore_case=True)) == []
    assert found({"a": "xABCx"}, {"a": "xabdx"}, Normalize(regex="ab[cd]", ignore_case=True)) == []


def test_headers_and_texts_are_evened_out_too() -> None:
    legs = [{"headers": {"x-host": f"node-{n}"}} for n in (1, 2)]
    assert answers(*legs, Normalize(header="x-host", regex=r"\d+")) == []
    assert answers(*legs, Normalize(regex=r"\d+")) == [("header:x-host", "header")]
    legs = [{"headers": {"content-type": "text/plain"}, "body": b"a\nnode-%d" % n} for n in (1, 2)]
    assert answers(*legs, Normalize(regex=r"\d+")) == []
    assert answers(*legs, Normalize(path="$.a", regex=r"\d+")) == [("body", "text")]


def test_the_order_of_an_array_may_mean_nothing() -> None:
    assert found({"t": ["a", "b"]}, {"t": ["b", "a"]}, Normalize(path="$.t", unordered=True)) == []
    assert found({"u": ["a", "b"]}, {"u": ["b", "a"]}, Normalize(path="$.t", unordered=True)) == [
        ("$.u", "array_order")
    ]
    assert found({"t": ["a", "b"]}, {"t": ["b", "c"]}, Normalize(unordered=True)) == [("$.t[*]", "value")]
    ids = [{"t": [{"id": n} for n in order]} for order in ((1, 2), (2, 1))]
    assert found(*ids, Normalize(unordered=True)) == []
    rough = Normalize(unordered=True), Tolerance(absolute=0.01)
    assert found([1.001, 2.001, 3], [3, 2.0, 1.0], *rough) == []


AT = Ignore(path="$..at")
VERSION = Normalize(path="$[*].name", regex=r" \(v\d\)")
ANY_ORDER = Normalize(path="$", unordered=True)


def test_elements_are_matched_without_what_is_ignored() -> None:
    ours, theirs = ([{"at": n, "v": f"v{n % 9}"} for n in range(start, start + 9)] for start in (0, 900))
    assert found(ours, theirs[::-1], AT, ANY_ORDER) == []
    assert found(ours, theirs[::-1], AT) == [("$", "array_order")]
    assert found(ours, [{"at": 1, "v": "new"}, *theirs], AT) == [("$", "array_length")]
    tmp = Ignore(path="$[*].at", value="^tmp")
    assert found([{"at": "tmp1", "v": 1}, {"at": "x", "v": 2}], [{"at": "x", "v": 2}, {"at": "tmp2", "v": 1}], tmp) == [
        ("$", "array_order")
    ]
    nested = [{"t": [1, 2], "v": 1}, {"t": [3], "v": 2}], [{"t": [3], "v": 2}, {"t": [2, 1], "v": 1}]
    assert found(*nested, Normalize(unordered=True)) == []
    assert found([1, 2], [3, 4], Ignore(path="$[*]")) == []


def test_an_ignored_identity_tells_nothing_apart_unless_a_rule_names_it() -> None:
    ours, theirs = ([{"id": n + start, "v": f"v{n}"} for n in range(5)] for start in (10, 13))
    assert found(ours, theirs, Ignore(path="$..id")) == []
    assert found(ours, theirs, Ignore(path="$..id"), ArrayKey("$", "id"))


def test_identities_are_evened_out() -> None:
    ours, theirs = (
        [{"name": f"a (v{n})", "v": 1}, {"name": f"b (v{n})", "v": 2}, {"name": "c", "v": 3}] for n in (1, 2)
    )
    assert found(ours, theirs, VERSION) == []
    assert found(ours, theirs[::-1], VERSION) == [("$", "array_order")]
    twice = [{"name": "a (v1)", "v": 1}, {"name": "a (v2)", "v": 2}]
    assert found(twice, [*twice[:1], {"name": "a (v3)", "v": 2}], VERSION) == []
    case = Normalize(path="$[*].name", ignore_case=True)
    assert found([{"name": "A", "v": 1}, {"name": "b"}], [{"name": "a", "v": 1}, {"name": "b"}], case) == []


def test_texts_without_an_order_are_matched_evened_out() -> None:
    digits = Normalize(path="$[*]", regex="[0-9]-")
    assert found(["1-a", "2-b"], ["3-b", "4-a"], ANY_ORDER, digits) == []


def test_evening_out_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.diff.evened.MOST", 10)
    ours, theirs = ([{"at": n + start, "v": n} for n in range(50)] for start in (0, 90))
    assert found(ours, theirs, AT) == []
    assert found(ours, theirs[::-1], AT, ANY_ORDER) == [("$[*].v", "value")]


def test_numbers_within_the_tolerance_are_equal() -> None:
    assert found({"a": 0.3}, {"a": 0.2}, Tolerance(path="$.a", absolute=0.1)) == []
    assert found({"a": 0.31}, {"a": 0.2}, Tolerance(path="$.a", absolute=0.1)) == [("$.a", "value")]
    assert found({"a": 100}, {"a": 101}, Tolerance(relative=0.01)) == []
    assert found({"a": 100}, {"a": 102}, Tolerance(relative=0.01)) == [("$.a", "value")]
    assert found({"a": 1}, {"a": "1"}, Tolerance(absolute=9.0)) == [("$.a", "type")]
    assert found({"a": -(10**400)}, {"a": 1.5}, Tolerance(absolute=9.0, relative=0.5)) == [("$.a", "value")]


def test_a_later_place_outside_the_tolerance_is_found() -> None:
    original, shadow = [{"id": n, "p": 1.0} for n in (1, 2)], [{"id": 1, "p": 1.01}, {"id": 2, "p": 2.0}]
    (difference,) = json_differences(original, shadow, rules=rules(Tolerance(absolute=0.1)))
    assert difference.at == "$[1].p"


@pytest.mark.parametrize("path", ["$.rows", "$.rows[*]"])
def test_elements_are_told_apart_by_the_key_of_a_rule(path: str) -> None:
    original = {"rows": [{"no": n, "id": n % 2, "v": n} for n in range(5)]}
    shadow = {"rows": [{"no": 99, "id": 1, "v": 0}, *original["rows"]]}
    assert found(original, shadow, ArrayKey(path, "no")) == [("$.rows", "array_length")]
    assert found(original, {"rows": original["rows"][::-1]}, ArrayKey(path, "no")) == [("$.rows", "array_order")]


def test_recognised_values_are_a_class_of_their_own_with_their_kind() -> None:
    moments = {"at": "2026-11-24T03:37:14Z"}, {"at": "2026-11-24T03:37:15Z"}
    (difference,) = json_differences(*moments)
    assert (str(difference.kind), difference.what) == ("same_kind", "clock")
    assert difference.as_json()["recognised"] == "clock"
    assert found(*moments, recognise=()) == [("$.at", "value")]
    mixed = [
        [{"id": 1, "at": a}, {"id": 2, "at": b}]
        for a, b in (("2026-11-24T03:37:14Z", "x"), ("2026-11-24T03:37:15Z", "y"))
    ]
    assert found(*mixed) == found(*(each[::-1] for each in mixed)) == [("$[*].at", "value")]


def test_identities_made_anew_for_each_answer_are_values_of_the_same_kind() -> None:
    ids = [[{"id": f"6fa459ea-ee8a-3ca4-894e-db77e160355{n}", "p": n} for n in pair] for pair in ((1, 2), (3, 4))]
    assert sorted(found(*ids)) == [("$[*].id", "same_kind"), ("$[*].p", "value")]


@pytest.mark.parametrize("text", ["(?=a)", r"(a)\1", "(", "a{1001}", "((a{100}){10}){10}", "[[:x:]]", "\ud800"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(BadRuleError):
        Expression(text)


def test_a_large_expression_is_refused() -> None:
    with pytest.raises(BadRuleError, match="too large"):
        Expression(r"(\pL{30}\pN{30}){10}")


def test_a_catastrophic_expression_and_a_long_value_cost_no_time() -> None:
    assert not Expression("(a+)+$").found_in("a" * 60_000 + "!")
    assert not Expression("a").found_in("a" * 70_000)
    assert not Expression("a").found_in("\ud800")
    assert Expression("a").replaced("a\ud800", ("b",), Meter(99)) == "a\ud800"


@pytest.mark.parametrize("text", [r"\2", r"\x", "a\\", r"\g<1>", r"\0" * 11])
def test_a_replacement_with_a_bad_reference_is_refused(text: str) -> None:
    with pytest.raises(BadRuleError):
        compile_replacement(text, 1)


def test_a_replacement_is_text_and_groups() -> None:
    by = compile_replacement(r"<\1\\$2>", 2)
    assert Expression("(a)(b)?").replaced("xab-a", by, Meter(99)) == r"x<a\$2>-<a\$2>"
    assert Expression("(a)|(b)").replaced("b", compile_replacement(r"[\1\2\0]", 2), Meter(99)) == "[bb]"


@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain"])
@pytest.mark.parametrize(
    "rule", [Ignore(value="^tmp|^[a-z]"), Normalize(regex="[a-z0-9]+"), Ignore(field="[$].*|body.*x")]
)
def test_many_rules_on_many_values_cost_bounded_work(kind: str, rule: Ignore | Normalize) -> None:
    values = [[f"{c}v{n:x}y" for n in range(15_000)] for c in ("tmp", "tmq")]
    bodies = {
        "application/json": [orjson.dumps(dict(zip(values[0], v, strict=True))) for v in values],
        "text/html": ["".join(f"<p{x[-4:]}>{x}</p{x[-4:]}>" for x in v).encode() for v in values],
        "text/plain": ["\n".join(v).encode() for v in values],
    }[kind]
    legs = pair(*({"headers": {"content-type": kind}, "body": body, "head": 10**7} for body in bodies))
    made = rules(*[rule] * 200)
    for _ in range(2):
        assert calls(lambda: compare(*legs, made)) < 3_000_000


@pytest.mark.parametrize("regex", ["a", "(a)" + "()" * 300, "b*?"])
def test_replacing_costs_bounded_work(regex: str) -> None:
    made = rules(*[Normalize(regex=regex, replace=r"\0" * 10)] * 20)
    values = "a" * 60_000, "a" * 59_999 + "c"
    (difference,) = json_differences(*({"x": value} for value in values), rules=made)
    assert difference.kind is Kind.TOO_COMPLEX
    made.begin()
    assert calls(lambda: json_differences(*({"x": value} for value in values), rules=made)) < 3_000_000


def test_what_becomes_too_long_is_left_as_it_is() -> None:
    ten = compile_replacement(r"\0" * 10, 0)
    meter = Meter(50_000)
    assert len(Expression("a").replaced("a" * 6_000, ten, meter)) == 60_000
    assert 0 < meter.spent < 50_000
    assert Expression("a").replaced("a" * 7_000, ten, meter) == "a" * 7_000
    assert Expression("a").replaced("aab", ("x" * LONGEST_VALUE,), meter) == "aab"
    assert Expression("a").replaced("a" * 100, ("b",), Meter(1)) == "a" * 100


def test_rules_that_cannot_be_compiled_are_left_out() -> None:
    broken = Ignore(path="nonsense"), Ignore(value="("), Normalize(regex="(", replace=r"\9"), Ignore(path="$.a")
    assert found({"a": 1, "b": 1}, {"a": 2, "b": 2}, *broken) == [("$.b", "value")]


def test_what_rules_say_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.diff.rules.CACHED", 10)
    book = RuleBook(Analysis(ignore=(Ignore(path="$.a"),)))
    made = book.of("GET /0")
    assert book.of("GET /0") is made
    for n in range(50):
        book.of(f"GET /{n}")
        made.at(f"$.f{n}")
    assert len(book._rules) <= 10
    assert len(made._cache) <= 10
