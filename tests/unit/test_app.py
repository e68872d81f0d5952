"""The composition root: ports, locks, and what a failed start leaves behind. The parts are the real ones."""

import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import psutil
import pytest

from api import examples
from xds_server.app import Told, manager, reachable
from xds_server.config import EngineSettings, HttpSettings, Settings, XdsSettings
from xds_server.errors import ConflictError, StoreError
from xds_server.takeover import LOCK, REQUEST, SIGNAL, take_over, wanted


def settings(state: Path, **parts: object) -> Settings:
    defaults: dict[str, object] = {
        "http": HttpSettings(port=0),
        "xds": XdsSettings(port=0),
        "engine": EngineSettings(port=0, spawn=False),
    }
    return Settings(state=state, **{**defaults, **parts})


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


async def test_the_manager_answers_on_the_ports_it_names(tmp_path: Path) -> None:
    async with manager(settings(tmp_path)) as ports, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{ports['http']}/readyz")
        assert answer.status_code == 200
        socket.create_connection(("127.0.0.1", ports["xds"]), timeout=5).close()


async def test_a_rest_port_in_use_is_a_conflict_that_names_the_flag(tmp_path: Path, taken: int) -> None:
    with pytest.raises(ConflictError, match=f"{taken}.*--http-port"):
        async with manager(settings(tmp_path, http=HttpSettings(port=taken))):
            pass


async def test_metrics_show_the_streams_and_the_process(tmp_path: Path) -> None:
    async with manager(settings(tmp_path)) as ports, httpx.AsyncClient() as client:
        printed = (await client.get(f"http://127.0.0.1:{ports['http']}/metrics")).text
    assert "# TYPE shadowmesh_xds_responses_total counter" in printed
    assert "process_resident_memory_bytes" in printed


async def test_an_xds_port_in_use_is_a_conflict_that_names_the_flag(tmp_path: Path, taken: int) -> None:
    with pytest.raises(ConflictError, match=f"{taken}.*--xds-port"):
        async with manager(settings(tmp_path, xds=XdsSettings(port=taken))):
            pass


async def test_an_engine_port_in_use_is_a_conflict_that_names_the_flag_and_frees_the_state_again(
    tmp_path: Path, taken: int
) -> None:
    with pytest.raises(ConflictError, match=f"{taken}.*--engine-port"):
        async with manager(settings(tmp_path, engine=EngineSettings(port=taken))):
            pass
    async with manager(settings(tmp_path)):
        pass


async def test_a_start_that_fails_keeps_the_shadows_that_it_found(tmp_path: Path, taken: int) -> None:
    body: dict[str, object] = {
        "name": "catalog-v2",
        "componentName": "catalog",
        "trafficShadowingPercentage": 0.5,
        "shadowInstanceTTL": "10m",
        "variants": [{"name": "v2", "endpoint": {"address": "127.0.0.1", "port": taken}}],
    }
    path = "/networks/shop/shadowing"
    async with manager(settings(tmp_path, keep_shadows=True)) as ports, _client(ports) as client:
        assert (await client.post("/networks", json=examples.NETWORK)).status_code == 201
        assert (await client.post(f"{path}/create", json=body)).status_code == 201
        await _status(client, f"{path}/profiles/catalog-v2", "Running")
    with pytest.raises(ConflictError):
        async with manager(settings(tmp_path, engine=EngineSettings(port=taken))):
            pass
    async with manager(settings(tmp_path)) as ports, _client(ports) as client:
        await _status(client, f"{path}/profiles/catalog-v2", "Running")


def _client(ports: dict[str, int]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['http']}")


async def _status(client: httpx.AsyncClient, path: str, wanted: str) -> None:
    async with asyncio.timeout(20):
        while True:
            (instance,) = (await client.get(path)).json()["instances"]
            if instance["status"] == wanted:
                return
            assert instance["status"] == "Pending", instance
            await asyncio.sleep(0.05)


async def test_a_second_manager_on_the_same_state_is_refused(tmp_path: Path) -> None:
    async with manager(settings(tmp_path)):
        with pytest.raises(StoreError, match="another manager"):
            async with manager(settings(tmp_path)):
                pass


async def test_the_engine_is_a_child_that_is_started_again_and_ends_with_the_manager(tmp_path: Path) -> None:
    async with manager(settings(tmp_path, engine=EngineSettings(port=0))) as ports:
        await _listens(ports["engine"])
        first = _engine(tmp_path)
        psutil.Process(first).kill()
        async with asyncio.timeout(20):
            while _engine(tmp_path) == first:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.05)
        await _listens(ports["engine"])
        second = psutil.Process(_engine(tmp_path))
    assert not second.is_running()


def _engine(state: Path) -> int:
    return int(orjson.loads((state / "engine" / "process.json").read_bytes())["pid"])


async def _listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("127.0.0.1", "127.0.0.1:7"),
        ("0.0.0.0", "127.0.0.1:7"),
        ("::", "[::1]:7"),
        ("10.1.2.3", "10.1.2.3:7"),
        ("localhost", "localhost:7"),
    ],
)
def test_a_neighbour_reaches_what_listens_everywhere_over_loopback(address: str, reached: str) -> None:
    assert reachable(address, 7) == reached


async def test_a_client_that_never_sends_the_end_of_its_body_does_not_keep_the_manager_from_stopping(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(60.0):
        async with manager(settings(tmp_path)) as ports:
            async with httpx.AsyncClient() as client:
                await client.get(f"http://127.0.0.1:{ports['http']}/readyz")
            _, writer = await asyncio.open_connection("127.0.0.1", ports["http"])
            head = (
                "POST /networks HTTP/1.1",
                "host: localhost",
                "content-type: application/json",
                "content-length: 99",
            )
            writer.write(("\r\n".join(head) + "\r\n\r\n{").encode())
            await writer.drain()
            await asyncio.sleep(0.2)
        writer.close()


async def test_a_process_that_has_the_id_of_a_manager_that_was_killed_is_not_asked_to_hand_over(tmp_path: Path) -> None:
    victim = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
    lock = tmp_path / LOCK
    lock.write_text(f"{victim.pid} 1\n")
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="held by an unknown process"):
            await take_over(settings(tmp_path))
    await take_over(settings(tmp_path))
    assert victim.returncode is None
    victim.kill()
    await victim.wait()


def test_a_successor_is_waited_for_as_long_as_it_holds_its_request(tmp_path: Path) -> None:
    assert not wanted(tmp_path)
    with (tmp_path / REQUEST).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert wanted(tmp_path)
    assert not wanted(tmp_path)


async def test_nothing_is_handed_over_that_a_successor_would_undo() -> None:
    told = Told(lambda: True)
    told.unless = lambda: "not on record yet, of shop"
    os.kill(os.getpid(), SIGNAL)
    await asyncio.sleep(0.05)
    assert not told.hand_over
    told.unless = str
    os.kill(os.getpid(), SIGNAL)
    async with asyncio.timeout(5.0):
        await told.wait()
    assert told.hand_over
