"""An OpenAPI document in a profile becomes patterns of endpoints."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.schemas.analysis import AnalysisBody
from api.schemas.base import validate
from xds_server.analysis.endpoints.patterns import Patterns
from xds_server.errors import InvalidFieldsError

SHOP: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "shop", "version": "1"},
    "servers": [{"url": "https://shop.example/{base}/v1/", "variables": {"base": {"default": "api"}}}],
    "paths": {
        "/items/{id}": {"get": {"responses": {}}, "delete": {}, "parameters": []},
        "/items/special": {"get": {}},
        "/items/{id}/reviews": {"$ref": "#/components/pathItems/reviews"},
        "/old": {"servers": [{"url": "/"}], "get": {}, "post": {"servers": [{"url": "/legacy"}]}},
        "/any": {},
        "x-internal": {"get": {}},
    },
    "components": {"pathItems": {"reviews": {"get": {}}}},
}


def read(document: Any, **more: Any) -> AnalysisBody:
    return validate(AnalysisBody, {"openapi": document, **more})


def refused(document: Any, **more: Any) -> str:
    with pytest.raises(InvalidFieldsError) as caught:
        read(document, **more)
    return "\n".join(map(str, caught.value.problems))


def test_paths_and_methods_become_patterns_with_the_servers_prefix() -> None:
    assert set(read(SHOP).endpoints) == {
        "GET /api/v1/items/{id}",
        "DELETE /api/v1/items/{id}",
        "GET /api/v1/items/special",
        "GET /api/v1/items/{id}/reviews",
        "GET /old",
        "POST /legacy/old",
        "/api/v1/any",
    }


def test_the_more_literal_path_comes_first_as_openapi_wants() -> None:
    assert Patterns(read(SHOP).endpoints).of("GET", "/api/v1/items/special") == "GET /api/v1/items/special"


def test_swagger_2_has_a_base_path() -> None:
    document = {"swagger": "2.0", "basePath": "/v2/", "paths": {"/pets/{petId}": {"get": {}}}}
    assert read(document).endpoints == ["GET /v2/pets/{petId}"]
    assert read({"swagger": 2.0, "paths": {"/pets": {"get": {}}}}).endpoints == ["GET /pets"]


def test_endpoints_that_are_given_come_first_and_nothing_else_is_kept() -> None:
    body = read(SHOP, endpoints=["/items/{mine}", "GET /old"])
    assert body.endpoints[:2] == ["/items/{mine}", "GET /old"]
    assert len(body.endpoints) == 8
    assert body.openapi is None
    assert "openapi" not in body.model_dump(by_alias=True)
    again = AnalysisBody.of(body.to_model())
    assert validate(AnalysisBody, again.model_dump(mode="json", by_alias=True)).to_model() == body.to_model()


def test_null_is_the_same_as_nothing() -> None:
    assert read(None) == AnalysisBody()


def test_what_requests_carry_encoded_is_encoded() -> None:
    document = {"openapi": "3.1.0", "paths": {"/caf\u00e9 au lait/{id}?x=1#y": {"get": {}}}}
    assert read(document).endpoints == ["GET /caf%C3%A9%20au%20lait/{id}"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("./shop.yaml", 'openapi: "./shop.yaml" is not an object'),
        ([], "openapi: is a list, not an object"),
        (7, "openapi: is a number, not an object"),
        ({}, "openapi: is no OpenAPI document"),
        ({"swagger": "1.2"}, 'openapi.swagger: "1.2" is not known'),
        ({"openapi": "4.0"}, 'openapi.openapi: "4.0" is not known'),
        ({"openapi": "3.1.0"}, "openapi.paths: is required"),
        ({"openapi": "3.1.0", "paths": {}}, "openapi.paths: an object is not an object with paths"),
        ({"openapi": "3.1.0", "paths": ["/a"]}, "openapi.paths: a list is not"),
        ({"openapi": "3.1.0", "paths": {"a": {}}}, 'openapi.paths.a: "a" is not a path'),
        ({"openapi": "3.1.0", "paths": {"/a": 5}}, "openapi.paths./a: is a number, not an object"),
        ({"openapi": "3.1.0", "paths": {"/a{b": {}}}, "openapi.paths./a{b: has a brace"),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": "b.yaml"}}}, 'openapi.paths./a.$ref: "b.yaml" leads nowhere'),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": 5}}}, "openapi.paths./a.$ref: 5 leads nowhere"),
        ({"openapi": "3.1.0", "paths": {"/a": {}}, "servers": "x"}, "openapi.servers: is text, not a list"),
        ({"openapi": "3.1.0", "paths": {"/a": {}}, "servers": [5]}, "openapi.servers[0].url: is required"),
        ({"openapi": "3.1.0", "paths": {"/a": {}}, "servers": [{"url": "http://["}]}, "is not a URL"),
        ({"swagger": "2.0", "basePath": 3, "paths": {"/a": {}}}, "openapi.basePath: 3 is not a path"),
        ({"openapi": "3.1.0", "paths": {"/" + "x" * 600: {"get": {}}}}, "characters"),
        (
            {"openapi": "3.1.0", "paths": {f"/{i}": {} for i in range(1001)}},
            "openapi.paths: has more than 1000 operations",
        ),
    ],
)
def test_a_bad_document_is_told_by_its_place(document: Any, told: str) -> None:
    assert told in refused(document)


def test_too_many_with_those_given_are_refused() -> None:
    paths = {f"/{i}": {} for i in range(1000)}
    assert "openapi: makes 1001 endpoints" in refused({"openapi": "3.0.0", "paths": paths}, endpoints=["/mine"])


@pytest.mark.parametrize("pattern", ["/items/{id", "FETCH /x", "/**/x", "/x?y"])
def test_a_bad_pattern_names_its_place(pattern: str) -> None:
    with pytest.raises(InvalidFieldsError) as caught:
        validate(AnalysisBody, {"endpoints": ["/fine", pattern]})
    assert [problem.field for problem in caught.value.problems] == ["endpoints[1]"]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["paths", "/a", "/{b}", "get", "$ref", "servers", "url", "variables", "basePath", "#/paths"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(json, st.sampled_from([{"openapi": "3.0.0"}, {"swagger": "2.0"}]))
@settings(max_examples=200)
def test_any_document_is_understood_or_refused(paths: Any, version: dict[str, Any]) -> None:
    document = {**version, **(paths if isinstance(paths, dict) else {"paths": paths})}
    told: list[str] = []
    try:
        told = read(document).endpoints
    except InvalidFieldsError as error:
        told = [problem.field for problem in error.problems]
    assert told
