"""The OpenAPI document: complete, and its examples are accepted."""

import re
from pathlib import Path
from typing import Any

import httpx

from api import create_app
from tests.unit.api.fake import FakeController
from xds_server.config import HttpSettings

PATHS = {
    "/networks": {"get", "post"},
    "/networks/{network_id}": {"get", "put", "delete"},
    "/networks/{network_id}/shadowing/create": {"post"},
    "/networks/{network_id}/shadowing/status": {"get"},
    "/networks/{network_id}/shadowing/inject_fault": {"post"},
    "/networks/{network_id}/shadowing/profiles": {"get"},
    "/networks/{network_id}/shadowing/profiles/{profile_id}": {"get", "patch", "delete"},
    "/networks/{network_id}/shadowing/profiles/{profile_id}/report": {"get"},
    "/networks/{network_id}/shadowing/faults/{fault_id}": {"get", "delete"},
    "/networks/{network_id}/shadowing/diffs": {"get"},
    "/networks/{network_id}/shadowing/diffs/{pair_id}": {"get"},
    "/networks/{network_id}/shadowing/archive": {"get"},
    "/networks/{network_id}/shadowing/archive/{profile_id}": {"get"},
    "/networks/{network_id}/events": {"get"},
    "/networks/{network_id}/nodes": {"get"},
    "/networks/{network_id}/nodes:select": {"post"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}


async def test_every_path_of_the_design_is_described(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    assert {path: set(described[path]) for path in PATHS} == PATHS


async def test_every_reference_leads_somewhere(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    known = set(document["components"]["schemas"])
    assert {ref.rpartition("/")[2] for ref in references(document)} <= known
    assert {"NetworkBody", "ProfileBody", "Problem"} <= known


async def test_the_names_are_those_of_the_specification(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    profile = schemas["ProfileBody"]["properties"]
    assert {
        "trafficShadowingPercentage",
        "shadowInstanceTTL",
        "faultInjectionParameters",
        "performanceMetrics",
    } <= set(profile)
    assert {"instanceID", "virtualNetworkID", "componentName", "status", "performanceData"} <= set(
        schemas["InstanceView"]["properties"]
    )
    assert "description" in profile["trafficShadowingPercentage"]


async def test_a_key_is_described_where_it_counts_with_the_answer_to_a_replay(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    with_key = [
        path
        for path, operations in paths.items()
        for operation in operations.values()
        if "Idempotency-Key" in {parameter["name"] for parameter in operation.get("parameters", ())}
    ]
    assert with_key == ["/networks/{network_id}/shadowing/create"]
    answers = paths[with_key[0]]["post"]["responses"]
    assert answers["200"]["content"] == answers["201"]["content"]
    assert "Idempotency-Key" in answers["200"]["description"]


async def test_every_example_is_accepted(client: httpx.AsyncClient, shop: str) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    sent = 0
    for path, operations in described.items():
        for method, operation in operations.items():
            for example in examples_of(operation):
                start = WITH_STEPS if path.endswith("/rollout") else PROFILE
                made = await client.post("/networks/shop/shadowing/create", json=start)
                instance = made.json()["instances"][0]["instanceID"]
                body = example | {"instanceID": instance} if "instanceID" in example else example
                body |= {"name": "another"} if path == "/networks" else {}
                url = path.format(network_id="shop", profile_id=made.json()["profileID"])
                answer = await client.request(method, url, json=body)
                assert answer.is_success, (path, answer.text)
                sent += 1
    assert sent >= 7


async def test_a_manager_that_is_not_ready_says_why() -> None:
    app = create_app(FakeController(), HttpSettings(), unready=lambda: "draining")  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "draining")


async def test_metrics_are_in_the_format_of_prometheus(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# HELP" in answer.text


PROFILE = {
    "componentName": "catalog",
    "trafficShadowingPercentage": 1,
    "shadowInstanceTTL": "1m",
    "variants": [{"name": "v2", "endpoint": {"address": "localhost", "port": 1}}],
}
WITH_STEPS = PROFILE | {"split": {"cohort": {"cookie": "id"}}, "steps": [{"mode": "split", "weights": {"v2": 5}}]}


def examples_of(operation: dict[str, Any]) -> list[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return [example["value"] for example in content.get("examples", {}).values()]


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


async def test_the_page_of_the_api_names_every_path_and_no_other(client: httpx.AsyncClient) -> None:
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    named = set(re.findall(r"(?:GET|POST|PUT|PATCH|DELETE)`?,? ?`?(?:GET|PATCH|PUT|DELETE|`|,| )* ?(/[^\s`,]+)", page))
    described = set((await client.get("/openapi.json")).json()["paths"])
    assert named == described | {"/openapi.json"}
