"""selectNodeBasedOnTopologyAndLoad of the specification: hard limits first, then a score.

Guarantees: pure, and the same for any order of the candidates; ties go by name. A node that breaks a limit is never
chosen, and each limit that it breaks is said. All parts of a score are 0.0-1.0, and the total is their weighted mean,
so it can be explained part by part. Cost: linear in nodes times endpoints.
Not guaranteed: that nothing changes before the shadow starts; the caller counts what it is starting in `running`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from xds_server.errors import UnavailableError
from xds_server.model.network import Component, Endpoint
from xds_server.placement.node import Node

MIB = 1024 * 1024
SAME_NODE, SAME_ZONE, SAME_REGION = 1.0, 0.7, 0.4
"""Nearness of a node to an endpoint; elsewhere or unknown is 0."""
EXPLAINED = 5
"""Refused nodes that an error names."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one shadow needs. `cpus` and `memory_bytes` 0 take what is there; `slots` is its part of `max_shadows`."""

    runtime: str = "process"
    cpus: float = 0.0
    memory_bytes: int = 64 * MIB
    selector: dict[str, str] = field(default_factory=dict)
    """Labels that the node must have."""
    slots: int = 1

    @classmethod
    def of(cls, kind: str) -> "Demand":
        """Return the demand of a variant of this kind that says nothing of it; `endpoint` and `self` run already."""
        return cls(runtime=kind, memory_bytes=0, slots=0) if kind in {"endpoint", "self"} else cls(runtime=kind)


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of a score counts."""

    nearness: float = 0.5
    headroom: float = 0.3
    spread: float = 0.2


@dataclass(frozen=True, slots=True)
class NodeScore:
    """One node's score, part by part, or the reasons it was refused for (then `total` is None)."""

    node: str
    total: float | None
    parts: dict[str, float]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The node chosen (None: all were refused) and all scores, best first, the refused last."""

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
            hint="end some shadows or raise the node's limits",
        )


def select(
    component: Component, candidates: Sequence[Node], *, demand: Demand | None = None, weights: Weights | None = None
) -> Choice:
    """Choose the node for one shadow of `component`.

    Args:
        component: its endpoints say where is near.
        candidates: all nodes, in any order, names unique.
        demand: what the shadow needs.
        weights: how much each part counts.
    """
    demand, weights = demand or Demand(), weights or Weights()
    scored = [(node, _score(component, node, demand=demand, weights=weights)) for node in candidates]
    scored.sort(key=lambda pair: (pair[1].total is None, -(pair[1].total or 0.0), pair[0].name))
    best = scored[0] if scored and scored[0][1].total is not None else None
    return Choice(component.name, best[0] if best else None, tuple(score for _, score in scored))


def _score(component: Component, node: Node, *, demand: Demand, weights: Weights) -> NodeScore:
    if refused := _refused(node, demand):
        return NodeScore(node.name, None, {}, refused)
    parts = {
        "nearness": _nearness(component.endpoints, node),
        "headroom": _headroom(node, demand),
        "spread": _share(node.max_shadows - node.running - demand.slots, node.max_shadows),
    }
    shares = {"nearness": weights.nearness, "headroom": weights.headroom, "spread": weights.spread}
    total = sum(shares[name] * value for name, value in parts.items()) / (sum(shares.values()) or 1.0)
    return NodeScore(node.name, total, parts)


def _refused(node: Node, demand: Demand) -> tuple[str, ...]:
    reasons = []
    if not node.healthy:
        reasons.append(f"not healthy: {node.reason or 'no reason given'}")
    if demand.runtime not in node.runtimes:
        reasons.append(f"has no {demand.runtime} runtime")
    reasons += [
        f"label {name} is {node.labels.get(name, 'absent')}, not {value}"
        for name, value in demand.selector.items()
        if node.labels.get(name) != value
    ]
    if demand.slots and node.running + demand.slots > node.max_shadows:
        reasons.append(f"runs {node.running} shadows of at most {node.max_shadows}")
    if demand.memory_bytes > node.memory_free_bytes:
        free, needed = node.memory_free_bytes // MIB, -(-demand.memory_bytes // MIB)
        reasons.append(f"has {free} MiB of memory free, of {needed} MiB needed")
    idle = node.cpus * (1.0 - node.cpu_load)
    if demand.cpus > idle:
        reasons.append(f"has {idle:.2f} processors free, of {demand.cpus:.2f} needed")
    return tuple(reasons)


def _nearness(endpoints: Sequence[Endpoint], node: Node) -> float:
    """Mean over the endpoints, by the share of the traffic that each gets."""
    weight = sum(endpoint.weight for endpoint in endpoints)
    return sum(endpoint.weight * _near(endpoint, node) for endpoint in endpoints) / weight if weight else 0.0


def _near(endpoint: Endpoint, node: Node) -> float:
    if endpoint.node and endpoint.node == node.name:
        return SAME_NODE
    same_region = bool(endpoint.region) and endpoint.region == node.region
    other_region = bool(endpoint.region and node.region) and not same_region
    if endpoint.zone and endpoint.zone == node.zone and not other_region:
        return SAME_ZONE
    return SAME_REGION if same_region else 0.0


def _headroom(node: Node, demand: Demand) -> float:
    """Return what is left of the scarcer of processors and memory, once the shadow is there."""
    cpu = 1.0 - node.cpu_load - _share(demand.cpus, node.cpus)
    return min(max(0.0, cpu), _share(node.memory_free_bytes - demand.memory_bytes, node.memory_bytes))


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0
