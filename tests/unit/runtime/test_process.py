"""The life of a process shadow, with real processes."""

import asyncio
import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.runtime.conftest import ONE, TWO, Start, running, shadow, soon, until
from xds_server.errors import RuntimeFailedError, UnavailableError
from xds_server.model.profile import ProcessSpec
from xds_server.runtime.base import Ending, Life
from xds_server.runtime.folder import Folder
from xds_server.runtime.ports import Ports
from xds_server.runtime.process import ProcessRuntime


async def test_a_shadow_starts_gets_ready_and_stops(runtime: ProcessRuntime, start: Start, root: Path) -> None:
    spec = shadow()
    started = await start(spec)
    await runtime.ready(started, spec)
    assert started.address.address == "127.0.0.1"
    assert (await runtime.inspect(started.handle)).alive
    await runtime.stop(started.handle, spec)
    ended = await runtime.inspect(started.handle)
    assert (ended.life, ended.ending, ended.failed) == (Life.EXITED, Ending.STOPPED, False)
    assert ended.log == ("listening",)
    assert not running(root)


async def test_stopping_twice_or_nothing_at_all_is_fine(runtime: ProcessRuntime, start: Start) -> None:
    started = await start(shadow())
    await asyncio.gather(*(runtime.stop(started.handle, shadow()) for _ in range(3)))
    await runtime.stop(started.handle, shadow())
    await runtime.stop({"instance": "never-started", "port": "1"}, shadow())
    await runtime.stop({}, shadow())
    assert (await runtime.inspect({})).life is Life.UNKNOWN
    assert (await runtime.wait({"instance": "never-started"})).life is Life.UNKNOWN


async def test_readiness_over_http_wants_a_good_status(runtime: ProcessRuntime, start: Start) -> None:
    started = await start(shadow())
    await runtime.ready(started, shadow(path="/well"))
    with pytest.raises(RuntimeFailedError, match="GET /unwell answered 503") as failed:
        await runtime.ready(started, shadow(path="/unwell", timeout=0.5))
    assert failed.value.field == "process.readiness"


