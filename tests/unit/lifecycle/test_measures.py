"""What is measured of a profile: by whom, against whom, from when on."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.unit.lifecycle.fakes import START, FakeClock, FakeRuntime, World, a_component, a_profile, settle
from tests.unit.lifecycle.test_envoy_stats import FakeEnvoys
from tests.unit.lifecycle.test_questions import FakePrometheus
from xds_server.analysis.verdict.readings import Reading
from xds_server.analysis.windows.tally import EndpointTally, Tally
from xds_server.config import EnvoySettings, Settings
from xds_server.lifecycle.measures import NO_CONTROL, WARMING_UP, Measures
from xds_server.lifecycle.promql import NOT_CONFIGURED
from xds_server.lifecycle.registry import NetworkRecord, Registry
from xds_server.lifecycle.sampler import Sampler
from xds_server.model.analysis import Analysis
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.judging import Check, Judging, Metric
from xds_server.model.network import Address, Endpoint, VirtualNetwork
from xds_server.model.profile import Control, ProcessSpec, SelfSpec, ShadowingProfile, VariantSpec
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.runtime.base import Runtime, Usage
from xds_server.runtime.neighbours import Neighbour
from xds_server.runtime.processes import Identity

N, P = NetworkID("n"), ProfileID("p")
SURE = math.log(100)
QUERY = Check(Metric.PROMETHEUS, max_ratio=1.1, name="errors", query='e{v="{variant}"}')
CHECKS = (Check(Metric.CPU, max_ratio=1.5), Check(Metric.MEMORY, max_ratio=1.5), QUERY)
COMMAND = ProcessSpec(("x",))
V2, CONTROL = InstanceID("i-v2"), InstanceID("i-control")


class FakeNeighbours:
    def __init__(self) -> None:
        self.found: dict[Address, Neighbour] = {}

    async def at(self, address: Address) -> Neighbour:
        return self.found.get(address, Neighbour(reason=f"nothing listens at {address.address}:{address.port}"))


class FakeTallies:
    def __init__(self) -> None:
        self.copies: dict[str, int] = {}

    def tallies(self, _: str) -> list[Tally]:
        found = []
        for instance, copies in self.copies.items():
            tally = Tally("p", instance)
            tally.endpoints["GET /"] = endpoint = EndpointTally()
            endpoint.pairs, endpoint.not_judged["timeout"] = copies - 1, 1
            found.append(tally)
        return found


class FakeGroups:
    def groups(self, _: NetworkID) -> frozenset[str]:
        return frozenset({"shop"})


class Bench:
    """A profile with what it runs; a second of its life is `second`."""

    def __init__(self, *, endpoints: int = 1, **profile: Any) -> None:
        self.clock = FakeClock()
        places = tuple(Endpoint("127.0.0.1", 9001 + i) for i in range(endpoints))
        component = replace(a_component(), endpoints=places)
        judging = Judging(warm_up=10.0, block=5.0, checks=CHECKS)
        wanted = {"id": P, "network_id": N, "analysis": Analysis(judging=judging), **profile}
        self.profile: ShadowingProfile = a_profile(**wanted)
        self.record = NetworkRecord(VirtualNetwork(id=N, name="shop", components=(component,)))
        self.record.profiles[P] = self.profile
        self.registry = Registry()
        self.registry.add(self.record)
        self.runtime = FakeRuntime(World())
        self.envoys = FakeEnvoys()
        self.tallies = FakeTallies()
        self.neighbours = FakeNeighbours()
        self.prometheus: Any = FakePrometheus()
        self.prometheus.configured = True
        self.sampler = Sampler(clock=self.clock, running=self.running)
        self.measures = Measures(
            clock=self.clock,
            registry=self.registry,
            sampler=self.sampler,
            collector=self.tallies,
            board=self.envoys,
            publisher=FakeGroups(),
            settings=Settings(envoy=EnvoySettings(admin_interval=1.0)),
        )
        neighbours: Any = self.neighbours
        self.measures._neighbours = neighbours
        self.measures._prometheus = self.prometheus
        self.measures._questions._asked = self.prometheus
        self.measures._envoys._client = httpx.AsyncClient(transport=httpx.MockTransport(self.envoys.answer))
        self.used: dict[str, tuple[float, float]] = {}
        self.rates: dict[str, tuple[str, int, float]] = {}
        """By who: cluster, requests a second, milliseconds a request."""

    def running(self) -> Iterator[tuple[ShadowInstance, Runtime]]:
        for instance in self.record.instances.values():
            if instance.status is InstanceStatus.RUNNING:
                yield instance, self.runtime

    def start(self, instance: InstanceID, variant: str = "v2") -> None:
        now = self.clock.now()
        self.record.instances[instance] = ShadowInstance(
            id=instance,
            network_id=N,
            profile_id=P,
            component_name="catalog",
            variant=variant,
            node="local",
            status=InstanceStatus.RUNNING,
            created_at=now,
            expires_at=now + timedelta(minutes=10),
            address=Address("127.0.0.1", 20000),
            handle={"instance": instance},
        )

    async def seconds(self, count: int) -> None:
        cpu, served = dict.fromkeys(self.rates, 0.0), dict.fromkeys(self.rates, 0)
        cpu |= getattr(self, "_cpu", {})
        served |= getattr(self, "_served", {})
        for _ in range(count):
            await self.clock.advance(1)
            for who, (cluster, rate, milliseconds) in self.rates.items():
                served[who] += rate
                cpu[who] += rate * milliseconds / 1000
                usage = Usage(cpu[who], 120_000_000 if who != "original" else 100_000_000)
                if who == "original":
                    self.neighbours.found[Address("127.0.0.1", 9001)] = Neighbour((Identity(7, 7),), usage)
                else:
                    self.runtime.usages[who] = usage
                if self.envoys.nodes:
                    self.envoys.count(1, cluster, served[who])
            await self.measures.measure()
            await settle()
        self._cpu, self._served = cpu, served

    def reading(self, label: str, variant: str = "v2") -> Reading:
        return self.measures.readings(P)[label, variant]

    async def close(self) -> None:
        await self.measures._questions.close()
        await self.measures._envoys.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.envoys.add("e", 1)
    bench.start(V2)
    bench.rates = {
        "original": ("component/catalog", 100, 2.0),
        V2: (f"shadow-{V2}", 50, 2.5),
    }
    yield bench
    await bench.close()


async def test_a_version_is_measured_against_the_process_that_listens_for_the_original(bench: Bench) -> None:
    await bench.seconds(150)
    cpu, memory = bench.reading("cpu"), bench.reading("memory")
    assert (cpu.reference, cpu.candidate, cpu.of) == (pytest.approx(2.0), pytest.approx(2.5), "original")
    assert (memory.reference, memory.candidate, memory.of) == (100e6, 120e6, "original")
    for reading in (cpu, memory):
        assert reading.blocks > 20
        assert reading.evidence.log_evidence_above(1.1) > SURE
        assert reading.evidence.log_evidence_below(1.5) > SURE
        assert reading.reason == ""
    shown = bench.sampler.performance(V2).cpu_per_request
    assert shown is not None
    assert shown.mean == pytest.approx(2.5)


async def test_what_was_measured_while_it_was_warming_up_is_no_evidence(bench: Bench) -> None:
    await bench.seconds(9)
    assert {bench.reading(label).reason for label in ("cpu", "memory", "errors")} == {WARMING_UP}
    await bench.seconds(5)
    assert bench.reading("memory").blocks == 0
    await bench.seconds(1)
    assert bench.reading("memory").blocks == 1
    await bench.seconds(24)
    assert bench.reading("errors").blocks == 0
    await bench.seconds(1)
    assert bench.reading("errors").blocks == 1


async def test_where_the_original_runs_is_said_when_it_is_not_known(bench: Bench) -> None:
    del bench.rates["original"]
    await bench.seconds(12)
    why = "the original's process is not known: nothing listens at 127.0.0.1:9001"
    assert (bench.reading("memory").reason, bench.reading("cpu").reason) == (why, why)
    assert bench.reading("cpu").candidate is None


async def test_memory_is_the_mean_of_known_instances_and_cpu_needs_all_of_them() -> None:
    bench = Bench(endpoints=2)
    bench.envoys.add("e", 1)
    bench.start(V2)
    bench.rates = {"original": ("component/catalog", 100, 2.0), V2: (f"shadow-{V2}", 100, 2.0)}
    await bench.seconds(30)
    assert bench.reading("memory").reference == 100e6
    assert bench.reading("cpu").reason == (
        "some of the original's processes are not known: nothing listens at 127.0.0.1:9002"
    )
    second = Neighbour((Identity(8, 8),), Usage(1.0, 300_000_000))
    bench.neighbours.found[Address("127.0.0.1", 9002)] = second
    await bench.seconds(30)
    assert bench.reading("memory").reference == 200e6
    assert bench.reading("cpu").blocks > 0
    await bench.close()


async def test_an_envoy_that_tells_nothing_is_the_reason_why_requests_are_not_counted(bench: Bench) -> None:
    bench.envoys.nodes.clear()
    await bench.seconds(30)
    why = bench.reading("cpu").reason
    assert why.startswith("the requests of v2 are not counted: the Envoy could not be read: e: ")
    assert bench.reading("memory").blocks > 0


def controlled(spec: VariantSpec = COMMAND) -> Bench:
    bench = Bench(control=Control(spec, duration=None))
    bench.start(V2)
    bench.start(CONTROL, "control")
    bench.rates = {V2: (f"shadow-{V2}", 50, 2.5), CONTROL: (f"shadow-{CONTROL}", 50, 2.0)}
    return bench


async def test_a_control_is_the_better_reference_and_needs_no_envoy() -> None:
    bench = controlled()
    bench.tallies.copies = {V2: 1, CONTROL: 1}
    for _ in range(60):
        await bench.seconds(1)
        for instance in (V2, CONTROL):
            bench.tallies.copies[instance] += 50
    cpu = bench.reading("cpu")
    assert (cpu.reference, cpu.candidate, cpu.of) == (pytest.approx(2.0), pytest.approx(2.5), "control")
    assert bench.reading("memory").of == "control"
    assert ("cpu", "control") not in bench.measures.readings(P)
    assert {'e{v="control"}', 'e{v="v2"}'} >= set(bench.prometheus.asked)
    await bench.close()


async def test_once_the_control_has_ended_nothing_more_is_judged_and_what_was_stays() -> None:
    bench = controlled()
    bench.prometheus.answers = {"control": 1.0, "v2": 1.0}
    await bench.seconds(60)
    assert (bench.reading("memory").blocks, bench.reading("errors").blocks) == (10, 1)
    bench.record.update(CONTROL, status=InstanceStatus.STOPPED)
    await bench.seconds(60)
    assert (bench.reading("memory").blocks, bench.reading("errors").blocks) == (10, 1)
    assert {bench.reading(label).reason for label in ("cpu", "memory", "errors")} == {NO_CONTROL}
    await bench.close()


async def test_the_original_as_its_own_control_is_the_original() -> None:
    bench = controlled(SelfSpec())
    bench.envoys.add("e", 1)
    bench.rates = {"original": ("component/catalog", 100, 2.0), V2: (f"shadow-{V2}", 100, 2.0)}
    await bench.seconds(40)
    assert (bench.reading("cpu").of, bench.reading("errors").of) == ("original", "original")
    assert bench.reading("cpu").blocks > 0
    await bench.close()


async def test_users_that_a_split_sends_count_as_requests(bench: Bench) -> None:
    bench.rates[V2] = (f"split-{V2}", 50, 2.5)
    await bench.seconds(40)
    assert bench.reading("cpu").candidate == pytest.approx(2.5)


async def test_envoys_own_counters_are_shown_for_both_clusters(bench: Bench) -> None:
    assert bench.measures.envoy(P) == {"original": {}, "variants": {}, "reason": "not read yet"}
    bench.envoys.count(1, f"shadow-in-{V2}", 3, "upstream_rq_pending_overflow")
    await bench.seconds(3)
    shown = bench.measures.envoy(P)
    assert shown["original"]["upstream_rq_completed"] == 300
    assert shown["variants"]["v2"]["upstream_rq_completed"] == 150
    assert shown["variants"]["v2"]["in.upstream_rq_pending_overflow"] == 3
    assert shown["reason"] == ""


async def test_without_a_prometheus_that_is_said_at_once() -> None:
    bench = Bench()
    bench.measures = Measures(
        clock=bench.clock,
        registry=bench.registry,
        sampler=bench.sampler,
        collector=bench.tallies,
        board=bench.envoys,
        publisher=FakeGroups(),
        settings=Settings(),
    )
    bench.start(V2)
    await bench.seconds(1)
    assert bench.reading("errors").reason == NOT_CONFIGURED
    await bench.close()


async def test_a_step_begins_with_no_evidence_and_an_ended_profile_is_forgotten(bench: Bench) -> None:
    await bench.seconds(45)
    assert bench.reading("memory").blocks > 0
    bench.measures.restart(P)
    assert bench.measures.readings(P) == {}
    await bench.seconds(20)
    assert bench.reading("memory").blocks > 0
    bench.record.update(V2, status=InstanceStatus.STOPPED)
    await bench.seconds(2)
    assert bench.reading("memory").blocks > 0, "it has ended, and can still be read"
    del bench.record.profiles[P]
    del bench.record.instances[V2]
    await bench.seconds(1)
    assert bench.measures.readings(P) == {}
    assert bench.measures._profiles == {}


async def test_it_runs_until_it_is_cancelled_and_leaves_nothing(bench: Bench) -> None:
    task = asyncio.create_task(bench.measures.run())
    bench.prometheus.close = settle
    await settle()
    await bench.clock.advance(3.0)
    assert bench.sampler.performance(V2).samples == 0, "nothing was used yet"
    assert bench.clock.now() == START + timedelta(seconds=3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
