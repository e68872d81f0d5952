"""The nodes that there are, each as it was seen last.

Guarantees: machines are looked at side by side, each look is bounded in time and is good for `FRESH` seconds; one that
is older is used on while a new one is under way, up to `STALE` seconds. So `refresh` waits for nobody but those that
were never seen, or not for long, and for them `WAIT` seconds at most. A look that fails makes the node unhealthy, with
the reason, until one succeeds. A node is built anew only when something of it has changed.
Not guaranteed: that a node is still as it was seen.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from xds_server.errors import ShadowmeshError, cut
from xds_server.model.nodes import NodeEntry
from xds_server.placement.node import NOTHING_TAKEN, Look, Node, Taken

log = structlog.get_logger(__name__)

FRESH = 5.0
"""Seconds that a look is good for."""
STALE = 30.0
"""Seconds after which a look is no longer gone by, if there can be another."""
AT_ONCE = 50
"""Looks that one `refresh` begins, beyond those that it waits for: a thousand would take a while only to begin."""
LOOK_TIMEOUT = 5.0
"""Longest look at one machine."""
WAIT = 2.0
"""Longest wait for looks."""
UNSEEN = "it has not been seen yet"

Looking = Callable[[], Awaitable[Look]]
"""Looks at one machine; what it raises is why it is not healthy."""


class NodesInventory:
    """See the module. All methods belong on one event loop.

    Args:
        entries: the nodes as they are described, names unique.
        looks: by name of the node; one without is never healthy.
        runtimes: which kinds of variants a node can run.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        entries: Sequence[NodeEntry],
        *,
        looks: Mapping[str, Looking],
        runtimes: Callable[[str], tuple[str, ...]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = [_Place(entry, looks.get(entry.name), runtimes(entry.name)) for entry in entries]
        self._clock = clock
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def refresh(self) -> None:
        """See `Inventory.refresh`."""
        now = self._clock()
        old = [place for place in self._places if now - place.at >= FRESH and place.looking is not None]
        waiting = []
        for place in old:
            overdue = now - place.at >= STALE
            if overdue or len(self._looking) < AT_ONCE:
                task = self._under_way(place)
                if overdue:
                    waiting.append(task)
        if waiting:
            await asyncio.wait(waiting, timeout=WAIT)

    def nodes(self, taken: Mapping[str, Taken]) -> Sequence[Node]:
        """See `Inventory.nodes`."""
        return [place.node(taken.get(place.entry.name, NOTHING_TAKEN)) for place in self._places]

    async def close(self) -> None:
        """Look at nothing any more."""
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _under_way(self, place: "_Place") -> asyncio.Task[None]:
        name = place.entry.name
        task = self._looking.get(name)
        if task is None:
            self._looking[name] = task = asyncio.create_task(self._look(place), name=f"look at node {name}")
            task.add_done_callback(partial(self._looked, name))
        return task

    def _looked(self, name: str, _: asyncio.Task[None]) -> None:
        del self._looking[name]

    async def _look(self, place: "_Place") -> None:
        assert place.looking is not None  # noqa: S101 - for the type checker
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                seen: Look | str = await place.looking()
        except TimeoutError:
            seen = f"no answer within {LOOK_TIMEOUT:g} s"
        except (ShadowmeshError, OSError) as error:
            seen = cut(str(error)) or type(error).__name__
        except Exception as error:
            log.exception("a node could not be looked at", node=place.entry.name)
            seen = f"an error of Shadowmesh itself: {type(error).__name__}"
        if isinstance(seen, str) and seen != place.seen:
            log.warning("node: not healthy", node=place.entry.name, reason=seen)
        elif isinstance(place.seen, str) and not isinstance(seen, str) and place.seen != UNSEEN:
            log.info("node: healthy again", node=place.entry.name)
        place.saw(seen, self._clock())


class _Place:
    """A node, what was seen of it, and what was made of it last."""

    def __init__(self, entry: NodeEntry, looking: Looking | None, runtimes: tuple[str, ...]) -> None:
        self.entry = entry
        self.looking = looking
        self.at = float("-inf")
        self.seen: Look | str = UNSEEN if looking is not None else "nothing can be seen of it"
        self._plain = Node(
            name=entry.name,
            region=entry.region,
            zone=entry.zone,
            labels=_labels(entry),
            taints=entry.taints,
            runtimes=runtimes,
            cpus=entry.capacity.cpus or 0.0,
            memory_bytes=entry.capacity.memory or 0,
            max_shadows=entry.capacity.shadows,
        )
        self._taken = NOTHING_TAKEN
        self._node: Node | None = None

    def saw(self, seen: Look | str, at: float) -> None:
        """Take note of a look, or why there was none."""
        if seen != self.seen:
            self._node = None
        self.seen, self.at = seen, at

    def node(self, taken: Taken) -> Node:
        """Return the node."""
        if self._node is None or taken is not self._taken:
            self._taken, self._node = taken, self._made(taken)
        return self._node

    def _made(self, taken: Taken) -> Node:
        requested: dict[str, Any] = {
            "requested_cpus": taken.cpus,
            "requested_memory_bytes": taken.memory_bytes,
            "running": taken.shadows,
        }
        if isinstance(self.seen, str):
            return replace(self._plain, healthy=False, reason=self.seen, **requested)
        look, capacity = self.seen, self.entry.capacity
        return replace(
            self._plain,
            **requested,
            away=look.away,
            cpus=look.cpus if capacity.cpus is None else capacity.cpus,
            cpu_load=look.cpu_load,
            cpus_idle=max(0.0, look.cpus * (1.0 - look.cpu_load) - taken.starting_cpus),
            memory_bytes=look.memory_bytes if capacity.memory is None else capacity.memory,
            memory_free_bytes=max(0, look.memory_free_bytes - taken.starting_memory_bytes),
        )


def _labels(entry: NodeEntry) -> dict[str, str]:
    """Return its labels, and those that Kubernetes has for place and name."""
    known = {
        "kubernetes.io/hostname": entry.name,
        "topology.kubernetes.io/region": entry.region,
        "topology.kubernetes.io/zone": entry.zone,
    }
    return {name: value for name, value in known.items() if value} | entry.labels
