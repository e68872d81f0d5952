"""The main job on the real thing: a profile's whole life by REST, with clients that notice nothing."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.envoy.backend import Backend
from tests.envoy.stack import NETWORK, Stack, at, running, until

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("life")
    with running(folder) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


async def test_a_profile_lives_and_ends_without_a_client_or_a_listener_noticing(stack: Stack) -> None:
    async with stack.traffic() as clients:
        await stack.further(clients, 50)
        before = stack.proxy.listener_life("catalog")
        profile = await stack.create()
        instance = profile["instances"][0]["instanceID"]

        async def compared() -> bool:
            found = await stack.comparison(profile)
            return found.get("pairs", 0) >= 300 and len(found["byClass"]) >= 3

        await until(compared, "differences are found")
        found = await stack.comparison(profile)
        assert found["identical"] > 0
        assert {"type", "missing", "array_order"} <= set(found["byClass"])
        diffs = await stack.acall("GET", f"/networks/{NETWORK}/shadowing/diffs")
        assert any("price" in str(each) for each in diffs["items"])
        assert stack.proxy.copies(instance) >= found["pairs"]
        await stack.delete(profile)
        assert (await stack.status())["profiles"] == []
        assert stack.proxy.listener_life("catalog") == before
        await stack.further(clients, 50)
        assert stack.proxy.listener_life("catalog") == before
    assert stack.proxy.stat("listener_manager.listener_modified") == 0
    assert not stack.proxy.stats(f"cluster.shadow-{instance}.upstream_cx_active")


async def test_a_shadow_that_is_killed_has_failed_and_no_client_notices(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create()
        instance = profile["instances"][0]["instanceID"]
        await stack.mirroring(instance)
        (shadow,) = stack.shadows()
        shadow.kill()
        found = await stack.ended(profile)
        assert found["status"] == "Failed"
        assert "SIGKILL" in found["reason"]
        assert any("catalogue version 2 answers" in line for line in found["logTail"])
        await stack.quiet(clients, instance)
    await stack.delete(profile)


async def test_a_shadow_ends_with_its_ttl_and_no_client_notices(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(shadowInstanceTTL="10s")
        instance = profile["instances"][0]["instanceID"]
        await stack.mirroring(instance)
        found = await stack.ended(profile)
        assert (found["status"], found["reason"]) == ("Stopped", "its time to live was over")
        await stack.quiet(clients, instance)
        assert stack.shadows() == []
        assert (await stack.comparison(profile))["pairs"] > 0
    await stack.delete(profile)


async def test_a_percentage_goes_to_nothing_and_back_by_runtime_values_alone(stack: Stack) -> None:
    def versions() -> dict[str, int]:
        stats = stack.proxy.stats("update_success|init_fetch_timeout|update_rejected")
        return {name: value for name, value in stats.items() if not name.startswith("runtime")}

    async with stack.traffic() as clients:
        profile = await stack.create()
        instance = profile["instances"][0]["instanceID"]
        await stack.mirroring(instance)
        before, updates = versions(), stack.proxy.updates()
        assert any("lds" in name for name in before)
        await stack.change(profile, trafficShadowingPercentage=0)
        await stack.quiet(clients, instance)
        copies = stack.proxy.copies(instance)
        assert copies > 0
        await stack.change(profile, trafficShadowingPercentage=1)
        await stack.mirroring(instance, beyond=copies + 20)
        assert versions() == before
        assert stack.proxy.updates() == updates
    await stack.delete(profile)


async def test_a_shadow_that_never_gets_ready_is_never_mirrored_to(stack: Stack) -> None:
    code = "import time; print('thinking', flush=True); time.sleep(60)"
    process = {"command": [sys.executable, "-c", code, "{port}"], "readiness": {"timeout": "5s"}}
    async with stack.traffic() as clients:
        before = stack.proxy.updates()
        body = stack.profile_body(variants=[{"name": "v2", "process": process}])
        profile = await stack.acall("POST", f"/networks/{NETWORK}/shadowing/create", body)
        found = await stack.ended(profile)
        assert found["status"] == "Failed"
        assert found["logTail"] == ["thinking"]
        await stack.further(clients, 30)
        assert not stack.proxy.stats(found["instanceID"])
        assert stack.proxy.updates() == before
    await stack.delete(profile)


async def test_a_command_that_does_not_exist_is_refused_and_creates_nothing(stack: Stack) -> None:
    body = stack.profile_body(variants=[{"name": "v2", "process": {"command": ["/no/such/thing", "{port}"]}}])
    answer = await asyncio.to_thread(stack.ask, "POST", f"/networks/{NETWORK}/shadowing/create", body)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/no/such/thing" in answer.text
    assert (await stack.status())["profiles"] == []


async def test_writes_are_not_mirrored_and_copies_carry_no_credentials(stack: Stack) -> None:
    secrets = {"authorization": "Bearer 1234", "cookie": "session=5678"}
    async with (
        Backend("original", port=stack.originals["echo"]) as original,
        Backend("shadow", instead={"/ok": "/status/401"}) as shadow,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.listens['echo']}", trust_env=False) as client,
    ):
        profile = await stack.create(componentName="echo", variants=at(shadow.port))
        for _ in range(20):
            assert (await client.post("/echo", content=b"write")).content == b"write"
            assert (await client.get("/ok", headers=secrets)).json() == {"from": "original"}

        async def judged() -> bool:
            return bool((await stack.comparison(profile)).get("notJudged", {}).get("credentials_dropped") == 20)

        await until(judged, "the answers to copies without credentials are not judged")
        found = await stack.comparison(profile)
        assert (found["pairs"], found["discrepancies"]) == (0, 0)
        assert "keepCredentials" in found["hint"]
        assert [asked.method for asked in shadow.asked] == ["GET"] * 20
        assert not any(set(secrets) & set(asked.headers) for asked in shadow.asked)
        given = [asked.headers for asked in original.asked if asked.method == "GET"]
        assert all({name: headers.get(name) for name in secrets} == secrets for headers in given)
        assert len(given) == 20
        await stack.delete(profile)
