"""What is lost is counted, exactly: the books of the comparison against Envoy's own counters."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

import psutil
import pytest

from tests.chaos.books import accounted
from tests.envoy.stack import JSON, NETWORK, Stack, running, until

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

RATE = 600.0
SHADOW_TIMEOUT = "500ms"
"""An original waits for its copy as long as that may take, and some."""
ALL_TOLD = 8.0
"""Seconds in which a pair is given up, a push of counters comes, and its grace is over."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("loss")) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


async def accounts_for(look: Callable[[], Awaitable[JSON]], copies: int) -> JSON:
    """Wait until a comparison knows the fate of so many copies; return it."""
    last: JSON = {}

    async def balanced() -> bool:
        nonlocal last
        last = await look()
        return accounted(last) == copies

    try:
        await until(balanced, f"{copies} copies are accounted for", seconds=60)
    except AssertionError as error:
        error.add_note(f"accounted {accounted(last)}: { {k: v for k, v in last.items() if k != 'endpoints'} }")
        raise
    return last


async def adds_up(stack: Stack, profile: JSON, *, for_good: float = 0.0) -> JSON:
    """Wait until each copy that Envoy sent is accounted for, once; and for so many seconds it stays so."""
    (instance,) = profile["instances"]
    copies = stack.proxy.stat(f"cluster.shadow-in-{instance['instanceID']}.upstream_rq_total")
    assert copies > 0
    await accounts_for(lambda: stack.comparison(profile), copies)
    assert stack.proxy.copies(instance["instanceID"]) == copies
    await asyncio.sleep(for_good)
    last = await stack.comparison(profile)
    assert accounted(last) == copies
    return last


async def test_nothing_is_lost_when_nothing_happens(stack: Stack) -> None:
    await stack.attached()
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        await stack.further(clients, 1000)
    found = await adds_up(stack, profile)
    assert found["lost"] == {}


async def kill_engine(stack: Stack, profile: JSON) -> None:
    """Kill the engine, and wait until its successor compares."""
    engine = stack.engine_process
    engine.kill()

    async def another() -> bool:
        return stack.engine_pid not in {0, engine.pid}

    await until(another, "the engine is started again")
    counted = (await stack.comparison(profile))["pairs"]

    async def compares() -> bool:
        return (await stack.comparison(profile))["pairs"] > counted + 200

    await until(compares, "pairs are compared again")


async def test_what_an_engine_that_is_killed_has_not_handed_over_is_counted_lost(stack: Stack) -> None:
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        await stack.further(clients, 500)
        await kill_engine(stack, profile)
    found = await adds_up(stack, profile, for_good=ALL_TOLD)
    assert found["lost"]["als_gap"] > 0


async def test_an_engine_that_is_killed_under_constant_load_loses_nothing_uncounted_and_nothing_twice(
    stack: Stack,
) -> None:
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        for _ in range(2):
            # Long enough that some windows are on the manager's disk and some only in its memory.
            await stack.further(clients, 4500, seconds=100)
            await kill_engine(stack, profile)
        await stack.further(clients, 500)
    found = await adds_up(stack, profile, for_good=ALL_TOLD)
    assert found["lost"]["als_gap"] > 0


async def test_an_engine_that_is_killed_soon_after_its_manager_was_loses_nothing_uncounted(stack: Stack) -> None:
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        await stack.further(clients, 4500, seconds=100)
        stack.kill(stack.manager)
        await stack.further(clients, 600)
        await asyncio.to_thread(stack.start_manager)
        await stack.attached()
        # The engine has sent again what the manager before had not written, and this one has not either.
        await kill_engine(stack, profile)
        await stack.further(clients, 500)
    await adds_up(stack, profile, for_good=ALL_TOLD)


async def test_a_manager_and_an_engine_that_are_killed_together_lose_nothing_uncounted(stack: Stack) -> None:
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        # Long enough that some windows are on disk and some are not.
        await stack.further(clients, 4500, seconds=100)
        engine = stack.engine_process
        stack.kill(stack.manager)
        engine.kill()
        engine.wait(10)
        await asyncio.to_thread(stack.start_manager)
        await stack.attached()
        await stack.further(clients, 500)
    found = await adds_up(stack, profile, for_good=ALL_TOLD)
    assert found["lost"]["als_gap"] > 0


async def test_a_manager_that_is_killed_right_after_a_deletion_loses_nothing_of_the_comparison(stack: Stack) -> None:
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        await stack.further(clients, 1000)
    copies = stack.proxy.stat(f"cluster.shadow-in-{profile['instances'][0]['instanceID']}.upstream_rq_total")
    await stack.delete(profile)
    stack.kill(stack.manager)
    await asyncio.to_thread(stack.start_manager)

    async def archived() -> JSON:
        path = f"/networks/{NETWORK}/shadowing/archive/{profile['profileID']}"
        return dict((await stack.acall("GET", path))["comparison"])

    assert (await accounts_for(archived, copies))["lost"] == {}


async def test_an_engine_that_stands_still_for_a_while_loses_nothing_uncounted(stack: Stack) -> None:
    engine = stack.engine_process
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        await stack.further(clients, 300)
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            await stack.further(clients, 1500)
            assert psutil.Process(engine.pid).status() == psutil.STATUS_STOPPED
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        await stack.further(clients, 300)
    await adds_up(stack, profile, for_good=ALL_TOLD)


async def test_an_orderly_stop_of_everything_but_the_shadow_leaves_no_hole(stack: Stack) -> None:
    assert stack.end(stack.manager) == 0
    stack.start_manager("--keep-shadows")
    await stack.attached()
    async with stack.traffic(rate=RATE) as clients:
        profile = await stack.create(shadowTimeout=SHADOW_TIMEOUT)
        await stack.further(clients, 800)
        assert await asyncio.to_thread(stack.end, stack.manager) == 0
        await stack.further(clients, 100)
        (instance,) = profile["instances"]
        copies = stack.proxy.copies(instance["instanceID"])
    await asyncio.to_thread(stack.start_manager)
    await stack.attached()
    found = await adds_up(stack, profile)
    assert (found["pairs"], found["lost"]) == (copies, {})
    async with stack.traffic(rate=RATE):
        await stack.mirroring(instance["instanceID"], beyond=copies + 300)
    found = await adds_up(stack, profile)
    assert found["lost"] == {}
