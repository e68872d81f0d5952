"""The main job on the real thing: a profile's whole life by REST, with clients that notice nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.envoy.stack import NETWORK, Stack, running, until

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("life")
    with running(folder) as made:
        yield made


async def test_a_profile_lives_and_ends_without_a_client_or_a_listener_noticing(stack: Stack) -> None:
    async with stack.traffic() as clients:

        async def asked() -> bool:
            return clients.tally.requests > 50

        await until(asked, "clients are served")
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
        requests = clients.tally.requests

        async def more() -> bool:
            return clients.tally.requests > requests + 50

        await until(more, "clients are served on")
        assert stack.proxy.listener_life("catalog") == before
    assert stack.proxy.stat("listener_manager.listener_modified") == 0
    assert not stack.proxy.stats(f"cluster.shadow-{instance}.upstream_cx_active")
