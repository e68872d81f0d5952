"""A backup is put back under real shadows: what it knows is taken up or found dead, what it does not know is ended."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.envoy.stack import JSON, Stack, running, wait_for
from xds_server.stage.mesh import shadowmesh

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path) as made:
        yield made


async def run(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = shadowmesh(arguments[0], "--state", str(stack.folder / "state"), *arguments[1:])
    return await asyncio.to_thread(
        subprocess.run, command, env=stack.household.environment(), capture_output=True, text=True, check=False
    )


def only(profile: JSON) -> JSON:
    (instance,) = profile["instances"]
    return {name: instance[name] for name in ("instanceID", "status", "expiresAt", "node", "address")}


async def test_a_restored_manager_takes_up_what_the_backup_knows_and_ends_what_it_does_not_know(stack: Stack) -> None:
    copy = str(stack.folder / "backup.db")
    async with stack.traffic() as clients:
        known = await stack.create(name="known", trafficShadowingPercentage=0.4)
        before, (shadow,) = only(known), stack.shadows()
        saved = await run(stack, "backup", copy)
        assert (saved.returncode, saved.stderr) == (0, "")
        assert "1 network, 1 profile, 1 shadow on record" in saved.stdout
        await stack.create(name="unknown", trafficShadowingPercentage=0.4)
        assert len(stack.shadows()) == 2
        refused = await run(stack, "restore", copy)
        assert refused.returncode == 4
        assert "in use by a manager" in refused.stderr
        stack.kill(stack.manager)
        restored = await run(stack, "restore", copy)
        assert (restored.returncode, restored.stderr) == (0, "")
        await asyncio.to_thread(stack.start_manager)
        assert stack.shadows() == [shadow]
        profiles = await stack.acall("GET", "/networks/shop/shadowing/profiles")
        assert [profile["name"] for profile in profiles["items"]] == ["known"]
        assert only(await stack.profile(known["profileID"])) == before
        await stack.mirroring(before["instanceID"], beyond=stack.proxy.copies(before["instanceID"]) + 50)
        await stack.further(clients, 50)


async def test_a_shadow_that_ended_after_the_backup_is_found_dead_and_its_profile_is_back(stack: Stack) -> None:
    copy = str(stack.folder / "backup.db")
    async with stack.traffic() as clients:
        profile = await stack.create(name="back")
        assert (await run(stack, "backup", copy)).returncode == 0
        await stack.delete(profile)
        assert await asyncio.to_thread(stack.end, stack.manager) == 0
        assert (await run(stack, "restore", copy)).returncode == 0
        await asyncio.to_thread(stack.start_manager)
        found = await stack.ended(profile)
        assert found["status"] == "Failed"
        assert "while the manager was away" in found["reason"]
        assert wait_for(lambda: stack.shadows() == [], "nothing runs")
        await stack.delete(profile)
        again = await stack.create(name="back")
        await stack.mirroring(again["instances"][0]["instanceID"], beyond=20)
        await stack.further(clients, 50)
