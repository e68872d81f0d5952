"""What a profile asks of nodes, and nodes, over REST."""

from typing import Any

import httpx
import pytest

from tests.unit.api.fake import FakeController
from tests.unit.api.test_profiles import make
from xds_server.lifecycle.places import Asked
from xds_server.model.nodes import ANY_NODE, Placement, TaintEffect, Toleration, TolerationOperator

PLACEMENT = {
    "nodeSelector": {"disk": "ssd", "topology.kubernetes.io/zone": "eu-1"},
    "tolerations": [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ],
}
MEANT = Placement(
    {"disk": "ssd", "topology.kubernetes.io/zone": "eu-1"},
    (Toleration("gpu", value="yes", effect=TaintEffect.NO_SCHEDULE), Toleration("", TolerationOperator.EXISTS)),
)


async def test_a_placement_is_taken_and_answered_as_it_was_given(
    client: httpx.AsyncClient, desk: FakeController, shop: str
) -> None:
    made = (await make(client, placement=PLACEMENT)).json()
    assert made["placement"] == PLACEMENT
    assert desk.views[made["profileID"]].profile.placement == MEANT


@pytest.mark.parametrize("given", [..., {}])
async def test_a_profile_that_asks_nothing_of_nodes_has_no_placement(
    client: httpx.AsyncClient, desk: FakeController, shop: str, given: Any
) -> None:
    made = (await make(client, placement=given)).json()
    assert "placement" not in made
    assert desk.views[made["profileID"]].profile.placement == ANY_NODE


@pytest.mark.parametrize(
    ("placement", "field", "told"),
    [
        ({"nodeSelektor": {}}, "placement.nodeSelektor", "is not a known field"),
        ({"nodeSelector": {"disk": 1}}, "placement.nodeSelector.disk", "1 is not text"),
        ({"nodeSelector": {"": "x"}}, "placement.nodeSelector", '"" cannot be used here'),
        ({"tolerations": [{"value": "x"}]}, "placement.tolerations[0].key", "is required"),
        (
            {"tolerations": [{"key": "x", "operator": "Exists", "value": "y"}]},
            "placement.tolerations[0].value",
            "Exists",
        ),
        ({"tolerations": [{"key": "x", "operator": "In"}]}, "placement.tolerations[0].operator", "is not one of them"),
        ({"tolerations": [{"key": "x", "effect": "NoExecute"}]}, "placement.tolerations[0].effect", "not one of them"),
    ],
)
async def test_a_placement_that_cannot_be_right_is_told_by_its_field(
    client: httpx.AsyncClient, shop: str, placement: dict[str, Any], field: str, told: str
) -> None:
    answer = await make(client, placement=placement)
    assert answer.status_code == 422
    (problem,) = answer.json()["errors"]
    assert problem["field"] == field
    assert told in problem["detail"]


async def test_what_a_shadow_would_be_like_can_be_said_when_its_node_is_asked_for(
    client: httpx.AsyncClient, desk: FakeController, shop: str
) -> None:
    body = {
        "componentName": "catalog",
        "runtime": "docker",
        "cpus": 0.5,
        "memory": "256Mi",
        "placement": {"nodeSelector": {"disk": "ssd"}},
    }
    answer = await client.post("/networks/shop/nodes:select", json=body)
    assert answer.status_code == 200, answer.text
    assert desk.asked == Asked("docker", 0.5, 256 * 1024**2, Placement({"disk": "ssd"}))
    assert (await client.post("/networks/shop/nodes:select", json={"componentName": "catalog"})).status_code == 200
    assert desk.asked == Asked()


async def test_a_node_is_shown_with_what_is_asked_for_and_what_is_left_alone(
    client: httpx.AsyncClient, shop: str
) -> None:
    (node,) = (await client.get("/networks/shop/nodes")).json()["items"]
    assert node["taints"] == [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    assert (node["requestedCpus"], node["requestedMemoryBytes"], node["running"]) == (1.5, 2, 3)
    assert node["backedOff"] == {"docker": {"until": "2026-01-01T00:00:00Z", "reason": "the engine is away"}}
    assert node["away"] == {}
