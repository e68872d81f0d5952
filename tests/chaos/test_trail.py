"""The audit trail of one life with real parts: people at the command line, deaths, an upgrade."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.story import broken
from tests.chaos.test_take_over import take_over
from tests.envoy.stack import JSON, NETWORK, Stack, running, until
from xds_server.stage.mesh import shadowmesh

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path) as made:
        yield made


def say(stack: Stack, user: str, reason: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command line as somebody, for a reason."""
    environment = {"SHADOWMESH_USER": user, "SHADOWMESH_REASON": reason, "SHADOWMESH_SERVER": stack.url}
    command = shadowmesh(*arguments)
    done = subprocess.run(
        command,
        env=stack.household.environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


async def test_a_life_with_deaths_and_an_upgrade_is_told_with_who_and_why(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(name="v2-check")
        one = profile["instances"][0]["instanceID"]
        await stack.mirroring(one)
        await asyncio.to_thread(say, stack, "anna@ops", "ticket 7", "inject", one, "--abort", "503")
        await asyncio.to_thread(stack.kill, stack.manager)
        await asyncio.to_thread(stack.start_manager)
        await asyncio.to_thread(take_over, stack)
        (shadow,) = stack.shadows()
        os.kill(shadow.pid, signal.SIGKILL)

        async def failed() -> bool:
            return (await stack.profile(profile["profileID"]))["instances"][0]["status"] == "Failed"

        await until(failed, "its death is noticed")
        await asyncio.to_thread(
            say, stack, "ben", "it is broken", "delete", "profile", "v2-check", "--network", NETWORK
        )
        await stack.further(clients, 50)
    events = json.loads(say(stack, "eve", "", "events", NETWORK, "--since", "1h", "-o", "json").stdout)["items"]
    assert [told(each) for each in events if each["kind"] != "network"] == [
        ("somebody", "profile created", None, ""),
        ("somebody", "instance created", "Pending", ""),
        ("system", "instance ready", "Running", ""),
        ("anna@ops", "fault injected", None, "ticket 7"),
        ("system", "instance manager restarted, found alive", "Running", ""),
        ("system", "instance manager stopping, shadows kept", "Running", ""),
        ("system", "instance manager restarted, found alive", "Running", ""),
        ("system", "instance exited", "Failed", "killed by SIGKILL"),
        ("system", "fault over", None, "its instance ended"),
        ("ben", "profile deleted", None, "it is broken"),
        ("ben", "profile gone", None, "it is broken"),
    ]
    assert broken(events, {}) == []
    assert {e["profileID"] for e in events if e["kind"] == "profile"} == {profile["profileID"]}
    assert {e["instanceID"] for e in events if e["kind"] in {"instance", "fault"}} == {one}
    table = say(stack, "eve", "", "events", NETWORK).stdout
    assert '"ben" from 127.0.0.1' in table
    assert "killed by SIGKILL" in table


def told(event: JSON) -> tuple[str, str, str | None, str]:
    who = event["who"]
    by = who["name"] or "somebody" if who["by"] == "user" else who["by"]
    return by, f"{event['kind']} {event['event']}", event.get("to"), event["why"]
