import asyncio

import pytest

from tests.docker.engines import DockerEngine
from xds_server.model.docker_host import DockerHost
from xds_server.runtime.docker import images
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.guard_image import REPOSITORY, guard_image
from xds_server.runtime.docker.pulse import Load, Pulse, parse


async def test_a_far_machine_tells_how_busy_it_is_and_nothing_is_left(clean: DockerEngine) -> None:
    engine = Engine(DockerHost(clean.url), node="far")
    pulse = Pulse(engine, manager=lambda: "test")
    async with asyncio.timeout(30.0):
        while (load := await pulse.load()) is None:  # noqa: ASYNC110 - of another machine
            await asyncio.sleep(0.5)
    assert 0.0 <= load.cpu <= 1.0
    assert load.memory_free > 50_000_000
    assert len(clean.containers()) == 1
    await pulse.close()
    engine.close()
    async with asyncio.timeout(10.0):
        while clean.containers():  # noqa: ASYNC110 - the engine's own time
            await asyncio.sleep(0.1)


async def test_one_that_was_made_and_never_started_is_made_anew(clean: DockerEngine) -> None:
    engine = Engine(DockerHost(clean.url), node="far")
    pulse = Pulse(engine, manager=lambda: "test")
    await images.ensure_guard(engine, guard_image()[0])
    with clean.client() as client:
        client.create_container(f"{REPOSITORY}:{guard_image()[0]}", ["/bin/sh"], name=pulse._name)
    await pulse.load()
    (one,) = clean.containers()
    assert one["State"] == "running"
    await pulse.close()
    engine.close()
    async with asyncio.timeout(10.0):
        while clean.containers():  # noqa: ASYNC110 - the engine's own time
            await asyncio.sleep(0.1)


LINE = "cpu  {0} 0 10 {1} 20 0 0 0 5 0 1000"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], None),
        ([LINE.format(100, 100)], None),
        ([LINE.format(100, 100), "cpu  1 2 3"], None),
        ([LINE.format(100, 100), LINE.format(150, 150)], Load(0.5, 1_024_000)),
        ([LINE.format(100, 100), LINE.format(100, 200)], Load(0.0, 1_024_000)),
        ([LINE.format(100, 100), LINE.format(100, 100)], Load(0.0, 1_024_000)),
        (["noise", LINE.format(0, 0), LINE.format(30, 10)], Load(0.75, 1_024_000)),
    ],
)
def test_the_load_is_what_lies_between_two_lines(lines: list[str], found: Load | None) -> None:
    assert parse(lines) == found
