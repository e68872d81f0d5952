"""Where shadows go on 1,000 nodes: how long a placement takes, how even the nodes are, and how near it is.

Nodes of six sizes in 3 regions of 3 zones, 300 components whose endpoints are in 1-3 zones of a region, 20,000 shadows
of mixed sizes that come and go, nearly 10,000 of them at once; all by seed. Three rules place the same arrivals: ours,
ours where nobody says where endpoints and Envoys are (so that the load alone decides), and what Kubernetes does by
default for load: NodeResourcesFit with LeastAllocated, the mean over processors and memory of
(allocatable - requested) * 100 / allocatable in whole numbers, chosen by lot among the best. All three have the same
hard limits. A placement is timed as the life cycle does it: looks at machines, nodes built from what is taken, the
choice, the place taken. Evenness is that of what is asked for over what there is, node by node, looked at every so many
arrivals once the fleet has filled.
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean, pstdev
from typing import Any, Protocol

from tests.bench import _fleet
from tests.bench._fleet import Service, Shadow
from tests.bench._scale import quick
from tests.bench._stats import quantile
from tests.bench._table import show
from xds_server.errors import UnavailableError
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.places import Places, Wanted
from xds_server.model.ids import InstanceID, NetworkID
from xds_server.model.nodes import NodeEntry
from xds_server.placement.demand import Demand
from xds_server.placement.inventory import NodesInventory
from xds_server.placement.ledger import Ledger
from xds_server.placement.limits import refused
from xds_server.placement.node import Look, Node

SEED = 1
GOAL = 0.010
"""Seconds."""


class Rule(Protocol):
    """Places shadows."""

    async def place(self, shadow: Shadow) -> str | None:
        """Return the node that a shadow has taken; None: none has room."""
        ...

    def end(self, shadow: Shadow) -> None:
        """Give its place back."""
        ...


class Ours:
    """The places of the life cycle, over an inventory whose machines are idle and answer at once."""

    def __init__(self, entries: tuple[NodeEntry, ...], services: list[Service], *, blind: bool = False) -> None:
        self._spots = {service.network: () if blind else service.envoys for service in services}
        self._blind = blind
        looks = {entry.name: _looking(entry) for entry in entries}
        self.inventory = NodesInventory(entries, looks=looks, runtimes=lambda _: ("docker",))
        self._places = Places(inventory=self.inventory, envoys=self._envoys, clock=SystemClock())

    def _envoys(self, network: NetworkID) -> Any:
        return self._spots[network]

    async def place(self, shadow: Shadow) -> str | None:
        """See `Rule`."""
        service = shadow.service
        component = service.component
        if self._blind:
            bare = tuple(replace(e, region="", zone="") for e in component.endpoints)
            component = replace(component, endpoints=bare)
        wanted = Wanted(service.network, component)
        try:
            async with self._places.reserved(wanted, [shadow.spec]) as (node,):
                self._places.taken(InstanceID(shadow.name), node, wanted, shadow.spec, starting=False)
        except UnavailableError:
            return None
        return str(node)

    def end(self, shadow: Shadow) -> None:
        """See `Rule`."""
        self._places.left(InstanceID(shadow.name))


class LeastAllocated:
    """The rule of Kubernetes."""

    def __init__(self, entries: tuple[NodeEntry, ...]) -> None:
        looks = {entry.name: _looking(entry) for entry in entries}
        self.inventory = NodesInventory(entries, looks=looks, runtimes=lambda _: ("docker",))
        self._ledger = Ledger()
        self._draw = random.Random(SEED)

    async def place(self, shadow: Shadow) -> str | None:
        """See `Rule`."""
        await self.inventory.refresh()
        demand = Demand.of("docker", shadow.spec)
        best, most = [], -1
        for node in self.inventory.nodes(self._ledger.taken):
            if refused(node, demand, {}):
                continue
            score = _least_allocated(node, demand)
            if score > most:
                best, most = [node.name], score
            elif score == most:
                best.append(node.name)
        if not best:
            return None
        chosen = self._draw.choice(best)
        self._ledger.put(shadow.name, chosen, demand, starting=False)
        return chosen

    def end(self, shadow: Shadow) -> None:
        """See `Rule`."""
        self._ledger.drop(shadow.name)


def _least_allocated(node: Node, demand: Demand) -> int:
    cpus = int((node.cpus - node.requested_cpus - demand.cpus) * 1000) * 100 // int(node.cpus * 1000)
    memory = (node.memory_bytes - node.requested_memory_bytes - demand.memory_bytes) * 100 // node.memory_bytes
    return (cpus + memory) // 2


def _looking(entry: NodeEntry) -> Callable[[], Any]:
    capacity = entry.capacity
    memory = capacity.memory or 0
    look = Look(capacity.cpus or 1.0, 0.0, memory, memory)

    async def looking() -> Look:
        return look

    return looking


@dataclass(slots=True)
class Run:
    """What one rule made of all arrivals."""

    seconds: list[float] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)
    """Seconds of the processor: what it takes when nobody else is at it."""
    at_home: int = 0
    in_region: int = 0
    refused: int = 0
    samples: list[dict[str, float]] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Return its figures."""
        placed = len(self.seconds) - self.refused
        return {
            "p50": quantile(self.seconds, 0.5),
            "p99": quantile(self.seconds, 0.99),
            "max": max(self.seconds),
            "cpu_p50": quantile(self.computed, 0.5),
            "cpu_p99": quantile(self.computed, 0.99),
            "cpu_max": max(self.computed),
            "cpu_above_goal": sum(s > GOAL for s in self.computed),
            "refused": self.refused,
            "own_zone": self.at_home / placed,
            "own_region": self.in_region / placed,
            **{name: fmean(sample[name] for sample in self.samples) for name in self.samples[0]},
        }


