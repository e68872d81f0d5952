"""The nodes of a manager, put together: entries, runtimes, and how each machine is looked at.

Importing this module does nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from docker.errors import APIError

from api.inventory import read_nodes
from xds_server.config import Settings
from xds_server.errors import RuntimeFailedError, ShadowmeshError
from xds_server.model.nodes import NodeEntry
from xds_server.placement.inventory import Looking, NodesInventory
from xds_server.placement.local import LocalLook, local_entry
from xds_server.placement.node import Look
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.hosts import local_host
from xds_server.runtime.docker.pulse import Pulse
from xds_server.runtime.docker.runtime import DockerRuntime
from xds_server.runtime.factory import make_engines, make_fleet
from xds_server.runtime.fleet import Fleet
from xds_server.runtime.identity import Identity

log = structlog.get_logger(__name__)

ANSWER = 3.0
"""Seconds that an engine has to say what its machine is."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """What is there of the nodes."""

    entries: tuple[NodeEntry, ...]
    engines: Mapping[str, Engine]
    fleet: Fleet
    inventory: NodesInventory
    pulses: Sequence[Pulse] = ()

    async def close(self) -> None:
        """Look at nothing any more, and let go of the engines."""
        await self.inventory.close()
        for pulse in self.pulses:
            with suppress(ShadowmeshError, APIError):  # it ends by itself
                await pulse.close()
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
    manager = Identity(settings.state)
    far = [entry.name for entry in entries if not entry.local and entry.docker and not _here(engines[entry.name])]
    pulses = {name: Pulse(engines[name], manager=manager) for name in far}
    inventory = NodesInventory(entries, looks=_looks(entries, engines, pulses), runtimes=fleet.kinds)
    return Nodes(entries, engines, fleet, inventory, tuple(pulses.values()))


def _here(engine: Engine) -> bool:
    return engine.host.url.startswith("unix://")


def _looks(
    entries: Sequence[NodeEntry], engines: Mapping[str, Engine], pulses: Mapping[str, Pulse]
) -> dict[str, Looking]:
    looks: dict[str, Looking] = {}
    for entry in entries:
        engine = engines.get(entry.name)
        if entry.local:
            looks[entry.name] = LocalLook(beside={DockerRuntime.kind: partial(_told, engine)} if engine else None)
        elif engine is not None and entry.name in pulses:
            looks[entry.name] = partial(_look_far, engine, pulses[entry.name])
        elif engine is not None:
            looks[entry.name] = partial(_look, engine, LocalLook())
    return looks


async def _look(engine: Engine, machine: LocalLook) -> Look:
    """Return how this machine is, if its engine answers. Raises: UnavailableError."""
    await _told(engine)
    return await machine()


async def _look_far(engine: Engine, pulse: Pulse) -> Look:
    """Return what a far engine says of its machine, and how busy that is, as far as is known.

    Raises:
        UnavailableError: it does not answer.
    """
    told = await _told(engine)
    memory = int(told.get("MemTotal", 0))
    load = None
    try:
        load = await pulse.load()
    except (APIError, RuntimeFailedError) as error:
        log.debug("a node does not tell how busy it is", node=engine.node, error=str(error))
    cpu, free = (load.cpu, load.memory_free) if load else (0.0, memory)
    return Look(float(told.get("NCPU", 1)), cpu, memory, free)


async def _told(engine: Engine) -> dict[str, Any]:
    told: dict[str, Any] = await engine.call(lambda client: client.info(), timeout=ANSWER)
    return told
