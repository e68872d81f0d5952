"""What one shadow needs of a node.

Guarantees: pure. A container is counted with its limits: what it may use is kept for it, so that it is not measured
while another shadow has its processors. A process is not limited, so that what it will use is only guessed.
"""

from dataclasses import dataclass, field

from xds_server.model.nodes import ANY_NODE, Placement, Toleration
from xds_server.model.profile import DockerSpec, VariantSpec

MIB = 1024 * 1024
PROCESS_MEMORY = 64 * MIB
ANYWHERE = frozenset({"endpoint", "self"})
"""Kinds that run already, so that nothing is asked of the node they are counted to."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one shadow needs. `cpus` and `memory_bytes` 0 take what is there; `slots` is its part of `max_shadows`."""

    runtime: str = "process"
    cpus: float = 0.0
    memory_bytes: int = PROCESS_MEMORY
    selector: dict[str, str] = field(default_factory=dict)
    """Labels that the node must have."""
    tolerations: tuple[Toleration, ...] = ()
    slots: int = 1
    """0: it runs already; nothing but the runtime is asked of the node."""

    @classmethod
    def of(cls, kind: str, spec: VariantSpec | None = None, placement: Placement = ANY_NODE) -> "Demand":
        """Return the demand of a variant of this kind.

        Args:
            kind: the runtime's.
            spec: what it runs; None: what it needs when nothing is said.
            placement: what its profile asks of nodes.
        """
        if kind in ANYWHERE:
            return cls(runtime=kind, memory_bytes=0, slots=0)
        if kind == "docker":
            limits = spec if isinstance(spec, DockerSpec) else DockerSpec(image="", port=0)
            return cls(kind, limits.cpus, limits.memory, placement.node_selector, placement.tolerations)
        return cls(kind, selector=placement.node_selector, tolerations=placement.tolerations)
