"""The manager dies, is stopped, comes back; Envoy is restarted meanwhile. Clients notice nothing, ever."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.envoy.stack import JSON, RUNTIME_TTL, Stack, running, until
from xds_server.demo.load import Clients
from xds_server.lifecycle.summaries import INTERVAL
from xds_server.stage.client import Connection, ReplyError, Request

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

HEALTH = Request("GET", "/healthz", "GET /healthz")
SLACK = 2.0
"""Seconds beyond a time limit that a busy machine may take."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("manager")) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    if not stack.manager.alive:
        stack.start_manager()
    stack.clear()


async def last_copy(stack: Stack, clients: Clients, instance: str, *, since: float) -> float:
    """Wait until mirroring has stopped; return how long after `since` (monotonic) the last copy was seen."""
    last, seen = since, -1
    while time.monotonic() - last < 1.0 or not clients.tally.requests:
        sent = stack.proxy.stat(f"cluster.shadow-in-{instance}.upstream_rq_total")
        if sent != seen:
            last, seen = time.monotonic(), sent
        await asyncio.sleep(0.03)
    return last - since


def only(profile: JSON) -> JSON:
    (instance,) = profile["instances"]
    return {name: instance[name] for name in ("instanceID", "status", "expiresAt", "node", "address")}


async def test_a_killed_manager_stops_mirroring_and_its_successor_goes_on(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create()
        instance = profile["instances"][0]["instanceID"]

        async def compared() -> JSON | None:
            found = await stack.comparison(profile)
            return found if found.get("pairs", 0) > 200 else None

        early = await until(compared, "pairs are compared")
        # What was known before the last time that comparisons were written is known again.
        await asyncio.sleep(2 * INTERVAL + 1)
        await stack.settled()
        updates, life = stack.proxy.updates(), stack.proxy.listener_life("catalog")
        (shadow,) = stack.shadows()
        before = only(await stack.profile(profile["profileID"]))
        stack.kill(stack.manager)
        stopped = await last_copy(stack, clients, instance, since=time.monotonic())
        print(f"mirroring stopped {stopped:.2f} s after the manager was killed, at a TTL of {RUNTIME_TTL:g} s")
        assert stopped < RUNTIME_TTL + SLACK
        assert stack.shadows() == [shadow]
        copies = stack.proxy.copies(instance)
        assert copies > early["pairs"]
        await asyncio.to_thread(stack.start_manager)
        again = await stack.profile(profile["profileID"])
        assert only(again) == before
        assert stack.shadows() == [shadow]
        assert again["trafficShadowingPercentage"] == 1.0
        assert again["comparison"]["pairs"] >= early["pairs"]
        counted = again["comparison"]["pairs"]
        await stack.mirroring(instance, beyond=copies + 50)

        async def goes_on() -> bool:
            return (await stack.comparison(profile))["pairs"] > counted + 50

        await until(goes_on, "pairs are compared again")
        assert stack.proxy.updates() == updates
        assert stack.proxy.listener_life("catalog") == life


@pytest.mark.parametrize("end", ["killed", "stopped for its successor"])
async def test_an_envoy_that_starts_without_a_manager_serves_the_original_and_mirrors_when_it_is_back(
    stack: Stack, end: str
) -> None:
    if end != "killed":
        assert stack.end(stack.manager) == 0
        stack.start_manager("--keep-shadows")
    profile = await stack.create()
    instance = profile["instances"][0]["instanceID"]
    # The engine is offered what is in force within a quarter of a second, and has it then.
    async with stack.traffic() as clients:
        await stack.mirroring(instance)
        await stack.further(clients, 100)
    if end == "killed":
        stack.kill(stack.manager)
    else:
        assert await asyncio.to_thread(stack.end, stack.manager) == 0
    stack.end(stack.proxy.child)
    started = time.monotonic()
    stack.restart_envoy(stack.proxy)
    async with Connection(stack.proxy.ports["catalog"]) as connection:

        async def serves() -> bool:
            try:
                return (await connection.send(HEALTH)).status == httpx.codes.OK
            except ReplyError:
                return False

        await until(serves, "the original is served")
    served = time.monotonic() - started
    print(f"the original was served {served:.2f} s after Envoy was started without a manager")
    assert served < 3.0 + SLACK
    async with stack.traffic() as clients:
        await stack.further(clients, 200)
        assert stack.proxy.copies(instance) == 0
        await asyncio.to_thread(stack.start_manager)
        ready = time.monotonic()
        assert [e["nodeID"] for e in (await stack.status())["envoys"] if e["connected"]] == []
        await stack.mirroring(instance, beyond=50)
        print(f"mirroring was back {time.monotonic() - ready:.2f} s after the manager was")
        await stack.settled()
        (envoy,) = (await stack.status())["envoys"]
        assert (envoy["nodeID"], envoy["connected"]) == ("envoy", True)
    assert stack.proxy.stat("listener_manager.listener_modified") == 0


async def test_a_manager_that_is_stopped_ends_its_shadows_and_the_original_is_served_on(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create()
        instance = profile["instances"][0]["instanceID"]
        await stack.mirroring(instance)
        engine = stack.engine_process
        assert await asyncio.to_thread(stack.end, stack.manager) == 0
        assert stack.shadows() == []
        assert not psutil.pid_exists(engine.pid)
        await stack.quiet(clients, instance)
        await stack.further(clients, 50)
        await asyncio.to_thread(stack.start_manager)
        found = await stack.ended(profile)
        assert (found["status"], found["reason"]) == ("Stopped", "the manager stopped")


async def test_a_shadow_that_a_stopped_manager_keeps_is_taken_up_again(stack: Stack) -> None:
    assert stack.end(stack.manager) == 0
    stack.start_manager("--keep-shadows")
    async with stack.traffic() as clients:
        profile = await stack.create()
        instance = profile["instances"][0]["instanceID"]
        await stack.mirroring(instance)
        (shadow,) = stack.shadows()
        assert await asyncio.to_thread(stack.end, stack.manager) == 0
        await stack.quiet(clients, instance)
        assert stack.shadows() == [shadow]
        copies = stack.proxy.copies(instance)
        await asyncio.to_thread(stack.start_manager)
        assert only(await stack.profile(profile["profileID"]))["status"] == "Running"
        assert stack.shadows() == [shadow]
        await stack.mirroring(instance, beyond=copies + 50)
