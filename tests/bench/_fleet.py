"""A fleet to place shadows in, drawn by seed: nodes of mixed sizes, components with a home, shadows that come and go.

Guarantees: the same seed gives the same fleet, arrivals and lives, whoever places them.
"""

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from xds_server.model.ids import NetworkID
from xds_server.model.network import Address, Component, Endpoint, Protocol
from xds_server.model.nodes import Capacity, NodeEntry
from xds_server.model.profile import DockerSpec
from xds_server.placement.nearness import Spot

GIB = 1024**3
REGIONS, ZONES = 3, 3
PLACES = [(f"region-{r}", f"region-{r}-{z}") for r in range(REGIONS) for z in range(ZONES)]
_SIZES = ((4, 8), (4, 16), (8, 16), (8, 32), (16, 64), (32, 128))
"""Processors and GiB of a node."""
_CPUS = (0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 4.0)
_MEMORY = (0.25, 0.5, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Service:
    """A component, its network, and where the Envoys of that network are."""

    network: NetworkID
    component: Component
    envoys: tuple[Spot, ...]

    @property
    def homes(self) -> set[tuple[str, str]]:
        """The zones of its endpoints."""
        return {(e.region, e.zone) for e in self.component.endpoints}


@dataclass(frozen=True, slots=True)
class Shadow:
    """One shadow; times are in seconds."""

    name: str
    service: Service
    spec: DockerSpec
    begins: float
    ends: float


def nodes(count: int, seed: int) -> tuple[NodeEntry, ...]:
    """Return nodes of mixed sizes, as many in each zone as in the others."""
    draw = random.Random(f"nodes {seed}")
    entries = []
    for number in range(count):
        region, zone = PLACES[number % len(PLACES)]
        cpus, memory = draw.choice(_SIZES)
        entries.append(NodeEntry(f"node-{number:04}", region, zone, capacity=Capacity(float(cpus), memory * GIB, 100)))
    return tuple(entries)


def services(count: int, seed: int) -> list[Service]:
    """Return components with 1-12 endpoints in 1-3 zones of a region, and Envoys there and somewhere else."""
    draw = random.Random(f"services {seed}")
    made = []
    for number in range(count):
        region = draw.randrange(REGIONS)
        homes = draw.sample(PLACES[region * ZONES : (region + 1) * ZONES], draw.randint(1, ZONES))
        spots = [*homes, draw.choice(PLACES)]
        endpoints = tuple(
            Endpoint(f"10.0.{number % 256}.{i}", 80, region=where[0], zone=where[1])
            for i, where in enumerate(draw.choices(homes, k=draw.randint(len(homes), 12)))
        )
        component = Component("c", Protocol.HTTP1, Address("127.0.0.1", 10000), endpoints)
        made.append(Service(NetworkID(f"n{number}"), component, tuple(Spot(r, z) for r, z in spots)))
    return made


def shadows(count: int, among: list[Service], seed: int, *, alive: int) -> list[Shadow]:
    """Return shadows in order of arrival, one a second in the mean; `alive` of them at once, once all is settled."""
    draw = random.Random(f"shadows {seed}")
    now, made = 0.0, []
    for number in range(count):
        now += draw.expovariate(1.0)
        spec = DockerSpec("image", 80, cpus=draw.choice(_CPUS), memory=int(draw.choice(_MEMORY) * GIB))
        made.append(Shadow(f"s{number}", draw.choice(among), spec, now, now + draw.expovariate(1.0 / alive)))
    return made


def events(arriving: list[Shadow]) -> Iterator[tuple[Shadow, bool]]:
    """Return each arrival (True) and each end before the last arrival (False), in their order."""
    ends: list[tuple[float, int, Shadow]] = []
    numbers = itertools.count()
    for shadow in arriving:
        while ends and ends[0][0] <= shadow.begins:
            yield heapq.heappop(ends)[2], False
        heapq.heappush(ends, (shadow.ends, next(numbers), shadow))
        yield shadow, True
