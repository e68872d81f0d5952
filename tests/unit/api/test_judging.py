"""Checks over REST: a bad one is refused by its field and with what would be right, a good one comes back as given."""

import json
from typing import Any

import httpx
import pytest

from api import examples
from tests.unit.api.fake import FakeController
from xds_server.model.judging import DEFAULT_JUDGING, OnFail

CREATE = "/networks/shop/shadowing/create"
JSON = {"Content-Type": "application/json"}
ALL: dict[str, Any] = {name: value for name, value in examples.PROFILE.items() if name != "performanceMetrics"}
"""A profile that measures everything."""
RATE = {"metric": "error_rate", "maxIncrease": 0.01}
TIME = {"metric": "response_time", "maxRatio": 1.1}
QUERY = {"metric": "prometheus", "name": "orders", "query": 'orders{v="{variant}"}', "maxRatio": 1.1}
FIRST, SECOND = "analysis.checks[0]", "analysis.checks[1]"

RISKS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"alpha": 0}, "alpha", "0 is out of range", "above 0 and below 0.5"),
    ({"alpha": 0.5}, "alpha", "0.5 is out of range", "above 0 and below 0.5"),
    ({"alpha": 1}, "alpha", "1 is out of range", "one in a hundred"),
    ({"alpha": -0.01}, "alpha", "out of range", "above 0"),
    ({"alpha": float("nan")}, "alpha", "not a number that can be used", "above 0"),
    ({"alpha": "0.01"}, "alpha", "not a number", "above 0"),
    ({"alpha": None}, "alpha", "null", "above 0"),
    ({"warmUp": 30}, "warmUp", "has no unit", '"30s"'),
    ({"warmUp": "2h"}, "warmUp", "too long", "0s to 1h"),
    ({"minPairs": 0}, "minPairs", "0 is out of range", "whole number from 1"),
    ({"minPairs": 1.5}, "minPairs", "whole", "pairs"),
    ({"minShare": 1.5}, "minShare", "out of range", "0.0 to 1.0"),
    ({"block": "10ms"}, "block", "too short", "1s to 10m"),
    ({"onFail": "panic"}, "onFail", "is not one of them", "'alert' or 'stop'"),
    ({"checks": RATE}, "checks", "an object is not a list", ""),
    ({"checks": [RATE] * 51}, "checks", "51 entries", "at most 50"),
]
CHECKS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"metric": "latency"}, ".metric", '"latency" is not a metric', "error_rate, difference_rate"),
    ({"maxRatio": 1.1}, ".metric", "is required", "error_rate"),
    ({"metric": "error_rate"}, ".maxIncrease", "required for error_rate", "like 0.005"),
    ({"metric": "error_rate", "maxIncrease": None}, ".maxIncrease", "required for error_rate", "like 0.005"),
    ({"metric": "error_rate", "maxRate": 0.1}, ".maxIncrease", "required for error_rate", "like 0.005"),
    (RATE | {"maxRatio": 1.1}, ".maxRatio", "is not for error_rate", "maxIncrease"),
    ({"metric": "difference_rate", "maxIncrease": 0.1}, ".maxIncrease", "not for difference_rate", "maxRate"),
    ({"metric": "difference_rate", "maxRate": 2}, ".maxRate", "out of range", "for 2 % give 0.02"),
    ({"metric": "difference_rate", "maxRate": -1}, ".maxRate", "out of range", "0.0 to 1.0"),
    ({"metric": "cpu", "maxRate": 0.1}, ".maxRate", "is not for cpu", "maxRatio"),
    ({"metric": "memory", "maxRatio": 0}, ".maxRatio", "0 is out of range", "above 0"),
    ({"metric": "memory", "maxRatio": -1.1}, ".maxRatio", "out of range", "1.1 is ten per cent more"),
    ({"metric": "memory", "maxRatio": 12}, ".maxRatio", "12 is out of range", "below 9.9"),
    ({"metric": "cpu", "maxRatio": float("inf")}, ".maxRatio", "not a number that can be used", "above 0"),
    ({"metric": "cpu", "maxRatio": 1.1, "quantile": 0.5}, ".quantile", "is not for cpu", "for response_time"),
    (TIME | {"quantile": 1}, ".quantile", "1 is out of range", "below 1"),
    (TIME | {"quantile": 0.0}, ".quantile", "0.0 is out of", "above 0"),
    (TIME | {"quantile": 99}, ".quantile", "99 is out of", "0.99 is the 99th"),
    ({"metric": "response_time", "quantile": 0.5}, ".maxRatio", "is required", "like 1.1"),
    ({"metric": "cpu", "maxRatio": 1.1, "name": "x"}, ".name", "is not for cpu", "for prometheus"),
    ({"metric": "cpu", "maxRatio": 1.1, "query": "up"}, ".query", "is not for cpu", "for prometheus"),
    ({"metric": "prometheus", "query": "up", "maxRatio": 1.1}, ".name", "is required", "checkout_errors"),
    ({"metric": "prometheus", "name": "up", "maxRatio": 1.1}, ".query", "is required", "one series"),
    (QUERY | {"name": "cpu"}, ".name", "there already", "another name"),
    (QUERY | {"name": "a b"}, ".name", "cannot be used", "letters"),
    (QUERY | {"query": "  "}, ".query", "cannot be used", "PromQL"),
    (QUERY | {"query": "sum(x{namespace})"}, ".query", '"{namespace}" is not a placeholder', "{network}, {component}"),
    (QUERY | {"query": 'x{job="{ component }"}'}, ".query", "{ component }", "{variant}, {window}"),
    (QUERY | {"query": "sum(orders)"}, ".query", "asks the same of all versions", 'version="{variant}"'),
    (RATE | {"weight": -1}, ".weight", "out of range", "beside the others"),
    (RATE | {"weight": 0}, ".weight", "out of range", "muted: true for a check that shall not count"),
    (RATE | {"muted": "yes"}, ".muted", "is not true or false", "only shown"),
    (RATE | {"threshold": 1}, ".threshold", "is not a known field", "known are"),
]
SEVERAL: list[tuple[list[dict[str, Any]], str, str, str]] = [
    ([RATE | {"muted": True}], "analysis.checks", "are all muted", "at least one that counts"),
    ([RATE, RATE | {"maxIncrease": 0.02}], SECOND, "as checks[0] with another limit, 0.02 and 0.01", "one limit"),
    ([RATE, RATE], SECOND, "is the same check as checks[0]", "each once"),
    ([TIME, TIME | {"quantile": 0.99, "maxRatio": 1.2}], SECOND, "another limit, 1.2 and 1.1", "one limit"),
    ([TIME, TIME | {"quantile": 0.9900000001}], SECOND, "is the same check as checks[0]", "each once"),
    ([QUERY, QUERY | {"query": "{variant}"}], f"{SECOND}.name", '"orders" is there twice', "of its own"),
    ([QUERY, QUERY | {"name": "b", "maxRatio": 2}], f"{SECOND}.query", "another limit, 2 and 1.1", "once"),
]
BAD = [
    *((analysis, f"analysis.{field}", detail, hint) for analysis, field, detail, hint in RISKS),
    *(({"checks": [check]}, f"{FIRST}{field}", detail, hint) for check, field, detail, hint in CHECKS),
    *(({"checks": checks}, field, detail, hint) for checks, field, detail, hint in SEVERAL),
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{field} {detail}" for _, field, detail, _ in BAD])
async def test_a_bad_check_names_the_field_and_what_would_be_right(
    client: httpx.AsyncClient, shop: str, desk: FakeController, bad: tuple[dict[str, Any], str, str, str]
) -> None:
    analysis, field, detail, hint = bad
    answer = await client.post(CREATE, content=json.dumps(ALL | {"analysis": analysis}), headers=JSON)
    assert answer.status_code == 422, answer.text
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert field in errors
    assert detail in errors[field]["detail"]
    assert hint in errors[field]["hint"]
    assert desk.views == {}


@pytest.mark.parametrize("metrics", [["response_time", "cpu"], []])
async def test_a_check_on_what_is_not_measured_is_refused(
    client: httpx.AsyncClient, shop: str, metrics: list[str]
) -> None:
    body = ALL | {"performanceMetrics": metrics, "analysis": {"checks": [QUERY, RATE]}}
    (error,) = (await client.post(CREATE, json=body)).json()["errors"]
    assert error["field"] == "analysis.checks[1].metric"
    assert error["detail"].endswith(f"performanceMetrics are {', '.join(metrics) or 'none'}")
    assert error["hint"] == "one of them, or error_rate among performanceMetrics"
    body["analysis"] = {"checks": [QUERY]}
    assert (await client.post(CREATE, json=body)).status_code == 201


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(http_requests_total{job="{component}", version="{variant}"}[{window}]))',
        'sum by (le) (x{network="{network}"})',
        "x{}",
        '{__name__=~"orders:.+"}',
        '{"http.requests", job!~"a{2}"}',
        "x { job = 'y' ,}",
        "sum(\n  rate(x[{window}])\n)",
    ],
)
async def test_braces_of_selectors_are_left_as_they_are(client: httpx.AsyncClient, shop: str, query: str) -> None:
    query = f'{query} / orders{{version="{{variant}}"}}'
    body = ALL | {"analysis": {"checks": [QUERY | {"query": query}]}}
    answer = await client.post(CREATE, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["analysis"]["checks"][0]["query"] == query


async def test_checks_come_back_as_they_were_given(client: httpx.AsyncClient, shop: str, desk: FakeController) -> None:
    counts = {"weight": 2.5, "critical": True, "muted": False}
    given = {
        "alpha": 0.02,
        "warmUp": "1m30s",
        "minPairs": 50,
        "minShare": 0.05,
        "block": "10s",
        "onFail": "stop",
        "checks": [
            RATE | counts,
            {"metric": "difference_rate", "maxRate": 0.001} | counts,
            TIME | {"quantile": 0.5} | counts,
            TIME | {"quantile": 0.99} | counts,
            QUERY | counts | {"muted": True},
        ],
    }
    made = (await client.post(CREATE, json=ALL | {"analysis": given})).json()
    assert {name: made["analysis"][name] for name in given} == given
    judging = desk.views[made["profileID"]].profile.analysis.judging
    assert (judging.warm_up, judging.on_fail) == (90.0, OnFail.STOP)
    labels = ["error_rate", "difference_rate", "response_time p50", "response_time p99", "orders"]
    assert [check.label for check in judging.checks] == labels


async def test_without_analysis_the_judging_is_that_of_the_defaults(
    client: httpx.AsyncClient, shop: str, desk: FakeController
) -> None:
    made = (await client.post(CREATE, json=examples.PROFILE)).json()
    assert desk.views[made["profileID"]].profile.analysis.judging == DEFAULT_JUDGING
    assert made["analysis"]["checks"] == []


async def test_a_response_time_is_that_of_99_in_100_when_no_quantile_is_given(
    client: httpx.AsyncClient, shop: str
) -> None:
    made = (await client.post(CREATE, json=ALL | {"analysis": {"checks": [TIME]}})).json()
    assert made["analysis"]["checks"][0]["quantile"] == 0.99


@pytest.mark.parametrize(
    ("analysis", "field"),
    [
        ({"alpha": 1e-7}, "analysis.alpha"),
        ({"checks": [TIME, {"metric": "error_rate", "maxIncrease": 1}]}, "analysis.checks[1].maxIncrease"),
        ({"checks": [{"metric": "difference_rate", "maxRate": 1}]}, "analysis.checks[0].maxRate"),
        ({"alpha": 1e-6, "checks": [RATE]}, ""),
    ],
)
async def test_a_limit_that_nothing_exceeds_and_a_tiny_alpha_are_warned_of(
    client: httpx.AsyncClient, shop: str, analysis: dict[str, Any], field: str
) -> None:
    reply = await client.post(CREATE, json=ALL | {"analysis": analysis})
    assert reply.status_code == 201
    assert [warning.partition(": ")[0] for warning in reply.json()["warnings"]] == ([field] if field else [])
