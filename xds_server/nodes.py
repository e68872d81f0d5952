"""The nodes of a manager, put together: entries, runtimes, and how each machine is looked at.

Importing this module does nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from api.inventory import read_nodes
from xds_server.config import Settings
from xds_server.model.nodes import NodeEntry
from xds_server.placement.inventory import Looking, NodesInventory
from xds_server.placement.local import LocalLook, local_entry
from xds_server.placement.node import Look
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.hosts import local_host
from xds_server.runtime.docker.runtime import DockerRuntime
from xds_server.runtime.factory import make_engines, make_fleet
from xds_server.runtime.fleet import Fleet

ANSWER = 3.0
"""Seconds that an engine has to say what its machine is."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """What is there of the nodes."""

    entries: tuple[NodeEntry, ...]
    engines: Mapping[str, Engine]
    fleet: Fleet
    inventory: NodesInventory

    async def close(self) -> None:
        """Look at nothing any more, and let go of the engines."""
        await self.inventory.close()
        for engine in self.engines.values():
            engine.close()


def make_nodes(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Nodes:
    """Return the nodes that `--nodes` lists, or this machine as the only one. Nothing is started or asked.

    Args:
        settings: of the whole process.
        now: the time that deadlines are given in.

    Raises:
        InvalidError: the file, or other settings, cannot be right.
    """
    own = local_entry(settings.node, local_host(settings.docker))
    entries = read_nodes(settings.nodes) if settings.nodes else (own,)
    engines = make_engines(entries)
    fleet = make_fleet(settings, entries, engines, now=now)
    return Nodes(entries, engines, fleet, NodesInventory(entries, looks=_looks(entries, engines), runtimes=fleet.kinds))


def _looks(entries: Sequence[NodeEntry], engines: Mapping[str, Engine]) -> dict[str, Looking]:
    looks: dict[str, Looking] = {}
    for entry in entries:
        engine = engines.get(entry.name)
        if entry.local:
            looks[entry.name] = LocalLook(beside={DockerRuntime.kind: partial(_told, engine)} if engine else None)
        elif engine is not None:
            here = engine.host.url.startswith("unix://")
            looks[entry.name] = partial(_look, engine, LocalLook() if here else None)
    return looks


async def _look(engine: Engine, machine: LocalLook | None) -> Look:
    """Return what an engine says of its machine; `machine` is this one, if that is where it is.

    Raises:
        UnavailableError: it does not answer.
    """
    told = await _told(engine)
    if machine is not None:
        return await machine()
    # It does not tell how busy its machine is, so that what shadows ask for decides alone.
    memory = int(told.get("MemTotal", 0))
    return Look(float(told.get("NCPU", 1)), 0.0, memory, memory)


async def _told(engine: Engine) -> dict[str, Any]:
    told: dict[str, Any] = await engine.call(lambda client: client.info(), timeout=ANSWER)
    return told
