"""What the controller answers with: frozen pictures of one moment, put together for the REST API and the demo.

Guarantees: a view never changes after it was handed out. Not guaranteed: that it is still true a moment later.
Units: CPU in cores (1.0 is one core fully used), memory in bytes, durations in seconds, shares 0.0-1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from xds_server.alerts.alert import Alert
from xds_server.alerts.courier import SinkStatus
from xds_server.analysis.link.attachment import EngineStatus
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, FaultParameters, ShadowingProfile
from xds_server.model.shadow import ShadowInstance
from xds_server.protocol.board import EnvoyStatus
from xds_server.runtime.base import Usage
from xds_server.store.base import ArchiveRecord


class Jsonable(Protocol):
    """A value of the analysis that knows its JSON form (`analysis.Comparison` and the like)."""

    def as_json(self) -> Mapping[str, Any]:
        """Return the JSON form, with the field names of the REST API."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One measured quantity over the life of an instance (or since the manager started, if that was later)."""

    latest: float
    mean: float
    max: float


@dataclass(frozen=True, slots=True)
class Performance:
    """CPU and memory of one shadow, sampled each second. None where the runtime cannot tell (on another machine)."""

    samples: int = 0
    cpu: Gauge | None = None
    """Cores."""
    memory: Gauge | None = None
    """Resident bytes."""
    cpu_per_request: Gauge | None = None
    """Core-milliseconds, over the requests that the Envoys counted."""
    usage: Usage | None = None
    """What the last sample said; None while there was none."""


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance with what is done to it and what was seen of it."""

    instance: ShadowInstance
    faults: tuple[Fault, ...] = ()
    performance: Performance = Performance()
    comparison: Jsonable | None = None
    """`Collector.summary(profile_id, instance_id)`; None while nothing was compared."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """One profile with its instances, newest last; ended ones are kept for a while so that their end can be read."""

    profile: ShadowingProfile
    instances: tuple[InstanceView, ...] = ()
    comparison: Jsonable | None = None
    """`Collector.summary(profile_id)`; None while nothing was compared."""
    verdict: Jsonable | None = None
    """None while nothing was judged."""


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """Everything `GET .../shadowing/status` shows."""

    network: VirtualNetwork
    profiles: tuple[ProfileView, ...] = ()
    envoys: tuple[EnvoyStatus, ...] = ()
    """The Envoys that belong to the network, and what each of them has."""
    engines: tuple[EngineStatus, ...] = ()
    """The engines that report to this manager."""
    alerts: tuple[Alert, ...] = ()
    """What fires."""
    alert_sinks: tuple[SinkStatus, ...] = ()
    """Who is told of alerts, and how that goes."""
    problem: str = ""
    """Why the newest definition is not what Envoys are served (the last good one is); empty when it is."""


@dataclass(frozen=True, slots=True)
class ArchivedComparison:
    """What is kept of a deleted profile; `comparison` is None in a list."""

    record: ArchiveRecord
    comparison: Jsonable | None = None


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What PATCH of a profile may change; None leaves a field as it is. `FaultParameters()` takes the faults away."""

    percentage: float | None = None
    ttl: float | None = None
    """Seconds from the moment that each live instance was created."""
    faults: FaultParameters | None = None
    weights: Mapping[str, float] | None = None
    """Of a split, by variant, as a whole."""
