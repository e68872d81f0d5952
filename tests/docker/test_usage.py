import asyncio
from contextlib import suppress

from tests.docker.conftest import ONE, Start, ask, runtime_on, soon, spec
from tests.docker.engines import DockerEngine
from xds_server.runtime.base import Ending, Life
from xds_server.runtime.docker.runtime import DockerRuntime

MIB = 1024 * 1024


async def test_cpu_memory_and_network_are_those_of_the_container(start: Start, runtime: DockerRuntime) -> None:
    started = await start(spec(memory=128 * MIB))
    before = await runtime.usage(started.handle)
    await ask(started, "/burn", seconds=0.5)
    await ask(started, "/eat", mib=30)
    after = await runtime.usage(started.handle)
    assert before is not None
    assert after is not None
    assert after.cpu_seconds - before.cpu_seconds > 0.2
    assert 25 * MIB < after.rss_bytes - before.rss_bytes < 60 * MIB
    assert after.memory_limit == 128 * MIB
    assert (after.received_bytes or 0) > (before.received_bytes or 0) > 0
    assert (after.sent_bytes or 0) > (before.sent_bytes or 0) > 0
    assert (after.restarts, after.oom_kills) == (0, 0)


async def test_a_cpu_limit_throttles(start: Start, runtime: DockerRuntime) -> None:
    started = await start(spec(cpus=0.2))
    await ask(started, "/burn", seconds=1.0)
    found = await runtime.usage(started.handle)
    assert found is not None
    assert (found.throttled_seconds or 0.0) > 0.2


async def test_a_kill_for_want_of_memory_is_seen_and_named(start: Start, runtime: DockerRuntime) -> None:
    started = await start(spec(memory=48 * MIB))
    waiting = asyncio.create_task(runtime.wait(started.handle))
    with suppress(Exception):  # it dies meanwhile
        await ask(started, "/eat", mib=200)
    end = await asyncio.wait_for(waiting, 10.0)
    assert (end.life, end.ending, end.signal) == (Life.EXITED, Ending.OWN, 9)
    assert end.describe() == ("killed by SIGKILL: out of memory: it needs more than its limit of 48Mi (docker.memory)")


async def test_a_child_that_was_killed_for_want_of_memory_is_counted(start: Start, runtime: DockerRuntime) -> None:
    started = await start(spec(memory=64 * MIB))
    assert (await ask(started, "/eat_apart", mib=200))["code"] == -9
    async with asyncio.timeout(10.0):
        while not ((found := await runtime.usage(started.handle)) and found.oom_kills):  # noqa: ASYNC110 - its own clock
            await asyncio.sleep(0.2)
    assert (await runtime.inspect(started.handle)).alive


async def test_a_fork_bomb_stays_within_its_limit_of_processes(start: Start, runtime: DockerRuntime) -> None:
    started = await start(spec(pids=20))
    made = (await ask(started, "/fork", count=200))["made"]
    assert 5 < made < 20


async def test_an_engine_that_hangs_or_is_gone_fails_no_shadow_that_answers(clean: DockerEngine) -> None:
    runtime = runtime_on(clean)
    started = await runtime.start(ONE, spec(), deadline=soon())
    await runtime.ready(started, spec())
    waiting = asyncio.create_task(runtime.wait(started.handle))
    clean.kill()
    await asyncio.sleep(3.0)
    assert not waiting.done()
    assert (await ask(started, "/who"))["uid"] == 65534
    assert await runtime.usage(started.handle) is None
    clean.start()
    # Without live-restore a new dockerd ends what it finds; with it, it does not.
    end = await asyncio.wait_for(waiting, 20.0)
    assert end.ending is Ending.LOST
    await runtime.stop(started.handle, spec())
    runtime._engine.close()
