"""A profile is deleted, the manager is started again, and the way from the whole to the request is still there."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.envoy.stack import JSON, NETWORK, Stack, running, until
from xds_server.stage.mesh import shadowmesh

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]
DIFFS = f"/networks/{NETWORK}/shadowing/diffs"
ARCHIVE = f"/networks/{NETWORK}/shadowing/archive"
NAME = "catalog-v2"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("archive")) as made:
        yield made


def first(stack: Stack, **query: str) -> JSON:
    """The most surprising item of a question about the deleted profile."""
    asked = "&".join(f"{name}={quote(value)}" for name, value in {"profile": NAME, **query}.items())
    items = stack.call("GET", f"{DIFFS}?{asked}")["items"]
    assert items, query
    return dict(items[0])


async def test_the_comparison_of_a_deleted_profile_is_walked_to_one_request_after_a_restart(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(name=NAME)
        instance = profile["instances"][0]["instanceID"]

        async def compared() -> bool:
            return (await stack.comparison(profile)).get("discrepancies", 0) > 100

        await until(compared, "differences are found")
        copies = stack.proxy.copies(instance)
        await stack.delete(profile)
        await stack.further(clients, 50)

    async def listed() -> JSON | None:
        items = (await stack.acall("GET", ARCHIVE))["items"]
        return dict(items[0]) if items else None

    early = await until(listed, "it is in the archive")
    assert (early["profileID"], early["name"]) == (profile["profileID"], NAME)

    async def complete() -> bool:
        whole = (await stack.acall("GET", f"{ARCHIVE}/{NAME}"))["comparison"]
        return whole["pairs"] + sum(whole["notJudged"].values()) + sum(whole["lost"].values()) >= copies

    await until(complete, "the last pairs are in it")
    live = (await stack.acall("GET", f"{DIFFS}?group=class"))["items"]
    assert live == []
    pid = stack.manager.process.pid
    assert await asyncio.to_thread(stack.end, stack.manager) == 0
    await asyncio.to_thread(stack.start_manager)
    assert stack.manager.process.pid != pid
    (kept,) = stack.call("GET", ARCHIVE)["items"]
    assert kept["pairs"] >= early["pairs"] > 0
    endpoint = first(stack, group="endpoint")["endpoint"]
    field = first(stack, group="field", endpoint=endpoint)["field"]
    found = first(stack, group="class", endpoint=endpoint, field=field)
    assert found["nature"] == "difference"
    assert found["surprise"] > 0
    pair = stack.call("GET", f"{DIFFS}/{found['example']['pairID']}")
    assert pair["archived"]
    assert pair["instanceID"] == instance
    assert (field, found["class"]) in {(d["field"], d["class"]) for d in pair["differences"]}
    shown = command(stack, "diffs", NETWORK, "--profile", NAME, "--pair", pair["pairID"][:8])
    assert f"{pair['method']} {pair['path']}" in shown
    assert "(deleted)" in shown
    assert NAME in command(stack, "get", "archive")
    assert f"# profile {NAME}" in command(stack, "diffs", "--profile", NAME, "--suggest")
    # What an engine might still have of it brings nothing back, and the name is free again.
    again = await stack.create(name=NAME)
    assert stack.call("GET", f"{DIFFS}?profile={NAME}&group=class")["items"] == []
    assert stack.call("GET", f"{DIFFS}?profile={profile['profileID']}&group=class")["items"]
    await stack.delete(again)


def command(stack: Stack, *arguments: str) -> str:
    """What the command line prints."""
    environment = {**os.environ, "SHADOWMESH_SERVER": stack.url, "SHADOWMESH_NETWORK": NETWORK}
    line = shadowmesh(*arguments)
    done = subprocess.run(line, check=False, env=environment, capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
