"""selectNodeBasedOnTopologyAndLoad of the specification: hard limits first, then a score.

Guarantees: pure, and the same for any order of the candidates; ties go by name. A node that breaks a limit is never
chosen, and each limit that it breaks is said. All parts of a score are 0.0-1.0, and the total is their weighted mean,
so it can be explained part by part. More load never raises a score, more room never lowers it.
Cost: `best` some 2 us a node, however many endpoints and Envoys there are; `choice` explains each node and takes more.
Not guaranteed: that nothing changes before the shadow starts; the caller counts what it is starting in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from xds_server.errors import UnavailableError
from xds_server.model.network import Component
from xds_server.model.nodes import TaintEffect
from xds_server.placement.demand import Demand
from xds_server.placement.limits import refused
from xds_server.placement.nearness import NOWHERE, Nearness, Spot
from xds_server.placement.node import Node

EXPLAINED = 5
"""Refused nodes that an error names."""
PARTS = ("endpoints", "envoys", "headroom", "spread", "peers", "taints")
_Parts = tuple[float, float, float, float, float, float]
NOBODY: Mapping[str, int] = {}
NONE_TRIED: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of a score counts, in the order of `PARTS`."""

    endpoints: float = 0.25
    """Nearness to the component's endpoints, by their weights: what the original calls is near them."""
    envoys: float = 0.20
    """Nearness to the Envoys that mirror; left out while none is connected."""
    headroom: float = 0.30
    """Share of the node that is left of its scarcer resource, by requests or by load, whichever leaves less."""
    spread: float = 0.05
    """Share of its places that is left."""
    peers: float = 0.10
    """Fewer shadows of the same component on it: 1, 1/2, 1/3, ..."""
    taints: float = 0.10
    """Fewer taints that say PreferNoSchedule and are not tolerated: 1, 1/2, 1/3, ..."""


DEFAULT_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class NodeScore:
    """One node's score, part by part, or the reasons it was refused for (then `total` is None)."""

    node: str
    total: float | None
    parts: dict[str, float]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The node chosen (None: all were refused) and all scores, best first.

    The refused come last: first those that could not start this very shadow, then by how many limits they break.
    """

    component: str
    node: Node | None
    scores: tuple[NodeScore, ...]

    def require(self) -> Node:
        """Return the node.

        Raises:
            UnavailableError: there is none; with the reasons.
        """
        if self.node is not None:
            return self.node
        why = "; ".join(f"{score.node}: {', '.join(score.refused)}" for score in self.scores[:EXPLAINED])
        more = f"; and {len(self.scores) - EXPLAINED} more" if len(self.scores) > EXPLAINED else ""
        raise UnavailableError(
            f"no node can take a shadow of {self.component}: {why + more or 'there are no nodes'}",
            hint="shadowmesh get nodes shows their load and health; where there is no room, ask for less or end others",
        )


class Question:
    """Where one shadow of a component would go; what does not depend on the node is worked out once.

    Args:
        component: its endpoints say where is near.
        demand: what the shadow needs.
        envoys: where the Envoys are that mirror to it.
        where: region and zone of nodes by name, for endpoints and Envoys of which only the node is known.
        peers: shadows of the same component, by node.
        tried: nodes that could not start this very shadow, and why.
        weights: how much each part counts.
    """

    def __init__(
        self,
        component: Component,
        demand: Demand,
        *,
        envoys: Iterable[Spot] = (),
        where: Mapping[str, tuple[str, str]] = NOWHERE,
        peers: Mapping[str, int] = NOBODY,
        tried: Mapping[str, str] = NONE_TRIED,
        weights: Weights = DEFAULT_WEIGHTS,
    ) -> None:
        self._component = component.name
        self._demand = demand
        self._endpoints = Nearness((Spot(e.region, e.zone, e.node, e.weight) for e in component.endpoints), where)
        self._envoys = Nearness(envoys, where)
        self._peers = peers
        self._tried = tried
        shares = list(astuple(weights))
        if not self._envoys:
            shares[PARTS.index("envoys")] = 0.0
        whole = sum(shares) or 1.0
        a, b, c, d, e, f = (share / whole for share in shares)
        self._shares: _Parts = a, b, c, d, e, f

    def best(self, nodes: Iterable[Node]) -> Node | None:
        """Return the node that `choice` would choose, and explain nothing."""
        demand, tried, score = self._demand, self._tried, self._total
        found: Node | None = None
        most = -1.0
        for node in nodes:
            if refused(node, demand, tried):
                continue
            total = score(self._parts(node))
            if total > most or (total == most and found is not None and node.name < found.name):
                found, most = node, total
        return found

    def choice(self, nodes: Sequence[Node]) -> Choice:
        """Return the choice among all nodes (in any order, names unique) with each one's score."""
        scored = [(node, self._score(node)) for node in nodes]
        scored.sort(key=lambda pair: self._rank(pair[1]))
        best = scored[0] if scored and scored[0][1].total is not None else None
        return Choice(self._component, best[0] if best else None, tuple(score for _, score in scored))

    def _rank(self, score: NodeScore) -> tuple[int, float, str]:
        if score.total is not None:
            return (0, -score.total, score.node)
        return (1 if score.node in self._tried else 1 + len(score.refused), 0.0, score.node)

    def _score(self, node: Node) -> NodeScore:
        if reasons := refused(node, self._demand, self._tried):
            return NodeScore(node.name, None, {}, reasons)
        parts = self._parts(node)
        told = {name: part for name, part in zip(PARTS, parts, strict=True) if name != "envoys" or self._envoys}
        return NodeScore(node.name, self._total(parts), told)

    def _total(self, parts: _Parts) -> float:
        a, b, c, d, e, f = self._shares
        u, v, w, x, y, z = parts
        return a * u + b * v + c * w + d * x + e * y + f * z

    def _parts(self, node: Node) -> _Parts:
        return (
            self._endpoints.of(node),
            self._envoys.of(node),
            _headroom(node, self._demand),
            _share(node.max_shadows - node.running - self._demand.slots, node.max_shadows),
            1.0 / (1 + self._peers.get(node.name, 0)),
            self._liked(node) if node.taints else 1.0,
        )

    def _liked(self, node: Node) -> float:
        disliked = sum(
            taint.effect is TaintEffect.PREFER_NO_SCHEDULE
            and not any(toleration.tolerates(taint) for toleration in self._demand.tolerations)
            for taint in node.taints
        )
        return 1.0 / (1 + disliked)


def select(component: Component, nodes: Sequence[Node], *, demand: Demand | None = None) -> Choice:
    """Choose the node for one shadow of `component` where nobody else is to be thought of (see `Question`)."""
    return Question(component, demand or Demand()).choice(nodes)


def _headroom(node: Node, demand: Demand) -> float:
    """Return what is left of the scarcer of processors and memory, once the shadow is there."""
    cpus = node.cpus - node.requested_cpus
    if node.cpus_idle < cpus:  # noqa: PLR1730 - min() takes three times as long, for each node
        cpus = node.cpus_idle
    memory = node.memory_bytes - node.requested_memory_bytes
    if node.memory_free_bytes < memory:  # noqa: PLR1730
        memory = node.memory_free_bytes
    cpu_share = _share(cpus - demand.cpus, node.cpus)
    memory_share = _share(memory - demand.memory_bytes, node.memory_bytes)
    return cpu_share if cpu_share < memory_share else memory_share  # noqa: FURB136


def _share(part: float, whole: float) -> float:
    if part <= 0 or whole <= 0:
        return 0.0
    return part / whole if part < whole else 1.0
