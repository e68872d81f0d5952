"""Envoys' own counters: which Envoys are asked, whom is believed, and how sums are made."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.unit.lifecycle.fakes import FakeClock
from xds_server.config import EnvoySettings
from xds_server.lifecycle.envoy_stats import COMPLETED, NOT_READ, EnvoyStats, Wanted, _UnreadableError, admin_address
from xds_server.model.ids import NetworkID
from xds_server.model.network import Address
from xds_server.protocol.board import EnvoyStatus
from xds_server.protocol.node import NodeInfo

N = NetworkID("n")
ORIGINAL, SHADOW = "component/shop.v1", "shadow-1"
WANTED = {N: Wanted(frozenset({"shop"}), frozenset({ORIGINAL, SHADOW}))}


class FakeEnvoys:
    """The board and the admin interfaces, by port."""

    def __init__(self) -> None:
        self.there: list[EnvoyStatus] = []
        self.stats: dict[int, dict[str, Any]] = {}
        self.nodes: dict[int, str] = {}
        self.asked: list[httpx.Request] = []
        self.hangs: set[int] = set()

    def add(self, name: str, port: int, told: Any = "") -> None:
        metadata = {"shadowmesh.admin": told or f"127.0.0.1:{port}"} if told is not None else {}
        node = NodeInfo(name, "shop", metadata)
        self.there.append(EnvoyStatus(node, "shop", connected=True, since=1.0, last_seen=1.0, resources=()))
        self.nodes[port] = name
        self.stats[port] = {}

    def envoys(self, groups: Collection[str] | None = None) -> list[EnvoyStatus]:
        return [envoy for envoy in self.there if groups is None or envoy.group in groups]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        port = request.url.port or 0
        if port in self.hangs:
            await asyncio.Event().wait()
        if port not in self.nodes:
            raise httpx.ConnectError("connection refused")
        if request.url.path == "/server_info":
            return httpx.Response(200, json={"node": {"id": self.nodes[port]}})
        wanted = re.compile(request.url.params["filter"])
        stats = [{"name": n, "value": v} for n, v in self.stats[port].items() if wanted.search(n)]
        return httpx.Response(200, json={"stats": [*stats, {"histograms": {}}]})

    def count(self, port: int, cluster: str, value: int, counter: str = COMPLETED) -> None:
        self.stats[port][f"cluster.{cluster}.{counter}"] = value


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.envoys = FakeEnvoys()
        self.stats = EnvoyStats(board=self.envoys, settings=EnvoySettings(**settings), clock=self.clock)
        self.stats._client = httpx.AsyncClient(transport=httpx.MockTransport(self.envoys.answer))

    async def poll(self, seconds: float = 5.0) -> bool:
        await self.clock.advance(seconds)
        return await self.stats.poll(WANTED)

    def count(self, cluster: str = ORIGINAL) -> int | None:
        return self.stats.count(N, [cluster])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.stats.close()


async def test_counters_are_summed_over_envoys_and_requests_count_from_the_first_reading(bench: Bench) -> None:
    for port in (1, 2):
        bench.envoys.add(f"e{port}", port)
        bench.envoys.count(port, ORIGINAL, 100 * port)
        bench.envoys.count(port, ORIGINAL, port, "upstream_rq_5xx")
    assert bench.stats.reason(N) == NOT_READ
    assert await bench.poll()
    counters = bench.stats.counters(N, [ORIGINAL])
    assert (counters[COMPLETED], counters["upstream_rq_5xx"], counters["upstream_rq_retry"]) == (300, 3, 0)
    assert (bench.count(), bench.count(SHADOW), bench.stats.reason(N)) == (0, 0, "")
    bench.envoys.count(2, ORIGINAL, 250)
    bench.envoys.count(1, SHADOW, 7)
    assert not await bench.poll(4.9)
    assert await bench.poll(0.1)
    assert (bench.count(), bench.count(SHADOW)) == (50, 7)
    assert bench.stats.counters(N, [ORIGINAL, SHADOW])[COMPLETED] == 357


async def test_only_the_counters_that_are_shown_are_asked_for(bench: Bench) -> None:
    bench.envoys.add("e", 1)
    bench.envoys.count(1, "component/shop_v1", 5)
    bench.envoys.count(1, f"x{ORIGINAL}", 5)
    bench.envoys.count(1, ORIGINAL, 5, "upstream_rq_active")
    await bench.poll()
    assert set(bench.stats.counters(N, [ORIGINAL]).values()) == {0}
    assert [r.url.path for r in bench.envoys.asked] == ["/server_info", "/stats"]
    await bench.poll()
    assert [r.url.path for r in bench.envoys.asked[2:]] == ["/stats"]


async def test_an_envoy_that_was_started_anew_counts_on(bench: Bench) -> None:
    bench.envoys.add("e", 1)
    bench.envoys.count(1, ORIGINAL, 100)
    await bench.poll()
    bench.envoys.count(1, ORIGINAL, 30)
    await bench.poll()
    assert (bench.count(), bench.stats.counters(N, [ORIGINAL])[COMPLETED]) == (30, 130)


async def test_counts_are_known_only_while_every_envoy_tells_and_none_is_lost(bench: Bench) -> None:
    bench.envoys.add("e1", 1)
    bench.envoys.add("e2", 2)
    bench.envoys.count(1, ORIGINAL, 10)
    await bench.poll()
    epoch = bench.stats.epoch(N)
    del bench.envoys.nodes[2]
    bench.envoys.count(1, ORIGINAL, 20)
    await bench.poll()
    assert bench.count() is None
    assert bench.stats.reason(N) == (
        "1 of 2 Envoys could not be read: e2: its admin interface does not answer: connection refused"
    )
    assert bench.stats.counters(N, [ORIGINAL])[COMPLETED] == 20
    bench.envoys.nodes[2] = "e2"
    bench.envoys.count(2, ORIGINAL, 5)
    await bench.poll()
    assert (bench.count(), bench.stats.counters(N, [ORIGINAL])[COMPLETED]) == (15, 25)
    assert bench.stats.epoch(N) > epoch


async def test_a_new_envoy_brings_a_gap_and_not_what_it_served_before(bench: Bench) -> None:
    bench.envoys.add("e1", 1)
    await bench.poll()
    epoch = bench.stats.epoch(N)
    bench.envoys.add("e2", 2)
    bench.envoys.count(2, ORIGINAL, 1000)
    await bench.poll()
    assert (bench.count(), bench.stats.epoch(N)) == (0, epoch + 1)
    bench.envoys.there[1] = replace(bench.envoys.there[1], connected=False)
    await bench.poll()
    assert (bench.count(), bench.stats.epoch(N)) == (0, epoch + 2)


async def test_who_names_another_node_is_not_believed(bench: Bench) -> None:
    bench.envoys.add("e", 1)
    bench.envoys.nodes[1] = "somebody"
    bench.envoys.count(1, ORIGINAL, 5)
    await bench.poll()
    assert bench.stats.counters(N, [ORIGINAL]) == {}
    assert "at the address that it tells, 127.0.0.1:1, is node somebody" in bench.stats.reason(N)


async def test_an_envoy_that_does_not_answer_holds_nobody_up() -> None:
    bench = Bench(admin_timeout=3.0)
    bench.envoys.add("e", 1)
    bench.envoys.hangs.add(1)
    assert not await asyncio.wait_for(bench.poll(), 2.5)
    assert not await bench.poll(), "it is still being waited for, and not asked twice"
    assert len(bench.envoys.asked) == 1
    async with asyncio.timeout(20):
        while "does not answer: timeout" not in bench.stats.reason(N):
            await asyncio.sleep(0.05)
            await bench.poll()
    await bench.stats.close()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (None, "its bootstrap names no admin interface"),
        ("169.254.169.254:80", "is not on loopback or a private network (--envoy-admin-anywhere)"),
        ({"a": 1}, "cannot be read"),
    ],
)
async def test_what_an_envoy_may_not_tell_is_not_asked(bench: Bench, told: Any, why: str) -> None:
    bench.envoys.add("e", 1, told)
    await bench.poll()
    assert bench.stats.reason(N).startswith("the Envoy could not be read: e: ")
    assert why in bench.stats.reason(N)
    assert bench.envoys.asked == []


async def test_without_envoys_or_switched_off_there_is_a_reason(bench: Bench) -> None:
    await bench.poll()
    assert (bench.stats.reason(N), bench.count()) == ("no Envoy of the network is connected", None)
    off = Bench(admin=False)
    off.envoys.add("e", 1)
    assert not await off.poll()
    assert "--no-envoy-admin" in off.stats.reason(N)
    assert off.envoys.asked == []
    await off.stats.close()


async def test_a_network_in_which_nothing_runs_is_not_read_and_forgotten(bench: Bench) -> None:
    bench.envoys.add("e", 1)
    await bench.poll()
    asked = len(bench.envoys.asked)
    await bench.clock.advance(5)
    assert not await bench.stats.poll({})
    assert (len(bench.envoys.asked), bench.stats.counters(N, [ORIGINAL])) == (asked, {})


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("127.0.0.1:9901", Address("127.0.0.1", 9901)),
        ("localhost:1", Address("localhost", 1)),
        ("[::1]:9901", Address("::1", 9901)),
        ("[::ffff:10.0.0.1]:80", Address("10.0.0.1", 80)),
        ("192.168.1.2:80", Address("192.168.1.2", 80)),
        ("0.0.0.0:9901", Address("127.0.0.1", 9901)),
        ("[::]:9901", Address("::1", 9901)),
    ],
)
def test_loopback_and_private_addresses_are_asked(told: str, address: Address) -> None:
    assert admin_address(told, anywhere=False) == address


@pytest.mark.parametrize(
    "told",
    [
        "8.8.8.8:80",
        "169.254.169.254:80",
        "[fe80::1]:80",
        "metadata.internal:80",
        "[::ffff:8.8.8.8]:80",
        "2130706433:80",
    ],
)
def test_others_only_where_a_setting_says_so(told: str) -> None:
    with pytest.raises(_UnreadableError):
        admin_address(told, anywhere=False)
    assert admin_address(told, anywhere=True).port == 80


@pytest.mark.parametrize("told", ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "http://127.0.0.1:1", "a/b:1", 7])
def test_what_is_no_address_is_never_asked(told: Any) -> None:
    with pytest.raises(_UnreadableError):
        admin_address(told, anywhere=True)
