"""The document of the inventory, `nodes.yaml`: the machines that shadows may run on."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from api.schemas.base import OMITTED, Document, refuse, shown
from api.schemas.placement import MOST, LabelKey, LabelValue, TaintBody
from api.schemas.values import AnyText, HostAddress, Memory, Number, Text
from xds_server.model.docker_host import DockerHost, TLSFiles
from xds_server.model.nodes import Capacity, NodeEntry

_PLACE = Text("[-A-Za-z0-9_.]*", "letters, digits, '-', '_' and '.'", most=63)
_NAME_HINT = "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit"
NodeName = Annotated[str, Text("[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", _NAME_HINT, most=63)]
Place = Annotated[str, _PLACE]
HOST_HINT = "unix:///path of a socket, tcp://host:port, or ssh://user@host"
_USER = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]*")
_HOST = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_TERABYTE = 2**40
MOST_NODES = 10_000


class TLSFilesBody(Document):
    """Files in PEM on the manager's machine; a relative path starts at the folder of the inventory."""

    ca: AnyText
    """What the engine's certificate is checked against."""
    cert: AnyText = ""
    """Certificate that the engine is shown."""
    key: AnyText = ""
    """Its private key."""

    @model_validator(mode="after")
    def _whole(self) -> "TLSFilesBody":
        for name, one, other in (("ca", self.ca, "x"), ("cert", self.cert, self.key), ("key", self.key, self.cert)):
            if other and not one.strip():
                refuse("is empty", "the path of a file", at=name)
        return self


class DockerHostBody(Document):
    """A Docker engine."""

    host: AnyText
    """`unix:///path`, `tcp://host:port` or `ssh://user@host`."""
    tls: TLSFilesBody | None = OMITTED
    """Certificates, of `tcp://` alone."""
    address: HostAddress | None = OMITTED
    """Where Envoys reach the ports of its containers; the engine's own host when left out. With `unix://` they reach
    the containers themselves, as they can on the same machine."""

    @field_validator("host")
    @classmethod
    def _reachable(cls, host: str) -> str:
        _parts(host)
        return host

    @model_validator(mode="after")
    def _fits(self) -> "DockerHostBody":
        if self.tls is not None and not self.host.startswith("tcp://"):
            refuse("is for tcp:// alone", "leave it out, or tcp://host:port", at="tls")
        return self

    def to_model(self) -> DockerHost:
        """Return the engine."""
        tls = TLSFiles(self.tls.ca, self.tls.cert, self.tls.key) if self.tls else None
        return DockerHost(self.host, tls, self.address or _parts(self.host))


class CapacityBody(Document):
    """What all shadows of a node may ask for together."""

    cpus: Annotated[float, Number(0.01, 10_000.0, "processors")] | None = OMITTED
    """Processors; those of the machine when left out."""
    memory: Annotated[int, Memory(2**20, 1024 * _TERABYTE)] | None = OMITTED
    """Memory, like `4Gi`; that of the machine when left out."""
    shadows: Annotated[int, Number(0, 100_000, "shadows at once", whole=True)] = 100
    """Shadows at once."""

    def to_model(self) -> Capacity:
        """Return the capacity."""
        return Capacity(None if self.cpus is None else float(self.cpus), self.memory, self.shadows)


class NodeBody(Document):
    """One node."""

    name: NodeName
    """Name, unique."""
    region: Place = ""
    """Region."""
    zone: Place = ""
    """Zone."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels, for `nodeSelector`."""
    taints: Annotated[list[TaintBody], Field(max_length=MOST)] = Field(default_factory=list)
    """Taints."""
    docker: DockerHostBody | None = OMITTED
    """Its Docker engine."""
    capacity: CapacityBody = CapacityBody()
    """What its shadows may ask for."""
    local: bool = False
    """It is the machine that the manager runs on: `process` variants can run here."""

    @model_validator(mode="after")
    def _runs_something(self) -> "NodeBody":
        if self.docker is None and not self.local:
            hint = "docker: {host: ...}; or local: true, for the machine that the manager runs on"
            refuse("has nothing that could run a shadow", hint)
        return self

    def to_model(self) -> NodeEntry:
        """Return the entry."""
        return NodeEntry(
            name=self.name,
            region=self.region,
            zone=self.zone,
            labels=dict(self.labels),
            taints=tuple(taint.to_model() for taint in self.taints),
            docker=self.docker.to_model() if self.docker else None,
            capacity=self.capacity.to_model(),
            local=self.local,
        )


class InventoryDocument(Document):
    """The whole file."""

    nodes: Annotated[list[NodeBody], Field(min_length=1, max_length=MOST_NODES)]
    """The nodes."""

    @model_validator(mode="after")
    def _of_their_own(self) -> "InventoryDocument":
        first: dict[str, int] = {}
        home: int | None = None
        for index, node in enumerate(self.nodes):
            if first.setdefault(node.name, index) != index:
                hint = f"a name of its own; nodes[{first[node.name]}] has it"
                refuse(f"{shown(node.name)} is there twice", hint, at=f"nodes[{index}].name")
            if node.local and home is not None:
                refuse("is true twice", f"of one node; nodes[{home}] has it", at=f"nodes[{index}].local")
            home = index if node.local else home
        return self

    def to_model(self) -> tuple[NodeEntry, ...]:
        """Return the entries."""
        return tuple(node.to_model() for node in self.nodes)


def _parts(host: str) -> str:
    """Return the name of an engine's machine, empty for a socket. Raises: PydanticCustomError."""
    scheme = host.partition("://")[0]
    try:
        parts = urlsplit(host)
        name, user, port = parts.hostname or "", parts.username, parts.port
    except ValueError:
        return refuse(f"{shown(host)} is not an engine's address", HOST_HINT)
    extra = parts.query or parts.fragment or parts.password
    if scheme == "unix" and not parts.netloc and len(parts.path) > 1 and not extra:
        return ""
    plain = parts.path in {"", "/"} and not extra and _HOST.fullmatch(name) is not None
    if scheme == "tcp" and plain and port and user is None:
        return name
    if scheme == "ssh" and plain and (user is None or _USER.fullmatch(user)):
        return name
    return refuse(f"{shown(host)} is not an engine's address", HOST_HINT)
