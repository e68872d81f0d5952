import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.docker.conftest import ONE, TWO, Start, ask, soon, spec
from tests.docker.engines import DockerEngine
from xds_server.errors import RuntimeFailedError
from xds_server.model.profile import Egress, EgressMode
from xds_server.runtime.base import Denied, Started
from xds_server.runtime.docker import egress
from xds_server.runtime.docker.runtime import DENIED_EVERY, DockerRuntime


def allow(*places: str) -> Egress:
    return Egress(EgressMode.ALLOW, places)


@contextmanager
def payments(address: str) -> Iterator[tuple[str, int, list[bytes]]]:
    """A service on the node that must not be called twice; yields where it is and what it got."""
    got: list[bytes] = []
    with socket.create_server((address, 0)) as server:
        server.settimeout(0.2)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(2.0)
                    got.append(connection.recv(1000))
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield address, server.getsockname()[1], got
        finally:
            over.set()
            thread.join()


def gateway(engine: DockerEngine) -> str:
    return engine.subnet.split("/")[0]


async def denied(runtime: DockerRuntime, started: Started, count: int) -> tuple[Denied, ...]:
    async with asyncio.timeout(4 * DENIED_EVERY):
        while True:
            found = await runtime.usage(started.handle)
            if found and found.denied and len(found.denied) >= count:
                return found.denied
            await asyncio.sleep(0.2)


async def test_by_default_a_copy_of_a_write_charges_no_card(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    with payments(gateway(clean)) as (host, port, got):
        started = await start()
        answer = await ask(started, "/connect", host=host, port=port)
        assert not answer["connected"]
        assert answer["after"] < 2.0, "it is refused, not left waiting"
        assert not (await ask(started, "/connect", host="192.0.2.7", port=443))["connected"]
        assert not (await ask(started, "/datagram", host="192.0.2.8", port=53))["sent"]
        found = await denied(runtime, started, 3)
    assert got == []
    assert {(d.destination, d.protocol) for d in found} == {
        (f"{host}:{port}", "tcp"),
        ("192.0.2.7:443", "tcp"),
        ("192.0.2.8:53", "udp"),
    }
    assert all(d.count >= 1 for d in found)


async def test_what_is_listed_is_reached_and_nothing_beside_it(
    start: Start, runtime: DockerRuntime, clean: DockerEngine
) -> None:
    with payments(gateway(clean)) as (host, port, got), payments(gateway(clean)) as (_, other, spared):
        started = await start(spec(egress=allow(f"{host}:{port}")))
        assert (await ask(started, "/connect", host=host, port=port))["connected"]
        assert not (await ask(started, "/connect", host=host, port=other))["connected"]
        found = await denied(runtime, started, 1)
    assert len(got) == 1
    assert spared == []
    assert [d.destination for d in found] == [f"{host}:{other}"]


async def test_the_node_itself_is_reached_by_its_docker_name(start: Start, clean: DockerEngine) -> None:
    with payments(gateway(clean)) as (_, port, got):
        started = await start(spec(egress=allow(f"host.docker.internal:{port}")))
        assert (await ask(started, "/connect", host="host.docker.internal", port=port))["connected"]
    assert len(got) == 1


async def test_a_listed_name_is_known_inside_without_a_name_server(
    start: Start, clean: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(_: str) -> tuple[str, ...]:
        return (gateway(clean),)

    monkeypatch.setattr(egress, "_addresses", found)
    with payments(gateway(clean)) as (_, port, got):
        started = await start(spec(egress=allow(f"payments.shop:{port}")))
        assert (await ask(started, "/connect", host="payments.shop", port=port))["connected"]
        assert not (await ask(started, "/connect", host="payments.shop", port=port + 1))["connected"]
    assert len(got) == 1


async def test_open_egress_is_what_docker_gives(start: Start, runtime: DockerRuntime, clean: DockerEngine) -> None:
    with payments(gateway(clean)) as (host, port, got):
        started = await start(spec(egress=Egress(EgressMode.OPEN)))
        assert (await ask(started, "/connect", host=host, port=port))["connected"]
    assert len(got) == 1
    found = await runtime.usage(started.handle)
    assert found is not None
    assert found.denied is None


async def test_shadows_do_not_reach_each_other(start: Start) -> None:
    one, two = await start(), await start(name=TWO)
    assert not (await ask(one, "/connect", host=two.address.address, port=two.address.port))["connected"]
    assert (await ask(one, "/connect", host="127.0.0.1", port=8080))["connected"]


async def test_a_name_that_is_not_known_is_a_clear_failure(runtime: DockerRuntime, clean: DockerEngine) -> None:
    with pytest.raises(RuntimeFailedError, match=r'docker\.egress: "nosuch\.invalid" is not known'):
        await runtime.start(ONE, spec(egress=allow("nosuch.invalid:80")), deadline=soon())
