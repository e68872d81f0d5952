"""Versions that already run, and probes."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.unit.runtime.conftest import ONE, soon
from xds_server.config import NodeSettings, Settings
from xds_server.errors import InvalidError, RuntimeFailedError
from xds_server.model.network import Address
from xds_server.model.nodes import NodeEntry
from xds_server.model.profile import EndpointSpec, ProcessSpec, Readiness, SelfSpec
from xds_server.runtime.base import Life
from xds_server.runtime.endpoint import MISSES, EndpointRuntime
from xds_server.runtime.factory import make_fleet
from xds_server.runtime.fleet import Fleet, kind_of
from xds_server.runtime.probe import problem


@pytest.fixture
async def server() -> AsyncIterator[asyncio.Server]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        if b"/odd" in request:
            writer.write(b"\x00\xff" * 100_000)
        elif b"/slow" in request:
            await reader.read()
        elif b"/closed" not in request:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n" if b"/well" in request else b"HTTP/1.0 404\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield listening


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def test_it_is_alive_while_it_accepts_connections(server: asyncio.Server) -> None:
    runtime = EndpointRuntime(look=0.01)
    spec = EndpointSpec("127.0.0.1", port_of(server), Readiness(path="/well"))
    started = await runtime.start(ONE, spec, deadline=soon())
    await runtime.ready(started, spec)
    assert started.address == Address("127.0.0.1", port_of(server))
    assert (await runtime.adopt(started.handle)).alive
    await runtime.stop(started.handle, spec)
    assert await runtime.usage(started.handle) is None
    assert await runtime.sweep(()) == []
    waiting = asyncio.create_task(runtime.wait(started.handle))
    server.close()
    await server.wait_closed()
    ended = await asyncio.wait_for(waiting, 10.0)
    assert ended.failed
    assert ended.describe() == "does not answer: connection refused"


async def test_one_missed_look_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["refused"] * (MISSES - 1) + [""] + ["refused"] * MISSES)
    seen = []

    async def fake(_: Address) -> str:
        seen.append(next(answers))
        return seen[-1]

    monkeypatch.setattr("xds_server.runtime.endpoint.problem", fake)
    ended = await EndpointRuntime(look=0.0).wait({"address": "x", "port": "1"})
    assert ended.failed
    assert len(seen) == 2 * MISSES


async def test_nothing_there_is_a_clear_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    spec = EndpointSpec("127.0.0.1", port, Readiness(timeout=0.1, interval=0.01))
    runtime = EndpointRuntime()
    started = await runtime.start(ONE, spec, deadline=soon())
    with pytest.raises(RuntimeFailedError, match=r"not ready after 0\.1 s: connection refused"):
        await runtime.ready(started, spec)
    assert (await runtime.inspect({})).life is Life.UNKNOWN


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/well", ""),
        ("", ""),
        ("/missing", "GET /missing answered 404"),
        ("/odd", "chunk|limit|not an HTTP answer"),
        ("/closed", "closed without an answer"),
        ("/slow", "no answer"),
    ],
)
async def test_whatever_answers_a_probe_says_why_it_is_not_ready(server: asyncio.Server, path: str, text: str) -> None:
    found = await problem(Address("127.0.0.1", port_of(server)), path, timeout=0.3 if path == "/slow" else 10.0)
    assert any(part in found for part in text.split("|")) if text else found == ""


def test_the_factory_knows_a_runtime_for_each_spec() -> None:
    fleet = make_fleet(Settings(), [NodeEntry("local", local=True), NodeEntry("remote")], {})
    assert fleet.kinds("remote") == ("endpoint", "self")
    for spec in (ProcessSpec(command=("x",)), EndpointSpec("x", 1), SelfSpec()):
        assert fleet.of("local", spec).kind == kind_of(spec)
    with pytest.raises(InvalidError, match='no process runtime on node "elsewhere"'):
        fleet.of("elsewhere", ProcessSpec(command=("x",)))
    with pytest.raises(InvalidError, match="no node here has a process runtime"):
        Fleet({"local": {}}).check(ProcessSpec(command=("x",)))


@pytest.mark.parametrize("ports", [(5, 4), (0, 4), (1, 70000)])
def test_a_range_that_is_none_is_refused(ports: tuple[int, int]) -> None:
    with pytest.raises(InvalidError, match="no range of ports"):
        make_fleet(Settings(node=NodeSettings(ports=ports)), [], {})
