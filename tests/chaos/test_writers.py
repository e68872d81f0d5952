"""A hundred writers at once over HTTP, on a real manager: one wins where one may, nothing is lost, nothing is left."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.envoy.stack import JSON, Stack, running, until

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

WRITERS = 100
CREATE = "/networks/shop/shadowing/create"
PROFILES = "/networks/shop/shadowing/profiles"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("writers")) as made:
        yield made


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=WRITERS)
    async with httpx.AsyncClient(base_url=stack.url, limits=limits, timeout=60, trust_env=False) as client:
        yield client
    stack.clear()
    assert stack.shadows() == []


async def at_once(*requests: Any) -> list[httpx.Response]:
    answers = list(await asyncio.gather(*requests))
    assert not [a.text for a in answers if a.status_code >= httpx.codes.INTERNAL_SERVER_ERROR]
    return answers


def statuses(answers: list[httpx.Response]) -> Mapping[int, int]:
    return Counter(answer.status_code for answer in answers)


async def profiles(http: httpx.AsyncClient) -> list[JSON]:
    return list((await http.get(PROFILES)).json()["items"])


def lasting(profile: JSON) -> JSON:
    """Return what does not move while a shadow comes up."""
    return {key: profile[key] for key in ("profileID", "name", "createdAt", "trafficShadowingPercentage")}


async def test_a_hundred_creates_with_one_key_make_one_profile_and_all_are_told_of_it(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    body = stack.profile_body(name="one")
    made = await at_once(*(http.post(CREATE, json=body, headers={"Idempotency-Key": "k1"}) for _ in range(WRITERS)))
    assert statuses(made) == {201: 1, 200: WRITERS - 1}
    first = lasting(made[0].json())
    assert all(lasting(answer.json()) == first for answer in made)
    assert [lasting(p) for p in await profiles(http)] == [first]
    assert len((await stack.profile(first["profileID"]))["instances"]) == 1
    other = await http.post(CREATE, json={**body, "name": "two"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == httpx.codes.CONFLICT


async def test_of_a_hundred_changes_to_one_revision_one_wins(stack: Stack, http: httpx.AsyncClient) -> None:
    answer = await http.post(CREATE, json=stack.profile_body(name="one", trafficShadowingPercentage=0.5))
    made, match = answer.json(), {"If-Match": answer.headers["ETag"]}
    path = f"{PROFILES}/{made['profileID']}"
    changed = await at_once(
        *(
            http.patch(path, json={"trafficShadowingPercentage": (number + 1) / 1000}, headers=match)
            for number in range(WRITERS)
        )
    )
    assert statuses(changed) == {200: 1, 412: WRITERS - 1}
    (winner,) = (answer.json() for answer in changed if answer.is_success)
    (now,) = await profiles(http)
    assert now["revision"] == made["revision"] + 1
    assert now["trafficShadowingPercentage"] == winner["trafficShadowingPercentage"]


async def test_a_hundred_writers_that_read_again_when_refused_lose_no_change(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    made = (await http.post(CREATE, json=stack.profile_body(name="one", trafficShadowingPercentage=0.001))).json()
    path = f"{PROFILES}/{made['profileID']}"

    async def add() -> httpx.Response:
        while True:
            read = await http.get(path)
            more = round(read.json()["trafficShadowingPercentage"] + 0.001, 3)
            match = {"If-Match": read.headers["ETag"]}
            answer = await http.patch(path, json={"trafficShadowingPercentage": more}, headers=match)
            if answer.status_code != httpx.codes.PRECONDITION_FAILED:
                return answer

    assert statuses(await at_once(*(add() for _ in range(WRITERS)))) == {200: WRITERS}
    (now,) = await profiles(http)
    assert now["revision"] == made["revision"] + WRITERS
    assert now["trafficShadowingPercentage"] == pytest.approx(0.001 * (1 + WRITERS))


async def test_of_a_hundred_creates_of_one_name_one_wins(stack: Stack, http: httpx.AsyncClient) -> None:
    body = stack.profile_body(name="one", trafficShadowingPercentage=0.005)
    made = await at_once(
        *(http.post(CREATE, json=body, headers={"Idempotency-Key": f"n{number}"}) for number in range(WRITERS))
    )
    assert statuses(made) == {201: 1, 409: WRITERS - 1}
    assert len(await profiles(http)) == 1


async def test_creates_changes_and_deletions_at_once_leave_what_was_told_and_nothing_else(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    body = stack.profile_body(name="one", trafficShadowingPercentage=0.005)
    created: list[str] = []
    deleted: list[str] = []

    async def work(number: int) -> httpx.Response:
        match number % 4:
            case 0 | 1:
                answer = await http.post(CREATE, json=body, headers={"Idempotency-Key": f"w{number}"})
                if answer.status_code == httpx.codes.CREATED:
                    created.append(answer.json()["profileID"])
            case 2:
                answer = await http.patch(f"{PROFILES}/one", json={"trafficShadowingPercentage": number / 10_000})
            case _:
                found = await http.get(f"{PROFILES}/one")
                if not found.is_success:
                    return found
                answer = await http.delete(f"{PROFILES}/{found.json()['profileID']}")
                if answer.is_success:
                    deleted.append(found.json()["profileID"])
        return answer

    answers = await at_once(*(work(number) for number in range(WRITERS)))
    assert set(statuses(answers)) <= {200, 201, 204, 404, 409}
    assert len(deleted) == len(set(deleted))
    assert {p["profileID"] for p in await profiles(http)} == set(created) - set(deleted)

    async def as_many() -> bool:
        return len(stack.shadows()) == len(created) - len(deleted)

    await until(as_many, "each profile has its shadow, and nothing else runs")


async def test_a_network_is_deleted_once_under_load_and_what_comes_late_is_told_that_it_is_gone(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    body = {**stack.network_body("busy"), "components": [stack.component("catalog")]}
    assert (await http.post("/networks", json=body)).status_code == httpx.codes.CREATED
    profile = stack.profile_body(trafficShadowingPercentage=0.005)

    async def work(number: int) -> httpx.Response:
        if number % 10 == 5:
            return await http.delete("/networks/busy")
        if number % 10 == 6:
            return await http.put("/networks/busy", json={**body, "labels": {"n": str(number)}})
        if number % 10 < 3:
            return await http.post("/networks/busy/shadowing/create", json={**profile, "name": f"p{number}"})
        return await http.get("/networks/busy/shadowing/status")

    answers = await at_once(*(work(number) for number in range(WRITERS)))
    assert set(statuses(answers)) <= {200, 201, 204, 404}, statuses(answers)
    assert sum(a.request.method == "DELETE" and a.is_success for a in answers) == 1
    assert (await http.get("/networks/busy")).status_code == httpx.codes.NOT_FOUND

    async def none() -> bool:
        return stack.shadows() == []

    await until(none, "nothing of it runs")
    assert (await http.post("/networks", json=body)).status_code == httpx.codes.CREATED
    assert (await http.delete("/networks/busy")).is_success
