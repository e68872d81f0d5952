"""A real engine for the session, with an image in it, and a runtime on it; nothing outlives a test."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docker.engines import DockerEngine, engine, load
from tests.envoy.stack import Stack, running
from xds_server.demo import catalogue
from xds_server.demo.image import catalogue_in
from xds_server.model.docker_host import DockerHost
from xds_server.model.ids import InstanceID
from xds_server.model.profile import DockerSpec, Readiness
from xds_server.runtime.base import Started
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.runtime import DockerRuntime

IMAGE = "smapp:1"
PORT = 8080
CATALOGUE = {"name": "v2", "docker": catalogue_in("smcatalogue:1", version=2, plain=True)}
"""A variant of the stack's profiles, in a container."""
ONE = InstanceID("22222222-0000-4000-8000-000000000001")
TWO = InstanceID("22222222-0000-4000-8000-000000000002")
APP = {"/app.py": Path(__file__).with_name("app.py").read_bytes(), "/etc/passwd": b"app:x:1001:1001::/:/bin/false\n"}


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    with engine() as one:
        load(one, IMAGE, APP, changes=['ENTRYPOINT ["/usr/bin/python3","-u","/app.py"]', 'CMD ["8080"]'])
        yield one


@pytest.fixture
def clean(docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    """The engine; a test that leaves a container fails."""
    yield docker_engine
    left = docker_engine.containers()
    with docker_engine.client() as client:
        for one in left:
            client.remove_container(one["Id"], force=True)
    assert not left, f"containers outlived the test: {[c['Names'] for c in left]}"


@pytest.fixture
def stack(clean: DockerEngine, tmp_path: Path) -> Iterator[Stack]:
    """A manager with a real engine, an original and an Envoy; the image of `CATALOGUE` is there."""
    load(clean, "smcatalogue:1", {"/catalogue.py": Path(catalogue.__file__).read_bytes()})
    with running(tmp_path, "--docker-host", clean.url) as made:
        yield made


def runtime_on(one: DockerEngine, *, manager: str = "test", address: str = "") -> DockerRuntime:
    return DockerRuntime(Engine(DockerHost(one.url, address=address), node="one"), manager=lambda: manager)


@pytest.fixture
def runtime(clean: DockerEngine) -> Iterator[DockerRuntime]:
    made = runtime_on(clean)
    yield made
    made._engine.close()


def spec(**changes: Any) -> DockerSpec:
    made = DockerSpec(IMAGE, PORT, readiness=Readiness(path="/", timeout=20.0, interval=0.05), stop_timeout=1.0)
    return replace(made, **changes)


def soon(seconds: float = 120.0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


Start = Callable[..., Awaitable[Started]]


@pytest.fixture
async def start(runtime: DockerRuntime) -> AsyncIterator[Start]:
    """Start containers, wait until they are ready, and end them with the test."""
    made: list[Started] = []

    async def begin(
        wanted: DockerSpec | None = None, *, name: InstanceID = ONE, deadline: datetime | None = None
    ) -> Started:
        chosen = wanted or spec()
        started = await runtime.start(name, chosen, deadline=deadline or soon())
        made.append(started)
        await runtime.ready(started, chosen)
        return started

    yield begin
    for each in made:
        await runtime.stop(each.handle, spec(stop_timeout=0.0))


async def ask(started: Started, to: str, /, timeout: float = 20.0, **query: object) -> dict[str, Any]:  # noqa: ASYNC109
    url = f"http://{started.address.address}:{started.address.port}{to}"
    async with httpx.AsyncClient() as client:
        found = await client.get(url, params={k: str(v) for k, v in query.items()}, timeout=timeout)
    return dict(json.loads(found.content))
