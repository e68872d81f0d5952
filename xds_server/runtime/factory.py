"""The one place that knows which runtimes there are.

A new one: its spec class in model/profile.py, its file here, a line in `KINDS` and one in `make_runtimes`.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from xds_server.config import Settings
from xds_server.errors import InvalidError
from xds_server.model.profile import EndpointSpec, ProcessSpec, SelfSpec, VariantSpec
from xds_server.runtime.base import Runtime
from xds_server.runtime.endpoint import MAX_PORT, EndpointRuntime
from xds_server.runtime.original import OriginalRuntime
from xds_server.runtime.ports import Ports
from xds_server.runtime.process import ProcessRuntime

KINDS: dict[type[VariantSpec], str] = {
    ProcessSpec: ProcessRuntime.kind,
    EndpointSpec: EndpointRuntime.kind,
    SelfSpec: OriginalRuntime.kind,
}
"""Which runtime takes which spec."""


def make_runtimes(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> dict[str, Runtime]:
    """Return the runtimes of this machine by kind. Nothing is started or written."""
    first, last = settings.node.ports
    if not 0 < first <= last <= MAX_PORT:
        raise InvalidError(
            f"{first}-{last} is no range of ports",
            field="node.ports",
            hint="--node-ports FIRST-LAST, like 20000-29999",
        )
    ports = Ports(first, last, start=secrets.randbelow(last - first + 1))
    return {
        ProcessRuntime.kind: ProcessRuntime(settings.state / "shadows", ports=ports, now=now),
        EndpointRuntime.kind: EndpointRuntime(),
        OriginalRuntime.kind: OriginalRuntime(),
    }


def kind_of(spec: VariantSpec) -> str:
    """Return the kind of runtime that takes `spec`."""
    return KINDS[type(spec)]


def runtime_for(spec: VariantSpec, runtimes: Mapping[str, Runtime]) -> Runtime:
    """Return the runtime that takes `spec`.

    Raises:
        InvalidError: this node has none of that kind.
    """
    kind = kind_of(spec)
    if kind not in runtimes:
        raise InvalidError(f"no {kind} runtime here", field=kind, hint=f"one of: {', '.join(sorted(runtimes))}")
    return runtimes[kind]
