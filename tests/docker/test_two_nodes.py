"""Two real engines as two nodes: shadows are spread over them, and one that is killed costs nobody a shadow."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.docker.conftest import APP, IMAGE, PORT
from tests.docker.engines import DockerEngine, engine, load
from xds_server.app import manager
from xds_server.config import EngineSettings, HttpSettings, Settings, XdsSettings
from xds_server.placement import inventory

pytestmark = pytest.mark.timeout(180)

SHOP = "/networks/shop"


@dataclass
class Two:
    """Two engines, and a manager that has them as the nodes a and b."""

    engines: dict[str, DockerEngine]
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.client.request(method, SHOP + path, json=body, timeout=60.0)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def create(self, name: str, *variants: str, component: str = "catalog") -> dict[str, Any]:
        """Create a profile with containers; return its instances by variant once none is Pending."""
        spec = {"image": IMAGE, "port": PORT, "cpus": 0.25, "memory": "64Mi", "stopTimeout": "1s"}
        body = {
            "name": name,
            "componentName": component,
            "trafficShadowingPercentage": 0.1,
            "shadowInstanceTTL": "10m",
            "variants": [{"name": one, "docker": spec} for one in variants],
        }
        await self.call("POST", "/shadowing/create", body)

        async def settled() -> Any:
            found = await self.call("GET", f"/shadowing/profiles/{name}")
            instances = {one["variant"]: one for one in found["instances"]}
            return None if any(one["status"] == "Pending" for one in instances.values()) else instances

        found: dict[str, Any] = await until(settled)
        return found

    async def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in (await self.call("GET", "/nodes"))["items"]}

    def containers(self, node: str) -> int:
        return len(self.engines[node].containers())


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, DockerEngine]]:
    with engine() as a, engine() as b:
        for one in (a, b):
            load(one, IMAGE, APP, changes=['ENTRYPOINT ["/usr/bin/python3","-u","/app.py"]', 'CMD ["8080"]'])
        yield {"a": a, "b": b}


@pytest.fixture
async def two(engines: dict[str, DockerEngine], tmp_path: Path) -> AsyncIterator[Two]:
    async with managed({name: one.url for name, one in engines.items()}, tmp_path) as client:
        yield Two(engines, client)
    for name, one in engines.items():
        assert one.containers() == [], f"containers of {name} outlived the test"


@asynccontextmanager
async def managed(urls: dict[str, str], folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A manager that has these engines as nodes, and a network in which they are known."""
    zones = {"a": "eu-1", "b": "eu-2"}
    listed = [
        {
            "name": name,
            "region": "eu",
            "zone": zones[name],
            "labels": {"disk": "ssd" if name == "b" else "hdd"},
            "docker": {"host": url},
            "capacity": {"cpus": 8, "memory": "64Gi"},
        }
        for name, url in urls.items()
    ]
    (folder / "nodes.yaml").write_bytes(orjson.dumps({"nodes": listed}))
    settings = Settings(
        state=folder / "state",
        nodes=folder / "nodes.yaml",
        http=HttpSettings(port=0),
        xds=XdsSettings(port=0),
        engine=EngineSettings(port=0, spawn=False),
    )
    async with AsyncExitStack() as stack:
        ports = await stack.enter_async_context(manager(settings))
        url = f"http://127.0.0.1:{ports['http']}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        somewhere = {"address": "127.0.0.1", "port": 9001}
        components = [
            {"name": name, "protocol": "http1", "listen": {"port": port}, "endpoints": [somewhere | place]}
            for name, port, place in (("catalog", 10000, {"node": "a"}), ("basket", 10001, {}))
        ]
        answer = await client.post("/networks", json={"name": "shop", "components": components})
        assert answer.is_success, answer.text
        yield client


async def test_shadows_of_one_profile_are_on_both_nodes_each_in_its_own_engine(two: Two) -> None:
    async with asyncio.timeout(30.0):
        while not all(node["healthy"] for node in (await two.nodes()).values()):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.2)
    found = await two.create("p", "v1", "v2", "v3", "v4", component="basket")
    assert {one["status"] for one in found.values()} == {"Running"}
    assert sorted(one["node"] for one in found.values()) == ["a", "a", "b", "b"]
    nodes = await two.nodes()
    for name in "ab":
        mine = [one for one in found.values() if one["node"] == name]
        assert two.containers(name) == 2 * len(mine), "each with its guard"
        assert nodes[name]["running"] == len(mine)
        assert nodes[name]["requestedCpus"] == 0.25 * len(mine)
    await two.call("DELETE", "/shadowing/profiles/p")
    assert two.containers("a") == two.containers("b") == 0


async def test_a_label_decides_and_the_scores_are_told_part_by_part(two: Two) -> None:
    body = {"componentName": "catalog", "runtime": "docker"}
    choice = await two.call("POST", "/nodes:select", body)
    assert choice["node"]["name"] == "a"
    near, far = choice["scores"]
    assert near["parts"]["endpoints"] > far["parts"]["endpoints"]
    choice = await two.call("POST", "/nodes:select", body | {"placement": {"nodeSelector": {"disk": "ssd"}}})
    assert choice["node"]["name"] == "b"
    assert choice["scores"][1]["refused"] == ["label disk is hdd, not ssd"]


async def test_a_node_whose_engine_is_killed_is_left_and_its_shadows_go_to_the_other_one(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "FRESH", 3600.0)  # nobody has seen yet that it is gone
    assert (await two.create("before", "v1"))["v1"]["node"] == "a"
    two.engines["a"].kill()
    try:
        (instance,) = (await two.create("after", "v1")).values()
        assert (instance["node"], instance["status"]) == ("b", "Running"), instance["reason"]
        nodes = await two.nodes()
        assert "does not answer" in nodes["a"]["backedOff"]["docker"]["reason"]
        assert nodes["b"]["backedOff"] == {}
        monkeypatch.setattr(inventory, "FRESH", 0.0)

        async def unhealthy() -> Any:
            node = (await two.nodes())["a"]
            return not node["healthy"] and node["reason"]

        assert "does not answer" in await until(unhealthy)
    finally:
        two.engines["a"].start()

    async def healthy() -> Any:
        return (await two.nodes())["a"]["healthy"]

    await until(healthy)
    for name in ("before", "after"):
        await two.call("DELETE", f"/shadowing/profiles/{name}")
    assert two.containers("a") == two.containers("b") == 0


async def test_with_both_engines_away_it_is_a_problem_that_names_both(tmp_path: Path) -> None:
    urls = {"a": f"unix://{tmp_path}/none.sock", "b": "tcp://127.0.0.1:1"}
    async with managed(urls, tmp_path) as client:
        spec = {"image": IMAGE, "port": PORT}
        body = {
            "componentName": "catalog",
            "trafficShadowingPercentage": 0.1,
            "shadowInstanceTTL": "10m",
            "variants": [{"name": "v2", "docker": spec}],
        }
        answer = await client.post(f"{SHOP}/shadowing/create", json=body, timeout=60.0)
        assert answer.status_code == 503
        told = answer.json()["detail"]
        assert f'a: not healthy: the Docker engine of node "a" at {urls["a"]} does not answer' in told
        assert 'b: not healthy: the Docker engine of node "b" at tcp://127.0.0.1:1 does not answer' in told
        assert (await client.get(f"{SHOP}/shadowing/profiles")).json()["items"] == []
