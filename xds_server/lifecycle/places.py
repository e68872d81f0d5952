"""selectIntermediateNode: which node a new shadow goes to, with what is being started counted in.

Guarantees: two creates at the same moment do not both take the last place of a node: to choose and to take is one step,
with nothing awaited in between. A shadow's place is taken from the choice until its end. A node whose runtime failed to
start a shadow is left alone for a while.
Not guaranteed: that the node still suits when the shadow has started.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from xds_server.errors import ShadowmeshError
from xds_server.lifecycle.clock import Clock
from xds_server.model.ids import InstanceID, NetworkID
from xds_server.model.network import Component
from xds_server.model.nodes import ANY_NODE, Placement
from xds_server.model.profile import VariantSpec
from xds_server.placement.backoff import Backoff
from xds_server.placement.choice import NONE_TRIED, Choice, Question
from xds_server.placement.demand import Demand
from xds_server.placement.ledger import Ledger
from xds_server.placement.nearness import Spot
from xds_server.placement.node import Inventory, Node
from xds_server.runtime.fleet import kind_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """For whom a place is sought: a component of a network, and what its profile asks of nodes."""

    network: NetworkID
    component: Component
    placement: Placement = ANY_NODE

    @property
    def group(self) -> str:
        """Whose shadows are peers."""
        return f"{self.network}/{self.component.name}"

    def demand(self, spec: VariantSpec) -> Demand:
        """Return what a shadow of this version needs."""
        return Demand.of(kind_of(spec), spec, self.placement)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a shadow is like that somebody asks the place of; None: what one has of which nothing is said.

    Without a `runtime`, it is a process where there are nodes for processes, a container otherwise.
    """

    runtime: str | None = None
    cpus: float | None = None
    memory: int | None = None
    placement: Placement = ANY_NODE

    def demand(self, kinds: Collection[str]) -> Demand:
        """Return what it needs, where the nodes have these kinds of runtimes."""
        kind = self.runtime or ("process" if "process" in kinds or "docker" not in kinds else "docker")
        usual = Demand.of(kind, None, self.placement)
        return replace(
            usual,
            cpus=usual.cpus if self.cpus is None else self.cpus,
            memory_bytes=usual.memory_bytes if self.memory is None else self.memory,
        )


class Places:
    """See the module.

    Args:
        inventory: the nodes.
        envoys: where the connected Envoys of a network are.
        clock: for what is left alone.
    """

    def __init__(self, *, inventory: Inventory, envoys: Callable[[NetworkID], Iterable[Spot]], clock: Clock) -> None:
        self._inventory = inventory
        self._envoys = envoys
        self._ledger = Ledger()
        self._backoff = Backoff(monotonic=clock.monotonic, now=clock.now)
        self._numbers = itertools.count()
        self._where: Mapping[str, tuple[str, str]] = {}

    async def nodes(self) -> Sequence[Node]:
        """Return all nodes with their load now."""
        await self._inventory.refresh()
        return self._nodes()

    async def choose(self, wanted: Wanted, demand: Demand) -> Choice:
        """Return the choice that a shadow would get now, and why."""
        nodes = await self.nodes()
        return self._question(wanted, demand).choice(nodes)

    @asynccontextmanager
    async def reserved(self, wanted: Wanted, specs: Sequence[VariantSpec]) -> AsyncIterator[list[str]]:
        """Choose a node for each spec and keep the places for the length of a `with`; yields the nodes' names.

        Raises:
            UnavailableError: no node has room for one of them.
        """
        keys: list[str] = []
        try:
            if specs:
                await self._inventory.refresh()
            found = []
            for spec in specs:
                key = f"reserved/{next(self._numbers)}"
                keys.append(key)
                found.append(self._take(key, wanted, wanted.demand(spec)))
            yield found
        finally:
            # By now they are in the records, and taken for good; or not needed.
            for key in keys:
                self._ledger.drop(key)

    async def moved(self, instance: InstanceID, wanted: Wanted, spec: VariantSpec, *, tried: Mapping[str, str]) -> str:
        """Take another place for a shadow, which those nodes could not start; return the node.

        Raises:
            UnavailableError: there is none; with what each node said.
        """
        await self._inventory.refresh()
        return self._take(instance, wanted, wanted.demand(spec), tried=tried)

    def taken(self, instance: InstanceID, node: str, wanted: Wanted, spec: VariantSpec, *, starting: bool) -> None:
        """Take note that a shadow has its place on a node."""
        self._ledger.put(instance, node, wanted.demand(spec), group=wanted.group, starting=starting)

    def left(self, instance: InstanceID) -> None:
        """Take note that nothing of a shadow is left."""
        self._ledger.drop(instance)

    def up(self, instance: InstanceID) -> None:
        """Take note that a shadow is up."""
        self._ledger.up(instance)

    def started(self, node: str, spec: VariantSpec) -> None:
        """Take note that a node started a shadow."""
        self._backoff.succeeded(node, kind_of(spec))

    def could_not(self, node: str, spec: VariantSpec, error: ShadowmeshError) -> None:
        """Take note that a node could not start a shadow."""
        self._backoff.failed(node, kind_of(spec), str(error))

    def _take(self, key: str, wanted: Wanted, demand: Demand, *, tried: Mapping[str, str] = NONE_TRIED) -> str:
        nodes = self._nodes()
        question = self._question(wanted, demand, tried)
        node = (question.best(nodes) or question.choice(nodes).require()).name
        self._ledger.put(key, node, demand, group=wanted.group)
        return node

    def _question(self, wanted: Wanted, demand: Demand, tried: Mapping[str, str] = NONE_TRIED) -> Question:
        return Question(
            wanted.component,
            demand,
            envoys=self._envoys(wanted.network),
            where=self._where,
            peers=self._ledger.peers(wanted.group),
            tried=tried,
        )

    def _nodes(self) -> Sequence[Node]:
        nodes = self._inventory.nodes(self._ledger.taken)
        if len(self._where) != len(nodes):  # they do not move
            self._where = {node.name: (node.region, node.zone) for node in nodes}
        off = self._backoff.now()
        return [replace(n, backed_off=off[n.name]) if n.name in off else n for n in nodes] if off else nodes
