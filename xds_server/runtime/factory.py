"""The one place that knows which runtimes there are.

A new one: its spec class in model/profile.py, its file here, a line in `fleet.KINDS` and one in `make_fleet`.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from xds_server.config import Settings
from xds_server.errors import InvalidError
from xds_server.runtime.base import Runtime
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.hosts import local_host
from xds_server.runtime.docker.runtime import DockerRuntime
from xds_server.runtime.endpoint import MAX_PORT, EndpointRuntime
from xds_server.runtime.fleet import Fleet
from xds_server.runtime.identity import Identity
from xds_server.runtime.original import OriginalRuntime
from xds_server.runtime.ports import Ports
from xds_server.runtime.process import ProcessRuntime


def make_fleet(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Fleet:
    """Return the runtimes of all nodes. Nothing is started or written.

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
    local: dict[str, Runtime] = {
        ProcessRuntime.kind: ProcessRuntime(settings.state / "shadows", ports=ports, now=now),
        EndpointRuntime.kind: EndpointRuntime(),
        OriginalRuntime.kind: OriginalRuntime(),
    }
    host = local_host(settings.docker)
    if host is not None:
        engine = Engine(host, node=settings.node.name)
        local[DockerRuntime.kind] = DockerRuntime(engine, manager=Identity(settings.state), now=now)
    return Fleet({settings.node.name: local})
