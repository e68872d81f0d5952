"""Shadowing profiles and faults over REST."""

from typing import Any

import httpx
import pytest

from api import examples
from tests.unit.api.fake import NOW, FakeController
from xds_server.errors import StoreError, UnrecordedError
from xds_server.model.profile import FaultParameters
from xds_server.model.shadow import InstanceStatus


async def make(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    body = {name: value for name, value in (examples.PROFILE | changes).items() if value is not ...}
    return await client.post("/networks/shop/shadowing/create", json=body)


async def test_a_created_profile_comes_with_its_instances(client: httpx.AsyncClient, shop: str) -> None:
    answer = await make(client)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["virtualNetworkID"] == shop
    assert answer.headers["location"] == f"/networks/{shop}/shadowing/profiles/{made['profileID']}"
    assert (await client.get(answer.headers["location"])).json() == made
    instance = made["instances"][0]
    assert instance["status"] == "Pending"
    assert instance["virtualNetworkID"] == shop
    assert instance["componentName"] == "catalog"
    assert instance["expiresAt"] == "2026-01-01T00:10:00Z"
    assert made["verdict"] is None


async def test_what_a_profile_does_is_told_in_words(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client)).json()
    assert made["summary"] == (
        "mirrors 50 % of GET /… to v2 for 10m; delays 50 % of the copies by 200ms; "
        "aborts 20 % of the copies with HTTP 503"
    )
    assert made["warnings"] == []


async def test_a_profile_that_has_ended_says_so(client: httpx.AsyncClient, desk: FakeController, shop: str) -> None:
    assert (await make(client)).json()["ended"] is False
    desk.later_status = InstanceStatus.STOPPED
    (ended,) = (await client.get(f"/networks/{shop}/shadowing/profiles")).json()["items"]
    assert ended["ended"] is True
    # No share: it may have been changed after the end, and never have been in force.
    assert ended["summary"] == "has ended, mirrors nothing now; it was for GET /… to v2 for 10m"


@pytest.mark.parametrize(
    ("percentage", "warning"),
    [
        (0.5, "0.5 means half a percent of the copies; 50 % of them are 50"),
        (1, "1 means one percent of the copies; all of them are 100"),
    ],
)
async def test_a_fault_percentage_that_looks_like_a_share_is_warned_of(
    client: httpx.AsyncClient, shop: str, percentage: float, warning: str
) -> None:
    faults = {"abort": {"httpStatus": 503, "percentage": percentage}}
    made = (await make(client, faultInjectionParameters=faults)).json()
    assert made["warnings"] == [f"faultInjectionParameters.abort.percentage: {warning}"]


async def test_performance_data_has_the_metrics_that_the_profile_names(client: httpx.AsyncClient, shop: str) -> None:
    metrics = ["cpu", "response_time", "error_rate", "difference_rate"]
    made = (await make(client, performanceMetrics=metrics)).json()
    data = made["instances"][0]["performanceData"]
    assert list(data) == metrics
    assert data["cpu"] == {"unit": "cores", "latest": 0.1, "mean": 0.2, "max": 0.3}
    assert data["response_time"]["unit"] == "ms"
    assert data["response_time"]["shadow"]["p50"] == pytest.approx(10, rel=0.02)
    assert data["response_time"]["original"]["p99"] == pytest.approx(30, rel=0.02)
    assert data["error_rate"] == {"original": 0.0, "shadow": 0.5}
    assert data["difference_rate"] == {"pairs": 2, "rate": 0.5}


async def test_the_extra_fields_of_a_profile_come_back_as_they_were_given(client: httpx.AsyncClient, shop: str) -> None:
    extra = {
        "name": "nightly",
        "match": {
            "methods": ["GET", "POST"],
            "pathRegex": "/items/[0-9]+",
            "headers": [{"name": "x-team", "prefix": "a"}, {"name": "x-beta", "present": True}],
            "grpc": [],
        },
        "keepCredentials": True,
        "capture": {"headBytes": 1024, "checksum": False},
        "shadowTimeout": "2s500ms",
        "maxRequestBytes": 2048,
        "faultInjectionParameters": {
            "delay": {"fixedDelay": "1s500ms", "percentage": 12.5},
            "responseRateLimit": {"kbps": 64, "percentage": 10},
            "headers": [{"name": "x-chaos", "exact": "yes"}],
        },
        "variants": [
            {
                "name": "v3",
                "endpoint": {
                    "address": "v3.shop.svc",
                    "port": 80,
                    "readiness": {"path": "/ready", "timeout": "1m", "interval": "500ms"},
                },
            }
        ],
    }
    answer = await make(client, **extra)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert {name: made[name] for name in extra} == extra


