import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.docker.conftest import IMAGE, ONE, PORT, TWO, Start, ask, runtime_on, soon, spec
from tests.docker.engines import DockerEngine
from xds_server.errors import RuntimeFailedError
from xds_server.model.profile import Egress, EgressMode, Pull, Readiness
from xds_server.runtime.base import Ending, Life
from xds_server.runtime.docker.runtime import DockerRuntime


async def until(condition: Callable[[], object], timeout: float = 20.0) -> None:  # noqa: ASYNC109 -- a test's limit
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 -- what is waited for is in other processes
            await asyncio.sleep(0.05)


async def test_a_container_answers_and_is_confined(start: Start, runtime: DockerRuntime) -> None:
    started = await start(spec(env={"GREETING": "on {port}"}))
    who = await ask(started, "/who")
    assert (who["uid"], int(who["caps"], 16), who["no_new_privs"]) == (65534, 0, "1")
    assert (who["port"], who["env"]) == ("8080", "on 8080")
    assert not (await ask(started, "/write", path="/app/x"))["written"]
    assert (await ask(started, "/write", path="/tmp/x"))["written"]  # noqa: S108 - inside
    assert (await runtime.inspect(started.handle)).life is Life.ALIVE


async def test_each_loosening_is_the_variants_own(start: Start) -> None:
    started = await start(
        spec(
            user="1001",
            capabilities=("NET_BIND_SERVICE",),
            read_only=False,
            new_privileges=True,
            command=("{port}",),
            working_directory="/run",
        )
    )
    who = await ask(started, "/who")
    assert (who["uid"], int(who["caps"], 16), who["no_new_privs"]) == (1001, 1 << 10, "0")


