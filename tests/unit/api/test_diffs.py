"""Differences and the archive over REST."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from api.moments import moment
from tests.unit.analysis.differing import START, a_tally, judged, seen, versions
from tests.unit.api.fake import NOW, FakeController, compared
from xds_server.errors import InvalidError
from xds_server.lifecycle.views import ArchivedComparison
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.store.base import ArchiveRecord

URL = "/networks/shop/shadowing/diffs"


@pytest.fixture
def differing(desk: FakeController, shop: str) -> FakeController:
    tally = a_tally()
    judged(tally, 1000, trios=10)
    for number in range(5):
        seen(tally, f"$.f{number}", count=100 + number, last=START + 90 - number)
    seen(tally, "$.at", "same_kind", count=1000, what="timestamp")
    seen(tally, "status", "status", endpoint="GET /b", values=[("200", "500")])
    desk.sources = versions(tally)
    return desk


async def get(client: httpx.AsyncClient, **query: Any) -> Any:
    answer = await client.get(URL, params={k.removesuffix("_"): v for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_without_a_group_pairs_are_listed_and_paged_and_a_newcomer_shifts_nothing(
    client: httpx.AsyncClient, differing: FakeController
) -> None:
    page = await get(client, endpoint="GET /items/{id}", class_="value", limit=2)
    fields = [item["differences"][0]["field"] for item in page["items"]]
    assert (page["total"], fields) == (5, ["$.f0", "$.f1"])
    seen(differing.sources[0].tally, "$.new", last=START + 99)
    page = await get(client, endpoint="GET /items/{id}", class_="value", limit=3, cursor=page["nextCursor"])
    assert [item["differences"][0]["field"] for item in page["items"]] == ["$.f2", "$.f3", "$.f4"]
    assert page["nextCursor"] is None


async def test_from_the_whole_to_the_request(client: httpx.AsyncClient, differing: FakeController) -> None:
    endpoint = (await get(client, group="endpoint"))["items"][0]["endpoint"]
    field = (await get(client, group="field", endpoint=endpoint))["items"][0]["field"]
    item = (await get(client, group="class", endpoint=endpoint, field=field))["items"][0]
    pair = (await client.get(f"{URL}/{item['example']['pairID']}")).json()
    assert pair["differences"][0]["field"] == field
    assert (pair["original"]["status"], pair["shadow"]["status"], pair["archived"]) == (200, 200, False)
    by_slash = await client.get(f"{URL}/{quote(pair['id'], safe='')}")
    assert by_slash.json() == pair


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"nature": "recognised"}, ["$.at"]),
        ({"class": "status"}, ["status"]),
        ({"instance": "i2"}, []),
        ({"variant": "v3"}, []),
        ({"variant": "v2", "endpoint": "GET /b"}, ["status"]),
        ({"until": "2000-01-01T00:00:00Z"}, []),
        ({"since": "2000-01-01T00:00:00+01:00", "endpoint": "GET /b"}, ["status"]),
        ({"since": "999999999h", "until": "9999-12-31T23:59:59Z", "endpoint": "GET /b"}, ["status"]),
        ({"profile": "v2", "field": "$.f1"}, ["$.f1"]),
        ({"group": "field", "sort": "count", "limit": "1"}, ["$.at"]),
    ],
)
async def test_every_parameter_has_its_effect(
    client: httpx.AsyncClient, differing: FakeController, query: dict[str, str], fields: list[str]
) -> None:
    found = await get(client, **{"group": "class", **query})
    assert [item["field"] for item in found["items"]] == fields
    assert (found["window"] is None) == (not {"since", "until"} & set(query))


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("group", "fields", "'endpoint', 'field', 'class' or 'pair'"),
        ("sort", "best", "'surprise', 'newest', 'rarest' or 'count'"),
        ("nature", "real", "'difference', 'undecided', 'noise' or 'recognised'"),
        ("limit", "0", "greater than or equal to 1"),
        ("limit", "many", "valid integer"),
        ("since", "yesterday", "how long ago"),
        ("since", "2026-01-31T12:00:00", "no time zone"),
        ("until", "10", "how long ago"),
        ("until", "9999999h", "before since"),
        ("cursor", "x", "is not a cursor"),
        ("profile", "nobody", "no profile"),
        ("instance", "i1", "one of the two"),
    ],
)
async def test_a_bad_value_names_its_parameter_and_what_would_be_right(
    client: httpx.AsyncClient, differing: FakeController, name: str, value: str, right: str
) -> None:
    answer = await client.get(URL, params={"variant": "v2", "since": "10m", name: value})
    assert answer.status_code in {422, 404}
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["field"] == name
    assert right in answer.text


async def test_a_pair_that_is_not_there_is_told(client: httpx.AsyncClient, differing: FakeController) -> None:
    answer = await client.get(f"{URL}/nothing~here")
    assert (answer.status_code, "only the newest few" in answer.json()["hint"]) == (404, True)


def test_moments_are_times_with_a_zone_or_ago() -> None:
    assert moment("1h30m", "since", now=NOW) == NOW.timestamp() - 5400
    assert moment("2026-01-01T01:00:00+01:00", "since", now=NOW) == NOW.timestamp()
    assert moment("2026-01-01T01:00:00 01:00", "since", now=NOW) == NOW.timestamp()
    assert moment(None, "since", now=NOW) is None
    assert moment("0001-01-01T00:00:00+14:00", "since", now=NOW) == moment("999999999h", "since", now=NOW) == 0.0
    for wrong in ("", "5", "-5m", "2026-01-01", "2026-13-01T00:00:00Z", "ü"):
        with pytest.raises(InvalidError) as caught:
            moment(wrong, "since", now=NOW)
        assert caught.value.field == "since"


def put_away() -> ArchivedComparison:
    record = ArchiveRecord(
        profile_id=ProfileID("p9"),
        network_id=NetworkID("n"),
        name="old",
        component_name="catalog",
        variants={InstanceID("i9"): "v2"},
        created_at=NOW,
        ended_at=NOW,
        expires_at=NOW + timedelta(days=1),
        pairs=2,
        discrepancies=1,
        size=10,
    )
    return ArchivedComparison(record, compared())


async def test_the_archive_is_listed_and_read(client: httpx.AsyncClient, desk: FakeController, shop: str) -> None:
    desk.put_away = [put_away()]
    listed = (await client.get("/networks/shop/shadowing/archive")).json()
    (item,) = listed["items"]
    assert listed["dropped"] == 0
    assert item == {
        "profileID": "p9",
        "name": "old",
        "componentName": "catalog",
        "variants": ["v2"],
        "createdAt": "2026-01-01T00:00:00Z",
        "endedAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-01-02T00:00:00Z",
        "pairs": 2,
        "discrepancies": 1,
        "bytes": 10,
    }
    one = (await client.get("/networks/shop/shadowing/archive/old")).json()
    assert one["comparison"]["pairs"] == 2
    assert (await client.get("/networks/shop/shadowing/archive/none")).status_code == 404


async def test_an_archived_profile_is_looked_into_by_name(client: httpx.AsyncClient, differing: FakeController) -> None:
    old = a_tally("i9", profile="p9")
    seen(old, "$.old")
    differing.sources += [replace(s, profile="old") for s in versions(old, archived=True)]
    assert [i["field"] for i in (await get(client, group="class", profile="old"))["items"]] == ["$.old"]
    assert "$.old" not in {i["field"] for i in (await get(client, group="class"))["items"]}
