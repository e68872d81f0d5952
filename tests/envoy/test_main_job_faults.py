"""Faults hit every copy and no client: thousands of answers, bit for bit; each lifted when it should be."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.envoy.stack import JSON, NETWORK, Stack, bits, running, until
from xds_server.demo.load import catalogue_requests
from xds_server.stage.client import Connection, Request

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

FAULTS = f"/networks/{NETWORK}/shadowing/faults"
ABORT_ALL: JSON = {"abort": {"httpStatus": 503, "percentage": 100}}
REQUESTS = list(catalogue_requests([3, 6, 7, 12]))
CONNECTIONS = 6
ENOUGH = 3000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("faults"), mode="sotw") as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


async def answers(stack: Stack, count: int) -> tuple[int, dict[Request, set[Any]]]:
    """Send at least `count` requests, all kinds; return how many were mirrored, and each different answer to each."""
    found: dict[Request, set[Any]] = {request: set() for request in REQUESTS}
    rounds = -(-count // (len(REQUESTS) * CONNECTIONS))

    async def client() -> None:
        async with Connection(stack.proxy.ports["catalog"]) as connection:
            for request in REQUESTS * rounds:
                found[request].add(bits(await connection.send(request)))

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    safe = sum(request.method == "GET" for request in REQUESTS)
    return safe * rounds * CONNECTIONS, found


async def all_injected(stack: Stack, profile: JSON, copies: int) -> None:
    """Wait until it has come out that so many copies were sent and each had a fault injected."""
    (instance,) = profile["instances"]

    async def counted() -> bool:
        found = await stack.comparison(profile)
        return bool(found.get("injected", {}).get("aborted", 0) >= copies and not found["lost"])

    await until(counted, "all copies are accounted for")
    found = await stack.comparison(profile)
    assert found["injected"]["aborted"] == copies == stack.proxy.copies(instance["instanceID"])
    assert (found["pairs"], found["lost"]) == (0, {})


async def inject(stack: Stack, profile: JSON, **more: Any) -> JSON:
    body = {"instanceID": profile["instances"][0]["instanceID"], "faultInjectionParameters": ABORT_ALL, **more}
    made: JSON = await stack.acall("POST", f"/networks/{NETWORK}/shadowing/inject_fault", body)
    await stack.settled()
    return made


async def lifted(stack: Stack, profile: JSON) -> None:
    """Wait until the shadow itself answers copies again."""
    pairs = (await stack.comparison(profile)).get("pairs", 0)

    async def judged() -> bool:
        return (await stack.comparison(profile)).get("pairs", 0) > pairs + 50

    await until(judged, "copies reach the shadow again")
    injected = (await stack.comparison(profile))["injected"]["aborted"]
    await asyncio.sleep(1.5)
    assert (await stack.comparison(profile))["injected"]["aborted"] == injected
    assert (await stack.acall("GET", FAULTS))["items"] == []


async def injecting(stack: Stack, profile: JSON, *, beyond: int = 20) -> None:
    async def seen() -> bool:
        return bool((await stack.comparison(profile)).get("injected", {}).get("aborted", 0) > beyond)

    await until(seen, "copies are aborted")


async def test_faults_of_a_profile_hit_all_copies_and_change_no_bit_of_an_answer(stack: Stack) -> None:
    _, without_us = await answers(stack, 1)
    assert {len(each) for each in without_us.values()} == {1}
    profile = await stack.create(faultInjectionParameters=ABORT_ALL)
    copies, found = await answers(stack, ENOUGH)
    assert found == without_us
    await all_injected(stack, profile, copies)


async def test_an_injected_fault_hits_all_copies_and_changes_no_bit_of_an_answer(stack: Stack) -> None:
    _, without_us = await answers(stack, 1)
    profile = await stack.create()
    await inject(stack, profile)
    copies, found = await answers(stack, ENOUGH)
    assert found == without_us
    await all_injected(stack, profile, copies)


async def test_a_fault_is_lifted_when_its_time_is_over(stack: Stack) -> None:
    profile = await stack.create()
    async with stack.traffic():
        await inject(stack, profile, duration="2s")
        await injecting(stack, profile)
        await lifted(stack, profile)


async def test_a_fault_is_lifted_in_time_by_a_manager_that_was_killed_meanwhile(stack: Stack) -> None:
    profile = await stack.create()
    async with stack.traffic():
        await inject(stack, profile, duration="3s")
        await injecting(stack, profile)
        seen = (await stack.comparison(profile))["injected"]["aborted"]
        stack.kill(stack.manager)
        await asyncio.to_thread(stack.start_manager)
        await stack.attached()
        await injecting(stack, profile, beyond=seen - 1)  # what was known is known again
        await lifted(stack, profile)


async def test_a_fault_is_lifted_early_by_deleting_it(stack: Stack) -> None:
    profile = await stack.create()
    async with stack.traffic():
        fault = await inject(stack, profile, duration="10m")
        await injecting(stack, profile)
        await stack.acall("DELETE", f"{FAULTS}/{fault['faultID']}")
        await lifted(stack, profile)


async def test_a_fault_can_be_for_requests_with_a_header_alone(stack: Stack) -> None:
    only = {**ABORT_ALL, "headers": [{"name": "x-team", "exact": "search"}]}
    profile = await stack.create(faultInjectionParameters=only)
    url = f"http://127.0.0.1:{stack.proxy.ports['catalog']}/api/items/3"
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(60):
            assert (await client.get(url, headers={"x-team": "search"})).is_success
            assert (await client.get(url, headers={"x-team": "checkout"})).is_success

    async def all_in() -> bool:
        found = await stack.comparison(profile)
        return bool(found.get("pairs", 0) + found.get("injected", {}).get("aborted", 0) == 120)

    await until(all_in, "all pairs are in")
    found = await stack.comparison(profile)
    assert (found["pairs"], found["injected"]["aborted"]) == (60, 60)