async def test_a_stop_ends_everything_and_may_be_repeated(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start()
    assert len(clean.containers()) == 2
    await runtime.stop(started.handle, spec())
    assert clean.containers() == []
    await runtime.stop(started.handle, spec())
    assert (await runtime.inspect(started.handle)).life is Life.UNKNOWN
    assert await runtime.usage(started.handle) is None


async def test_an_exit_is_known_with_its_code_and_last_lines(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    waiting = asyncio.create_task(runtime.wait(started.handle))
    with pytest.raises(Exception, match=r"disconnected|reset|closed"):
        await ask(started, "/leave", code=7)
    end = await asyncio.wait_for(waiting, 5.0)
    assert (end.life, end.ending, end.exit_code, end.signal) == (Life.EXITED, Ending.OWN, 7, None)
    assert end.failed
    assert end.log == ("listening",)


async def test_a_kill_from_outside_is_told_from_an_end_of_its_own(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    pid = (await runtime._engine.call(lambda c: c.inspect_container(started.handle["container"])))["State"]["Pid"]
    os.kill(pid, 9)
    end = await asyncio.wait_for(runtime.wait(started.handle), 15.0)
    assert (end.signal, end.ending) == (9, Ending.OWN)
    assert end.describe() == "killed by SIGKILL"


async def test_it_ends_at_its_deadline_without_a_manager_or_an_engine(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start(deadline=soon(10.0))
    pid = (await runtime._engine.call(lambda c: c.inspect_container(started.handle["container"])))["State"]["Pid"]
    clean.kill()
    try:
        await until(lambda: not Path(f"/proc/{pid}").exists(), 20.0)
    finally:
        clean.start()
    end = await runtime.inspect(started.handle)
    assert end.life is Life.EXITED


async def test_a_deadline_that_was_reached_is_not_a_failure(start: Start, runtime: DockerRuntime) -> None:
    started = await start(deadline=soon(10.0))
    end = await asyncio.wait_for(runtime.wait(started.handle), 25.0)
    assert end.ending is Ending.DEADLINE
    assert not end.failed


async def test_a_deadline_can_be_moved(start: Start, runtime: DockerRuntime) -> None:
    before = soon(8.0)
    started = await start(deadline=before)
    await runtime.extend(started.handle, soon(60.0))
    await asyncio.sleep((before - soon(0.0)).total_seconds() + 1.5)
    assert (await runtime.inspect(started.handle)).alive
    await runtime.extend(started.handle, soon(0.0))
    end = await asyncio.wait_for(runtime.wait(started.handle), 10.0)
    assert end.ending is Ending.DEADLINE


async def test_all_that_a_shadow_has_forked_ends_with_it(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    assert (await ask(started, "/fork", count=5))["made"] == 5
    below = await runtime._engine.call(lambda c: c.top(started.handle["guard"]))
    pids = [int(line[1]) for line in below["Processes"]]
    shadow = await runtime._engine.call(lambda c: c.top(started.handle["container"]))
    pids += [int(line[1]) for line in shadow["Processes"]]
    assert len(pids) >= 7
    await runtime.stop(started.handle, spec())
    await until(lambda: not [p for p in pids if Path(f"/proc/{p}").exists()])


async def test_a_shadow_cannot_end_its_guard(start: Start, runtime: DockerRuntime) -> None:
    for user in ("", "0"):
        started = await start(spec(user=user))
        await ask(started, "/kill_one")
        await asyncio.sleep(0.3)
        assert (await ask(started, "/who"))["one"] in {"sh", "dash"}
        await runtime.stop(started.handle, spec())


async def test_a_successor_finds_its_containers_and_sweeps_orphans(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    kept, _ = await start(), await start(name=TWO)
    stranger = runtime_on(clean, manager="another")
    assert await stranger.sweep([]) == []
    successor = runtime_on(clean)
    assert (await successor.adopt(kept.handle)).alive
    assert await successor.sweep([ONE]) == [TWO]
    assert (await successor.inspect(kept.handle)).alive
    assert len(clean.containers()) == 2
    for each in (stranger, successor):
        each._engine.close()


async def test_a_start_over_what_a_crash_left_begins_anew(runtime: DockerRuntime, clean: DockerEngine) -> None:
    first = await runtime.start(ONE, spec(), deadline=soon())
    second = await runtime.start(ONE, spec(), deadline=soon())
    assert first.handle["container"] != second.handle["container"]
    assert len(clean.containers()) == 2
    await runtime.stop(second.handle, spec())


async def test_ends_that_meet_all_say_that_it_is_gone(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    stop = partial(runtime.stop, started.handle, spec())
    assert await asyncio.gather(stop(), stop(), runtime.sweep([ONE]), stop()) == [None, None, [], None]


async def test_a_published_port_is_reached_at_the_nodes_address(clean: DockerEngine) -> None:
    runtime = runtime_on(clean, address="127.0.0.1")
    started = await runtime.start(ONE, spec(), deadline=soon())
    assert started.address.address == "127.0.0.1"
    assert started.address.port != PORT
    await runtime.ready(started, spec())
    assert (await ask(started, "/who"))["uid"] == 65534
    await runtime.stop(started.handle, spec())
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", started.address.port)) != 0
    runtime._engine.close()


BAD = [
    ({"image": "nosuch:1"}, "docker.image", "could not be pulled"),
    ({"image": "nosuch:1", "pull": Pull.NEVER}, "docker.image", "pull is never"),
    ({"entrypoint": ("/nosuch",)}, "docker.command", "a program in the image"),
    ({"user": "nobodyknows"}, "docker.user", "a user that the image knows"),
    ({"memory": 1024 * 1024}, "docker.memory", "more memory"),
    ({"writable": ("/",)}, "docker.writable", "a folder below the root"),
    ({"writable": ("/proc/x",)}, "docker.writable", "like /var/cache"),
    ({"working_directory": "/app.py"}, "docker.workingDirectory", "a folder of the image"),
    (
        {"egress": Egress(EgressMode.ALLOW, tuple(f"10.0.{i}.{j}:443" for i in range(10) for j in range(250)))},
        "docker.egress",
        "networks instead of single addresses",
    ),
    ({"capabilities": ("NO_SUCH_THING",)}, "docker.capabilities", "NET_BIND_SERVICE"),
]


@pytest.mark.parametrize(("change", "field", "text"), BAD, ids=lambda v: str(v)[:40])
async def test_what_cannot_be_started_says_why_and_leaves_nothing(
    runtime: DockerRuntime, change: dict[str, object], field: str, text: str
) -> None:
    with pytest.raises(RuntimeFailedError) as caught:
        await runtime.start(ONE, spec(**change), deadline=soon())
    assert caught.value.field.startswith(field), caught.value
    assert text in str(caught.value), caught.value


NOT_READY = [
    ({"entrypoint": ("/app.py",)}, "another kind of processor, or a script without #!"),
    ({"command": ("9999",)}, "it listens on 0.0.0.0:9999: is docker.port right?"),
    ({"env": {"HOST": "127.0.0.1"}}, "127.0.0.1:8080 alone: it must listen on all addresses"),
    ({"entrypoint": ("/usr/bin/python3", "-c", "print('bye')")}, "it must stay in the foreground"),
    ({"entrypoint": ("/usr/bin/python3", "-c", "open('/x','w')")}, "docker.writable"),
    ({"entrypoint": ("/usr/bin/python3", "-c", "import os; os.setuid(0)")}, "runs confined"),
    (
        {"entrypoint": ("/usr/bin/python3", "-c", "import socket; socket.create_connection(('192.0.2.1', 5432))")},
        "docker.egress",
    ),
    ({"memory": 6 * 1024 * 1024}, "out of memory: it needs more than its limit of 6Mi"),
]


@pytest.mark.parametrize(("change", "text"), NOT_READY, ids=lambda v: str(v)[:50])
async def test_what_never_gets_ready_says_why(runtime: DockerRuntime, change: dict[str, object], text: str) -> None:
    wanted = spec(readiness=Readiness(path="/", timeout=8.0, interval=0.1), **change)
    started = await runtime.start(ONE, wanted, deadline=soon())
    with pytest.raises(RuntimeFailedError) as caught:
        await runtime.ready(started, wanted)
    await runtime.stop(started.handle, wanted)
    assert text in str(caught.value), caught.value


def test_the_image_is_there(docker_engine: DockerEngine) -> None:
    with docker_engine.client() as client:
        assert client.images(name=IMAGE)
