"""The disk of the state is full, or somebody spoils the database: it is said, and clients and copies go on."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.theatre import Theatre
from tests.envoy.stack import JSON, until, wait_for
from xds_server.stage.mesh import shadowmesh

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

PROFILES = "/networks/shop/shadowing/profiles"
OFF_WITHIN = 3.0
"""Seconds after which no copy comes any more when somebody has ended the mirroring."""
TTL_WITHIN = 5.0
"""Seconds after the end of a TTL after which no copy comes any more."""
MANY = 3000
"""More networks than the disk has room for."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Theatre]:
    stage = Theatre(tmp_path)
    try:
        stage.open()
        if not stage.disk:
            pytest.skip("a small disk of our own could not be mounted (mount -t tmpfs needs the right to)")
        yield stage
    finally:
        stage.free_disk()
        stage.close()


def run(stage: Theatre, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = shadowmesh(arguments[0], "--state", str(stage.state), *arguments[1:])
    return subprocess.run(
        command, env=stage.household.environment(), capture_output=True, text=True, check=False, timeout=60
    )


def a_network(stage: Theatre, number: int) -> JSON:
    labels = {f"k{each}": "x" * 60 for each in range(60)}
    return {"name": f"n{number}", "components": [stage.component("catalog")], "labels": labels}


def refused(answer: httpx.Response) -> JSON:
    """Return the problem document of a write that the store did not take."""
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: JSON = answer.json()
    assert problem["type"] == "urn:shadowmesh:problems:store"
    assert problem["hint"]
    return problem


def instance_of(profile: JSON) -> str:
    (instance,) = profile["instances"]
    return str(instance["instanceID"])


async def goes_on(stage: Theatre, clients: Any, instance: str) -> None:
    """Wait until more copies have come to a shadow, of new requests."""
    await stage.further(clients, 100)
    await stage.mirroring(instance, beyond=stage.proxy.copies(instance) + 50)


async def fill_up(stage: Theatre) -> list[str]:
    """Fill the disk, and the room that the database has in its own files; return what was still accepted."""
    stage.fill_disk()
    accepted = []
    for number in range(MANY):
        answer = await asyncio.to_thread(stage.ask, "POST", "/networks", a_network(stage, number))
        if not answer.is_success:
            problem = refused(answer)
            assert "full" in problem["detail"]
            assert "room" in problem["hint"]
            return accepted
        accepted.append(f"n{number}")
    raise AssertionError("the disk did not get full")


async def test_a_full_disk_refuses_what_adds_and_nothing_else_and_room_is_all_that_it_takes(stage: Theatre) -> None:
    before = stage.manager.process.pid
    async with stage.traffic() as clients:
        profile = await stage.create(name="kept")
        instance = instance_of(profile)
        path = f"{PROFILES}/{profile['profileID']}"
        accepted = await fill_up(stage)
        fault = {"instanceID": instance, "faultInjectionParameters": {"abort": {"httpStatus": 503, "percentage": 100}}}
        for method, where, body in (
            ("POST", "/networks/shop/shadowing/create", stage.profile_body(name="new", trafficShadowingPercentage=0.0)),
            ("PATCH", path, {"shadowInstanceTTL": "2h"}),
            ("PATCH", path, {"trafficShadowingPercentage": 0.0, "shadowInstanceTTL": "2h"}),
            ("POST", "/networks/shop/shadowing/inject_fault", fault),
        ):
            refused(await asyncio.to_thread(stage.ask, method, where, body))
        # Reads, xDS, mirroring, comparison go on; an Envoy that starts now gets everything.
        assert len((await stage.acall("GET", "/networks"))["items"]) == 1 + len(accepted)
        now = await stage.profile(profile["profileID"])
        assert (now["trafficShadowingPercentage"], now["revision"]) == (1.0, profile["revision"])
        await goes_on(stage, clients, instance)
        late = stage.start_envoy("late", listen={name: stage.household.free_port() for name in stage.listens})
        async with stage.traffic(proxy=late) as others:
            await stage.further(others, 100)
        assert late.copies(instance) > 0
        stage.end(late.child)
        # A shadow that ends meanwhile is ended, and its end is written later.
        (process,) = stage.processes()[instance]
        process.kill()

        async def failed() -> bool:
            (found,) = (await stage.profile(profile["profileID"]))["instances"]
            return bool(found["status"] == "Failed")

        await until(failed, "its end is seen")
        assert "full" in (await stage.status())["problem"]
        stage.free_disk()

        async def well() -> bool:
            return not (await stage.status())["problem"]

        await until(well, "its end is written")
        await stage.change(profile, trafficShadowingPercentage=0.5)
        second = await stage.create(name="second", trafficShadowingPercentage=0.3)
        await goes_on(stage, clients, instance_of(second))
        assert stage.manager.process.pid == before
        stage.kill(stage.manager)
        await asyncio.to_thread(stage.start_manager)
        networks = {network["name"] for network in (await stage.acall("GET", "/networks"))["items"]}
        assert networks == {"shop", *accepted}
        found = {p["name"]: p for p in (await stage.acall("GET", PROFILES))["items"]}
        assert set(found) == {"kept", "second"}
        assert found["kept"]["trafficShadowingPercentage"] == 0.5
        (dead,) = (await stage.profile(profile["profileID"]))["instances"]
        assert (dead["instanceID"], dead["status"]) == (instance, "Failed")
        assert "SIGKILL" in dead["reason"]
        await goes_on(stage, clients, instance_of(second))


def in_effect(answer: httpx.Response) -> JSON:
    """Return the problem document of a change that is in effect and that the store did not take."""
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: JSON = answer.json()
    assert problem["type"] == "urn:shadowmesh:problems:not-recorded"
    assert problem["applied"] is True
    assert "in effect now" in problem["detail"]
    assert "room" in problem["hint"]
    return problem


async def no_problem(stage: Theatre) -> None:
    """Wait until all that happened is on record."""

    async def well() -> bool:
        return not (await stage.status())["problem"]

    await until(well, "everything is on record")


async def told(stage: Theatre, profile: JSON) -> list[str]:
    """Return what the trail says of a profile, its instances apart."""
    query = f"/networks/shop/events?profile={profile['profileID']}&kind=profile"
    return [each["event"] for each in (await stage.acall("GET", query))["items"]]


async def test_mirroring_is_ended_at_once_on_a_full_disk_and_that_is_on_record_once_there_is_room(
    stage: Theatre,
) -> None:
    async with stage.traffic() as clients:
        profile = await stage.create(name="kept")
        instance, path = instance_of(profile), f"{PROFILES}/{profile['profileID']}"
        await goes_on(stage, clients, instance)
        await fill_up(stage)
        asked = time.monotonic()
        in_effect(await asyncio.to_thread(stage.ask, "PATCH", path, {"trafficShadowingPercentage": 0.0}))
        await stage.settled()
        last = stage.counted(instance)[1] - asked
        await stage.further(clients, 200)
        assert stage.counted(instance)[1] - asked < OFF_WITHIN, f"copies went on; {last:.2f} s when it was ACKed"
        now = await stage.profile(profile["profileID"])
        assert now["trafficShadowingPercentage"] == 0.0
        assert "in effect now" in (await stage.status())["problem"]
        # Asked again it says the same again; what would add is refused.
        in_effect(await asyncio.to_thread(stage.ask, "PATCH", path, {"trafficShadowingPercentage": 0.0}))
        refused(await asyncio.to_thread(stage.ask, "PATCH", path, {"trafficShadowingPercentage": 0.5}))
        stage.free_disk()
        await no_problem(stage)
        assert await told(stage, profile) == ["created", "changed"]
        stage.kill(stage.manager)
        await asyncio.to_thread(stage.start_manager)
        after = await stage.profile(profile["profileID"])
        assert (after["trafficShadowingPercentage"], after["revision"]) == (0.0, now["revision"])
        count = stage.counted(instance)[0]
        await stage.further(clients, 200)
        assert stage.counted(instance)[0] == count
        await stage.change(profile, trafficShadowingPercentage=1.0)
        await goes_on(stage, clients, instance)


async def test_a_deletion_on_a_full_disk_ends_the_shadow_at_once_and_is_on_record_once_there_is_room(
    stage: Theatre,
) -> None:
    async with stage.traffic() as clients:
        profile = await stage.create(name="going")
        instance = instance_of(profile)
        await goes_on(stage, clients, instance)
        await fill_up(stage)
        asked = time.monotonic()
        in_effect(await asyncio.to_thread(stage.ask, "DELETE", f"{PROFILES}/going"))
        assert stage.counted(instance)[1] - asked < OFF_WITHIN
        assert stage.processes() == {}
        assert (await stage.acall("GET", PROFILES))["items"] == []
        again = await asyncio.to_thread(stage.ask, "DELETE", f"{PROFILES}/going")
        if again.status_code != httpx.codes.NOT_FOUND:  # the files of the shadow are gone, which has made a little room
            in_effect(again)
        stage.free_disk()
        await no_problem(stage)
        other = await stage.create(name="going")

        async def gone() -> bool:
            return await told(stage, profile) == ["created", "deleted", "gone"]

        await until(gone, "the trail tells of its end")
        stage.kill(stage.manager)
        await asyncio.to_thread(stage.start_manager)
        (found,) = (await stage.acall("GET", PROFILES))["items"]
        assert found["profileID"] == other["profileID"]
        await goes_on(stage, clients, instance_of(other))


async def test_the_end_of_a_ttl_and_of_a_fault_wait_for_no_room_on_the_disk(stage: Theatre) -> None:
    async with stage.traffic() as clients:
        begun = time.monotonic()
        profile = await stage.create(name="short", shadowInstanceTTL="20s")
        instance = instance_of(profile)
        fault = {"abort": {"httpStatus": 503, "percentage": 100}}
        body = {"instanceID": instance, "faultInjectionParameters": fault, "duration": "8s"}
        await stage.acall("POST", "/networks/shop/shadowing/inject_fault", body)
        await fill_up(stage)

        async def lifted() -> bool:
            return not (await stage.acall("GET", "/networks/shop/shadowing/faults"))["items"]

        await until(lifted, "the fault is lifted")
        await goes_on(stage, clients, instance)
        assert (await stage.ended(profile))["reason"] == "its time to live was over"
        await stage.further(clients, 200)
        assert stage.counted(instance)[1] - begun < 20 + TTL_WITHIN
        assert "full" in (await stage.status())["problem"]
        stage.free_disk()
        await no_problem(stage)


@pytest.mark.parametrize("how", ["killed", "ended"])
async def test_a_manager_starts_on_a_full_disk_and_serves_what_was_on_record(stage: Theatre, how: str) -> None:
    async with stage.traffic() as clients:
        profile = await stage.create(name="kept")
        instance, path = instance_of(profile), f"{PROFILES}/{profile['profileID']}"
        await goes_on(stage, clients, instance)
        if how == "killed":
            await fill_up(stage)
            in_effect(await asyncio.to_thread(stage.ask, "PATCH", path, {"trafficShadowingPercentage": 0.0}))
            stage.kill(stage.manager)
        else:
            assert await asyncio.to_thread(stage.end, stage.manager) == 0
            assert not (stage.state / "shadowmesh.db-shm").exists()
        stage.fill_disk()
        await asyncio.to_thread(stage.start_manager)
        assert "room" in (await stage.acall("GET", "/readyz")).get("problem", "") or how == "killed"
        late = stage.start_envoy("late", listen={name: stage.household.free_port() for name in stage.listens})
        async with stage.traffic(proxy=late) as others:
            await stage.further(others, 100)
        body = stage.profile_body(name="new", trafficShadowingPercentage=0.0)
        refused(await asyncio.to_thread(stage.ask, "POST", "/networks/shop/shadowing/create", body))
        assert "full" in (await stage.acall("GET", "/readyz"))["problem"]
        now = await stage.profile(profile["profileID"])
        # As the answer said: what was not on record is forgotten, and mirroring is back.
        assert now["trafficShadowingPercentage"] == 1.0
        if how == "killed":
            assert instance_of(now) == instance
            await goes_on(stage, clients, instance)
        stage.end(late.child)
        stage.free_disk()
        body = stage.profile_body(name="second", trafficShadowingPercentage=0.0)
        await stage.acall("POST", "/networks/shop/shadowing/create", body)
        assert await stage.acall("GET", "/readyz") == {"status": "ready"}


def overwrite(database: Path) -> None:
    database.write_bytes(b"this is something else\n" * 4000)


def damage(database: Path) -> None:
    whole = bytearray(database.read_bytes())
    for page in range(1, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    database.write_bytes(whole)


@pytest.mark.parametrize("spoil", [overwrite, damage])
async def test_a_database_that_is_damaged_at_the_start_is_refused_and_restored_with_its_shadow_still_running(
    stage: Theatre, spoil: Callable[[Path], None]
) -> None:
    database, copy = stage.state / "shadowmesh.db", stage.folder / "backup.db"
    async with stage.traffic() as clients:
        profile = await stage.create()
        instance = instance_of(profile)
        await goes_on(stage, clients, instance)
        processes = stage.processes()
        stage.kill(stage.manager)
        saved = await asyncio.to_thread(run, stage, "backup", str(copy))
        assert saved.returncode == 0, saved.stderr
        assert not database.with_name("shadowmesh.db-wal").exists()  # nobody uses it: all is in the one file
        spoil(database)
        ports = ["--http-port", str(stage.http), "--xds-port", str(stage.xds), "--engine-port", str(stage.engine)]
        done = await asyncio.to_thread(run, stage, "serve", *ports)
        assert done.returncode == 1
        (told,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert str(database) in told
        assert "shadowmesh restore" in told
        await stage.further(clients, 100)
        assert stage.processes() == processes
        restored = await asyncio.to_thread(run, stage, "restore", str(copy))
        assert restored.returncode == 0, restored.stderr
        await asyncio.to_thread(stage.start_manager)
        assert instance_of(await stage.profile(profile["profileID"])) == instance
        assert stage.processes() == processes
        await goes_on(stage, clients, instance)


def delete(database: Path) -> None:
    database.unlink()


def cut(database: Path) -> None:
    os.truncate(database, 0)


def replace(database: Path) -> None:
    fresh = database.with_name("fresh")
    fresh.write_bytes(database.read_bytes())
    fresh.replace(database)


@pytest.mark.parametrize(("spoil", "told"), [(delete, "deleted"), (cut, "cut"), (replace, "replaced")])
async def test_a_database_spoilt_in_use_refuses_writes_and_says_so_while_copies_go_on(
    stage: Theatre, spoil: Callable[[Path], None], told: str
) -> None:
    database, copy = stage.state / "shadowmesh.db", stage.folder / "backup.db"
    async with stage.traffic() as clients:
        profile = await stage.create()
        instance, path = instance_of(profile), f"{PROFILES}/{profile['profileID']}"
        await asyncio.sleep(6)  # two rounds of comparisons: the size of the file is known
        saved = await asyncio.to_thread(run, stage, "backup", str(copy))
        assert saved.returncode == 0, saved.stderr
        spoil(database)
        problem = refused(await asyncio.to_thread(stage.ask, "PATCH", path, {"shadowInstanceTTL": "2h"}))
        assert told in problem["detail"]
        assert "shadowmesh restore" in problem["hint"]
        assert (await stage.profile(profile["profileID"]))["trafficShadowingPercentage"] == 1.0
        await goes_on(stage, clients, instance)
        refusal = await asyncio.to_thread(run, stage, "restore", str(copy))
        assert refusal.returncode == 4
        assert await asyncio.to_thread(stage.end, stage.manager) == 0
        wait_for(lambda: not stage.processes(), "its shadow is ended")
        restored = await asyncio.to_thread(run, stage, "restore", str(copy))
        assert restored.returncode == 0, restored.stderr
        await asyncio.to_thread(stage.start_manager)
        (found,) = (await stage.profile(profile["profileID"]))["instances"]
        assert (found["instanceID"], found["status"]) == (instance, "Failed")
        changed = await stage.change(profile, trafficShadowingPercentage=0.5)
        assert changed["trafficShadowingPercentage"] == 0.5
