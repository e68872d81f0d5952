"""The audit trail over REST, and who a request is told to come from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from api import examples
from api.callers import LONGEST_NAME, LONGEST_REASON
from tests.unit.api.fake import FakeController
from xds_server.config import HttpSettings
from xds_server.model.audit import AuditEvent, AuditKind, Who
from xds_server.model.ids import InstanceID, NetworkID, ProfileID

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
CHANGED = AuditEvent(
    network_id=NetworkID("n"),
    network="shop",
    at=NOW,
    kind=AuditKind.PROFILE,
    event="changed",
    who=Who(name="anna", address="10.0.0.7", agent="curl/8", token=True),
    what="trafficShadowingPercentage 0.5 -> 0.1",
    why="ticket 7",
    profile_id=ProfileID("p"),
    profile="catalog-v2",
    changes={"trafficShadowingPercentage": (0.5, 0.1)},
)
READY = AuditEvent(
    network_id=NetworkID("n"),
    network="shop",
    at=NOW + timedelta(seconds=1),
    kind=AuditKind.INSTANCE,
    event="ready",
    instance_id=InstanceID("i"),
    variant="v2",
    before="Pending",
    after="Running",
)


async def ask(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    return await client.get("/networks/shop/events", params=query)


async def test_an_event_says_who_what_when_and_why(client: httpx.AsyncClient, desk: FakeController, shop: str) -> None:
    desk.trail = [CHANGED, READY]
    answer = await ask(client)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert (page["virtualNetworkID"], page["dropped"], page["more"]) == (shop, 3, False)
    first, second = page["items"]
    assert (first["eventID"], first["time"], first["kind"], first["event"]) == (
        1,
        "2026-01-31T12:00:00Z",
        "profile",
        "changed",
    )
    assert first["who"] == {"by": "user", "name": "anna", "address": "10.0.0.7", "agent": "curl/8", "token": True}
    assert (first["what"], first["why"]) == ("trafficShadowingPercentage 0.5 -> 0.1", "ticket 7")
    assert first["changes"] == {"trafficShadowingPercentage": {"from": 0.5, "to": 0.1}}
    assert (first["from"], first["to"], first["instanceID"]) == (None, None, None)
    assert second["who"]["by"] == "system"
    assert (second["from"], second["to"], second["instanceID"], second["variant"]) == ("Pending", "Running", "i", "v2")


async def test_a_walk_goes_on_where_it_was_also_at_its_end(
    client: httpx.AsyncClient, desk: FakeController, shop: str
) -> None:
    assert shop
    desk.trail = [replace(CHANGED, event=str(number)) for number in range(5)]
    page = (await ask(client, limit=3)).json()
    assert ([e["event"] for e in page["items"]], page["more"]) == (["0", "1", "2"], True)
    page = (await ask(client, limit=3, after=page["nextCursor"])).json()
    assert ([e["event"] for e in page["items"]], page["more"]) == (["3", "4"], False)
    page = (await ask(client, limit=3, after=page["nextCursor"])).json()
    assert page["items"] == []
    desk.trail.append(READY)
    page = (await ask(client, after=page["nextCursor"])).json()
    assert [e["event"] for e in page["items"]] == ["ready"]
    assert [e["event"] for e in (await ask(client, tail=2)).json()["items"]] == ["4", "ready"]


async def test_the_filters_reach_the_desk(client: httpx.AsyncClient, desk: FakeController, shop: str) -> None:
    assert shop
    desk.trail = [CHANGED]
    query = {"profile": "catalog-v2", "instance": "i", "kind": "instance", "since": "2026-01-31T12:00:00Z", "tail": 5}
    assert (await ask(client, **query)).status_code == 200
    (asked,) = desk.asked_events
    assert (asked.profile, asked.instance, asked.kind) == ("catalog-v2", "i", AuditKind.INSTANCE)
    assert (asked.since, asked.tail, asked.after, asked.limit) == (NOW, 5, None, 100)


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ({"after": "17"}, "after", "is not a cursor"),
        ({"after": "AAAAAAAAAAAAAAAA"}, "after", "is not a cursor"),
        ({"since": "yesterday"}, "since", "is not a moment"),
        ({"since": "2026-01-31T12:00:00"}, "since", "has no time zone"),
        ({"kind": "shadow"}, "kind", "instance"),
        ({"limit": "0"}, "limit", "1"),
        ({"tail": "1001"}, "tail", "1000"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_by_its_field(  # noqa: PLR0917 - fixtures
    client: httpx.AsyncClient, desk: FakeController, shop: str, query: dict[str, str], field: str, told: str
) -> None:
    assert shop
    answer = await ask(client, **query)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert told in error["detail"] + error.get("hint", "")
    assert desk.asked_events == []


async def test_a_cursor_of_another_list_is_refused(client: httpx.AsyncClient, desk: FakeController, shop: str) -> None:
    assert shop
    desk.trail = [CHANGED]
    cursor = (await ask(client)).json()["nextCursor"]
    answer = await ask(client, after=cursor, kind="profile")
    assert answer.status_code == 422
    assert "same parameters" in answer.json()["errors"][0]["hint"]
    assert (await ask(client, after=cursor, tail=3)).status_code == 422


async def test_a_profile_that_nobody_knows_is_not_found(
    client: httpx.AsyncClient, desk: FakeController, shop: str
) -> None:
    assert shop
    desk.trail = [CHANGED]
    answer = await ask(client, profile="cataloge")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "profile")
    assert (await client.get("/networks/shoppe/events")).status_code == 404


async def test_who_asks_is_what_they_say_and_where_they_come_from(
    client: httpx.AsyncClient, desk: FakeController
) -> None:
    headers = {"X-Shadowmesh-User": "J%C3%BCrgen@desk", "X-Shadowmesh-Reason": "ticket%207", "User-Agent": "curl/8"}
    assert (await client.post("/networks", json=examples.NETWORK, headers=headers)).status_code == 201
    assert desk.acted == [(Who(name="Jürgen@desk", address="127.0.0.1", agent="curl/8"), "ticket 7")]


async def test_a_claim_is_cut_and_printable_and_fails_no_request(
    client: httpx.AsyncClient, desk: FakeController
) -> None:
    headers = {"X-Shadowmesh-User": "a%1b%0a%ff%E2%80%AE" + "b" * 9_000, "X-Shadowmesh-Reason": "%00" * 3_000}
    assert (await client.post("/networks", json=examples.NETWORK, headers=headers)).status_code == 201
    ((who, reason),) = desk.acted
    assert who.name.startswith("a \ufffd bbb")
    assert (len(who.name), reason) == (LONGEST_NAME, "")
    assert LONGEST_REASON > LONGEST_NAME


class TestWithAToken:
    @pytest.fixture
    def settings(self) -> HttpSettings:
        return HttpSettings(token=SecretStr("secret"))

    async def test_who_bore_the_token_is_told_so(self, client: httpx.AsyncClient, desk: FakeController) -> None:
        assert (await client.post("/networks", json=examples.NETWORK)).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert (await client.post("/networks", json=examples.NETWORK, headers=headers)).status_code == 201
        ((who, _),) = desk.acted
        assert (who.token, who.name) == (True, "")


async def test_how_long_ago_is_counted_by_the_clock_that_events_are_dated_by(
    client: httpx.AsyncClient, desk: FakeController, shop: str
) -> None:
    desk.clock = NOW - timedelta(hours=1)  # the machine's clock was set forward
    answer = await ask(client, since="10m")
    assert answer.status_code == 200, answer.text
    assert desk.asked_events[-1].since == desk.clock - timedelta(minutes=10)
