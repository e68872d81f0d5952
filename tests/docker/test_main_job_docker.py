"""The main job with containers: a profile's whole life by REST, a real Envoy and a real engine."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.docker.conftest import IMAGE, PORT
from tests.docker.engines import DockerEngine, load
from tests.envoy.stack import NETWORK, Stack, running, until
from xds_server.demo import catalogue
from xds_server.demo.image import catalogue_in

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

CATALOGUE = "smcatalogue:1"


@pytest.fixture(scope="module")
def stack(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    load(docker_engine, CATALOGUE, {"/catalogue.py": Path(catalogue.__file__).read_bytes()})
    with running(tmp_path_factory.mktemp("docker"), "--docker-host", docker_engine.url) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack, clean: DockerEngine) -> Iterator[None]:
    yield
    stack.clear()


def version(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": "v2", "docker": catalogue_in(CATALOGUE, version=2, plain=True) | changes}]


def app(*, path: str = "/", **changes: Any) -> list[dict[str, Any]]:
    return [{"name": "v2", "docker": {"image": IMAGE, "port": PORT, "readiness": {"path": path}} | changes}]


async def test_a_container_lives_and_ends_without_a_client_noticing(stack: Stack, clean: DockerEngine) -> None:
    async with stack.traffic() as clients:
        await stack.further(clients, 50)
        before = stack.proxy.listener_life("catalog")
        profile = await stack.create(variants=version())
        (instance,) = profile["instances"]
        assert len(clean.containers()) == 2

        async def compared() -> Any:
            found = await stack.comparison(profile)
            return found.get("pairs", 0) >= 300 and {"type", "missing", "array_order"} <= set(found["byClass"])

        await until(compared, "differences are found")

        async def measured() -> Any:
            ((one,),) = [p["instances"] for p in (await stack.status())["profiles"]]
            data = one["performanceData"]
            return data if data.get("cpu", {}).get("latest") and data["network"]["received"] > 10_000 else None

        data = await until(measured, "the container is measured")
        assert data["memory"]["latest"] > 5e6
        assert (data["restarts"], data["oomKills"], data["deniedEgress"]) == (0, 0, [])
        await stack.delete(profile)
        assert clean.containers() == []
        await stack.quiet(clients, instance["instanceID"])
        assert stack.proxy.listener_life("catalog") == before


async def test_a_container_ends_with_its_ttl_and_is_removed(stack: Stack, clean: DockerEngine) -> None:
    async with stack.traffic():
        profile = await stack.create(variants=version(), shadowInstanceTTL="12s")
        found = await stack.ended(profile)
        assert (found["status"], found["reason"]) == ("Stopped", "its time to live was over")
        await until(lambda: gone(clean), "the containers are gone")


async def test_an_image_that_is_not_there_is_a_clear_failure(stack: Stack, clean: DockerEngine) -> None:
    body = stack.profile_body(variants=app(image="nosuch:1", pull="never"))
    made = await stack.acall("POST", f"/networks/{NETWORK}/shadowing/create", body)
    found = await stack.ended(made)
    assert found["status"] == "Failed"
    assert 'no image "nosuch:1" on node "local"' in found["reason"]
    assert "load it there first" in found["reason"]
    assert clean.containers() == []


async def test_a_container_that_runs_out_of_memory_has_failed_and_says_so(stack: Stack) -> None:
    profile = await stack.create(variants=app(memory="48Mi"))
    (instance,) = profile["instances"]
    at = instance["address"]
    with suppress(OSError):
        await hit(at, "/eat?mib=200")
    found = await stack.ended(profile)
    assert found["status"] == "Failed"
    assert "out of memory: it needs more than its limit of 48Mi (docker.memory)" in found["reason"]
    assert found["logTail"] == ["listening"]


async def test_denied_egress_is_named_in_the_status(stack: Stack) -> None:
    profile = await stack.create(variants=app())
    (instance,) = profile["instances"]
    await hit(instance["address"], "/connect?host=192.0.2.9&port=443")

    async def named() -> Any:
        ((one,),) = [p["instances"] for p in (await stack.status())["profiles"]]
        return one["performanceData"].get("deniedEgress")

    denied = await until(named, "it is in the status")
    assert denied == [{"destination": "192.0.2.9:443", "protocol": "tcp", "count": 1}]


async def gone(engine: DockerEngine) -> bool:
    return not engine.containers()


async def hit(address: dict[str, Any], path: str) -> None:
    await asked(address, path)


async def asked(address: dict[str, Any], path: str) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            found = await client.get(f"http://{address['address']}:{address['port']}{path}", timeout=20.0)
        except httpx.HTTPError as error:
            raise OSError(str(error)) from error
    return found.json()


async def test_a_shadow_that_forks_and_eats_memory_is_confined_and_no_client_notices(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(variants=app(memory="64Mi", pids=30, cpus=0.5, writable=["/tmp"]))  # noqa: S108 - inside
        (instance,) = profile["instances"]
        one, at = instance["instanceID"], instance["address"]
        await stack.mirroring(one)
        before = psutil.virtual_memory().available
        for _ in range(3):
            with suppress(OSError):
                await asked(at, "/eat_apart?mib=300")

        async def counted() -> Any:
            ((now,),) = [p["instances"] for p in (await stack.status())["profiles"]]
            return now["performanceData"].get("oomKills")

        assert await until(counted, "what was killed is counted") >= 1
        forked = await asked(at, "/fork?count=500")
        assert forked["made"] < 30
        assert before - psutil.virtual_memory().available < 512 * 1024 * 1024
        with suppress(OSError):
            await asked(at, "/eat?mib=300")
        found = await stack.ended(profile)
        assert "out of memory" in found["reason"]
        await stack.quiet(clients, one)
    await stack.delete(profile)
