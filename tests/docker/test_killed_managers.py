"""A manager ended with KILL at moments of a container's start and of its end: the next one finishes what it began."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.docker.conftest import CATALOGUE
from tests.docker.engines import DockerEngine
from tests.envoy.stack import NETWORK, Stack, until

PROFILES = f"/networks/{NETWORK}/shadowing/profiles"
MOMENTS = (0.0, 0.03, 0.1, 0.2, 0.4, 0.8, 1.4)
"""Seconds from the request to the kill; on a quiet machine a start takes about a second, an end half of one."""


async def killed(stack: Stack, moment: float, method: str, path: str, body: Any = None) -> bool:
    """Kill the manager some time after a request, start the next one; return whether the request was answered."""
    asked = asyncio.create_task(asyncio.to_thread(stack.ask, method, path, body))
    await asyncio.sleep(moment)
    await asyncio.to_thread(stack.kill, stack.manager)
    (answer,) = await asyncio.gather(asked, return_exceptions=True)
    await asyncio.to_thread(stack.start_manager)
    if isinstance(answer, httpx.Response):
        assert answer.is_success, answer.text
        return True
    assert isinstance(answer, httpx.HTTPError), answer
    return False


async def profiles(stack: Stack) -> list[dict[str, Any]]:
    return list((await stack.acall("GET", PROFILES))["items"])


async def gone(stack: Stack, engine: DockerEngine) -> None:
    """Wait until there is no profile and no container."""

    async def nothing() -> bool:
        return not await profiles(stack) and not await asyncio.to_thread(engine.containers)

    await until(nothing, "no profile and no container is left")


@pytest.mark.timeout(300)
async def test_whatever_is_left_of_a_start_is_finished_or_ended(stack: Stack, clean: DockerEngine) -> None:
    async with stack.traffic() as clients:
        for moment in MOMENTS:
            body = stack.profile_body(variants=[CATALOGUE])
            accepted = await killed(stack, moment, "POST", f"/networks/{NETWORK}/shadowing/create", body)
            found = await profiles(stack)
            assert found or not accepted, f"killed after {moment} s: a profile that was accepted is lost"
            for profile in found:
                one = profile["profileID"]

                async def runs(one: str = one) -> bool:
                    (instance,) = (await stack.profile(one))["instances"]
                    assert instance["status"] != "Failed", instance
                    return bool(instance["status"] == "Running")

                await until(runs, "its shadow runs")
                # The shadow and its guard, and nothing of an attempt before.
                assert len(await asyncio.to_thread(clean.containers)) == 2
                await stack.delete(profile)
            await gone(stack, clean)
        await stack.further(clients, 50)


@pytest.mark.timeout(300)
async def test_an_end_that_was_begun_is_finished(stack: Stack, clean: DockerEngine) -> None:
    begun = 0
    async with stack.traffic() as clients:
        for moment in MOMENTS:
            profile = await stack.create(variants=[CATALOGUE])
            path = f"{PROFILES}/{profile['profileID']}"
            await killed(stack, moment, "DELETE", path)
            if await profiles(stack):  # the manager had not accepted it yet
                await stack.delete(profile)
            else:
                begun += 1
            await gone(stack, clean)
        assert begun > 1, "the next manager has not had one to finish"
        await stack.further(clients, 50)
