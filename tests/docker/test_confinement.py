"""What images bring along that a variant did not ask for, and what would go around egress."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.docker.conftest import APP, ONE, Start, ask, runtime_on, soon, spec
from tests.docker.engines import DockerEngine, load
from xds_server.errors import InvalidError, RuntimeFailedError, UnavailableError
from xds_server.model.profile import Egress, EgressMode
from xds_server.runtime.docker import guard
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.runtime import DockerRuntime

RUN = ['ENTRYPOINT ["/usr/bin/python3","-u","/app.py"]', 'CMD ["8080"]']
PASSWD = b"root:x:0:0::/:\nadmin:x:0:0::/:\napp:x:1001:1002::/:/bin/false\nsneaky:x:65533:65533::/:\n"
OWN = {**APP, "/etc/passwd": PASSWD, "/etc/group": b"staff:x:1003:\n", "/var/cache/seed": b"", "/data/seed": b""}


def image(one: DockerEngine, *changes: str) -> str:
    """Make an image of its own kind, once for each use: engines keep layers that are alike."""
    load(one, "smown:1", OWN, changes=[*RUN, *changes])
    return "smown:1"


async def test_a_volume_of_the_image_is_in_memory_and_not_on_the_nodes_disk(start: Start, clean: DockerEngine) -> None:
    started = await start(spec(image=image(clean, "VOLUME /data")))
    assert (await ask(started, "/write", path="/data/x"))["written"]
    with clean.client() as client:
        assert not client.volumes()["Volumes"]
        inside = client.inspect_container(started.handle["container"])
    assert not inside["Mounts"]
    assert "/data" in inside["HostConfig"]["Tmpfs"]


@pytest.mark.parametrize("user", ["app", "app:staff", "1001:staff", "1001"])
async def test_a_folder_that_is_in_the_image_is_writable_for_any_user(
    start: Start, clean: DockerEngine, user: str
) -> None:
    started = await start(spec(image=image(clean), user=user, writable=("/var/cache",)))
    assert (await ask(started, "/who"))["uid"] == 1001
    assert (await ask(started, "/write", path="/var/cache/x"))["written"]
    assert len(clean.containers()) == 2, "what was made to read the image is gone"


@pytest.mark.parametrize(
    ("changes", "wanted", "text"),
    [
        ((), {"user": "nosuch"}, 'the image knows no user "nosuch"'),
        ((), {"user": "app:nosuch"}, 'the image knows no group "nosuch"'),
        ((), {"user": "sneaky"}, "the guard's"),
        (("USER sneaky",), {}, "the guard's"),
        (("USER 65533",), {}, "the guard's"),
    ],
)
async def test_an_unknown_user_or_the_guards_is_refused(
    runtime: DockerRuntime, clean: DockerEngine, changes: tuple[str, ...], wanted: dict[str, Any], text: str
) -> None:
    with pytest.raises(RuntimeFailedError, match=text) as caught:
        await runtime.start(ONE, spec(image=image(clean, *changes), **wanted), deadline=soon())
    assert caught.value.field == "docker.user"


async def test_an_image_whose_user_is_root_by_another_name_runs_as_nobody(start: Start, clean: DockerEngine) -> None:
    started = await start(spec(image=image(clean, "USER admin")))
    assert (await ask(started, "/who"))["uid"] == 65534


@pytest.mark.parametrize("user", ["65533", "065533", "65533:1"])
def test_the_guards_user_is_refused_before_anything_starts(user: str, docker_engine: DockerEngine) -> None:
    with pytest.raises(InvalidError, match="the guard's user"):
        runtime_on(docker_engine).check(spec(user=user))


@pytest.mark.parametrize("name", ["NET_RAW", "CAP_NET_ADMIN", "SYS_ADMIN", "all"])
def test_a_capability_that_goes_around_egress_needs_it_open(name: str, docker_engine: DockerEngine) -> None:
    runtime = runtime_on(docker_engine)
    with pytest.raises(InvalidError, match=r"docker\.capabilities\[1\]: .* around its egress"):
        runtime.check(spec(capabilities=("CHOWN", name)))
    runtime.check(spec(capabilities=(name,), egress=Egress(EgressMode.OPEN)))


async def test_logs_without_end_do_not_fill_the_nodes_disk(start: Start, clean: DockerEngine) -> None:
    code = "import os, sys; sys.argv = ['', '8080']\n"
    code += "for _ in range(80): os.write(1, (b'x' * 1023 + b'\\n') * 100)\n"
    started = await start(spec(entrypoint=("/usr/bin/python3", "-c", code + "exec(open('/app.py').read())")))
    with clean.client() as client:
        path = client.inspect_container(started.handle["container"])["LogPath"]
    folder = clean.folder / "data" / "containers" / started.handle["container"]
    assert path.startswith(str(folder))
    size = sum(each.stat().st_size for each in folder.glob("*.log*"))
    assert 0 < size < 3_000_000, "8 MB were written"


async def test_a_guard_that_cannot_run_there_is_named_and_not_the_image(
    runtime: DockerRuntime, clean: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/bin/sh": b"\x7fELF of another machine"}
    load(clean, "shadowmesh-guard:far", files)
    monkeypatch.setattr("xds_server.runtime.docker.runtime.guard_image", lambda: ("far", b""))
    with pytest.raises(RuntimeFailedError, match="the guard of a container could not be started") as caught:
        await runtime.start(ONE, spec(), deadline=soon())
    assert "architecture" in str(caught.value)


async def test_a_start_after_its_own_deadline_says_so(runtime: DockerRuntime) -> None:
    with pytest.raises(RuntimeFailedError, match="time to live was over before"):
        await runtime.start(ONE, spec(), deadline=soon(-1.0))


@pytest.mark.parametrize("calls", range(1, 5))
async def test_a_start_that_is_given_up_at_any_step_leaves_nothing(
    runtime: DockerRuntime, clean: DockerEngine, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    loop, reached, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    seen = 0
    whole = guard.options  # the first thing of a launch; the engine's own calls are counted from there

    def counting(client: Any, **options: Any) -> dict[str, Any]:
        for name in ("create_container", "start"):
            monkeypatch.setattr(client, name, slow(getattr(client, name)))
        return whole(client, **options)

    def slow(call: Any) -> Any:
        def made(*args: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == calls:
                loop.call_soon_threadsafe(reached.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10.0)
            return call(*args, **options)

        return made

    monkeypatch.setattr(guard, "options", counting)
    starting = asyncio.create_task(runtime.start(ONE, spec(), deadline=soon()))
    await asyncio.wait_for(reached.wait(), 10.0)
    starting.cancel()
    await asyncio.sleep(0.2)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.sleep(1.0)
    assert clean.containers() == []
    assert seen == calls, "nothing more was made"


@pytest.mark.parametrize("calls", range(1, 8))
async def test_a_manager_that_was_killed_at_any_step_of_a_start_leaves_nothing_that_its_successor_does_not_end(
    runtime: DockerRuntime, clean: DockerEngine, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    made = image(clean)
    seen = 0

    def killed(after: Any) -> Any:
        def made(*args: Any, **options: Any) -> Any:
            nonlocal seen
            found = after(*args, **options)
            seen += 1
            if seen >= calls:
                raise OSError("as a manager that is gone")
            return found

        return made

    with clean.client() as its:
        for name in ("create_container", "start", "get_archive"):
            monkeypatch.setattr(its, name, killed(getattr(its, name)))
        monkeypatch.setattr(Engine, "_connect", lambda _: its)
        monkeypatch.setattr(DockerRuntime, "_remove", AsyncMock())
        try:
            await runtime.start(ONE, spec(image=made, user="app"), deadline=soon())
        except UnavailableError:
            assert clean.containers()
    monkeypatch.undo()
    successor = runtime_on(clean)
    found = await successor.sweep([])
    successor._engine.close()
    assert found == [ONE]
    assert clean.containers() == []
