"""The hard limits of placement: what refuses a node, whatever its score.

Guarantees: pure; all limits that a node breaks are said, in words for a user. Processors are limited by what shadows
ask for together, as in Kubernetes, memory also by what is free on the machine now: a busy processor slows what runs on
it, memory that is not there ends it. A shadow that runs already elsewhere (`slots` 0) asks nothing but the runtime.
"""

from collections.abc import Iterator, Mapping

from xds_server.model.nodes import TaintEffect
from xds_server.placement.demand import MIB, Demand
from xds_server.placement.node import Node

_DUST = 1e-9
"""What sums of processors may be wrong by."""


def refused(node: Node, demand: Demand, tried: Mapping[str, str]) -> tuple[str, ...]:
    """Return why a shadow cannot be placed on a node; empty: it can.

    Args:
        node: the node.
        demand: what the shadow needs.
        tried: nodes that could not start this very shadow, and why.
    """
    kind = demand.runtime
    if not demand.slots:
        return () if kind in node.runtimes else (f"has no {kind} runtime",)
    reasons: list[str] = []
    if node.name in tried:
        reasons.append(f"could not start it: {tried[node.name]}")
    elif kind in node.backed_off:
        off = node.backed_off[kind]
        reasons.append(f"is left alone until {off.until:%H:%M:%S} UTC, because it could not start one: {off.reason}")
    if not node.healthy:
        reasons.append(f"not healthy: {node.reason or 'no reason given'}")
    if kind not in node.runtimes:
        reasons.append(f"has no {kind} runtime")
    elif kind in node.away:
        reasons.append(f"its {kind} runtime is away: {node.away[kind]}")
    if demand.selector or node.taints:
        reasons += _unwanted(node, demand)
    if node.healthy and not _fits(node, demand):
        reasons += _full(node, demand)
    return tuple(reasons)


def _unwanted(node: Node, demand: Demand) -> Iterator[str]:
    for name, value in demand.selector.items():
        if node.labels.get(name) != value:
            yield f"label {name} is {node.labels.get(name, 'absent')}, not {value}"
    for taint in node.taints:
        if taint.effect is TaintEffect.NO_SCHEDULE and not any(t.tolerates(taint) for t in demand.tolerations):
            yield f"has the taint {taint}, which is not tolerated"


def _fits(node: Node, demand: Demand) -> bool:
    return (
        node.running + demand.slots <= node.max_shadows
        and demand.memory_bytes <= node.memory_free_bytes
        and demand.memory_bytes <= node.memory_bytes - node.requested_memory_bytes
        and demand.cpus <= node.cpus - node.requested_cpus + _DUST
    )


def _full(node: Node, demand: Demand) -> Iterator[str]:
    if node.running + demand.slots > node.max_shadows:
        yield f"runs {node.running} shadows of at most {node.max_shadows}"
    left, needed = node.memory_bytes - node.requested_memory_bytes, -(-demand.memory_bytes // MIB)
    if demand.memory_bytes > left:
        yield f"has {max(0, left) // MIB} of {node.memory_bytes // MIB} MiB of memory left, of {needed} MiB needed"
    elif demand.memory_bytes > node.memory_free_bytes:
        yield f"has {max(0, node.memory_free_bytes) // MIB} MiB of memory free, of {needed} MiB needed"
    cpus = node.cpus - node.requested_cpus
    if demand.cpus > cpus + _DUST:
        yield f"has {max(0.0, cpus):.2f} of {node.cpus:.2f} processors left, of {demand.cpus:.2f} needed"
