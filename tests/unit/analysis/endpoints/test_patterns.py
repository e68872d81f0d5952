import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.analysis.work import calls
from xds_server.analysis.endpoints.endpoints import Endpoints
from xds_server.analysis.endpoints.patterns import Patterns, problem_of

PATTERNS = (
    "GET /items/special",
    "/items/{id}",
    "GET /items/{id}/reviews/{review}",
    "/files/{name}.json",
    "/files/**",
    "POST /v1/{project}:run",
    "/a/*/c",
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/items/special", "GET /items/special"),
        ("PUT", "/items/special", "PUT /items/{id}"),
        ("GET", "/items/7", "GET /items/{id}"),
        ("GET", "/items/", None),
        ("GET", "/items/7/", None),
        ("GET", "/items/7/reviews/x", "GET /items/{id}/reviews/{review}"),
        ("PUT", "/items/7/reviews/x", None),
        ("GET", "/files/a.json", "GET /files/{name}.json"),
        ("GET", "/files/.json", "GET /files/**"),
        ("GET", "/files/a/b/c", "GET /files/**"),
        ("GET", "/files", None),
        ("POST", "/v1/shop:run", "POST /v1/{project}:run"),
        ("POST", "/v1/shop:stop", None),
        ("GET", "/a/b/c", "GET /a/*/c"),
        ("GET", "/other", None),
    ],
)
def test_the_first_pattern_that_fits_names_the_endpoint(method: str, path: str, expected: str | None) -> None:
    assert Patterns(PATTERNS).of(method, path) == expected


def test_the_first_of_two_that_fit_wins() -> None:
    assert Patterns(["/items/{id}", "/items/special"]).of("GET", "/items/special") == "GET /items/{id}"
    assert Patterns(["/{a}/x", "/b/**"]).of("GET", "/b/x") == "GET /{a}/x"
    assert Patterns(["/b/**", "/{a}/x"]).of("GET", "/b/x") == "GET /b/**"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("FETCH /items", "FETCH is not a method"),
        ("/items/{id", "brace"),
        ("/items/}", "brace"),
        ("/items/{}", "brace"),
        ("/{a}{b}", "side by side"),
        ("/**/x", '"**" in the middle'),
        ("/x**", '"**" in the middle'),
        ("/items?page={p}", "query"),
        ("/x" * 60, "61 segments"),
    ],
)
def test_a_bad_pattern_is_told(pattern: str, told: str) -> None:
    problem = problem_of(pattern)
    assert problem is not None
    assert told in problem[0]
    assert not Patterns([pattern])


def oracle(patterns: list[str], method: str, path: str) -> str | None:
    for pattern in patterns:
        its_method, _, its_path = pattern.rpartition(" ")
        expression = "".join(
            "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^{}/]+\})", its_path)
        )
        if its_method in {"", method} and re.fullmatch(expression, path):
            return f"{method} {its_path}"
    return None


parts = st.lists(st.sampled_from(["a", "b", "{x}", "{y}", "a{z}", "{z}.b"]), max_size=4).map("/".join)
patterns = st.lists(
    st.tuples(st.sampled_from(["", "GET ", "PUT "]), parts).map(lambda p: f"{p[0]}/{p[1]}"), max_size=12
)
requests = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "", "c"]), max_size=4).map(lambda s: "/" + "/".join(s))


@given(patterns, requests, st.sampled_from(["GET", "POST"]))
@settings(max_examples=200)
def test_the_tree_finds_what_one_expression_after_the_other_would(some: list[str], path: str, method: str) -> None:
    assert Patterns(some).of(method, path) == oracle(some, method, path)


def test_a_thousand_patterns_and_a_hostile_path_cost_bounded_steps() -> None:
    deep = ["/" + "/".join(("{a}", "x")[i >> bit & 1] for bit in range(10)) for i in reversed(range(1000))]
    parts = "/" + "-".join("{p}" for _ in range(10)) + "!"
    patterns = Patterns([*deep, parts])
    assert patterns.of("GET", "/x" * 9 + "/y") == "GET " + "/x" * 9 + "/{a}"
    assert patterns.of("GET", "/" + "a-" * 20_000) is None
    assert calls(lambda: patterns.of("GET", "/x" * 9 + "/y")) < 20_000


def test_patterns_win_over_looks_and_over_learning_and_need_no_room() -> None:
    endpoints = Endpoints(1, ["/users/{name}"])
    names = {endpoints.of("GET", f"/users/user{chr(97 + i % 26)}{i}") for i in range(500)}
    assert names == {"GET /users/{name}"}
    assert endpoints.of("GET", "/x") == "GET /x"
    assert not endpoints.moved


def test_patterns_that_come_later_hold_from_then_on() -> None:
    endpoints = Endpoints(5)
    assert endpoints.of("GET", "/items/7") == "GET /items/{id}"
    endpoints.use(["/items/{item}"])
    assert endpoints.of("GET", "/items/7") == "GET /items/{item}"
    assert endpoints.current("GET /items/{item}") == "GET /items/{item}"
