"""A node, as a place for shadows, and where nodes come from.

Guarantees: a `Node` is one consistent moment. Not guaranteed: that it is still true when a shadow starts there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that shadows can run on, at one moment.

    `cpu_load` is the busy share of all its processors, 0.0-1.0; memory is in bytes. `running` counts shadows that
    run or are being started there. `reason` says why it is not healthy.
    """

    name: str
    region: str = ""
    zone: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    runtimes: tuple[str, ...] = ("process", "endpoint", "self")
    """Kinds of variants it can run."""
    cpus: float = 1.0
    cpu_load: float = 0.0
    memory_bytes: int = 0
    memory_free_bytes: int = 0
    running: int = 0
    max_shadows: int = 100
    healthy: bool = True
    reason: str = ""


class Inventory(Protocol):
    """All nodes there are."""

    async def nodes(self, running: Mapping[str, int]) -> Sequence[Node]:
        """Return the nodes with their load now.

        Args:
            running: shadows that run or are being started, by node name, as the life cycle counts them.
        """
        ...
