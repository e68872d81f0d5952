"""Rules of the comparison over REST: a bad one is refused by its field, a good one comes back as it was given."""

from typing import Any

import httpx
import pytest

from api import examples

CREATE = "/networks/shop/shadowing/create"
BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({"ignore": [{"path": "$.a[?(@.b)]"}]}, "analysis.ignore[0].path", "cannot be read from character 4", "$.items"),
    ({"ignore": [{"path": "$.a"}, {"path": "$["}]}, "analysis.ignore[1].path", "cannot be read", "$.items"),
    ({"ignore": [{"path": "a"}]}, "analysis.ignore[0].path", "", "JSONPath"),
    ({"ignore": [{"field": "(?=a)"}]}, "analysis.ignore[0].field", "is not a regular expression", "looking around"),
    ({"ignore": [{"value": "("}]}, "analysis.ignore[0].value", "missing )", "RE2"),
    ({"ignore": [{"value": r"(\pL{30}\pN{30}){10}"}]}, "analysis.ignore[0].value", "too large", "at most"),
    ({"ignore": [{"header": "a b"}]}, "analysis.ignore[0].header", "", "name of a header"),
    ({"ignore": [{"header": "*x"}]}, "analysis.ignore[0].header", "", "name of a header"),
    ({"ignore": [{"path": None}]}, "analysis.ignore[0].path", "null", "leave the field out"),
    ({"ignore": [{"endpoint": "GET /a", "value": None}]}, "analysis.ignore[0].value", "null", "leave the field out"),
    ({"normalize": [{"path": None, "ignoreCase": True}]}, "analysis.normalize[0].path", "null", "leave the field out"),
    ({"tolerance": [{"path": None, "absolute": 1.0}]}, "analysis.tolerance[0].path", "null", "leave the field out"),
    ({"arrayKeys": [{"path": None, "key": "k"}]}, "analysis.arrayKeys[0].path", "null", "leave the field out"),
    ({"normalize": [{"regex": "[", "path": "$"}]}, "analysis.normalize[0].regex", "missing ]", "RE2"),
    ({"normalize": [{"regex": "(a)", "replace": r"\2"}]}, "analysis.normalize[0].replace", "group 2", "1 groups"),
    ({"normalize": [{"regex": "a", "replace": r"\x"}]}, "analysis.normalize[0].replace", "", r"\0 to \9"),
    ({"normalize": [{"regex": "a", "replace": "\\0" * 11}]}, "analysis.normalize[0].replace", "11 ref", "at most 10"),
    ({"tolerance": [{"path": "$..", "absolute": 1}]}, "analysis.tolerance[0].path", "cannot be read", "$.items"),
    ({"arrayKeys": [{"path": "$.a b", "key": "k"}]}, "analysis.arrayKeys[0].path", "cannot be read", "$.items"),
    ({"descriptorSet": "eA=="}, "analysis.descriptorSet", "FileDescriptorSet", "protoc"),
    ({"descriptorSet": "eA="}, "analysis.descriptorSet", "base64", "protoc"),
    ({"recognise": ["colour"]}, "analysis.recognise[0]", "not a kind", "timestamp"),
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{field} {detail}" for _, field, detail, _ in BAD])
async def test_a_bad_rule_is_refused_by_its_field(
    client: httpx.AsyncClient, shop: str, bad: tuple[dict[str, Any], str, str, str]
) -> None:
    analysis, field, detail, hint = bad
    answer = await client.post(CREATE, json={**examples.PROFILE, "analysis": analysis})
    assert answer.status_code in {400, 422}
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert detail in error["detail"]
    assert hint in error.get("hint", "")


async def test_rules_come_back_as_they_were_given(client: httpx.AsyncClient, shop: str) -> None:
    given = {
        "ignore": [{"endpoint": "GET /items/*", "path": "$..updatedAt"}, {"header": "x-build*", "value": "^[0-9]+$"}],
        "normalize": [{"path": "$.url", "regex": "^https?://([^/]+)", "replace": "\\1"}],
        "arrayKeys": [{"path": "$.rows", "key": "no"}],
    }
    answer = await client.post(CREATE, json={**examples.PROFILE, "analysis": given})
    assert answer.status_code == 201, answer.text
    analysis = answer.json()["analysis"]
    assert analysis["ignore"] == given["ignore"]
    assert analysis["arrayKeys"] == given["arrayKeys"]


async def test_an_expression_that_would_be_catastrophic_elsewhere_is_taken(
    client: httpx.AsyncClient, shop: str
) -> None:
    answer = await client.post(CREATE, json={**examples.PROFILE, "analysis": {"ignore": [{"value": "(a+)+$"}]}})
    assert answer.status_code == 201