async def test_a_command_that_exits_fails_at_once_with_its_last_lines(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow("fails", timeout=60.0)
    with pytest.raises(RuntimeFailedError, match="exited with code 3 before it was ready") as failed:
        await asyncio.wait_for(runtime.ready(await start(spec), spec), 20.0)
    assert failed.value.log == ("first red line", "cannot open the database")


async def test_a_shadow_that_never_listens_fails_after_its_timeout(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow("silent", timeout=0.3)
    started = await start(spec)
    with pytest.raises(RuntimeFailedError, match=r"not ready on 127\.0\.0\.1:\d+ after 0\.3 s: connection refused"):
        await runtime.ready(started, spec)
    assert (await runtime.inspect(started.handle)).alive, "ending it is for who started it"


async def test_a_shadow_that_listens_elsewhere_is_told_so(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow("elsewhere", timeout=0.1)
    started = await start(spec)
    await until(lambda: Folder(runtime._root, ONE).tail() == ("listening",))
    with pytest.raises(RuntimeFailedError, match=r"it listens on 127\.0\.0\.1:\d+: pass it \{port\}"):
        await runtime.ready(started, spec)


async def test_an_answer_of_somebody_else_on_its_port_is_a_failure(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow("silent")
    started = await start(spec)
    with (
        socket.create_server((started.address.address, started.address.port)),
        pytest.raises(RuntimeFailedError, match=f"answered by process {os.getpid()}, which is not the shadow's"),
    ):
        await runtime.ready(started, spec)


async def test_its_end_is_noticed_and_told(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow()
    started = await start(spec)
    await runtime.ready(started, spec)
    waiting = asyncio.create_task(runtime.wait(started.handle))
    _, writer = await asyncio.open_connection(started.address.address, started.address.port)
    writer.write(b"GET /die HTTP/1.1\r\n\r\n")
    ended = await asyncio.wait_for(waiting, 10.0)
    writer.close()
    assert (ended.ending, ended.signal, ended.failed) == (Ending.OWN, signal.SIGSEGV, True)
    assert ended.describe() == "killed by SIGSEGV"


async def test_what_ignores_term_is_killed(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow("deaf", stop_timeout=0.2)
    started = await start(spec)
    await runtime.ready(started, spec)
    await runtime.stop(started.handle, spec)
    ended = await runtime.inspect(started.handle)
    assert (ended.ending, ended.signal) == (Ending.STOPPED, signal.SIGKILL)


@pytest.mark.parametrize("wishes", [("grandchild",), ("daemon",), ("grandchild", "daemon", "deaf")])
async def test_the_whole_tree_ends_with_it(
    runtime: ProcessRuntime, start: Start, root: Path, wishes: tuple[str, ...]
) -> None:
    spec = shadow(*wishes, stop_timeout=0.3)
    started = await start(spec)
    await runtime.ready(started, spec)
    assert len(running(root)) == 2 + len(set(wishes) - {"deaf"}), "supervisor, shadow, and what it started"
    await runtime.stop(started.handle, spec)
    assert not running(root)


async def test_what_it_leaves_behind_ends_when_it_exits_by_itself(
    runtime: ProcessRuntime, start: Start, root: Path
) -> None:
    spec = shadow("daemon", "grandchild", "fails", stop_timeout=0.2)
    started = await start(spec)
    assert (await runtime.wait(started.handle)).exit_code == 3
    await until(lambda: not running(root))


async def test_a_paused_shadow_can_be_stopped(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow(stop_timeout=20.0)
    started = await start(spec)
    await runtime.ready(started, spec)
    os.kill(_status(runtime, "child"), signal.SIGSTOP)
    await asyncio.wait_for(runtime.stop(started.handle, spec), 10.0)
    assert (await runtime.inspect(started.handle)).signal == signal.SIGTERM


async def test_it_inherits_nothing_but_what_it_should(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LANG": "C.UTF-8", "SHADOWMESH_HTTP_TOKEN": "s3cret"}
    monkeypatch.setenv("SHADOWMESH_HTTP_TOKEN", "s3cret")
    monkeypatch.setenv("OTHER", "x")
    runtime = ProcessRuntime(root, environ=environ)
    spec = replace(shadow("report", cwd=str(tmp_path)), env={"MINE": "at {port}", "LANG": "de_DE.UTF-8"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        started = await runtime.start(ONE, spec, deadline=soon())
        await runtime.ready(started, spec)
        await runtime.stop(started.handle, spec)
    facts = json.loads((tmp_path / "facts.json").read_text())
    port = started.handle["port"]
    wanted = {"PATH": environ["PATH"], "HOME": "/nowhere", "LANG": "de_DE.UTF-8", "PORT": port, "MINE": f"at {port}"}
    facts["env"].pop("LC_CTYPE", None)  # Python's own (PEP 538)
    assert facts["env"] == wanted | {"SHADOW_INSTANCE": ONE}
    assert facts["fds"][:3] == [0, 1, 2]
    assert len(facts["fds"]) == 4, "and the one that listed them"
    assert facts["stdin"] == "/dev/null"
    assert facts["umask"] == 0o022
    assert facts["session"]
    assert facts["cwd"] == str(tmp_path)
    assert int(facts["blocked"].split()[1], 16) == 0
    inherited = int(facts["ignored"].split()[1], 16) & 0x7FFFFFFF  # signals 1 to 31; above, the C library's own
    assert inherited in {0, 0x1001000}, "SIGPIPE and SIGXFSZ are Python's own doing"
    assert facts["oom"] >= 500


async def test_files_of_a_shadow_are_ours_alone(start: Start, root: Path) -> None:
    await start(shadow())
    await until((root / ONE / "log").exists)
    for path in [root / ONE, *(root / ONE).iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_chatty_shadow_cannot_fill_the_disk(root: Path) -> None:
    runtime = ProcessRuntime(root, log_limit=20_000)
    spec = shadow("chatty", "fails")
    started = await runtime.start(ONE, spec, deadline=soon())
    ended = await runtime.wait(started.handle)
    await runtime.stop(started.handle, spec)
    assert sum(path.stat().st_size for path in (root / ONE).glob("log*")) <= 20_000
    ended = await runtime.inspect(started.handle)
    assert len(ended.log) == 20
    assert ended.log[-1] == "cannot open the database"


async def test_usage_counts_the_tree_and_never_falls(runtime: ProcessRuntime, start: Start) -> None:
    spec = shadow("grandchild")
    started = await start(spec)
    await runtime.ready(started, spec)
    before = await runtime.usage(started.handle)
    assert before is not None
    assert before.rss_bytes > 5_000_000
    _, writer = await asyncio.open_connection(started.address.address, started.address.port)
    writer.write(b"GET /burn HTTP/1.1\r\n\r\n")
    seen = [before.cpu_seconds]
    async with asyncio.timeout(20):
        while seen[-1] < before.cpu_seconds + 0.25:
            await asyncio.sleep(0.05)
            now = await runtime.usage(started.handle)
            assert now is not None
            seen.append(now.cpu_seconds)
    writer.close()
    assert seen == sorted(seen)
    await runtime.stop(started.handle, spec)
    assert await runtime.usage(started.handle) is None


async def test_what_cannot_be_executed_leaves_nothing(runtime: ProcessRuntime, root: Path, tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("#!/does/not/exist {port}\n")
    script.chmod(0o755)
    with pytest.raises(RuntimeFailedError, match="No such file or directory") as failed:
        await runtime.start(ONE, ProcessSpec(command=(str(script), "{port}")), deadline=soon())
    assert failed.value.field == "process.command"
    assert not (root / ONE).exists()
    assert not runtime._ports.held()


async def test_a_start_that_is_cancelled_leaves_nothing(runtime: ProcessRuntime, root: Path) -> None:
    starting = asyncio.create_task(runtime.start(ONE, shadow(), deadline=soon()))
    await until((root / ONE / "spec.json").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not running(root)
    assert not (root / ONE).exists()
    assert not runtime._ports.held()


async def test_a_start_ends_what_a_crash_left_of_the_same_instance(
    runtime: ProcessRuntime, root: Path, start: Start
) -> None:
    first = await start(shadow("deaf", stop_timeout=1.0))
    await runtime.ready(first, shadow())
    left = running(root)
    second = await ProcessRuntime(root).start(ONE, shadow(), deadline=soon())
    assert not left & running(root)
    assert len(running(root)) == len(left)
    await runtime.stop(second.handle, shadow())
    assert not running(root)


async def test_concurrent_starts_get_ports_of_their_own_and_a_full_range_is_said(root: Path) -> None:
    runtime = ProcessRuntime(root, ports=Ports(21500, 21999))
    one, two = await asyncio.gather(
        runtime.start(ONE, shadow(), deadline=soon()), runtime.start(TWO, shadow(), deadline=soon())
    )
    assert one.address.port != two.address.port
    full = ProcessRuntime(root, ports=Ports(one.address.port, one.address.port))
    await runtime.ready(one, shadow())
    with pytest.raises(UnavailableError, match="are in use"):
        await full.start(ONE + "b", shadow(), deadline=soon())  # type: ignore[arg-type]
    for started in (one, two):
        await runtime.stop(started.handle, shadow())
    assert not runtime._ports.held()


async def test_old_folders_of_ended_shadows_go(
    runtime: ProcessRuntime, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds_server.runtime.process.KEEP_ENDED", 2)
    for number in range(4):
        started = await runtime.start(f"{ONE}{number}", shadow(), deadline=soon())  # type: ignore[arg-type]
        await runtime.stop(started.handle, shadow())
    await runtime.sweep(())
    assert [folder.instance for folder in Folder.all(root)] == [f"{ONE}3", f"{ONE}2"]


def _status(runtime: ProcessRuntime, key: str) -> int:
    return int(json.loads((runtime._root / ONE / "status.json").read_text())[key])
