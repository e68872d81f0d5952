"""An upgrade: a new manager takes over from a running one, and neither an Envoy nor a shadow nor a client notices."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.envoy.stack import Stack, running, until, wait_for
from xds_server.stage.mesh import shadowmesh

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]


IN_FLIGHT = 20
"""Requests that may be under way at the two moments that are compared, and copies that a delay holds back."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path, "--xds-runtime-ttl", "15") as made:  # as it is unless it is set
        yield made


async def test_an_upgrade_goes_unnoticed_and_every_copy_is_accounted_for(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(match={"methods": ["GET", "HEAD", "OPTIONS", "POST"]})
        (instance,) = profile["instances"]
        one = instance["instanceID"]
        await stack.mirroring(one, beyond=100)
        await stack.acall(
            "POST",
            "/networks/shop/shadowing/inject_fault",
            {"instanceID": one, "faultInjectionParameters": {"delay": {"fixedDelay": "10ms", "percentage": 10}}},
        )
        await stack.settled()
        before = stack.proxy.updates()
        sent, copied = clients.tally.requests, stack.proxy.copies(one)
        (shadow,) = stack.shadows()
        engine = stack.engine_pid
        for _ in range(3):
            await asyncio.to_thread(take_over, stack)
            copies = stack.proxy.copies(one)
            await stack.settled()
            await stack.mirroring(one, beyond=copies + 50)
        assert stack.proxy.updates() == before, "no listener, route table or cluster was touched"
        assert shadow.is_running()
        assert stack.engine_pid == engine
        ((now,),) = [p["instances"] for p in (await stack.status())["profiles"]]
        assert (now["instanceID"], now["status"], len(now["faults"])) == (one, "Running", 1)
        # All of the requests are mirrored, and were so all the time.
        sent, copied = clients.tally.requests - sent, stack.proxy.copies(one) - copied
        assert abs(sent - copied) <= IN_FLIGHT
        await stack.change(profile, trafficShadowingPercentage=0.0)
        await stack.quiet(clients, one)

    async def all_of_it() -> bool:
        found = await stack.comparison(profile)
        known = found["pairs"] + sum(found["lost"].values()) + sum(found.get("notJudged", {}).values())
        return bool(known >= stack.proxy.copies(one))

    await until(all_of_it, "each copy is compared or counted as lost")


def take_over(stack: Stack) -> None:
    """Start a manager that takes over; returns when the old one is gone and the new one is ready."""
    old = stack.manager
    stack.household.children.remove(old)
    stack.start_manager("--take-over")  # while the old one answers, that it is ready says nothing
    assert old.process.wait(20) == 0
    wait_for(lambda: stack.manager.alive and ready(stack), "the new manager is ready")


def ready(stack: Stack) -> bool:
    try:
        return stack.ask("GET", "/readyz").is_success
    except httpx.HTTPError:
        return False


async def test_without_a_manager_to_take_over_from_it_just_starts(stack: Stack) -> None:
    stack.end(stack.manager)
    stack.start_manager("--take-over")
    assert (await stack.status())["profiles"] == []


async def test_a_manager_that_hangs_is_not_taken_over_and_goes_on(stack: Stack) -> None:
    stack.manager.process.send_signal(signal.SIGSTOP)
    try:
        command = shadowmesh("serve", "--take-over", "--state", str(stack.folder / "state"))
        second = await asyncio.create_subprocess_exec(
            *command, env=stack.household.environment(), stderr=asyncio.subprocess.PIPE
        )
        _, told = await asyncio.wait_for(second.communicate(), 60.0)
        assert second.returncode == 4
        assert f"process id {stack.manager.process.pid} has not let go within 30 s" in told.decode()
    finally:
        stack.manager.process.send_signal(signal.SIGCONT)
    # It was asked, so it lets go once it can.
    assert await asyncio.to_thread(stack.manager.process.wait, 20) == 0
    stack.household.children.remove(stack.manager)
    stack.start_manager()