def run() -> dict[str, Any]:
    """Run the bench, print its table, return its figures (seconds, shares)."""
    count, number, alive = (90, 600, 300) if quick() else (1000, 20_000, 10_000)
    entries = _fleet.nodes(count, SEED)
    services = _fleet.services(30 if quick() else 300, SEED)
    arriving = _fleet.shadows(number, services, SEED, alive=alive)
    rules: dict[str, Callable[[], Ours | LeastAllocated]] = {
        "shadowmesh": lambda: Ours(entries, services),
        "shadowmesh, places unknown": lambda: Ours(entries, services, blind=True),
        "Kubernetes LeastAllocated": lambda: LeastAllocated(entries),
    }
    figures: dict[str, Any] = {"nodes": count, "shadows": number, "alive": alive, "seed": SEED}
    for name, make in rules.items():
        figures[name] = asyncio.run(_through(make(), entries, arriving)).figures()
    _print(figures, list(rules))
    return figures


async def _through(rule: Ours | LeastAllocated, entries: tuple[NodeEntry, ...], arriving: list[Shadow]) -> Run:
    by_name = {entry.name: entry for entry in entries}
    cpus, memory = dict.fromkeys(by_name, 0.0), dict.fromkeys(by_name, 0)
    placed: dict[str, str] = {}
    made, arrivals = Run(), 0
    await rule.inventory.refresh()
    gc.collect()
    gc.freeze()  # the arrivals are ours: no manager would have its collector walk over them
    for shadow, begins in _fleet.events(arriving):
        sign = 1 if begins else -1
        if begins:
            start, computed = time.perf_counter(), time.thread_time()
            node = await rule.place(shadow)
            made.computed.append(time.thread_time() - computed)
            made.seconds.append(time.perf_counter() - start)
            arrivals += 1
            if node is None:
                made.refused += 1
            else:
                placed[shadow.name] = node
                where, homes = by_name[node], shadow.service.homes
                made.at_home += (where.region, where.zone) in homes
                made.in_region += where.region in {region for region, _ in homes}
        else:
            node = placed.pop(shadow.name, None)
            rule.end(shadow)
        if node is not None:
            cpus[node] += sign * shadow.spec.cpus
            memory[node] += sign * shadow.spec.memory
        if begins and arrivals > len(arriving) // 2 and arrivals % (len(arriving) // 50) == 0:
            made.samples.append(_evenness(by_name, cpus, memory))
    await rule.inventory.close()
    return made


def _evenness(nodes: dict[str, NodeEntry], cpus: dict[str, float], memory: dict[str, int]) -> dict[str, float]:
    """Return how much is asked for of what there is, and how even that is over the nodes."""
    found = {}
    for name, asked in (("cpu", cpus), ("memory", memory)):
        whole = {n: (e.capacity.cpus if name == "cpu" else e.capacity.memory) or 1 for n, e in nodes.items()}
        shares = [asked[n] / whole[n] for n in nodes]
        mean = fmean(shares)
        found |= {f"{name}_mean": mean, f"{name}_cv": pstdev(shares) / mean}
        found[f"{name}_max_over_mean"] = max(shares) / mean
    return found


def _print(figures: dict[str, Any], rules: list[str]) -> None:
    rows = []
    for name in rules:
        one = figures[name]
        rows.append(
            [
                name,
                *(f"{one[key] * 1000:.1f} ms" for key in ("cpu_p50", "cpu_p99", "cpu_max", "p99")),
                f"{one['cpu_mean']:.0%} / {one['memory_mean']:.0%}",
                f"{one['cpu_cv']:.3f} / {one['memory_cv']:.3f}",
                f"{one['cpu_max_over_mean']:.2f} / {one['memory_max_over_mean']:.2f}",
                f"{one['own_zone']:.1%}",
                str(one["refused"]),
            ]
        )
    show(
        f"{figures['shadows']:,} shadows on {figures['nodes']:,} nodes (cpu / memory of what nodes have)",
        ["rule", "p50", "p99", "max", "p99 wall", "asked for", "CV", "max/mean", "own zone", "refused"],
        rows,
        notes=[
            f"goal: a placement in {GOAL * 1000:.0f} ms; p50, p99, max in processor time; wall: with all that runs",
            "CV and max/mean: over the nodes, the mean of looks at the second half of the arrivals",
            "own zone: in a zone of the component's endpoints; refused: no node had room",
        ],
    )


if __name__ == "__main__":
    run()
