"""Splits and steps as a user has them: the way back by a verdict, the end of a split, and from shadow to done."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.envoy.backend import Asked, Backend
from tests.envoy.stack import NETWORK, Stack, running, until
from tests.envoy.users import Users, at, names

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

EVERYBODY = names(40)
CROWD = names(400)
"""Enough users for each group to make about its share of the requests, whoever is in it: else no PASS comes. And
enough who fail for the first time each time that the guard lets a version in which always fails."""
HALF: dict[str, Any] = {"mode": "split", "split": {"cohort": {"header": "x-user"}, "weights": {"v2": 50}}}


WAY_BACK = 3.0
"""Seconds from a FAIL until the last user has reached the version, on a machine that is busy with more than this."""
AFTERWARDS = 6.0
"""Seconds for which users go on coming, to see whether one does."""


@dataclass
class Failing(Backend):
    """A version that answers well once in so many times (0: never), and remembers when it was asked."""

    good: int = 0
    at: list[float] = field(default_factory=list)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        self.at.append(time.time())
        if not self.good or len(self.at) % self.good:
            asked.path = "/status/500"
        return await super()._answer(asked, writer)


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
class Place:
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
async def place(
    stack: Stack, version: Backend | None = None, *, everybody: Sequence[str] = EVERYBODY, patience: float = 0.0
) -> AsyncIterator[Place]:
    async with (
        Backend(port=stack.originals["echo"]),
        version or Backend("v2") as backend,
    ):
        users = Users(stack.proxy.ports["echo"], keep_bad=True, patience=patience)

        over = asyncio.Event()

        async def come() -> None:
            while not over.is_set():
                await users.ask(everybody)

        coming = asyncio.create_task(come())
        try:
            yield Place(stack, backend, users)
        finally:
            over.set()
            await coming  # fails when a user was cut off


@pytest.mark.parametrize("good", [0, 3], ids=["always", "two times of three"])
async def test_a_fail_sends_everybody_back_and_nobody_is_lost_on_the_way(stack: Stack, good: int) -> None:
    # Most users of a version that always fails are turned away by the guard of the split, long before the verdict;
    # those of one that now and then does not are not.
    version = Failing("v2", good=good)
    async with place(stack, version, everybody=CROWD) as here:
        made = await here.profile(**HALF)

        async def failed() -> str | None:
            verdict = (await here.now(made))["verdict"] or {}
            return str(verdict["since"]) if verdict.get("decision") == "FAIL" else None

        since = datetime.fromisoformat(await until(failed, "the verdict is FAIL", seconds=90)).timestamp()

        async def back() -> bool:
            return bool((await here.now(made))["split"]["weights"] == {"v2": 0})

        await until(back, "the weight is 0")
        await asyncio.sleep(max(0.0, since + AFTERWARDS - time.time()))
        assert max(version.at) < since + WAY_BACK
        now = await here.now(made)
        assert now["split"]["weights"] == {"v2": 0}
        assert "the weight of v2 was set to 0" in now["verdict"]["reasons"][0]
        assert {"status": "Running"}.items() <= now["instances"][0].items()
        # Whoever was answered badly was answered by the version, not by an Envoy that lost its way.
        assert here.users.bad
        assert all(" 500 " in bad.partition("\r\n")[0] for bad in here.users.bad)


async def test_a_version_that_hangs_until_its_users_give_up_fails_and_they_are_sent_back(stack: Stack) -> None:
    async with place(stack, Backend("v2", instead={"/ok": "/hang"}), patience=0.3) as here:
        made = await here.profile(**HALF)

        async def back() -> bool:
            now = await here.now(made)
            assert (now["verdict"] or {}).get("decision") != "PASS"
            return bool(now["split"]["weights"] == {"v2": 0})

        await until(back, "the weight is 0")
        assert (await here.now(made))["verdict"]["decision"] == "FAIL"
        assert here.users.gave_up
        assert not here.users.bad


async def test_nobody_is_lost_when_a_split_is_deleted(stack: Stack) -> None:
    async with place(stack) as here:
        made = await here.profile(**HALF)
        assert at(await here.users.ask(EVERYBODY), "v2")
        await here.stack.delete(made)
        assert not at(await here.users.ask(EVERYBODY), "v2")
        assert not here.users.bad


async def test_a_version_goes_from_shadow_to_split_to_done_on_one_instance(stack: Stack) -> None:
    async with place(stack, everybody=CROWD) as here:
        steps = [{"mode": "shadow"}, {"mode": "split", "weights": {"v2": 20}}, {"mode": "split", "weights": {"v2": 50}}]
        made = await here.profile(steps=steps)

        async def done() -> dict[str, Any] | None:
            now = await here.now(made)
            assert now["rollout"]["state"] in {"running", "done"}, (now["rollout"], now["verdict"])
            return now if now["rollout"]["state"] == "done" else None

        now = await until(done, "the rollout is done", seconds=90)
        assert (now["mode"], now["split"]["weights"]) == ("split", {"v2": 50})
        assert len(now["instances"]) == 1
        share = len(at(await here.users.ask(CROWD), "v2"))
        assert 0 < share < len(CROWD)
        assert not here.users.bad
