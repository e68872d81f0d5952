"""How near a node is to a crowd: the endpoints of a component, or the Envoys that mirror to its shadows.

Guarantees: pure; 1.0 on the same node, 0.7 in the same zone, 0.4 in the same region, 0 elsewhere or unknown, as the
mean over the crowd by weight. Worked out once for each zone, so that a node costs two look-ups, whatever the crowd.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xds_server.placement.node import Node

NOWHERE: Mapping[str, tuple[str, str]] = {}
SAME_NODE, SAME_ZONE, SAME_REGION = 1.0, 0.7, 0.4


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one of a crowd is; parts that are not known are empty. `weight` is its share among the others."""

    region: str = ""
    zone: str = ""
    node: str = ""
    weight: float = 1.0


class Nearness:
    """See the module.

    Args:
        crowd: where they are.
        where: region and zone of nodes by name, for those of whom only the node is known.
    """

    def __init__(self, crowd: Iterable[Spot], where: Mapping[str, tuple[str, str]] = NOWHERE) -> None:
        self._total = 0.0
        self._by_zone: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._by_node: defaultdict[str, list[Spot]] = defaultdict(list)
        for one in crowd:
            spot = one
            if one.node in where and not (one.region or one.zone):
                spot = Spot(*where[one.node], one.node, one.weight)
            self._total += spot.weight
            self._by_zone[spot.region, spot.zone] += spot.weight
            if spot.node:
                self._by_node[spot.node].append(spot)
        self._known: dict[tuple[str, str], float] = {}

    def __bool__(self) -> bool:
        return self._total > 0

    def of(self, node: Node) -> float:
        """Return how near a node is, 0.0-1.0."""
        key = (node.region, node.zone)
        near = self._known.get(key)
        if near is None:
            near = self._known[key] = self._of_zone(node.region, node.zone)
        if node.name in self._by_node:
            here = self._by_node[node.name]
            more = sum(s.weight * (SAME_NODE - near_zone(s.region, s.zone, node.region, node.zone)) for s in here)
            near += more / self._total if self._total else 0.0
        return min(1.0, near)

    def _of_zone(self, region: str, zone: str) -> float:
        if not self._total:
            return 0.0
        return sum(w * near_zone(r, z, region, zone) for (r, z), w in self._by_zone.items()) / self._total


def near_zone(region: str, zone: str, other_region: str, other_zone: str) -> float:
    """Return how near two zones are. One of the same name in another region is another zone."""
    same_region = bool(region) and region == other_region
    apart = bool(region and other_region) and not same_region
    if zone and zone == other_zone and not apart:
        return SAME_ZONE
    return SAME_REGION if same_region else 0.0
