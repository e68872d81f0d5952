"""Bad input over REST: each names the field and what would be right, and leaves nothing half-created."""

import json
from typing import Any

import httpx
import pytest

from api import examples
from tests.unit.api.fake import FakeController

CREATE = "/networks/shop/shadowing/create"
PROCESS = {"command": ["python", "app.py", "{port}"]}
DOCKER = {"image": "shop/catalog:2.1", "port": 8080}
ENDPOINT = {"address": "127.0.0.1", "port": 9002}


def variant(**kinds: Any) -> dict[str, Any]:
    return {"variants": [{"name": "v2", **kinds}]}


PROFILES: list[tuple[dict[str, Any], str, str]] = [
    ({"trafficShadowingPercentage": 1.5}, "trafficShadowingPercentage", "from 0.0 to 1.0"),
    ({"trafficShadowingPercentage": -0.1}, "trafficShadowingPercentage", "from 0.0 to 1.0"),
    ({"trafficShadowingPercentage": 50}, "trafficShadowingPercentage", "for 50 % give 0.5"),
    ({"trafficShadowingPercentage": float("nan")}, "trafficShadowingPercentage", "from 0.0 to 1.0"),
    ({"trafficShadowingPercentage": float("inf")}, "trafficShadowingPercentage", "from 0.0 to 1.0"),
    ({"trafficShadowingPercentage": "0.5"}, "trafficShadowingPercentage", "a number"),
    ({"trafficShadowingPercentage": True}, "trafficShadowingPercentage", "a number"),
    ({"trafficShadowingPercentage": None}, "trafficShadowingPercentage", "a number"),
    ({"trafficShadowingPercentage": ...}, "trafficShadowingPercentage", "0.0-1.0"),
    ({"shadowInstanceTTL": "0s"}, "shadowInstanceTTL", "from 1s to 24h"),
    ({"shadowInstanceTTL": "8760h"}, "shadowInstanceTTL", "from 1s to 24h"),
    ({"shadowInstanceTTL": "365d"}, "shadowInstanceTTL", '"10m"'),
    ({"shadowInstanceTTL": 600}, "shadowInstanceTTL", '"600s"'),
    ({"shadowInstanceTTL": float("nan")}, "shadowInstanceTTL", '"10m"'),
    ({"shadowInstanceTTL": "-1m"}, "shadowInstanceTTL", '"10m"'),
    ({"performanceMetrics": ["response_time", "latency"]}, "performanceMetrics[1]", "response_time, error_rate"),
    ({"performanceMetrics": ["cpu", "cpu"]}, "performanceMetrics[1]", "once"),
    ({"componentName": "nope"}, "componentName", ""),
    ({"variants": []}, "variants", "at least 1"),
    ({"variants": ...}, "variants", "at least one"),
    (variant(), "variants[0]", "exactly one of process, docker, endpoint"),
    (variant(process=PROCESS, endpoint=ENDPOINT), "variants[0]", "exactly one of process, docker, endpoint"),
    (variant(docker={"image": "x"}), "variants[0].docker.port", "Port that it listens on"),
    (variant(docker={"image": "x:", "port": 80}), "variants[0].docker.image", "shop/catalog:2.1"),
    (variant(docker=DOCKER | {"memory": "1Mi"}), "variants[0].docker.memory", "from 6Mi to 16Ti"),
    (variant(docker=DOCKER | {"memory": "much"}), "variants[0].docker.memory", '"512Mi"'),
    (variant(docker=DOCKER | {"cpus": 0}), "variants[0].docker.cpus", "from 0.01"),
    (variant(docker=DOCKER | {"egress": "all"}), "variants[0].docker.egress", '"none", "open" or a list'),
    (variant(docker=DOCKER | {"egress": ["db:5432", "db:x"]}), "variants[0].docker.egress[1]", "db.shop.svc:5432"),
    (variant(docker=DOCKER | {"writable": ["tmp"]}), "variants[0].docker.writable[0]", '"/tmp"'),
    (variant(docker=DOCKER | {"capabilities": ["CAP!"]}), "variants[0].docker.capabilities[0]", "NET_BIND_SERVICE"),
    (variant(docker=DOCKER | {"privileged": True}), "variants[0].docker.privileged", ""),
    (variant(kubernetes={}), "variants[0].kubernetes", "process, docker or endpoint"),
    (variant(process={"command": ["python", "app.py"]}), "variants[0].process.command", "{port}"),
    (variant(process={"command": []}), "variants[0].process.command", "at least 1"),
    (variant(process={"command": "python {port}"}), "variants[0].process.command", "list"),
    (variant(process={"command": ["x\u0000", "{port}"]}), "variants[0].process.command[0]", "control characters"),
    (variant(endpoint={"address": "127.0.0.1", "port": 0}), "variants[0].endpoint.port", "1 to 65535"),
    (variant(endpoint={"address": "no host", "port": 1}), "variants[0].endpoint.address", "DNS name"),
    (
        {"variants": [{"name": "v", "endpoint": ENDPOINT}, {"name": "v", "endpoint": ENDPOINT}]},
        "variants[1].name",
        "of its own",
    ),
    ({"variants": [{"name": "control", "endpoint": ENDPOINT}]}, "variants[0].name", "the field control"),
    *(
        ({"variants": [{"name": name, "endpoint": ENDPOINT}]}, "variants[0].name", "another name, none of")
        for name in ("original", "keyless", "plain", "mirrored")
    ),
    ({"control": {"process": PROCESS, "endpoint": ENDPOINT}}, "control", "one of process, docker, endpoint, self"),
    ({"control": {"endpoint": ENDPOINT, "self": True}}, "control", "one of process, docker, endpoint, self"),
    ({"control": {"kubernetes": {}}}, "control.kubernetes", "process, docker or endpoint"),
    ({"control": {"self": "yes"}}, "control.self", "answers each sampled request twice"),
    ({"control": {"itself": True}}, "control.itself", "did you mean self?"),
    ({"control": {"duration": "10m", "enabled": False}}, "control.duration", "enabled: false alone"),
    ({"control": {"self": True, "enabled": False}}, "control.self", "enabled: false alone"),
    ({"control": {"self": True, "duration": "0s"}}, "control.duration", "from 1s to 24h"),
    ({"control": {"process": {"command": ["x"]}}}, "control.process.command", "{port}"),
    ({"faultInjectionParameters": {"abort": {}}}, "faultInjectionParameters.abort", "exactly one of"),
    (
        {"faultInjectionParameters": {"abort": {"httpStatus": 99}}},
        "faultInjectionParameters.abort.httpStatus",
        "200 to 599",
    ),
    (
        {"faultInjectionParameters": {"delay": {"fixedDelay": "1s", "percentage": 101}}},
        "faultInjectionParameters.delay.percentage",
        "from 0 to 100",
    ),
    ({"match": {"methods": ["get"]}}, "match.methods[0]", '"GET"'),
    ({"match": {"path": "/a", "pathPrefix": "/"}}, "match", "at most one"),
    ({"match": {"pathRegex": "/("}}, "match.pathRegex", "RE2"),
    ({"match": {"pathRegex": "/(?=a)"}}, "match.pathRegex", "RE2"),
    ({"match": {"pathRegex": r"/a\Z"}}, "match.pathRegex", "RE2"),
    ({"match": {"pathRegex": "/a++"}}, "match.pathRegex", "RE2"),
    ({"match": {"pathRegex": "/" + "(" * 1000}}, "match.pathRegex", "RE2"),
    ({"match": {"pathRegex": "/[a-z]{1000}"}}, "match.pathRegex", "Envoy refuses"),
    ({"match": {"pathRegex": "/a{91}"}}, "match.pathRegex", "at most 95"),
    ({"match": {"headers": [{"name": "x", "regex": "a++"}]}}, "match.headers[0].regex", "RE2"),
    ({"match": {"headers": [{"name": "x", "prefix": ""}]}}, "match.headers[0].prefix", "present: true"),
    ({"match": {"headers": [{"name": "x", "regex": ""}]}}, "match.headers[0].regex", "present: true"),
    ({"match": {"methods": [letter * 30 for letter in "ABCD"]}}, "match.methods", "that the component answers"),
    ({"trafficShadowingPercentage": 10**400}, "trafficShadowingPercentage", "0.0 to 1.0"),
    ({"shadowInstanceTTL": 10**400}, "shadowInstanceTTL", '"10m"'),
    ({"match": {"headers": [{"name": "x", "exact": "a", "prefix": "b"}]}}, "match.headers[0]", "exactly one of"),
    ({"trafficShadowingPercent": 1}, "trafficShadowingPercent", "did you mean trafficShadowingPercentage?"),
    ({"traffic_shadowing_percentage": 1}, "traffic_shadowing_percentage", "did you mean"),
    ({"name": "\ud800"}, "name", "lower-case"),
]


