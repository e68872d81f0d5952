"""A node, as a place for shadows, and where nodes come from.

Guarantees: a `Node` is one consistent moment. Not guaranteed: that it is still true when a shadow starts there.
Units: memory is in bytes; `cpus` are processors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from xds_server.model.nodes import Taint


@dataclass(frozen=True, slots=True)
class Look:
    """A machine at one moment. `cpu_load` is the busy share of all its processors, 0.0-1.0."""

    cpus: float
    cpu_load: float
    memory_bytes: int
    memory_free_bytes: int
    away: Mapping[str, str] = field(default_factory=dict)
    """Kinds of variants that cannot be run there just now, and why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the shadows of a node ask for, those that are being started counted in."""

    shadows: int = 0
    cpus: float = 0.0
    memory_bytes: int = 0
    starting_cpus: float = 0.0
    """The part of it that no look at the machine can show yet: of shadows that are being started."""
    starting_memory_bytes: int = 0


NOTHING_TAKEN = Taken()


@dataclass(frozen=True, slots=True)
class BackedOff:
    """A node failed to start a shadow, and is not asked again until then."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that shadows can run on, at one moment.

    `cpus` and `memory_bytes` are what shadows may ask for, all together; `requested_*` what they do ask for, `running`
    of them. `cpu_load` is the busy share of the machine's processors, 0.0-1.0. `cpus_idle` and `memory_free_bytes` are
    what nobody uses there, less what shadows that are being started ask for. `reason` says why it is not healthy.
    """

    name: str
    region: str = ""
    zone: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    runtimes: tuple[str, ...] = ("process", "endpoint", "self")
    """Kinds of variants it can run."""
    away: Mapping[str, str] = field(default_factory=dict)
    """Those of them that it cannot run just now, and why."""
    backed_off: Mapping[str, BackedOff] = field(default_factory=dict)
    """Those of them that it failed to start."""
    cpus: float = 1.0
    cpu_load: float = 0.0
    cpus_idle: float = 1.0
    requested_cpus: float = 0.0
    memory_bytes: int = 0
    memory_free_bytes: int = 0
    requested_memory_bytes: int = 0
    running: int = 0
    max_shadows: int = 100
    healthy: bool = True
    reason: str = ""


class Inventory(Protocol):
    """All nodes there are."""

    async def refresh(self) -> None:
        """Look at the machines again if it is time to; takes a bounded time, whatever they do. Never raises."""
        ...

    def nodes(self, taken: Mapping[str, Taken]) -> Sequence[Node]:
        """Return the nodes as they were seen last.

        Args:
            taken: what shadows ask for, by node name, as the life cycle counts it.
        """
        ...
