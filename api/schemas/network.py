"""The document of a virtual network."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field, field_validator

from api.schemas.base import OMITTED, Document, refuse, shown
from api.schemas.values import (
    AnyText,
    Duration,
    HostAddress,
    IPAddress,
    Name,
    Number,
    Port,
    Text,
)
from api.schemas.variant import VersionBody
from xds_server.model.ids import NetworkID
from xds_server.model.network import Address, Component, Endpoint, Protocol, UpstreamTLS, VirtualNetwork

_DOMAIN_HINT = 'a host like "shop.example", "*.shop.example", "shop.*", or "*" for all, without a port'
Domain = Annotated[str, Text(r"\*|(\*\.?)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?(\.\*)?", _DOMAIN_HINT, most=253)]
Label = Annotated[str, Text("[^\n]*", "a line of text", most=253)]
Place = Annotated[str, Text("[-A-Za-z0-9_.]*", "letters, digits, '-', '_' and '.'", most=63)]
Upgrade = Annotated[str, Text("[A-Za-z][-A-Za-z0-9_]*", 'the value of an Upgrade header, like "websocket"', most=63)]
_UNSPECIFIED = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class ListenBody(Document):
    """Where the Envoys listen for a component."""

    address: IPAddress = "127.0.0.1"
    """IP address; `0.0.0.0` for all interfaces."""
    port: Port
    """Port."""


class EndpointBody(Document):
    """One instance of the original."""

    address: HostAddress
    """IP address or DNS name."""
    port: Port
    """Port."""
    weight: Annotated[int, Number(1, 1_000_000, "the share of this endpoint among the others", whole=True)] = 1
    """Share of this endpoint among the others."""
    region: Place = ""
    """Region, for placement of shadows near it."""
    zone: Place = ""
    """Zone, for placement of shadows near it."""
    node: Place = ""
    """Name of the node it runs on."""


class TLSBody(Document):
    """How the Envoys speak TLS to the endpoints."""

    sni: Annotated[str, Text("[-A-Za-z0-9_.]*", "a DNS name")] = ""
    """Server name to send; the endpoint's own when left out."""
    ca_file: AnyText = ""
    """Path, on the Envoy's machine, of the certificates to trust; the system's when left out."""
    subject_alt_names: list[Annotated[str, Text("[^\n ]+", "a DNS name, address or URI")]] = Field(default_factory=list)
    """Names of which the endpoint's certificate must carry one; `sni` or the endpoints' addresses when left out."""

    def to_model(self) -> UpstreamTLS:
        """Return the settings."""
        return UpstreamTLS(sni=self.sni, ca_file=self.ca_file, subject_alt_names=tuple(self.subject_alt_names))

    @classmethod
    def of(cls, tls: UpstreamTLS) -> "TLSBody":
        """Return the document of the settings."""
        return cls.model_construct(sni=tls.sni, ca_file=tls.ca_file, subject_alt_names=list(tls.subject_alt_names))