@pytest.mark.parametrize(("change", "field", "hint"), PROFILES, ids=lambda value: str(value)[:60])
async def test_a_bad_profile_names_the_field_and_what_would_be_right(
    client: httpx.AsyncClient, desk: FakeController, change: dict[str, Any], field: str, hint: str
) -> None:
    await client.post("/networks", json=examples.NETWORK)
    body = {name: value for name, value in (examples.PROFILE | change).items() if value is not ...}
    answer = await client.post(CREATE, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in {404, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert field in errors
    assert hint in errors[field]["hint"]
    assert desk.views == {}


@pytest.mark.parametrize(
    "regex", [r"/items/\x{41}+", r"/\pN+", "/a{90}", "/[^/]+/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "/(a+)+$"]
)
async def test_an_expression_of_re2_is_taken_also_when_python_has_it_not(
    client: httpx.AsyncClient, shop: str, regex: str
) -> None:
    answer = await client.post(CREATE, json=examples.PROFILE | {"match": {"pathRegex": regex}})
    assert answer.status_code == 201, answer.text


async def test_all_that_is_wrong_is_told_at_once(client: httpx.AsyncClient, shop: str) -> None:
    body = examples.PROFILE | {"trafficShadowingPercentage": 2, "shadowInstanceTTL": 5, "colour": "red"}
    fields = {error["field"] for error in (await client.post(CREATE, json=body)).json()["errors"]}
    assert fields == {"trafficShadowingPercentage", "shadowInstanceTTL", "colour"}


CATALOG: dict[str, Any] = examples.NETWORK["components"][0]
NETWORKS: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "Shop"}, "name", "lower-case"),
    ({"name": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}, "name", "not a UUID"),
    ({"components": []}, "components", "at least 1"),
    ({"components": [CATALOG, CATALOG]}, "components[1].name", "of its own"),
    ({"components": [CATALOG, CATALOG | {"name": "b"}]}, "components[1].listen", "another port"),
    (
        {"components": [CATALOG, CATALOG | {"name": "b", "listen": {"address": "0.0.0.0", "port": 10000}}]},
        "components[1].listen",
        "another port",
    ),
    ({"components": [CATALOG | {"listen": {"port": 70000}}]}, "components[0].listen.port", "1 to 65535"),
    (
        {"components": [CATALOG | {"listen": {"address": "localhost", "port": 1}}]},
        "components[0].listen.address",
        "127.0.0.1",
    ),
    (
        {"components": [CATALOG | {"listen": {"address": "fe80::1%lo", "port": 1}}]},
        "components[0].listen.address",
        "127.0.0.1",
    ),
    ({"components": [CATALOG | {"endpoints": []}]}, "components[0].endpoints", "at least 1"),
    ({"components": [CATALOG | {"protocol": "http3"}]}, "components[0].protocol", "'http1'"),
    ({"components": [CATALOG | {"retries": 1.5}]}, "components[0].retries", "a whole number"),
    ({"components": [CATALOG | {"version": {}}]}, "components[0].version", "exactly one of process, docker, endpoint"),
    ({"components": [CATALOG | {"version": {"self": True}}]}, "components[0].version.self", ""),
    ({"components": {"catalog": CATALOG}}, "components", ""),
]


