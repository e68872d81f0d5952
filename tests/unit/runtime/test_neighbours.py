"""Whoever listens on a port is found by it: real processes of this machine."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.unit.runtime.conftest import ONE, soon
from xds_server.model.network import Address
from xds_server.model.profile import EndpointSpec
from xds_server.runtime.endpoint import EndpointRuntime
from xds_server.runtime.neighbours import AGAIN, Neighbour, Neighbours, local_address

BURN = """
import os, socket, sys, time
server = socket.create_server((sys.argv[1], int(sys.argv[2])), reuse_port=True)
for _ in range(int(sys.argv[3])):
    if not os.fork():
        ballast = bytearray(30_000_000)
        break
end = time.process_time() + 0.1
while time.process_time() < end:
    pass
print("up", flush=True)
time.sleep(60)
"""


class Elapsed:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def listening(port: int, *, host: str = "127.0.0.1", workers: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run a process that listens, burns 100 ms (and so does each of its workers), and does nothing more."""
    command = [sys.executable, "-I", "-S", "-c", BURN, host, str(port), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            for _ in range(workers + 1):
                assert process.stdout.readline() == "up\n"
            yield process
        finally:
            os.killpg(process.pid, 9)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def look(neighbours: Neighbours, port: int, address: str = "127.0.0.1") -> Neighbour:
    return await neighbours.at(Address(address, port))


async def test_a_process_is_found_by_its_port_and_measured(port: int) -> None:
    with listening(port) as process:
        found = await look(Neighbours(), port, "localhost")
        assert [root.pid for root in found.processes] == [process.pid]
        assert found.usage is not None
        assert 0.1 <= found.usage.cpu_seconds < 10
        assert 1e6 < found.usage.rss_bytes < 1e8


async def test_workers_count_with_the_process_that_forked_them(port: int) -> None:
    with listening(port, workers=2) as process:
        found = await look(Neighbours(), port)
        assert [root.pid for root in found.processes] == [process.pid]
        assert found.usage is not None
        assert found.usage.cpu_seconds >= 0.3
        assert found.usage.rss_bytes > 60e6


async def test_processes_that_share_a_port_count_together(port: int) -> None:
    with listening(port) as one, listening(port) as two:
        found = await look(Neighbours(), port)
        assert {root.pid for root in found.processes} == {one.pid, two.pid}
        assert found.usage is not None
        assert found.usage.cpu_seconds >= 0.2


async def test_one_that_listens_on_every_address_is_found_unless_another_has_the_exact_one(port: int) -> None:
    with listening(port, host="0.0.0.0") as every:
        assert [r.pid for r in (await look(Neighbours(), port)).processes] == [every.pid]
        with listening(port) as exact:
            assert [r.pid for r in (await look(Neighbours(), port)).processes] == [exact.pid]


async def test_a_process_that_has_ended_is_not_measured_and_its_successor_is_found(port: int) -> None:
    elapsed = Elapsed()
    neighbours = Neighbours(monotonic=elapsed)
    with listening(port) as first:
        assert [r.pid for r in (await look(neighbours, port)).processes] == [first.pid]
    elapsed.now += AGAIN / 3
    gone = await look(neighbours, port)
    assert (gone.usage, gone.reason) == (None, f"nothing listens at 127.0.0.1:{port} on this machine")
    with listening(port) as second:
        elapsed.now += AGAIN / 3
        assert [r.pid for r in (await look(neighbours, port)).processes] == [second.pid]


async def test_another_machine_and_the_manager_itself_are_not_measured() -> None:
    elsewhere = await look(Neighbours(), 80, "192.0.2.1")
    assert (elsewhere.usage, elsewhere.reason) == (None, "192.0.2.1:80 is not on this machine, as far as is known")
    assert "as far as is known" in (await look(Neighbours(), 80, "db.example")).reason
    with socket.create_server(("127.0.0.1", 0)) as mine:
        found = await look(Neighbours(), mine.getsockname()[1])
        assert found.usage is None
        assert "has started the manager" in found.reason


def test_addresses_of_this_machine_are_known_in_all_their_spellings() -> None:
    for text in ("127.0.0.1", "::ffff:127.0.0.1", "localhost", "::1", "127.3.2.1"):
        assert local_address(text) is not None, text
    assert local_address("example.com") is None


async def test_a_version_that_runs_already_is_measured_if_it_runs_here(port: int) -> None:
    runtime = EndpointRuntime()
    with listening(port):
        started = await runtime.start(ONE, EndpointSpec("127.0.0.1", port), deadline=soon())
        usage = await asyncio.wait_for(runtime.usage(started.handle), 10)
        assert usage is not None
        assert usage.cpu_seconds >= 0.1
    assert await runtime.usage({}) is None