OWN = {
    "process": {
        "command": ["python", "old.py", "{port}"],
        "env": {},
        "workingDirectory": "",
        "readiness": {"path": "/healthz", "timeout": "30s", "interval": "100ms"},
        "stopTimeout": "5s",
    }
}


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ({**OWN, "duration": "5m"}, "and to a control, the original's own version for 5m, to tell noise"),
        ({"self": True}, "the original answers them twice, to tell noise (extra load)"),
        ({"enabled": False}, ""),
    ],
)
async def test_a_control_comes_back_as_it_was_given_and_is_told_in_words(
    client: httpx.AsyncClient, shop: str, control: dict[str, Any], words: str
) -> None:
    made = (await make(client, control=control, faultInjectionParameters=...)).json()
    assert made["control"] == control
    assert made["summary"] == "; ".join(filter(None, ["mirrors 50 % of GET /… to v2 for 10m", words]))
    assert [w.partition(":")[0] for w in made["warnings"]] == (["control.self"] if "self" in control else [])
    expected = [("v2", False)] + ([] if control == {"enabled": False} else [("control", True)])
    assert [(each["variant"], each["control"]) for each in made["instances"]] == expected


async def test_a_profile_without_a_control_shows_none(client: httpx.AsyncClient, shop: str) -> None:
    assert "control" not in (await make(client)).json()


async def test_a_components_version_comes_back_and_is_the_control(client: httpx.AsyncClient, shop: str) -> None:
    network = (await client.get("/networks/shop")).json()
    network["components"][0]["version"] = OWN
    body = {name: network[name] for name in ("name", "components", "labels")}
    answer = await client.put("/networks/shop", json=body, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["components"][0]["version"] == OWN
    assert (await make(client, control=...)).json()["control"] == OWN
    assert (await make(client, control={"duration": "1m"})).json()["control"] == {**OWN, "duration": "1m"}


async def test_the_same_idempotency_key_creates_once(client: httpx.AsyncClient, shop: str) -> None:
    headers = {"Idempotency-Key": "k1"}
    url = "/networks/shop/shadowing/create"
    first = await client.post(url, json=examples.PROFILE, headers=headers)
    second = await client.post(url, json=examples.PROFILE | {"keepCredentials": False}, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["profileID"] == first.json()["profileID"]
    other = await client.post(url, json=examples.PROFILE | {"shadowInstanceTTL": "1m"}, headers=headers)
    assert other.status_code == 409


async def test_a_patch_changes_what_it_names_and_nothing_else(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client, name="p")).json()
    answer = await client.patch("/networks/shop/shadowing/profiles/p", json={"trafficShadowingPercentage": 0.05})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["trafficShadowingPercentage"] == 0.05
    assert changed["faultInjectionParameters"] == made["faultInjectionParameters"]
    assert answer.headers["etag"].endswith('-2"')


@pytest.mark.parametrize("nothing", [None, {}])
async def test_a_patch_takes_faults_away(
    client: httpx.AsyncClient, shop: str, desk: FakeController, nothing: dict[str, Any] | None
) -> None:
    made = (await make(client)).json()
    url = f"/networks/shop/shadowing/profiles/{made['profileID']}"
    answer = await client.patch(url, json={"faultInjectionParameters": nothing})
    assert "faultInjectionParameters" not in answer.json()
    assert desk.views[made["profileID"]].profile.faults == FaultParameters()


async def test_a_patch_meant_for_an_older_revision_is_refused(client: httpx.AsyncClient, shop: str) -> None:
    answer = await make(client, name="p")
    old = {"If-Match": answer.headers["etag"]}
    url = "/networks/shop/shadowing/profiles/p"
    assert (await client.patch(url, json={"shadowInstanceTTL": "1m"}, headers=old)).status_code == 200
    assert (await client.patch(url, json={"shadowInstanceTTL": "2m"}, headers=old)).status_code == 412
    assert (await client.delete(url, headers=old)).status_code == 412
    assert (await client.get(url)).json()["shadowInstanceTTL"] == "1m"


async def test_a_deleted_profile_is_gone(client: httpx.AsyncClient, shop: str) -> None:
    await make(client, name="p")
    assert (await client.delete("/networks/shop/shadowing/profiles/p")).status_code == 204
    assert (await client.get("/networks/shop/shadowing/profiles")).json() == {"items": []}


async def test_a_fault_is_injected_listed_and_lifted(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client)).json()
    body = examples.FAULT | {"instanceID": made["instances"][0]["instanceID"]}
    answer = await client.post("/networks/shop/shadowing/inject_fault", json=body)
    assert answer.status_code == 201, answer.text
    fault = answer.json()
    assert fault["summary"] == "aborts 100 % of the copies with HTTP 503"
    assert fault["expiresAt"] == "2026-01-01T00:01:00Z"
    where = answer.headers["location"]
    assert (await client.get(where)).json() == fault
    assert (await client.get("/networks/shop/shadowing/faults")).json() == {"items": [fault]}
    assert (await client.delete(where)).status_code == 204
    assert (await client.get(where)).status_code == 404
    assert (await client.delete(where)).status_code == 404