@pytest.mark.parametrize(("change", "field", "hint"), NETWORKS, ids=lambda value: str(value)[:60])
async def test_a_bad_network_names_the_field_and_what_would_be_right(
    client: httpx.AsyncClient, desk: FakeController, change: dict[str, Any], field: str, hint: str
) -> None:
    answer = await client.post("/networks", json=examples.NETWORK | change)
    assert answer.status_code == 422
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert hint in errors[field]["hint"]
    assert desk.kept == {}


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("::1", "0:0:0:0:0:0:0:1", "is taken by"),
        ("0:0:0:0:0:0:0:0", "127.0.0.1", "overlaps with"),
        ("FE80::A", "fe80::a", "is taken by"),
    ],
)
async def test_an_address_is_the_same_however_it_is_spelled(
    client: httpx.AsyncClient, first: str, second: str, told: str
) -> None:
    answer = await client.post(
        "/networks",
        json={
            "name": "v6",
            "components": [
                {
                    "name": f"c{index}",
                    "listen": {"address": address, "port": 10000},
                    "endpoints": [{"address": "0:0::1", "port": 1}],
                }
                for index, address in enumerate((first, second))
            ],
        },
    )
    assert answer.status_code == 422
    assert told in answer.text


async def test_an_endpoint_that_is_an_ip_address_has_one_spelling(client: httpx.AsyncClient) -> None:
    component = {"name": "c", "listen": {"port": 10000}, "endpoints": [{"address": "0:0::1", "port": 1}]}
    made = (await client.post("/networks", json={"name": "v6", "components": [component]})).json()
    assert made["components"][0]["endpoints"][0]["address"] == "::1"


