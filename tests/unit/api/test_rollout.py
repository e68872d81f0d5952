"""What a person says to a rollout, over REST."""

from typing import Any

import httpx
import pytest

from api import examples
from tests.unit.api.fake import FakeController


@pytest.fixture
async def stepped(client: httpx.AsyncClient, shop: str) -> dict[str, Any]:
    """A profile at the first of three steps."""
    answer = await client.post(f"/networks/{shop}/shadowing/create", json=examples.PROFILE_WITH_STEPS)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def say(
    client: httpx.AsyncClient, shop: str, body: Any, *, profile: str = "catalog-v7", **headers: str
) -> httpx.Response:
    return await client.post(f"/networks/{shop}/shadowing/profiles/{profile}/rollout", json=body, headers=headers)


async def test_promote_leads_to_the_next_step(client: httpx.AsyncClient, shop: str, stepped: dict[str, Any]) -> None:
    assert (stepped["rollout"]["step"], stepped["rollout"]["state"]) == (1, "running")
    answer = await say(client, shop, examples.PROMOTE)
    assert answer.status_code == 200, answer.text
    now = answer.json()
    assert (now["rollout"]["step"], now["rollout"]["state"]) == (2, "running")
    assert (now["mode"], now["split"]["weights"]) == ("split", {"v7": 5})
    assert answer.headers["ETag"].endswith('-2"')


async def test_what_is_done_already_is_a_conflict(
    client: httpx.AsyncClient, shop: str, stepped: dict[str, Any]
) -> None:
    for _ in stepped["steps"]:
        assert (await say(client, shop, {"action": "promote"})).status_code == 200
    answer = await say(client, shop, {"action": "pause"})
    assert answer.status_code == 409
    assert "done already" in answer.json()["detail"]


async def test_a_profile_without_steps_has_no_rollout(client: httpx.AsyncClient, shop: str) -> None:
    made = (await client.post(f"/networks/{shop}/shadowing/create", json=examples.PROFILE)).json()
    answer = await say(client, shop, {"action": "abort"}, profile=made["profileID"])
    assert answer.status_code == 409
    assert "no steps" in answer.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"action": "stop"}, {"action": None}, {"action": "pause", "step": 2}])
async def test_anything_else_is_refused(
    client: httpx.AsyncClient, shop: str, stepped: dict[str, Any], body: dict[str, Any]
) -> None:
    assert stepped
    assert (await say(client, shop, body)).status_code == 422


async def test_a_word_that_was_meant_for_another_revision_is_refused(
    client: httpx.AsyncClient, desk: FakeController, shop: str, stepped: dict[str, Any]
) -> None:
    read = await client.get(f"/networks/{shop}/shadowing/profiles/catalog-v7")
    tag = read.headers["ETag"]
    assert (await say(client, shop, {"action": "pause"}, **{"If-Match": tag})).status_code == 200
    assert (await say(client, shop, {"action": "abort"}, **{"If-Match": tag})).status_code == 412
    (view,) = desk.views.values()
    assert view.profile.rollout is not None
    assert view.profile.rollout.state.value == "paused"