async def test_the_status_has_profiles_instances_and_envoys(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client)).json()
    status = (await client.get("/networks/shop/shadowing/status")).json()
    assert status["virtualNetworkID"] == shop
    assert status["profiles"] == [made]
    assert status["envoys"][0]["nodeID"] == "edge-1"
    assert status["envoys"][0]["since"] == "1970-01-01T00:00:00Z"
    assert status["envoys"][0]["resources"][0]["state"] == "ACKED"
    assert status["envoys"][0]["resources"][0]["typeURL"].endswith("Cluster")


async def test_nodes_are_listed_and_chosen(client: httpx.AsyncClient, shop: str) -> None:
    assert (await client.get("/networks/shop/nodes")).json()["items"][0]["zone"] == "a"
    answer = await client.post("/networks/shop/nodes:select", json={"componentName": "catalog"})
    assert answer.json()["node"] == "local"


async def test_what_is_in_effect_and_not_on_record_is_a_503_that_says_so(
    client: httpx.AsyncClient, desk: FakeController, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unrecorded(*_: object, **__: object) -> None:
        raise UnrecordedError("in effect now, but not on record: the disk is full", hint="make room on the disk")

    async def refused(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    path = f"/networks/{shop}/shadowing/profiles/{(await make(client)).json()['profileID']}"
    monkeypatch.setattr(desk, "delete_profile", unrecorded)
    answer = await client.delete(path)
    assert answer.status_code == 503
    problem = answer.json()
    assert problem["type"] == "urn:shadowmesh:problems:not-recorded"
    assert problem["applied"] is True
    assert (problem["detail"], problem["hint"]) == (
        "in effect now, but not on record: the disk is full (make room on the disk)",
        "make room on the disk",
    )
    # Asked again when nobody finds it any more, it is the same.
    monkeypatch.setattr(desk, "settle_deletion", unrecorded)
    for gone in (f"/networks/{shop}/shadowing/profiles/gone", "/networks/gone"):
        assert (await client.delete(gone)).json()["applied"] is True
    monkeypatch.undo()
    monkeypatch.setattr(desk, "delete_profile", refused)
    assert "applied" not in (await client.delete(path)).json()


async def test_each_answer_says_what_time_it_is_for_the_manager(
    client: httpx.AsyncClient, desk: FakeController
) -> None:
    desk.clock = NOW
    for path in ("/networks", "/networks/nowhere"):
        assert (await client.get(path)).headers["Shadowmesh-Time"] == "2026-01-01T00:00:00.000Z"