async def test_components_with_hosts_of_their_own_share_a_port(client: httpx.AsyncClient) -> None:
    pair = [CATALOG | {"hosts": ["a.example"]}, CATALOG | {"name": "b", "hosts": ["b.example"]}]
    assert (await client.post("/networks", json=examples.NETWORK | {"components": pair})).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"componentName": "other"}, "componentName"),
        ({"variants": []}, "variants"),
        ({"trafficShadowingPercentage": None}, "trafficShadowingPercentage"),
        ({"shadowInstanceTTL": "1y"}, "shadowInstanceTTL"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_a_patch_of_anything_else_is_refused(
    client: httpx.AsyncClient, shop: str, change: dict[str, Any], field: str
) -> None:
    await client.post(CREATE, json=examples.PROFILE | {"name": "p"})
    answer = await client.patch("/networks/shop/shadowing/profiles/p", json=change)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"faultInjectionParameters": {}}, "faultInjectionParameters"),
        ({"duration": "0s"}, "duration"),
        ({"duration": 60}, "duration"),
        ({"instanceID": "nope"}, "instanceID"),
    ],
)
async def test_a_bad_fault_names_the_field(
    client: httpx.AsyncClient, shop: str, desk: FakeController, change: dict[str, Any], field: str
) -> None:
    answer = await client.post("/networks/shop/shadowing/inject_fault", json=examples.FAULT | change)
    assert answer.status_code in {404, 422}
    assert answer.json()["errors"][0]["field"] == field
    assert desk.in_force == {}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"name": "shop", "components": [', "ends at line 1"),
        (b'{"name": "shop",\n  "components" []}', "line 2, column 16"),
        (b"", "empty"),
        (b"\xff\xfe", "not UTF-8: byte 0"),
        (b'{"name": "a", "name": "b"}', '"name" is there twice'),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be used"),
    ],
)
async def test_what_is_no_json_is_told_with_its_place(client: httpx.AsyncClient, content: bytes, told: str) -> None:
    answer = await client.post("/networks", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("value", [[], 1, None, "text"])
async def test_a_body_that_is_no_object_is_told(client: httpx.AsyncClient, value: object) -> None:
    answer = await client.post("/networks", content=json.dumps(value), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "not an object" in answer.json()["detail"]


async def test_an_unknown_path_and_a_wrong_method_are_problem_documents(client: httpx.AsyncClient) -> None:
    answer = await client.get("/network")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    answer = await client.delete("/networks")
    assert (answer.status_code, answer.json()["type"]) == (405, "urn:shadowmesh:problems:method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_a_query_that_is_out_of_range_is_told(client: httpx.AsyncClient, shop: str) -> None:
    answer = await client.get("/networks/shop/shadowing/diffs", params={"limit": "0"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limit"


async def test_an_unexpected_error_is_a_problem_document_without_its_text(
    client: httpx.AsyncClient, desk: FakeController
) -> None:
    desk.raises = RuntimeError("planted secret")
    answer = await client.get("/networks")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "planted" not in answer.text


async def test_a_document_of_very_many_problems_is_told_in_part(client: httpx.AsyncClient) -> None:
    body = examples.NETWORK | {f"unknown{n}": n for n in range(20_000)}
    errors = (await client.post("/networks", json=body)).json()["errors"]
    assert len(errors) == 51
    assert errors[-1]["detail"] == "19950 more problems are not listed"
