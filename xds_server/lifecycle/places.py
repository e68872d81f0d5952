"""selectIntermediateNode: which node a new shadow goes to, with what is being started counted in.

Guarantees: two creates at the same moment do not both take the last place of a node.
Not guaranteed: that the node still suits when the shadow has started.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from xds_server.model.network import Component
from xds_server.model.profile import VariantSpec
from xds_server.placement.choice import Choice, Demand, select
from xds_server.placement.node import Inventory, Node
from xds_server.runtime.fleet import kind_of


class Places:
    """Asks the inventory and counts.

    Args:
        inventory: the nodes.
        running: shadows by node that run or are being started, as the records have them.
    """

    def __init__(self, *, inventory: Inventory, running: Callable[[], Mapping[str, int]]) -> None:
        self._inventory = inventory
        self._running = running
        self._reserved: Counter[str] = Counter()
        self._choosing = asyncio.Lock()

    async def nodes(self) -> Sequence[Node]:
        """Return all nodes with their load now."""
        return await self._inventory.nodes(Counter(self._running()) + self._reserved)

    async def choose(self, component: Component, *, kind: str = "process") -> Choice:
        """Return the choice that a shadow of this kind would get now, and why."""
        return select(component, await self.nodes(), demand=Demand.of(kind))

    @asynccontextmanager
    async def reserved(self, component: Component, specs: Sequence[VariantSpec]) -> AsyncIterator[list[str]]:
        """Choose a node for each spec and keep the places for the length of a `with`; yields the nodes' names.

        Raises:
            UnavailableError: no node has room for one of them.
        """
        taken: list[tuple[str, int]] = []
        try:
            for spec in specs:
                demand = Demand.of(kind_of(spec))
                async with self._choosing:
                    node = select(component, await self.nodes(), demand=demand).require().name
                    self._reserved[node] += demand.slots
                    taken.append((node, demand.slots))
            yield [node for node, _ in taken]
        finally:
            # By now they are in the records, or not needed.
            for node, slots in taken:
                self._reserved[node] -= slots
