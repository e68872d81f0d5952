"""Nodes as a user describes them, and what a profile says of the nodes that its shadows may run on.

Guarantees: values are frozen; what is constructed here has been validated at the edge (`nodes.yaml`, flags, REST).
Units: memory is in bytes; `cpus` are processors, 0.5 is half of one.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from xds_server.model.docker_host import DockerHost


class TaintEffect(StrEnum):
    """What a taint does to shadows that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    """None of them is placed there."""
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    """They are placed there when nothing better is left."""


@dataclass(frozen=True, slots=True)
class Taint:
    """Keeps shadows from a node, but for those that tolerate it."""

    key: str
    value: str = ""
    effect: TaintEffect = TaintEffect.NO_SCHEDULE

    def __str__(self) -> str:
        return f"{self.key}{'=' if self.value else ''}{self.value}:{self.effect.value}"


class TolerationOperator(StrEnum):
    """How a toleration's key and value are compared with a taint's."""

    EQUAL = "Equal"
    EXISTS = "Exists"
    """Any value; without a key, any taint."""


@dataclass(frozen=True, slots=True)
class Toleration:
    """Which taints a profile's shadows put up with; `effect` None: both effects. The same rules as Kubernetes'."""

    key: str = ""
    operator: TolerationOperator = TolerationOperator.EQUAL
    value: str = ""
    effect: TaintEffect | None = None

    def tolerates(self, taint: Taint) -> bool:
        """Tell whether this taint is put up with."""
        if self.effect is not None and self.effect is not taint.effect:
            return False
        if self.operator is TolerationOperator.EXISTS:
            return self.key in {"", taint.key}
        return (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True)
class Placement:
    """What a profile asks of the nodes that its shadows run on."""

    node_selector: dict[str, str] = field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: tuple[Toleration, ...] = ()


ANY_NODE = Placement()
"""Nothing is asked."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What shadows may ask for on a node, all together. None: what the machine has."""

    cpus: float | None = None
    memory: int | None = None
    shadows: int = 100


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node of the inventory. `local`: it is the machine that the manager runs on, which can run processes too."""

    name: str
    region: str = ""
    zone: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    docker: DockerHost | None = None
    capacity: Capacity = Capacity()
    local: bool = False
