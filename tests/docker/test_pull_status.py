"""A long pull, seen by REST: how far it is while it is Pending; a Failed that says why; no password anywhere."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.running import free_port
from tests.docker.conftest import APP, PORT
from tests.docker.engines import DockerEngine, engine, load
from tests.docker.registries import PASSWORD, Registry, SlowWay, login, registry, slow_way
from tests.docker.test_registry import ENTRY, MIB
from tests.envoy.stack import NETWORK, Stack, running, until

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def hub(docker_engine: DockerEngine) -> Iterator[Registry]:
    with registry(free_port()) as one:
        load(docker_engine, "big:2", {**APP, "/blob": os.urandom(8 * MIB)}, changes=ENTRY)
        one.push(docker_engine, "big:2", "app:1")
        yield one


@pytest.fixture
async def way(hub: Registry) -> AsyncIterator[SlowWay]:
    async with slow_way(hub, rate=0.0, free=2 * MIB) as one:
        yield one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stack writes, and Docker's own configuration."""
    return tmp_path_factory.mktemp("pulls")


@pytest.fixture(scope="module")
def stack(hub: Registry, folder: Path) -> Iterator[Stack]:
    with engine() as far, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        with running(folder, "--docker-host", far.url) as made:
            yield made
            made.clear()
            (folder / "config.json").unlink(missing_ok=True)
            assert far.containers() == []


@pytest.fixture(autouse=True)
def alone(stack: Stack, folder: Path) -> Iterator[None]:
    yield
    stack.clear()


async def create(stack: Stack, image: str) -> dict[str, Any]:
    variants = [{"name": "v2", "docker": {"image": image, "port": PORT, "readiness": {"path": "/"}}}]
    return dict(
        await stack.acall("POST", f"/networks/{NETWORK}/shadowing/create", stack.profile_body(variants=variants))
    )


async def reason_of(stack: Stack) -> tuple[str, str]:
    ((one,),) = [p["instances"] for p in (await stack.status())["profiles"]]
    return one["status"], one.get("reason", "")


async def test_a_profile_that_is_deleted_does_not_wait_for_its_pull(stack: Stack, way: SlowWay, folder: Path) -> None:
    login(folder, way.name)
    profile = await create(stack, f"{way.name}/app:1")

    async def pulls() -> bool:
        return (await reason_of(stack))[1].startswith("pulling ")

    await until(pulls, "it pulls")
    await stack.delete(profile)

    async def given_up() -> bool:
        return way.connections == 0

    way.rate = 100_000.0  # an engine notices that nobody listens when it has something to say; the rest takes minutes
    await until(given_up, "the engine has ended the pull")


async def test_a_pending_shadow_says_how_far_its_pull_is(stack: Stack, way: SlowWay, folder: Path) -> None:
    login(folder, way.name)
    profile = await create(stack, f"{way.name}/app:1")

    async def told() -> bool:
        status, reason = await reason_of(stack)
        assert status == "Pending"
        return reason.startswith(f"pulling {way.name}/app:1, 0 of 1 layers, ") and " MiB, nothing new for " in reason

    await until(told, "the status says how far it is, and that it stands still")
    way.rate = 64.0 * MIB

    async def runs() -> bool:
        return await reason_of(stack) == ("Running", "")

    await until(runs, "it is pulled and runs")
    await stack.delete(profile)
    assert PASSWORD not in everything(folder, stack)


async def test_wrong_credentials_are_a_clear_failed_without_the_password(
    stack: Stack, hub: Registry, folder: Path
) -> None:
    login(folder, hub.name, password="wrong-" + PASSWORD)
    found = await stack.ended(await create(stack, f"{hub.name}/app:1"))
    assert found["status"] == "Failed"
    assert f'"{hub.name}/app:1" could not be pulled on node "local"' in found["reason"]
    assert f"the credentials for {hub.name} are wrong" in found["reason"]
    assert PASSWORD not in everything(folder, stack)


def everything(folder: Path, stack: Stack) -> str:
    """Return all that was written (logs, the store) but Docker's configuration, and all that REST says."""
    said = [str(stack.call("GET", f"/networks/{NETWORK}/{what}")) for what in ("events", "shadowing/status")]
    files = [f for f in folder.rglob("*") if f.is_file() and f.name != "config.json"]
    assert files
    return "\n".join([*said, *(f.read_bytes().decode(errors="replace") for f in files)])
