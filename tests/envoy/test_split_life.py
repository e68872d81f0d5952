"""Splits and steps as a user has them: the way back by a verdict, the end of a split, and from shadow to done."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.envoy.backend import Backend
from tests.envoy.stack import NETWORK, Stack, running, until
from tests.envoy.users import Users, at, names

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

EVERYBODY = names(40)
HALF: dict[str, Any] = {"mode": "split", "split": {"cohort": {"header": "x-user"}, "weights": {"v2": 50}}}


def judged(limit: float) -> dict[str, Any]:
    """Return an analysis that looks at errors alone."""
    check = {"metric": "error_rate", "maxIncrease": limit, "critical": True}
    return {"warmUp": "0s", "minPairs": 50, "checks": [check]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("split")
    with running(folder) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


@dataclass
class Field:
    """An original, another version, and users who keep coming."""

    stack: Stack
    version: Backend
    users: Users

    async def profile(self, **fields: Any) -> dict[str, Any]:
        where = {"endpoint": {"address": "127.0.0.1", "port": self.version.port}}
        body = {
            "componentName": "echo",
            "trafficShadowingPercentage": 1,
            "shadowInstanceTTL": "10m",
            "performanceMetrics": ["error_rate"],
            "shadowTimeout": "500ms",
            "analysis": judged(0.2),
            "split": {"cohort": {"header": "x-user"}},
            "variants": [{"name": "v2", **where}],
        }
        made = await self.stack.acall("POST", f"/networks/{NETWORK}/shadowing/create", body | fields)

        async def up() -> bool:
            return bool((await self.now(made))["instances"][0]["status"] == "Running")

        await until(up, "the version is up")
        await self.stack.settled()
        return dict(made)

    async def now(self, made: dict[str, Any]) -> dict[str, Any]:
        return await self.stack.profile(made["profileID"])


@asynccontextmanager
async def field(stack: Stack, **version: Any) -> AsyncIterator[Field]:
    async with (
        Backend(port=stack.originals["echo"]),
        Backend("v2", **version) as backend,
    ):
        users = Users(stack.proxy.ports["echo"], keep_bad=True)

        over = asyncio.Event()

        async def come() -> None:
            while not over.is_set():
                await users.ask(EVERYBODY)

        coming = asyncio.create_task(come())
        try:
            yield Field(stack, backend, users)
        finally:
            over.set()
            await coming  # fails when a user was cut off


async def test_a_fail_sends_everybody_back_and_nobody_is_lost_on_the_way(stack: Stack) -> None:
    async with field(stack, instead={"/ok": "/status/500"}) as here:
        # The guard of the split turns most of its users away by itself, so few errors are left to judge by.
        made = await here.profile(**HALF, analysis=judged(0.005))

        async def failed() -> bool:
            return ((await here.now(made))["verdict"] or {}).get("decision") == "FAIL"

        await until(failed, "the verdict is FAIL")

        async def back() -> bool:
            asked = len(here.version.asked)
            await here.users.ask(EVERYBODY)
            return len(here.version.asked) == asked

        await until(back, "nobody is sent to it any more")
        now = await here.now(made)
        assert now["split"]["weights"] == {"v2": 0}
        assert "the weight of v2 was set to 0" in now["verdict"]["reasons"][0]
        assert {"status": "Running"}.items() <= now["instances"][0].items()
        # Whoever was answered badly was answered by the version, not by an Envoy that lost its way.
        assert all(" 500 " in bad.partition("\r\n")[0] for bad in here.users.bad)


async def test_nobody_is_lost_when_a_split_is_deleted(stack: Stack) -> None:
    async with field(stack) as here:
        made = await here.profile(**HALF)
        assert at(await here.users.ask(EVERYBODY), "v2")
        await here.stack.delete(made)
        assert not at(await here.users.ask(EVERYBODY), "v2")
        assert not here.users.bad


async def test_a_version_goes_from_shadow_to_split_to_done_on_one_instance(stack: Stack) -> None:
    async with field(stack) as here:
        steps = [{"mode": "shadow"}, {"mode": "split", "weights": {"v2": 20}}, {"mode": "split", "weights": {"v2": 50}}]
        made = await here.profile(steps=steps)

        async def done() -> dict[str, Any] | None:
            now = await here.now(made)
            assert now["rollout"]["state"] in {"running", "done"}, (now["rollout"], now["verdict"])
            return now if now["rollout"]["state"] == "done" else None

        now = await until(done, "the rollout is done", seconds=90)
        assert (now["mode"], now["split"]["weights"]) == ("split", {"v2": 50})
        assert len(now["instances"]) == 1
        share = len(at(await here.users.ask(EVERYBODY), "v2"))
        assert 0 < share < len(EVERYBODY)
        assert not here.users.bad
