"""A virtual network: components (upstream services) that Envoys forward traffic to.

Guarantees: values are frozen; what is constructed here has been validated at the edge (REST, manifests).
Units: durations are seconds (float), ports 1-65535.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xds_server.model.ids import NetworkID
from xds_server.model.profile import VariantSpec


class Protocol(StrEnum):
    """What a component speaks, on both sides of the Envoy."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens: an IP address or DNS name, and a port."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance of the original. `zone` and `region` are used by placement and by nobody else."""

    address: str
    port: int
    weight: int = 1
    region: str = ""
    zone: str = ""
    node: str = ""
    """Name of the node it runs on; empty when not known."""


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """How Envoy speaks TLS to the endpoints of a component.

    `ca_file` is a path on the *Envoy's* machine; empty means the system's trust store. A certificate must carry one of
    `subject_alt_names` (DNS names, IP addresses, URIs); without them `sni`, and without it an endpoint's address.
    """

    sni: str = ""
    ca_file: str = ""
    subject_alt_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One upstream service.

    `timeout` 0 means that we never cut a client's request (Envoy's own default of 15 s would). `idle_timeout` None
    leaves Envoy's default of 5 minutes without a byte. `hosts` lets components share a listen address: each then
    needs hosts of its own; `("*",)` takes all.
    """

    name: str
    protocol: Protocol
    listen: Address
    endpoints: tuple[Endpoint, ...]
    hosts: tuple[str, ...] = ("*",)
    timeout: float = 0.0
    idle_timeout: float | None = None
    retries: int = 0
    upgrades: tuple[str, ...] = ()
    """Upgrade types that clients may use, for example `websocket`. Never mirrored."""
    tls: UpstreamTLS | None = None
    version: VariantSpec | None = field(default=None, hash=False)
    """How to run its own version once more: the control of profiles that name none. Not `SelfSpec`."""


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """The unit an Envoy belongs to, by its `node.cluster` (the network's name or id).

    `revision` counts changes of the definition, from 1; it is what an ETag is made of.
    """

    id: NetworkID
    name: str
    components: tuple[Component, ...]
    labels: dict[str, str] = field(default_factory=dict)
    revision: int = 1
    created_at: datetime | None = None

    def component(self, name: str) -> Component | None:
        """Return the component called `name`, or None."""
        return next((c for c in self.components if c.name == name), None)
