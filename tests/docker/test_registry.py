"""Images from a real registry that asks for a password: who may pull, what is said otherwise, and how far a pull is."""

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.running import free_port
from tests.docker.conftest import APP, ONE, runtime_on, soon, spec
from tests.docker.engines import DockerEngine, engine, load
from tests.docker.registries import PASSWORD, USER, Registry, login, registry, slow_way
from xds_server.errors import RuntimeFailedError, UnavailableError
from xds_server.model.profile import Pull
from xds_server.runtime.docker.engine import CALL, LONG
from xds_server.runtime.docker.runtime import DockerRuntime

pytestmark = pytest.mark.timeout(180)

ENTRY = ['ENTRYPOINT ["/usr/bin/python3","-u","/app.py"]', 'CMD ["8080"]']
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def hub(docker_engine: DockerEngine) -> Iterator[Registry]:
    """A registry with `app:1`, pushed by another engine than the one that pulls."""
    with registry(free_port()) as one:
        load(docker_engine, "big:1", {**APP, "/blob": os.urandom(8 * MIB)}, changes=ENTRY)
        one.digest = one.push(docker_engine, "big:1", "app:1")
        yield one


@pytest.fixture(scope="module")
def far() -> Iterator[DockerEngine]:
    """The engine that pulls."""
    with engine() as one:
        yield one


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's own configuration, with nothing in it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


@pytest.fixture
def node(far: DockerEngine, docker_config: Path) -> Iterator[DockerRuntime]:
    made = runtime_on(far)
    yield made
    made._engine.close()
    (docker_config / "config.json").unlink(missing_ok=True)  # the test's own client reads it, too
    left = far.containers()
    with far.client() as client:
        for each in left:
            client.remove_container(str(each["Id"]), force=True)
        for image in client.images(all=True):
            if "shadowmesh" not in str(image["RepoTags"]):
                client.remove_image(image["Id"], force=True)
    assert not left


async def lives(node: DockerRuntime, image: str, pull: Pull = Pull.MISSING) -> None:
    """Start it, wait until it answers, and end it."""
    wanted = spec(image=image, pull=pull)
    started = await node.start(ONE, wanted, deadline=soon())
    try:
        await node.ready(started, wanted)
    finally:
        await node.stop(started.handle, spec(stop_timeout=0.0))


async def refused(node: DockerRuntime, image: str, pull: Pull = Pull.MISSING) -> str:
    with pytest.raises(RuntimeFailedError) as caught:
        await node.start(ONE, spec(image=image, pull=pull), deadline=soon())
    assert f'"{image}"' in str(caught.value)
    assert caught.value.field == "docker.image"
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Put a credential helper on PATH, and into Docker's configuration."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_an_image_is_pulled_with_the_credentials_of_docker_login(
    node: DockerRuntime, hub: Registry, docker_config: Path
) -> None:
    login(docker_config, hub.name)
    await lives(node, f"{hub.name}/app:1")


async def test_a_login_counts_without_a_restart(node: DockerRuntime, hub: Registry, docker_config: Path) -> None:
    told = await refused(node, f"{hub.name}/app:1")
    assert f"there are no credentials for {hub.name}" in told
    assert f"docker login {hub.name}" in told
    login(docker_config, hub.name)
    await lives(node, f"{hub.name}/app:1")


async def test_wrong_credentials_are_said_to_be_wrong_and_never_shown(
    node: DockerRuntime, hub: Registry, docker_config: Path
) -> None:
    login(docker_config, hub.name, password="wrong-one-of-ann")
    told = await refused(node, f"{hub.name}/app:1")
    assert f"the credentials for {hub.name} are wrong, or may not pull it" in told
    assert f'"{hub.name}/app:1" could not be pulled on node "one"' in told
    assert "wrong-one-of-ann" not in told


async def test_a_credential_helper_is_asked(
    node: DockerRuntime, hub: Registry, docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f'read server; [ "$server" = {hub.name} ] || exit 1; echo \'{{"Username":"{USER}","Secret":"{PASSWORD}"}}\''
    )
    helper(docker_config, monkeypatch, "smtest", script)
    (docker_config / "config.json").write_text(f'{{"credHelpers":{{"{hub.name}":"smtest"}}}}')
    await lives(node, f"{hub.name}/app:1")


@pytest.mark.parametrize(
    "case",
    [
        ('{"credsStore":"nosuch"}', "", "docker-credential-nosuch cannot be run: it must be on the manager's PATH"),
        ('{"credsStore":"smtest"}', "echo hidden-thing; exit 3", "gave no credentials for"),
        ('{"credsStore":"smtest"}', "sleep 60", "docker-credential-smtest did not answer within 0.5 s"),
        ('{"auths":{"x":{"auth":"%%%"}}}', "", "(config.json) of the manager's user cannot be read"),
        ('{"auths":[1]}', "", "(config.json) of the manager's user cannot be read"),
    ],
)
async def test_a_configuration_that_does_not_work_is_no_fault_of_the_engine(
    node: DockerRuntime, hub: Registry, docker_config: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, str, str]
) -> None:
    config, script, problem = case
    if script == "sleep 60":
        monkeypatch.setattr("xds_server.runtime.docker.credentials.HELPER", 0.5)
    helper(docker_config, monkeypatch, "smtest", script)
    (docker_config / "config.json").write_text(config)
    told = await refused(node, f"{hub.name}/app:1")
    assert problem in told
    assert "hidden-thing" not in told
    assert not node._engine.away


