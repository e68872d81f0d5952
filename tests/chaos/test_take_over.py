"""An upgrade: a new manager takes over from a running one, and neither an Envoy nor a shadow nor a client notices."""

import asyncio
import fcntl
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.envoy.stack import Stack, running, until, wait_for
from xds_server.stage.mesh import shadowmesh
from xds_server.takeover import DATABASE, LOCK, REQUEST

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]


CONFLICT = 4
"""Exit code."""
TAKES = 25.0
"""Seconds within which a take-over must be done on a busy machine, whatever is under way."""
IN_FLIGHT = 20
"""Requests that may be under way at the two moments that are compared, and copies that a delay holds back."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path, "--xds-runtime-ttl", "15") as made:  # as it is unless it is set
        yield made


async def test_an_upgrade_goes_unnoticed_and_every_copy_is_accounted_for(stack: Stack) -> None:
    async with stack.traffic() as clients:
        profile = await stack.create(match={"methods": ["GET", "HEAD", "OPTIONS", "POST"]})
        (instance,) = profile["instances"]
        one = instance["instanceID"]
        counter = f"cluster.shadow-in-{one}.upstream_rq_total"
        await stack.mirroring(one, beyond=100)
        await stack.acall(
            "POST",
            "/networks/shop/shadowing/inject_fault",
            {"instanceID": one, "faultInjectionParameters": {"delay": {"fixedDelay": "10ms", "percentage": 10}}},
        )
        await stack.settled()
        before = stack.proxy.updates()
        sent, copied = clients.tally.requests, stack.proxy.stat(counter)
        (shadow,) = stack.shadows()
        engine = stack.engine_pid
        for _ in range(3):
            await asyncio.to_thread(take_over, stack)
            copies = stack.proxy.copies(one)
            await stack.settled()
            await stack.mirroring(one, beyond=copies + 50)
        assert stack.proxy.updates() == before, "no listener, route table or cluster was touched"
        assert shadow.is_running()
        assert stack.engine_pid == engine
        ((now,),) = [p["instances"] for p in (await stack.status())["profiles"]]
        assert (now["instanceID"], now["status"], len(now["faults"])) == (one, "Running", 1)
        # All of the requests are mirrored, and were so all the time.
        sent, copied = clients.tally.requests - sent, stack.proxy.stat(counter) - copied
        assert abs(sent - copied) <= IN_FLIGHT
        await stack.change(profile, trafficShadowingPercentage=0.0)
        await stack.quiet(clients, one)

    async def all_of_it() -> bool:
        found = await stack.comparison(profile)
        known = found["pairs"] + sum(found["lost"].values()) + sum(found.get("notJudged", {}).values())
        return bool(known >= stack.proxy.copies(one))

    await until(all_of_it, "each copy is compared or counted as lost")


def take_over(stack: Stack) -> None:
    """Start a manager that takes over; returns when the old one is gone and the new one is ready."""
    old = stack.manager
    stack.household.children.remove(old)
    stack.start_manager("--take-over")  # while the old one answers, that it is ready says nothing
    assert old.process.wait(TAKES) == 0
    wait_for(lambda: stack.manager.alive and ready(stack), "the new manager is ready")


def ready(stack: Stack) -> bool:
    try:
        return stack.ask("GET", "/readyz").is_success
    except httpx.HTTPError:
        return False


async def test_without_a_manager_to_take_over_from_it_just_starts(stack: Stack) -> None:
    stack.end(stack.manager)
    stack.start_manager("--take-over")
    assert (await stack.status())["profiles"] == []


async def test_a_manager_that_hangs_is_not_taken_over_and_goes_on(stack: Stack) -> None:
    async with stack.traffic():
        profile = await stack.create()
        one = profile["instances"][0]["instanceID"]
        await stack.mirroring(one)
        (shadow,) = stack.shadows()
        stack.manager.process.send_signal(signal.SIGSTOP)
        try:
            done = await refused(stack)
            assert done.code == CONFLICT
            assert f"process id {stack.manager.process.pid} has not let go within 30 s, and goes on" in done.told
        finally:
            stack.manager.process.send_signal(signal.SIGCONT)
        # It was asked, but nobody waits any more by the time that it hears of it.
        copies = stack.proxy.copies(one)
        await stack.mirroring(one, beyond=copies + 50)
        assert stack.manager.alive
        assert stack.shadows() == [shadow]


async def test_a_successor_that_is_killed_leaves_the_manager_that_it_asked(stack: Stack) -> None:
    async with stack.traffic():
        profile = await stack.create()
        one = profile["instances"][0]["instanceID"]
        await stack.mirroring(one)
        (shadow,), before = stack.shadows(), stack.proxy.updates()
        for _ in range(3):
            second = await asyncio.create_subprocess_exec(*successor(stack), env=stack.household.environment())
            lines = len(stack.manager.tail(10_000))

            async def said(what: str, since: int = lines) -> bool:
                return any(what in line for line in stack.manager.tail(10_000)[since:])

            # A successor that is killed after the old one is gone leaves none: it is looked for often.
            async with asyncio.timeout(30):
                while not await said("handing over"):  # noqa: ASYNC110 - a line of a log
                    await asyncio.sleep(0.005)
            second.kill()
            await second.wait()
            await until(partial(said, "this one goes on"), "the manager sees that nobody is there")
            await asyncio.to_thread(wait_for, lambda: ready(stack), "the manager is back")
            copies = stack.proxy.copies(one)
            await stack.settled()
            await stack.mirroring(one, beyond=copies + 50)
        assert stack.manager.alive
        assert stack.shadows() == [shadow]
        assert stack.proxy.updates() == before, "no listener, route table or cluster was touched"


async def test_a_shadow_that_does_not_end_holds_up_no_upgrade(stack: Stack) -> None:
    stubborn = (
        "import http.server, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "http.server.ThreadingHTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    version = stack.version()
    version["process"] |= {
        "command": [sys.executable, "-c", stubborn],
        "stopTimeout": "40s",
        "readiness": {"path": "/"},
    }
    async with stack.traffic() as clients:
        profile = await stack.create(variants=[version])
        path = f"/networks/shop/shadowing/profiles/{profile['profileID']}"
        deletion = asyncio.create_task(asyncio.to_thread(stack.ask, "DELETE", path))
        await stack.quiet(clients, profile["instances"][0]["instanceID"])
        begin = time.monotonic()
        await asyncio.to_thread(take_over, stack)
        assert time.monotonic() - begin < TAKES
        await asyncio.gather(deletion, return_exceptions=True)

        async def gone() -> bool:
            return (await stack.status())["profiles"] == [] and stack.shadows() == []

        await until(gone, "the new manager finishes the deletion", seconds=60)


@pytest.mark.parametrize("why", ["port", "engine", "newer", "damaged", "nodes"])
async def test_a_manager_that_could_not_work_does_not_ask(stack: Stack, why: str) -> None:
    profile = await stack.create()
    flags, words = await asyncio.to_thread(spoil, stack, why)
    done = await refused(stack, *flags)
    assert done.code != 0
    assert words in done.told
    assert not any("handing over" in line for line in stack.manager.tail(10_000))
    assert (await stack.profile(profile["profileID"]))["instances"][0]["status"] == "Running"
    if why == "newer":
        with closing(sqlite3.connect(stack.folder / "state" / DATABASE)) as db, db:
            db.execute("DELETE FROM migrations WHERE version = 99")


def spoil(stack: Stack, why: str) -> tuple[list[str], str]:
    """Have something be so that a successor could not work; return its flags and what it has to say."""
    match why:
        case "port":
            return ["--http-port", str(stack.originals["catalog"])], "cannot listen on 127.0.0.1"
        case "engine":
            return ["--engine-port", str(stack.originals["catalog"])], "cannot listen on 127.0.0.1"
        case "newer":
            with closing(sqlite3.connect(stack.folder / "state" / DATABASE)) as db, db:
                db.execute("INSERT INTO migrations (version, name) VALUES (99, 'to come')")
            return [], "schema version 99"
        case "damaged":
            with closing(sqlite3.connect(stack.folder / "state" / DATABASE)) as db, db:
                db.execute("INSERT INTO networks (id, name, document) VALUES ('x', 'x', 'no document')")
            return [], "cannot be read"
        case _:
            nodes = stack.folder / "nodes.yaml"
            nodes.write_text("nodes: [{name: a}, {name: a}]")
            return ["--nodes", str(nodes)], "nodes"


async def test_where_two_take_over_the_second_is_refused(stack: Stack) -> None:
    with (stack.folder / "state" / REQUEST).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = await refused(stack)
    assert done.code == CONFLICT
    assert "another manager is taking over already" in done.told
    assert ready(stack)


async def test_a_manager_whose_lock_was_deleted_writes_no_more(stack: Stack) -> None:
    (stack.folder / "state" / LOCK).unlink()
    answer = await asyncio.to_thread(stack.ask, "POST", "/networks", stack.network_body() | {"name": "other"})
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "was deleted while it was in use" in answer.json()["detail"]
    assert "another manager may work on the same state" in answer.text
    stack.end(stack.manager)
    stack.start_manager()
    assert stack.ask("POST", "/networks", stack.network_body() | {"name": "shop"}).status_code == httpx.codes.CONFLICT


@dataclass(frozen=True)
class Done:
    code: int | None
    told: str


def successor(stack: Stack, *flags: str) -> list[str]:
    ports = ["--http-port", str(stack.http), "--xds-port", str(stack.xds), "--engine-port", str(stack.engine)]
    return shadowmesh("serve", "--take-over", "--state", str(stack.folder / "state"), *ports, *flags)


async def refused(stack: Stack, *flags: str) -> Done:
    """Start a manager that is to take over, and does not; return how it ended."""
    second = await asyncio.create_subprocess_exec(
        *successor(stack, *flags), env=stack.household.environment(), stderr=asyncio.subprocess.PIPE
    )
    _, told = await asyncio.wait_for(second.communicate(), 60.0)
    return Done(second.returncode, told.decode())
