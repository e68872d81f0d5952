import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.endpoints.endpoints import Endpoints, Names
from xds_server.analysis.endpoints.template import template


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("/items", "/items"),
        ("/items?page=2", "/items"),
        ("/items/42", "/items/{id}"),
        ("/items/42/", "/items/{id}/"),
        ("/items/-1/reviews/7", "/items/{id}/reviews/{id}"),
        ("/v1/items", "/v1/items"),
        ("/users/0f7c2b9e-1111-4222-8333-abcdefabcdef", "/users/{uuid}"),
        ("/commit/4d56dcc9a8b7c6d5e4f3", "/commit/{hash}"),
        ("/days/2026-11-24", "/days/{date}"),
        ("/rates/1.25", "/rates/{number}"),
        ("/items/item-42", "/items/{id}"),
        ("/c/cus_9s6XKzkNRiz8i3", "/c/{id}"),
        ("/items/42.json", "/items/{id}.json"),
        ("/t/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "/t/{token}"),
        ("/about-us/team", "/about-us/team"),
        ("/pkg.Catalog/GetItem", "/pkg.Catalog/GetItem"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/x" * 50, "/x" * 12 + "/…"),
    ],
)
def test_identifiers_in_a_path_become_their_kind(path: str, expected: str) -> None:
    assert template(path) == expected


@given(st.text(max_size=400))
def test_any_path_has_a_template_of_bounded_length(path: str) -> None:
    assert 0 < len(template(path)) <= 201


def test_endpoints_beyond_the_bound_are_other() -> None:
    endpoints = Endpoints(2)
    named = [endpoints.of("GET", f"/{word}") for word in ("a", "b", "c", "a")]
    assert named == ["GET /a", "GET /b", "other", "GET /a"]


def test_a_million_distinct_paths_cost_bounded_memory() -> None:
    endpoints = Endpoints(10)
    for i in range(50_000):
        endpoints.of("GET", f"/word{'abcdefghij'[i % 10]}{chr(97 + i // 10 % 26)}x/{i}")
    assert endpoints._cached <= 20_000
    assert len(endpoints._learner) <= 10


def test_long_paths_are_not_remembered() -> None:
    endpoints = Endpoints(10)
    for i in range(100):
        assert endpoints.of("GET", f"/items/{i}/{'x' * 60_000}") == "GET /items/{id}/{token}"
    assert not endpoints._cache


def test_the_query_is_no_part_of_what_is_remembered() -> None:
    endpoints = Endpoints(10)
    assert {endpoints.of("GET", f"/search?q={i}") for i in range(100)} == {"GET /search"}
    assert endpoints._cached == 1


def test_other_itself_takes_no_name() -> None:
    names = Names(1)
    assert names.admit("other") == "other"
    assert names.admit("a") == "a"
