"""Every way out of a network namespace that a program without rights has, tried from inside at once; IPv6, too."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.docker.conftest import APP, IMAGE, ONE, runtime_on, soon, spec
from tests.docker.engines import DockerEngine, engine, load
from xds_server.runtime.base import Started
from xds_server.runtime.docker.runtime import DockerRuntime

SIX = "fd00:5a:6d::"
TRY = r"""
import json, os, socket, time
FOUR, SIX, STREAM, PLAIN = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
gateway, six = os.environ["GATEWAY"], os.environ["SIX"]
found = {}

def attempt(name, work):
    try:
        work()
        found[name] = ""
    except OSError as error:
        found[name] = type(error).__name__ + " " + str(error)

def tcp(family, *to):
    with socket.socket(family, STREAM) as one:
        one.settimeout(2)
        one.connect(to)

def udp(family, *to):
    with socket.socket(family, PLAIN) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        one.sendto(b"x", to)

def ping():
    with socket.socket(FOUR, PLAIN, socket.IPPROTO_ICMP) as one:
        one.sendto(b"\x08\0\0\0\0\1\0\1", (gateway, 0))

def packet():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0800) as one:
        one.bind(("eth0", 0))
        one.send(b"\xff" * 60)

attempt("the node over TCP", lambda: tcp(FOUR, gateway, 22))
attempt("the node over UDP", lambda: udp(FOUR, gateway, 53))
attempt("the node over ICMP", ping)
attempt("the engine's name server over UDP", lambda: udp(FOUR, "127.0.0.11", 53))
attempt("the engine's name server over TCP", lambda: tcp(FOUR, "127.0.0.11", 53))
attempt("metadata of a cloud", lambda: tcp(FOUR, "169.254.169.254", 80))
attempt("broadcast", lambda: udp(FOUR, "255.255.255.255", 9))
attempt("multicast", lambda: udp(FOUR, "224.0.0.251", 5353))
attempt("the node over IPv6 TCP", lambda: tcp(SIX, six, 22))
attempt("the node over IPv6 UDP", lambda: udp(SIX, six, 53))
attempt("IPv6 multicast", lambda: udp(SIX, "ff02::1", 5353, 0, socket.if_nametoindex("eth0")))
attempt("raw IP", lambda: socket.socket(FOUR, socket.SOCK_RAW, socket.IPPROTO_RAW).close())
attempt("packets", packet)
attempt("a file of the guard", lambda: open("/proc/1/root/guard/deadline", "w"))
attempt("the end of the guard", lambda: os.kill(1, 15))
print(json.dumps(found), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def with_six() -> Iterator[DockerEngine]:
    with engine("--ipv6", f"--fixed-cidr-v6={SIX}/64", "--ip6tables", "--experimental") as one:
        load(one, IMAGE, APP)
        yield one


@pytest.fixture
async def on(with_six: DockerEngine) -> AsyncIterator[DockerRuntime]:
    runtime = runtime_on(with_six)
    yield runtime
    await runtime.sweep([])
    assert with_six.containers() == []
    runtime._engine.close()


@pytest.mark.parametrize("user", ["", "0"])
async def test_no_way_out_is_open(on: DockerRuntime, with_six: DockerEngine, user: str) -> None:
    env = {"GATEWAY": with_six.subnet.split("/")[0], "SIX": f"{SIX}1"}
    started = await on.start(ONE, spec(entrypoint=("/usr/bin/python3", "-c", TRY), env=env, user=user), deadline=soon())
    with with_six.client() as client:
        network = client.inspect_container(started.handle["guard"])["NetworkSettings"]
    assert network["GlobalIPv6Address"], "it has IPv6 to try with"
    found = await told(on, started)
    assert len(found) == 15
    assert [way for way, refused in found.items() if not refused] == []


async def told(runtime: DockerRuntime, started: Started) -> dict[str, Any]:
    async with asyncio.timeout(20.0):
        while not (log := await runtime._engine.call(lambda c: c.logs(started.handle["container"]))):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
    return dict(json.loads(log))
