"""Faults of the infrastructure: pause, kill, lower limits; on the shadow only, and always lifted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.docker.conftest import CATALOGUE, Start, ask, runtime_on, soon, spec
from tests.docker.engines import DockerEngine
from tests.envoy.stack import NETWORK, Stack, until
from xds_server.errors import InvalidError, RuntimeFailedError, UnavailableError
from xds_server.runtime.base import CALM, Disturbance, Ending, Started
from xds_server.runtime.docker import guard
from xds_server.runtime.docker.runtime import DockerRuntime

MIB = 1024 * 1024
PAUSED, DOWN = Disturbance(paused=True), Disturbance(down=True)


async def answers(started: Started, *, within: float = 1.0) -> bool:
    try:
        await ask(started, "/", timeout=within)
    except httpx.HTTPError:
        return False
    return True


async def until_it_answers(started: Started) -> None:
    async with asyncio.timeout(30.0):
        while not await answers(started):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)


async def test_a_paused_shadow_stands_still_and_goes_on_afterwards(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    waiting = asyncio.create_task(runtime.wait(started.handle))
    await runtime.disturb(started.handle, spec(), before=CALM, after=PAUSED)
    assert not await answers(started)
    await runtime.disturb(started.handle, spec(), before=PAUSED, after=CALM)
    await until_it_answers(started)
    assert not waiting.done()
    waiting.cancel()


async def test_a_pause_ends_by_itself_without_a_manager_or_an_engine(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start()
    ends = datetime.now(UTC) + timedelta(seconds=8.0)
    await runtime.disturb(started.handle, spec(), before=CALM, after=Disturbance(paused=True, pause_ends=ends))
    clean.kill()
    try:
        assert not await answers(started)
        await until_it_answers(started)
    finally:
        clean.start()


def for_seconds(seconds: float) -> Disturbance:
    return Disturbance(paused=True, pause_ends=datetime.now(UTC) + timedelta(seconds=seconds))


async def test_the_end_of_an_earlier_pause_leaves_a_later_one_alone(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    first, second = for_seconds(3.0), for_seconds(600.0)
    await runtime.disturb(started.handle, spec(), before=CALM, after=first)
    await runtime.disturb(started.handle, spec(), before=first, after=CALM)
    await runtime.disturb(started.handle, spec(), before=CALM, after=second)
    await asyncio.sleep(4.0)
    assert not await answers(started)
    await runtime.disturb(started.handle, spec(), before=second, after=CALM)
    await until_it_answers(started)


async def test_pauses_that_were_lifted_leave_no_process_in_the_guard(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start()
    with clean.client() as client:

        def processes() -> int:
            return len(client.top(started.handle["guard"])["Processes"])

        for _ in range(40):  # more than a guard may have
            paused = for_seconds(600.0)
            await runtime.disturb(started.handle, spec(), before=CALM, after=paused)
            await runtime.disturb(started.handle, spec(), before=paused, after=CALM)
        await until_it_answers(started)
        async with asyncio.timeout(10.0):
            while processes() > 2:  # its shell and its sleep  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)


async def test_a_pause_that_is_prolonged_does_not_end_when_it_first_would(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    first, second = for_seconds(1.0), for_seconds(600.0)
    await runtime.disturb(started.handle, spec(), before=CALM, after=first)
    await runtime.disturb(started.handle, spec(), before=first, after=second)
    await asyncio.sleep(3.0)
    assert not await answers(started)


async def test_pauses_that_meet_leave_what_was_wanted_last(start: Start, runtime: DockerRuntime) -> None:
    started = await start()
    handle = started.handle
    for seconds in (0.05, 0.3):
        await asyncio.gather(
            *(runtime.disturb(handle, spec(), before=CALM, after=for_seconds(seconds)) for _ in range(3)),
            *(runtime.disturb(handle, spec(), before=PAUSED, after=CALM) for _ in range(2)),
        )
        await runtime.disturb(handle, spec(), before=CALM, after=PAUSED)
        await asyncio.sleep(0.5)
        assert not await answers(started)
        await runtime.disturb(handle, spec(), before=PAUSED, after=CALM)
        await until_it_answers(started)


async def test_a_paused_shadow_ends_at_its_deadline(start: Start, runtime: DockerRuntime) -> None:
    started = await start(deadline=soon(10.0))
    await runtime.disturb(started.handle, spec(), before=CALM, after=PAUSED)
    end = await asyncio.wait_for(runtime.wait(started.handle), 25.0)
    assert end.ending is Ending.DEADLINE


async def test_a_paused_shadow_can_be_ended(start: Start, runtime: DockerRuntime, clean: DockerEngine) -> None:
    started = await start()
    await runtime.disturb(started.handle, spec(), before=CALM, after=PAUSED)
    await runtime.stop(started.handle, spec())
    assert clean.containers() == []


async def test_a_killed_shadow_is_down_and_then_started_again_at_the_same_address(
    start: Start, runtime: DockerRuntime
) -> None:
    started = await start()
    waiting = asyncio.create_task(runtime.wait(started.handle))
    await runtime.disturb(started.handle, spec(), before=CALM, after=DOWN)
    await asyncio.sleep(1.5)
    assert not await answers(started)
    assert not waiting.done(), "that it is down is no news"
    assert (await runtime.inspect(started.handle)).alive
    await runtime.disturb(started.handle, spec(), before=DOWN, after=CALM)
    await until_it_answers(started)
    assert not (await ask(started, "/connect", host="192.0.2.1", port=80))["connected"], "egress is as it was"
    found = await runtime.usage(started.handle)
    assert found is not None
    assert found.restarts == 1
    assert not waiting.done()
    waiting.cancel()


async def test_a_successor_lifts_what_its_predecessor_did(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start()
    await runtime.disturb(started.handle, spec(), before=CALM, after=DOWN)
    successor = runtime_on(clean)
    await successor.disturb(started.handle, spec(), before=DOWN, after=DOWN)
    assert (await successor.adopt(started.handle)).alive
    await successor.disturb(started.handle, spec(), before=DOWN, after=CALM)
    await until_it_answers(started)
    successor._engine.close()


async def test_a_shadow_that_is_down_has_ended_when_its_guard_has(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start()
    await runtime.disturb(started.handle, spec(), before=CALM, after=DOWN)
    with clean.client() as client:
        client.kill(started.handle["guard"])
    end = await asyncio.wait_for(runtime.wait(started.handle), 10.0)
    assert end.ending is Ending.LOST


async def test_a_kill_that_the_engine_refuses_does_not_hide_a_later_end(
    start: Start, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeFailedError("its guard could not run it")

    started = await start()
    monkeypatch.setattr(guard, "pause", refuse)
    with pytest.raises(RuntimeFailedError):
        await runtime.disturb(started.handle, spec(), before=Disturbance(), after=PAUSED)
    monkeypatch.setattr(type(runtime._engine), "call", away)
    with pytest.raises(UnavailableError):
        await runtime.disturb(started.handle, spec(), before=CALM, after=DOWN)
    monkeypatch.undo()
    await runtime.disturb(started.handle, spec(), before=DOWN, after=CALM)
    with pytest.raises(httpx.HTTPError):
        await ask(started, "/leave", code=3)
    end = await asyncio.wait_for(runtime.wait(started.handle), 10.0)
    assert end.exit_code == 3


async def away(*_: object, **__: object) -> None:
    raise UnavailableError("no answer")


async def test_rules_that_went_with_a_guard_started_by_hand_keep_a_killed_shadow_down(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    started = await start()
    await runtime.disturb(started.handle, spec(), before=CALM, after=DOWN)
    with clean.client() as client:
        client.restart(started.handle["guard"], timeout=0)
    with pytest.raises(RuntimeFailedError, match="guard could not run"):
        await runtime.disturb(started.handle, spec(), before=DOWN, after=CALM)


async def test_limits_are_lowered_and_raised_again(start: Start, runtime: DockerRuntime) -> None:
    own = spec(cpus=1.0, memory=256 * MIB)
    started = await start(own)
    stress = Disturbance(cpus=0.1, memory=64 * MIB)
    await runtime.disturb(started.handle, own, before=CALM, after=stress)
    before = await runtime.usage(started.handle)
    await ask(started, "/burn", seconds=1.0)
    during = await runtime.usage(started.handle)
    assert before is not None
    assert during is not None
    assert during.memory_limit == 64 * MIB
    assert (during.throttled_seconds or 0.0) - (before.throttled_seconds or 0.0) > 0.3
    await runtime.disturb(started.handle, own, before=stress, after=CALM)
    after = await runtime.usage(started.handle)
    assert after is not None
    assert after.memory_limit == 256 * MIB


@pytest.mark.parametrize(
    ("stress", "field"), [(Disturbance(cpus=1.0), "cpus"), (Disturbance(memory=1 << 40), "memory")]
)
async def test_a_limit_that_is_no_less_is_refused(
    start: Start, runtime: DockerRuntime, stress: Disturbance, field: str
) -> None:
    started = await start()
    with pytest.raises(InvalidError, match=rf"faultInjectionParameters\.stress\.{field}: .* no less"):
        await runtime.disturb(started.handle, spec(), before=CALM, after=stress)


# The same by REST, on the real Envoy, with clients.


async def inject(stack: Stack, instance: str, parameters: dict[str, Any], duration: str | None = None) -> Any:
    body = {"instanceID": instance, "faultInjectionParameters": parameters} | (
        {"duration": duration} if duration else {}
    )
    return await stack.acall("POST", f"/networks/{NETWORK}/shadowing/inject_fault", body)


async def shadow_answers(instance: dict[str, Any]) -> bool:
    address = instance["address"]
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            found = await client.get(f"http://{address['address']}:{address['port']}/healthz", timeout=1.0)
        except httpx.HTTPError:
            return False
    return found.is_success


async def silent(instance: dict[str, Any]) -> bool:
    return not await shadow_answers(instance)


@pytest.mark.timeout(240)
async def test_faults_of_the_instance_are_lifted_also_by_the_next_manager_and_no_client_notices(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(variants=[CATALOGUE])
        (instance,) = profile["instances"]
        one = instance["instanceID"]
        await stack.mirroring(one)

        fault = await inject(stack, one, {"pause": {}}, "8s")
        assert fault["summary"] == "pauses the instance"
        assert await silent(instance)
        await until(lambda: shadow_answers(instance), "the pause is over")

        await inject(stack, one, {"kill": {}})
        await until(lambda: silent(instance), "it is killed")
        await until(lambda: shadow_answers(instance), "it is started again")

        kept = await inject(stack, one, {"kill": {}}, "10m")
        await until(lambda: silent(instance), "it is killed")
        stack.kill(stack.manager)
        stack.start_manager()
        assert await silent(instance)
        ((now,),) = [p["instances"] for p in (await stack.status())["profiles"]]
        assert now["status"] == "Running"
        await stack.acall("DELETE", f"/networks/{NETWORK}/shadowing/faults/{kept['faultID']}")
        await until(lambda: shadow_answers(instance), "it is started again")

        await inject(stack, one, {"kill": {}}, "8s")
        await until(lambda: silent(instance), "it is killed")
        stack.kill(stack.manager)
        await asyncio.sleep(8.5)
        assert await silent(instance)
        stack.start_manager()
        await until(lambda: shadow_answers(instance), "the next manager starts it again")

        answer = await asyncio.to_thread(
            stack.ask,
            "POST",
            f"/networks/{NETWORK}/shadowing/inject_fault",
            {"instanceID": one, "faultInjectionParameters": {"stress": {"cpus": 8}}},
        )
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "faultInjectionParameters.stress.cpus"
        ((now,),) = [p["instances"] for p in (await stack.status())["profiles"]]
        assert now["faults"] == []
        await stack.further(clients, 50)
        await stack.delete(profile)
