"""Two nodes, each with its Envoy and its engine; the manager merges what the engines say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.books import accounted
from tests.envoy.stack import Stack, running, until

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path, "--node-name", "a") as made:
        yield made


async def test_each_envoy_sends_to_the_engine_of_its_node_and_the_manager_merges_them(stack: Stack) -> None:
    engine, port = stack.start_engine("b")
    elsewhere = {name: stack.household.free_port() for name in stack.listens}
    far = stack.start_envoy("far", listen=elsewhere, engine=port)

    async def both_attached() -> bool:
        engines = (await stack.status())["engines"]
        return {e["node"] for e in engines if e["connected"]} == {"a", "b"}

    await until(both_attached, "both engines have found the manager")
    profile = await stack.create()
    (instance,) = profile["instances"]
    one = instance["instanceID"]
    async with stack.traffic() as near_clients, stack.traffic(proxy=far) as far_clients:
        await stack.further(near_clients, 200)
        await stack.further(far_clients, 200)

    async def all_of_it() -> Any:
        found = await stack.comparison(profile)
        sent = stack.proxy.copies(one) + far.copies(one)
        return found if accounted(found) == sent else None

    found = await until(all_of_it, "each copy of both Envoys is compared")
    assert found["lost"] == {}
    pairs = {e["node"]: e["pairs"] for e in (await stack.status())["engines"]}
    assert pairs == {"a": stack.proxy.copies(one), "b": far.copies(one)}
    assert min(pairs.values()) >= 200

    # The engine of one node is gone: the other node's comparison goes on, and the rest is counted as lost.
    stack.kill(engine)
    before = found["pairs"]
    async with stack.traffic() as near_clients, stack.traffic(proxy=far) as far_clients:
        await stack.further(near_clients, 200)
        await stack.further(far_clients, 200)

        async def goes_on() -> bool:
            return (await stack.comparison(profile))["pairs"] >= before + 200

        await until(goes_on, "the other engine goes on")
        stack.start_engine("b", port)
        await until(both_attached, "the engine is back")
        await stack.further(far_clients, 200)
    # A copy whose original was recorded by the engine that is gone is waited for for 20 s.
    found = await until(all_of_it, "each copy of both Envoys is compared, or counted as lost", seconds=60)
    assert sum(found["lost"].values()) > 0
