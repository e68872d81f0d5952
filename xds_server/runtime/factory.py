"""The one place that knows which runtimes there are.

A new one: its spec class in model/profile.py, its file here, a line in `fleet.KINDS` and one in `make_fleet`.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from xds_server.config import Settings
from xds_server.errors import InvalidError
from xds_server.model.nodes import NodeEntry
from xds_server.runtime.base import Runtime
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.runtime import DockerRuntime
from xds_server.runtime.endpoint import MAX_PORT, EndpointRuntime
from xds_server.runtime.fleet import Fleet
from xds_server.runtime.identity import Identity
from xds_server.runtime.original import OriginalRuntime
from xds_server.runtime.ports import Ports
from xds_server.runtime.process import ProcessRuntime


def make_engines(entries: Iterable[NodeEntry]) -> dict[str, Engine]:
    """Return the Docker engines by node. None of them is asked anything yet."""
    return {entry.name: Engine(entry.docker, node=entry.name) for entry in entries if entry.docker is not None}


def make_fleet(
    settings: Settings,
    entries: Iterable[NodeEntry],
    engines: Mapping[str, Engine],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Fleet:
    """Return the runtimes of all nodes. Nothing is started or written.

    Args:
        settings: of this process.
        entries: the nodes.
        engines: their Docker engines.
        now: wall clock.

    Raises:
        InvalidError: settings that cannot be right.
    """
    first, last = settings.node.ports
    if not 0 < first <= last <= MAX_PORT:
        raise InvalidError(
            f"{first}-{last} is no range of ports",
            field="node.ports",
            hint="--node-ports FIRST-LAST, like 20000-29999",
        )
    ports = Ports(first, last, start=secrets.randbelow(last - first + 1))
    process = ProcessRuntime(settings.state / "shadows", ports=ports, now=now)
    anywhere: dict[str, Runtime] = {EndpointRuntime.kind: EndpointRuntime(), OriginalRuntime.kind: OriginalRuntime()}
    identity = Identity(settings.state)
    nodes: dict[str, dict[str, Runtime]] = {}
    for entry in entries:
        nodes[entry.name] = own = dict(anywhere)
        if entry.local:
            own[ProcessRuntime.kind] = process
        if entry.name in engines:
            own[DockerRuntime.kind] = DockerRuntime(engines[entry.name], manager=identity, now=now)
    return Fleet(nodes)