class ComponentBody(Document):
    """One upstream service."""

    name: Name
    """Name, unique in its network."""
    protocol: Literal["http1", "http2", "grpc"] = "http1"
    """What it speaks."""
    listen: ListenBody
    """Where the Envoys listen for it."""
    endpoints: Annotated[list[EndpointBody], Field(min_length=1, max_length=1000)]
    """Its instances, at least one."""
    hosts: Annotated[list[Domain], Field(min_length=1, max_length=100)] = Field(default_factory=lambda: ["*"])
    """Values of Host that it answers for, so that components can share a listen address."""
    timeout: Annotated[float, Duration()] = 0.0
    """Longest a client's request may take; `0s` cuts none."""
    idle_timeout: Annotated[float, Duration()] | None = OMITTED
    """Longest time without a byte; Envoy's five minutes when left out."""
    retries: Annotated[int, Number(0, 10, "tries after the first one", whole=True)] = 0
    """Tries of a request to the original after the first one failed."""
    upgrades: Annotated[list[Upgrade], Field(max_length=10)] = Field(default_factory=list)
    """Upgrades that clients may use, for example `websocket`; never mirrored."""
    tls: TLSBody | None = OMITTED
    """TLS to the endpoints; plain text when left out."""
    version: VersionBody | None = OMITTED
    """How to run its own version once more: the control of profiles that name none."""

    @field_validator("hosts")
    @classmethod
    def _each_host_once(cls, hosts: list[str]) -> list[str]:
        for index, host in enumerate(hosts):
            if host.lower() in {other.lower() for other in hosts[:index]}:
                refuse(f"{shown(host)} is there twice", "each host once", at=f"[{index}]")
        return hosts

    def to_model(self) -> Component:
        """Return the component of this document."""
        return Component(
            name=self.name,
            protocol=Protocol(self.protocol),
            listen=Address(self.listen.address, self.listen.port),
            endpoints=tuple(Endpoint(**endpoint.model_dump(by_alias=False)) for endpoint in self.endpoints),
            hosts=tuple(self.hosts),
            timeout=self.timeout,
            idle_timeout=self.idle_timeout,
            retries=self.retries,
            upgrades=tuple(self.upgrades),
            tls=self.tls.to_model() if self.tls else None,
            version=self.version.runs() if self.version else None,
        )

    @classmethod
    def of(cls, component: Component) -> "ComponentBody":
        """Return the document of a component."""
        return cls.model_construct(
            name=component.name,
            protocol=component.protocol.value,
            listen=ListenBody.model_construct(**asdict(component.listen)),
            endpoints=[EndpointBody.model_construct(**asdict(endpoint)) for endpoint in component.endpoints],
            hosts=list(component.hosts),
            timeout=component.timeout,
            idle_timeout=component.idle_timeout,
            retries=component.retries,
            upgrades=list(component.upgrades),
            tls=TLSBody.of(component.tls) if component.tls else None,
            version=VersionBody.model_construct(**VersionBody.fields_of(component.version))
            if component.version
            else None,
        )


class NetworkSpec(Document):
    """What a virtual network is, but for its name: the `spec` of a manifest."""

    components: Annotated[list[ComponentBody], Field(min_length=1, max_length=1000)]
    """Upstream services, at least one."""
    labels: dict[Label, Label] = Field(default_factory=dict)
    """Labels of your own."""

    @field_validator("components")
    @classmethod
    def _no_two_clash(cls, components: list[ComponentBody]) -> list[ComponentBody]:
        _check_names(components)
        _check_listens(components)
        return components

    def to_model(self, name: str) -> VirtualNetwork:
        """Return the network of this document; its id is empty, which means: choose one."""
        components = tuple(component.to_model() for component in self.components)
        return VirtualNetwork(id=NetworkID(""), name=name, components=components, labels=dict(self.labels))


class NetworkBody(NetworkSpec):
    """The body of `POST /networks` and `PUT /networks/{network_id}`."""

    name: Name
    """Name, unique; an Envoy belongs to the network that its `node.cluster` names."""


def _check_names(components: Sequence[ComponentBody]) -> None:
    seen: set[str] = set()
    for index, component in enumerate(components):
        if component.name in seen:
            refuse(f"{shown(component.name)} is there twice", "a name of its own", at=f"[{index}].name")
        seen.add(component.name)


def _check_listens(components: Sequence[ComponentBody]) -> None:
    """Refuse a shared address without hosts of its own, and a part of one that is taken (`0.0.0.0` is all of them)."""
    taken: dict[int, dict[str, dict[str, str]]] = {}
    for index, component in enumerate(components):
        address, at = component.listen.address, f"[{index}].listen"
        on_port = taken.setdefault(component.listen.port, {})
        where = f"{address}:{component.listen.port}"
        for other, hosts in on_port.items():
            if other != address and {address, other} & _UNSPECIFIED:
                name = next(iter(hosts.values()))
                hint = f'another port, or the same address as "{name}" and hosts of its own'
                refuse(f'{where} overlaps with {other} of component "{name}"', hint, at=at)
        hosts = on_port.setdefault(address, {})
        for host in map(str.lower, component.hosts):
            if host in hosts:
                about = "" if host == "*" else f" for host {shown(host)}"
                hint = "another port, or hosts of its own for each of the two"
                refuse(f'{where} is taken by component "{hosts[host]}"{about}', hint, at=at)
            hosts[host] = component.name
