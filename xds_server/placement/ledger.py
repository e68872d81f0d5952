"""What shadows ask for, node by node, kept up to date as they come and go.

Guarantees: what is on record of a node is exactly the sum over the shadows that are placed there (summed anew at each
change, so that nothing drifts), whatever the order of changes. A change costs as much as the node has shadows.
Not guaranteed: anything across threads.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum

from xds_server.placement.demand import Demand
from xds_server.placement.node import Taken

_NOBODY: Mapping[str, int] = {}


@dataclass(slots=True)
class _Entry:
    node: str
    demand: Demand
    group: str
    starting: bool


class Ledger:
    """See the module. A `key` is a shadow, or a place that is kept for one."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._on: dict[str, dict[str, _Entry]] = {}
        self._taken: dict[str, Taken] = {}
        self._peers: dict[str, Counter[str]] = {}

    @property
    def taken(self) -> Mapping[str, Taken]:
        """What is taken, by node; the same value as long as nothing changes there."""
        return self._taken

    def peers(self, group: str) -> Mapping[str, int]:
        """Return how many shadows of a group there are, by node."""
        return self._peers.get(group, _NOBODY)

    def put(self, key: str, node: str, demand: Demand, *, group: str = "", starting: bool = True) -> None:
        """Place a shadow, or place it elsewhere.

        Args:
            key: the shadow.
            node: where.
            demand: what it asks for.
            group: whose peer it is.
            starting: it is not up yet.
        """
        self.drop(key)
        entry = self._entries[key] = _Entry(node, demand, group, starting)
        self._on.setdefault(node, {})[key] = entry
        self._count(node)
        if demand.slots:
            self._peers.setdefault(group, Counter())[node] += demand.slots

    def up(self, key: str) -> None:
        """Take note that a shadow is up: what it uses is seen from now on."""
        entry = self._entries.get(key)
        if entry is not None and entry.starting:
            entry.starting = False
            self._count(entry.node)

    def drop(self, key: str) -> None:
        """Forget a shadow; nothing if there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        del self._on[entry.node][key]
        self._count(entry.node)
        peers = self._peers.get(entry.group)
        if peers is not None and entry.demand.slots:
            peers[entry.node] -= entry.demand.slots
            if not peers[entry.node]:
                del peers[entry.node]
            if not peers:
                del self._peers[entry.group]

    def _count(self, node: str) -> None:
        here = self._on[node]
        if not here:
            del self._on[node]
            self._taken.pop(node, None)
            return
        asked = [(e.demand, e.starting) for e in here.values()]
        self._taken[node] = Taken(
            shadows=sum(demand.slots for demand, _ in asked),
            cpus=fsum(demand.cpus for demand, _ in asked),
            memory_bytes=sum(demand.memory_bytes for demand, _ in asked),
            starting_cpus=fsum(demand.cpus for demand, starting in asked if starting),
            starting_memory_bytes=sum(demand.memory_bytes for demand, starting in asked if starting),
        )
