"""Everything real: Envoy, a version with planted bugs, the manager; Alertmanager and Prometheus of Debian."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.alerts.conftest import ROOT
from tests.alerts.running import Receiver, alertmanager, get, prometheus, receiver
from tests.envoy.stack import NETWORK, Stack, running, until

pytestmark = pytest.mark.envoy
NAMED = "catalog-v2"


@dataclass
class World:
    stack: Stack
    alertmanager: str
    prometheus: str
    notified: Receiver
    hooked: Receiver
    tools: Path

    def told(self, status: str, name: str, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that Alertmanager has notified of, oldest first."""
        alerts = [alert for group in self.notified.got for alert in group["alerts"]]
        wanted = {"alertname": name, **labels}
        return [a for a in alerts if a["status"] == status and wanted.items() <= a["labels"].items()]

    def query(self, query: str) -> list[tuple[dict[str, str], float]]:
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=10, trust_env=False)
        return [(each["metric"], float(each["value"][1])) for each in answer.json()["data"]["result"]]


@pytest.fixture(scope="module")
def world(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    (folder / "stack").mkdir()
    with receiver() as notified, receiver() as hooked, alertmanager(tools, folder / "am", notified.url) as am:
        flags = [
            "--alerts-alertmanager",
            am,
            "--alerts-webhook",
            f"{hooked.url}secret-path",
            "--alerts-interval",
            "0.3",
        ]
        flags += ["--alerts-resend", "3", "--alerts-webhook-template", "generic", "--alerts-quiet", "3600"]
        with running(folder / "stack", *flags) as stack:
            target = stack.url.removeprefix("http://")
            with prometheus(tools, folder / "prom", target, ROOT / "manifests/prometheus/rules.yaml") as prom:
                yield World(stack, am, prom, notified, hooked, tools)


@pytest.fixture(autouse=True)
def no_profiles_left(world: World) -> Iterator[None]:
    yield
    world.stack.clear()


async def test_alertmanager_hears_of_differences_and_of_their_end_with_the_same_labels(world: World) -> None:
    stack = world.stack
    profile = await stack.create(name=NAMED)
    await stack.attached()

    async def told() -> Any:
        return world.told("firing", "ShadowmeshNewDifference", field="$.price")

    async with stack.traffic():
        (first, *_) = await until(told, "Alertmanager has notified of the planted bug")
        assert first["labels"] == {
            "alertname": "ShadowmeshNewDifference",
            "network": NETWORK,
            "component": "catalog",
            "profile": NAMED,
            "variant": "v2",
            "endpoint": "GET /api/items/{id}",
            "class": "type",
            "field": "$.price",
            "severity": "warning",
        }
        assert first["annotations"]["look"].startswith(f"shadowmesh diffs {NETWORK} --profile {NAMED}")
        assert first["annotations"]["example"].startswith("/api/items/")
        await _query_returns_the_pairs(world, profile["profileID"])
        # The manager goes away in order and comes back: the alert goes on, nothing is resolved, nobody is told twice.
        before = len(world.told("firing", "ShadowmeshNewDifference", field="$.price"))
        hooked = len(_hooked(world, "firing", "$.price"))
        pairs = await _pairs(world)
        stack.end(stack.manager)
        stack.start_manager()
        # Counters go on from where they were: for Prometheus there was no reset.
        assert await _pairs(world) >= pairs
    # The shadows ended with the manager: so did the alerts, and it is the new manager that says so.
    (ended, *_) = await until(lambda: _later(world, "resolved", "$.price"), "Alertmanager has notified of the end")
    assert ended["labels"] == first["labels"]
    assert len(world.told("firing", "ShadowmeshNewDifference", field="$.price")) == before
    assert hooked == len(_hooked(world, "firing", "$.price")) == 1
    assert len(_hooked(world, "resolved", "$.price")) == 1
    await stack.delete(profile)
    # A webhook's URL is a secret.
    written = await asyncio.to_thread(_written, stack.folder)
    assert b"$.price" in written
    assert b"secret-path" not in written


async def test_a_dead_shadow_is_told_and_is_over_with_its_profile(world: World) -> None:
    stack = world.stack
    profile = await stack.create(name="dies")
    (shadow,) = stack.shadows()
    os.kill(shadow.pid, signal.SIGKILL)

    async def firing() -> Any:
        return world.told("firing", "ShadowmeshShadowDead", profile="dies")

    async def over() -> Any:
        return world.told("resolved", "ShadowmeshShadowDead", profile="dies")

    (first, *_) = await until(firing, "Alertmanager has notified of the dead shadow")
    assert any(a["labels"] == first["labels"] for a in get(f"{world.alertmanager}/api/v2/alerts"))
    (alert,) = (await stack.status())["alerts"]
    assert alert["labels"]["alertname"] == "ShadowmeshShadowDead"
    await stack.delete(profile)
    (ended, *_) = await until(over, "Alertmanager has notified of the end")
    assert ended["labels"] == first["labels"]


async def test_what_the_manager_exposes_is_clean_by_promtools_rules(world: World) -> None:
    profile = await world.stack.create(name="linted")
    async with world.stack.traffic() as clients:
        await world.stack.further(clients, 50)
    assert await asyncio.to_thread(_linted, world) == (0, "", "")
    await world.stack.delete(profile)


def _linted(world: World) -> tuple[int, str, str]:
    text = httpx.get(f"{world.stack.url}/metrics", timeout=10, trust_env=False).text
    assert "shadowmesh_response_time_seconds_bucket" in text
    command = [world.tools / "promtool", "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


async def _pairs(world: World) -> float:
    text = (await asyncio.to_thread(httpx.get, f"{world.stack.url}/metrics", trust_env=False)).text
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith("shadowmesh_pairs_total{")))


def _written(folder: Path) -> bytes:
    return (folder / "manager.log").read_bytes() + (folder / "state/alerts.json").read_bytes()


async def _query_returns_the_pairs(world: World, profile: str) -> None:
    async def scraped() -> Any:
        return [found for found in world.query("shadowmesh_pairs_total") if found[1] > 0]

    ((labels, pairs),) = await until(scraped, "Prometheus has scraped pairs")
    wanted = {"network": NETWORK, "component": "catalog", "profile": NAMED, "variant": "v2"}
    assert wanted.items() <= labels.items()
    compared = (await world.stack.profile(profile))["comparison"]
    assert 0 < pairs <= compared["pairs"]
    shadow = 'rate(shadowmesh_response_time_seconds_bucket{leg="shadow"}[30s])'

    async def median() -> Any:
        return [found for found in world.query(f"histogram_quantile(0.5, {shadow})") if found[1] > 0]

    ((_, seconds),) = await until(median, "two scrapes give a rate")
    assert seconds < 1
    assert world.query('shadowmesh_differences_total{class="type"}')[0][1] > 0


async def _later(world: World, status: str, field: str) -> Any:
    return (
        world.told(status, "ShadowmeshNewDifference", field=field)
        and _hooked(world, status, field)
        and world.told(status, "ShadowmeshNewDifference", field=field)
    )


def _hooked(world: World, status: str, field: str) -> list[Any]:
    alerts = [alert for post in world.hooked.got for alert in post["alerts"]]
    return [a for a in alerts if a["status"] == status and a["labels"].get("field") == field]
