"""A world without processes, Envoys or time: what the controller touches, as plain objects that a test can steer."""
# ruff: noqa: ARG002 - a fake takes what the real one takes

import asyncio
import heapq
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from xds_server.analysis.windows.dump import Progress, pack_dump, read_dump
from xds_server.analysis.windows.tally import Tally
from xds_server.errors import InvalidError, RuntimeFailedError
from xds_server.lifecycle.verdicts import Inputs
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address, Component, Endpoint, Protocol, VirtualNetwork
from xds_server.model.nodes import Taint
from xds_server.model.profile import ProcessSpec, ShadowingProfile, Variant, VariantSpec
from xds_server.placement.node import Node, Taken
from xds_server.protocol.node import NodeInfo
from xds_server.runtime.base import Condition, Ending, Life, Started, Usage

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - START).total_seconds()

    def jump(self, seconds: float) -> None:
        """Set the clock, forward or back, without waking anybody."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self._now + timedelta(seconds=seconds))

    async def sleep_until(self, when: datetime) -> None:
        if when <= self._now:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its moment and letting it act before time goes on."""
        end = self._now + timedelta(seconds=seconds)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now = max(self._now, when)
            future.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle(turns: int = 20) -> None:
    """Let every task that can go on do so."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that needs no time of the fake clock (a write to the disk, for one)."""
    async with asyncio.timeout(10.0):
        while not condition():  # noqa: ASYNC110 - what is waited for may be anything
            await asyncio.sleep(0.001)


@dataclass
class World:
    """The processes of a machine: they outlive a manager."""

    alive: dict[str, asyncio.Event] = field(default_factory=dict)
    """By instance id; set when it has ended."""
    on: dict[str, str] = field(default_factory=dict)
    """By instance id: the node that it was started on."""
    ends: dict[str, Condition] = field(default_factory=dict)
    ports: itertools.count = field(default_factory=lambda: itertools.count(20000))
    log: list[tuple[str, ...]] = field(default_factory=list)
    """Everything that was done to it, in order."""

    def kill(self, instance: str, *, exit_code: int | None = None, signal: int | None = None) -> None:
        """Let a process end by itself."""
        self.ends[instance] = Condition(
            Life.EXITED, Ending.OWN, exit_code=exit_code, signal=signal, log=("last words",)
        )
        self.alive.pop(instance).set()


class FakeRuntime:
    """Runs `process` variants in a `World`."""

    kind = "process"

    def __init__(self, world: World, node: str = "here") -> None:
        self.world = world
        self.node = node
        self.is_ready = asyncio.Event()
        self.is_ready.set()
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.refuse_ready: RuntimeFailedError | None = None
        self.refuse_start: Exception | None = None
        self.refuse_stop = 0
        self.slow_look = False
        self.usages: dict[str, Usage] = {}

    def check(self, spec: VariantSpec) -> None:
        if isinstance(spec, ProcessSpec) and spec.command[0] == "missing":
            raise InvalidError("there is no such command", field="process.command", hint="one on PATH")

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:
        await self.may_start.wait()
        if self.refuse_start is not None:
            raise self.refuse_start
        port = next(self.world.ports)
        self.world.alive[instance_id] = asyncio.Event()
        self.world.on[instance_id] = self.node
        self.world.log.append(("start", instance_id, deadline.isoformat()))
        return Started(Address("127.0.0.1", port), {"instance": instance_id, "port": str(port)})

    async def ready(self, started: Started, spec: VariantSpec) -> None:
        await self.is_ready.wait()
        if self.refuse_ready is not None:
            raise self.refuse_ready

    async def inspect(self, handle: Mapping[str, str]) -> Condition:
        instance = handle["instance"]
        if instance in self.world.alive:
            return Condition(Life.ALIVE)
        return self.world.ends.get(instance, Condition(Life.UNKNOWN))

    async def wait(self, handle: Mapping[str, str]) -> Condition:
        if handle["instance"] in self.world.alive:
            await self.world.alive[handle["instance"]].wait()
        return await self.inspect(handle)

    async def adopt(self, handle: Mapping[str, str]) -> Condition:
        if self.slow_look:
            await asyncio.Event().wait()
        return await self.inspect(handle)

    async def stop(self, handle: Mapping[str, str], spec: VariantSpec) -> None:
        if self.refuse_stop:
            self.refuse_stop -= 1
            raise RuntimeFailedError("it does not want to")
        instance = handle["instance"]
        self.world.log.append(("stop", instance))
        if instance in self.world.alive:
            self.world.ends[instance] = Condition(Life.EXITED, Ending.STOPPED)
            self.world.alive.pop(instance).set()

    async def usage(self, handle: Mapping[str, str]) -> Usage | None:
        return self.usages.get(handle["instance"])

    async def extend(self, handle: Mapping[str, str], deadline: datetime) -> None:
        self.world.log.append(("extend", handle["instance"], deadline.isoformat()))

    async def sweep(self, known: Collection[InstanceID]) -> list[InstanceID]:
        here = [i for i in self.world.alive if self.world.on.get(i, self.node) == self.node]
        orphans = [InstanceID(i) for i in here if i not in known]
        for orphan in orphans:
            self.world.log.append(("sweep", orphan))
            self.world.alive.pop(orphan).set()
        return orphans