@pytest.mark.parametrize(
    ("image", "hint"),
    [("app:2", "is its tag right?"), ("nosuch:1", "right?"), (f"app@sha256:{'0' * 64}", "right?")],
)
async def test_what_the_registry_has_not_is_said(
    node: DockerRuntime, hub: Registry, docker_config: Path, image: str, hint: str
) -> None:
    login(docker_config, hub.name)
    assert hint in await refused(node, f"{hub.name}/{image}")


@pytest.mark.parametrize("image", ["http://127.0.0.1/app:1", "-x.y/app:1", "UPPER:1", "a b"])
async def test_what_is_no_name_of_an_image_is_no_fault_of_the_engine(node: DockerRuntime, image: str) -> None:
    await refused(node, image, Pull.ALWAYS)
    await refused(node, image)
    assert not node._engine.away


@pytest.mark.parametrize("tag", ["", ":1"])
async def test_an_image_may_be_named_by_its_digest(
    node: DockerRuntime, hub: Registry, docker_config: Path, tag: str
) -> None:
    login(docker_config, hub.name)
    await lives(node, f"{hub.name}/app{tag}@{hub.digest}")
    hub.stop()
    try:
        await lives(node, f"{hub.name}/app{tag}@{hub.digest}")  # it is there
    finally:
        hub.start()


async def test_the_policy_says_whether_a_registry_is_asked(
    node: DockerRuntime, hub: Registry, docker_config: Path, far: DockerEngine
) -> None:
    image = f"{hub.name}/app:1"
    login(docker_config, hub.name)
    assert "pull is never" in await refused(node, image, Pull.NEVER)
    hub.stop()
    try:
        for pull in (Pull.MISSING, Pull.ALWAYS):
            assert f"is {hub.name} up, and reached from the node?" in await refused(node, image, pull)
        hub.start()
        for pull in (Pull.ALWAYS, Pull.MISSING, Pull.NEVER):
            await lives(node, image, pull)
        hub.stop()
        await lives(node, image, Pull.MISSING)
        await lives(node, image, Pull.NEVER)
        assert "could not be pulled" in await refused(node, image, Pull.ALWAYS)
    finally:
        hub.stop()
        hub.start()


async def test_how_far_a_pull_is_is_told_while_it_lasts(
    node: DockerRuntime, hub: Registry, docker_config: Path
) -> None:
    async with slow_way(hub, rate=12 * MIB) as way:
        image = f"{way.name}/app:1"
        login(docker_config, way.name)
        assert node.preparing(ONE) == ""
        starting = asyncio.create_task(node.start(ONE, spec(image=image), deadline=soon()))
        seen = set()
        while not starting.done():
            seen.add(node.preparing(ONE))
            await asyncio.sleep(0.05)
        await node.stop((await starting).handle, spec(stop_timeout=0.0))
    assert node.preparing(ONE) == ""
    steps = [text for text in seen if text.startswith(f"pulling {image}, 0 of 1 layers, ")]
    assert len(steps) > 2, seen
    assert all(text.endswith(" MiB") for text in steps)


async def test_a_pull_that_does_not_move_is_another_nodes_to_try(
    far: DockerEngine, hub: Registry, docker_config: Path, node: DockerRuntime
) -> None:
    impatient = DockerRuntime(node._engine, manager=lambda: "test", stall=6.0)
    async with slow_way(hub, rate=0.0) as way:
        login(docker_config, way.name)
        with pytest.raises(UnavailableError) as caught:
            await impatient.start(ONE, spec(image=f"{way.name}/app:1"), deadline=soon())
        assert f'"{way.name}/app:1" could not be pulled on node "one": it has not moved for 6 s' in str(caught.value)
        assert "layers" in str(caught.value)
        assert not node._engine.away


async def test_pulls_that_last_keep_no_other_call_waiting_and_can_be_given_up(
    node: DockerRuntime, hub: Registry, docker_config: Path
) -> None:
    async with slow_way(hub, rate=0.0) as way:
        login(docker_config, way.name)
        wanted = spec(image=f"{way.name}/app:1")
        names = [type(ONE)(f"22222222-0000-4000-8000-{n:012d}") for n in range(LONG + 8)]
        starting = [asyncio.create_task(node.start(name, wanted, deadline=soon())) for name in names]
        while not all(node.preparing(name) for name in names):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.wait_for(node.look(), CALL)
        for name in names:
            node.give_up(name)
        ends = await asyncio.wait_for(asyncio.gather(*starting, return_exceptions=True), CALL)
        assert all(isinstance(end, RuntimeFailedError) and "not wanted any more" in str(end) for end in ends)
