"""What belongs to nobody any more, ended: by a look at each node at the start, and then now and again.

Such things are there after a node was away: a shadow that could not be ended, or whose start was given up.

Guarantees: only what this manager started is ended, and nothing of an instance that lives on that node, or is being
started there. A node that does not answer is asked again at the next look.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator

import structlog

from xds_server.errors import ShadowmeshError, StoreError
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.entries import of_instance
from xds_server.lifecycle.registry import Registry
from xds_server.lifecycle.trail import Trail
from xds_server.model.ids import InstanceID
from xds_server.model.shadow import ShadowInstance
from xds_server.runtime.base import Runtime
from xds_server.runtime.fleet import Fleet
from xds_server.store.base import Changes

log = structlog.get_logger(__name__)

EVERY = 30.0
"""Seconds between two looks."""
SWEEP_TIMEOUT = 15.0
"""Longest look at one node, in seconds."""
AT_START = 4.0
"""Longest at the start of a manager, when Envoys wait."""


class Sweeper:
    """See the module.

    Args:
        fleet: the runtimes.
        store: the disk.
        registry: the records.
        clock: when it is time again.
        alive: instances that somebody still looks after.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        store: Trail,
        registry: Registry,
        clock: Clock,
        alive: Callable[[], Collection[InstanceID]],
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._registry = registry
        self._clock = clock
        self._alive = alive

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            await self.sweep()

    async def sweep(self, *, at_start: bool = False) -> None:
        """Look at each node once, side by side; at a start, what has no handle on record is nobody's."""
        limit = AT_START if at_start else SWEEP_TIMEOUT
        nodes = list(self._fleet.all())
        await asyncio.gather(
            *(
                self._sweep(node, runtime, _Known(self._living, node, recorded=at_start), limit)
                for node, runtime in nodes
            )
        )

    async def _sweep(self, node: str, runtime: Runtime, known: Collection[InstanceID], limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                ended = await runtime.sweep(known)
        except (TimeoutError, ShadowmeshError, OSError) as error:
            log.warning("a node could not be swept", node=node, runtime=runtime.kind, error=str(error) or "too slow")
            return
        if ended:
            log.info("orphans ended", node=node, runtime=runtime.kind, instances=ended)
            self._tell(node, ended)
        await self._let_go(node, runtime)

    def _tell(self, node: str, ended: Collection[InstanceID]) -> None:
        """Have the audit trail say it; of what no network knows any more, only the log does."""
        now = self._clock.now()
        for record in self._registry:
            for i in [record.instances[e] for e in ended if e in record.instances]:
                what = f"{i.variant} was ended on node {node}: nobody looked after it there"
                told = of_instance(record, i, "orphan ended", at=now, before=i.status, what=what)
                self._store.note(told)

    def _living(self) -> Iterator[ShadowInstance]:
        alive = self._alive()
        return (i for record in self._registry for i in record.instances.values() if i.id in alive)

    async def _let_go(self, node: str, runtime: Runtime) -> None:
        """Forget the handles of ended instances of a node that was just swept: nothing of them is left."""
        for record in self._registry:
            async with record.lock:
                alive = self._alive()
                gone = [
                    record.update(i.id, handle={})
                    for i in list(record.instances.values())
                    if i.ended
                    and i.handle
                    and i.node == node
                    and i.id not in alive
                    and self._fleet.find(node, record.spec_of(i)) is runtime
                ]
                if gone:
                    try:
                        await self._store.apply(Changes(instances=tuple(gone)))
                    except StoreError as error:
                        record.trouble = str(error)


class _Known(Collection[InstanceID]):
    """The instances that live on a node at the moment of each question: one may come while a node is still listing."""

    def __init__(self, living: Callable[[], Iterator[ShadowInstance]], node: str, *, recorded: bool) -> None:
        self._living = living
        self._node = node
        self._recorded = recorded

    def __iter__(self) -> Iterator[InstanceID]:
        return (i.id for i in self._living() if i.node == self._node and (i.handle or not self._recorded))

    def __contains__(self, instance: object) -> bool:
        return instance in set(self)

    def __len__(self) -> int:
        return len(set(self))