class FakeInventory:
    """One node, or as many as a test names."""

    def __init__(self, *names: str, max_shadows: int = 100) -> None:
        self.names = list(names or ("here",))
        self.max_shadows = max_shadows
        self.looks = 0
        self.labels: dict[str, dict[str, str]] = {}
        self.taints: dict[str, tuple[Taint, ...]] = {}

    async def refresh(self) -> None:
        self.looks += 1
        await asyncio.sleep(0)

    def nodes(self, taken: Mapping[str, Taken]) -> Sequence[Node]:
        return [self._node(name, taken.get(name, Taken())) for name in self.names]

    def _node(self, name: str, taken: Taken) -> Node:
        return Node(
            name,
            labels=self.labels.get(name, {}),
            taints=self.taints.get(name, ()),
            runtimes=("process", "docker", "endpoint", "self"),
            cpus=4.0,
            cpus_idle=4.0,
            requested_cpus=taken.cpus,
            memory_bytes=1 << 34,
            memory_free_bytes=1 << 33,
            requested_memory_bytes=taken.memory_bytes,
            running=taken.shadows,
            max_shadows=self.max_shadows,
        )


class FakeBoard:
    """No Envoy is connected, or one that ACKs when a test lets it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes: list[NodeInfo] = []
        self.acked = asyncio.Event()
        self.acked.set()

    def envoys(self, groups: Collection[str] | None = None) -> list[Any]:
        return []

    def connected(self, groups: Collection[str]) -> list[Any]:
        return list(self.nodes)

    async def settled(self, group_filter: Any, timeout: float) -> bool:  # noqa: ASYNC109 - the board's own signature
        await self.acked.wait()
        self.world.log.append(("settled",))
        return True


class FakeCollector:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.configs: tuple[Any, ...] = ()
        self.hurry = asyncio.Event()
        self.data: dict[str, bytes] = {}
        self.last_good: Mapping[str, Any] = {}
        self.forgotten: list[str] = []
        self.lingering: list[str] = []
        self.restarted: list[str] = []
        self.seen: dict[str, list[Tally]] = {}
        self.away = False
        """Whether an engine is not there."""

    def configure(self, profiles: Sequence[Any]) -> None:
        self.configs = tuple(profiles)

    def offer_last_good(self, groups: Mapping[str, Any]) -> None:
        self.last_good = dict(groups)

    def summary(self, profile_id: str, instance_id: str | None = None, **_: Any) -> None:
        return None

    def tallies(self, profile_id: str) -> list[Tally]:
        return self.seen.get(profile_id, [])

    def revision(self, profile_id: str) -> int:
        return hash(self.dump(ProfileID(profile_id))) if profile_id in self.data or profile_id in self.seen else 0

    def evidence(self, profile_id: str, **_: Any) -> Any:
        return f"evidence of {profile_id}"

    def restart_evidence(self, profile_id: str) -> None:
        self.restarted.append(profile_id)
        self.data[profile_id] = b"begun anew"

    def awaits(self, profile_id: str) -> bool:
        return self.away

    def linger(self, profile_id: str) -> None:
        self.lingering.append(profile_id)

    def mark(self) -> None:
        """Nothing has come from an engine."""

    def kept(self, mark: None) -> None:
        """Nothing waits for it."""

    def dump(self, profile_id: ProfileID) -> bytes:
        if profile_id in self.seen:
            return pack_dump(Progress(), self.seen[profile_id])
        return self.data.get(profile_id, b"")

    def load(self, profile_id: ProfileID, data: bytes) -> None:
        if data == b"broken":
            raise ValueError("not a comparison")
        self.data[profile_id] = data
        with suppress(ValueError):
            self.seen[profile_id] = read_dump(data)[1]

    def forget(self, profile_id: ProfileID) -> None:
        self.forgotten.append(profile_id)
        self.seen.pop(profile_id, None)

    def engines(self) -> list[Any]:
        return []


class FakeJudge:
    """Says what a test says; remembers how often it was asked."""

    def __init__(self) -> None:
        self.says: Mapping[str, Any] | Exception | None = None
        self.asked: list[Inputs] = []
        self.states: list[Any] = []

    def judge(self, inputs: Inputs, state: Any) -> tuple[Mapping[str, Any], Any]:
        self.asked.append(inputs)
        self.states.append(state)
        if isinstance(self.says, Exception):
            raise self.says
        number = (state or {"asked": 0})["asked"] + 1
        return self.says or a_verdict(), {"asked": number}

    def pack(self, state: Any) -> Any:
        return state

    def unpack(self, packed: Any) -> Any:
        return {"asked": packed["asked"]}


def a_verdict(decision: str = "INCONCLUSIVE", *, harm: str = "NONE", critical: bool = True, **variants: str) -> Any:
    """A verdict of this decision, of each variant or of `v2` alone."""
    said = variants or {"v2": decision}
    checks = [
        {"metric": "error_rate", "variant": v, "decision": d, "critical": critical, "muted": False, "pairs": 500}
        for v, d in said.items()
    ]
    if not critical:
        checks.append(
            {"metric": "memory", "variant": "v2", "decision": "PASS", "critical": True, "muted": False, "pairs": 9}
        )
    return {
        "decision": decision,
        "since": "2026-01-01T00:00:00Z",
        "pairs": 500,
        "alpha": 0.01,
        "reasons": [f"it is {decision}"],
        "latched": decision == "FAIL",
        "checks": checks,
        "harm": {"decision": harm, "reason": "mirrored requests take longer"},
        "variants": [{"variant": v, "decision": d, "reasons": [f"{v} is {d}"]} for v, d in said.items()],
    }


def a_component(name: str = "catalog", port: int = 10000, **fields: Any) -> Component:
    wanted: dict[str, Any] = {"endpoints": (Endpoint("127.0.0.1", 9001),)}
    return Component(name=name, protocol=Protocol.HTTP1, listen=Address("127.0.0.1", port), **(wanted | fields))


def a_network(name: str = "shop", *components: Component) -> VirtualNetwork:
    return VirtualNetwork(id=NetworkID(""), name=name, components=components or (a_component(),))


def a_profile(**fields: Any) -> ShadowingProfile:
    wanted: dict[str, Any] = {
        "id": ProfileID(""),
        "network_id": NetworkID(""),
        "component_name": "catalog",
        "percentage": 0.5,
        "ttl": 600.0,
        "variants": (Variant("v2", ProcessSpec(("python", "app.py", "--port", "{port}"))),),
    }
    return ShadowingProfile(**(wanted | fields))
