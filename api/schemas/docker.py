"""The document of a version that is started as a container: confined unless one of its fields says otherwise."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from api.schemas.base import Document, refuse, shown
from api.schemas.readiness import ReadinessBody
from api.schemas.values import AnyText, Duration, EnvName, Memory, Number, Port, Text
from xds_server.model.destination import DESTINATION_HINT, parse_destination
from xds_server.model.profile import DEFAULT_CPUS, DEFAULT_MEMORY, DEFAULT_PIDS, DockerSpec, Egress, EgressMode, Pull

_MIB = 1024 * 1024
_STOP_TIMEOUT = 5.0
MOST_DESTINATIONS = 100
"""Entries of an allow list."""

Image = Annotated[str, Text("[A-Za-z0-9][-A-Za-z0-9._/:@]*", 'the name of an image, like "shop/catalog:2.1"', most=512)]
Folder = Annotated[str, Text("/[^\\s:,]*", 'a folder inside the container, like "/tmp"', most=255)]
Capability = Annotated[str, Text("[A-Z][A-Z_]*", 'a capability without CAP_, like "NET_BIND_SERVICE"', most=40)]


class EgressField:
    """Marks a field as an egress: `none`, `open`, or a list of destinations."""

    @staticmethod
    def check(value: Any) -> Egress:
        """Return the egress that was given."""
        if value in ("none", "open"):
            return Egress(EgressMode(value))
        if not isinstance(value, list):
            refuse(f"{shown(value)} is no egress", f'"none", "open" or a list of {DESTINATION_HINT}')
        if len(value) > MOST_DESTINATIONS:
            refuse(f"has {len(value)} entries", f"at most {MOST_DESTINATIONS}")
        for index, entry in enumerate(value):
            if not isinstance(entry, str) or parse_destination(entry) is None:
                refuse(f"{shown(entry)} is no destination", DESTINATION_HINT, at=f"[{index}]")
        return Egress(EgressMode.ALLOW, tuple(value)) if value else Egress()

    @staticmethod
    def write(egress: Egress) -> str | list[str]:
        """Return it as it is given."""
        return list(egress.allow) if egress.mode is EgressMode.ALLOW else egress.mode.value

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.plain_serializer_function_ser_schema(self.write)
        )

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        places = {"type": "array", "items": {"type": "string"}, "maxItems": MOST_DESTINATIONS}
        return {"anyOf": [{"type": "string", "enum": ["none", "open"]}, places]}


class DockerBody(Document):
    """A version that is started as a container on the node."""

    image: Image
    """Image, as for `docker run`."""
    port: Port
    """Port that it listens on, on all of the container's addresses."""
    command: Annotated[list[AnyText], Field(max_length=1000)] = Field(default_factory=list)
    """Replaces the image's command, as a list; `{port}` becomes the port."""
    entrypoint: Annotated[list[AnyText], Field(max_length=100)] = Field(default_factory=list)
    """Replaces the image's entrypoint."""
    env: dict[EnvName, AnyText] = Field(default_factory=dict)
    """Environment variables; `{port}` becomes the port."""
    working_directory: AnyText = ""
    """Folder that it is started in; the image's own when left out."""
    cpus: Annotated[float, Number(0.01, 1024.0, "processors")] = DEFAULT_CPUS
    """Processors that it may use."""
    memory: Annotated[int, Memory(6 * _MIB, 16 * 1024 * 1024 * _MIB)] = DEFAULT_MEMORY
    """Memory that it may use, like `512Mi`; there is no swap beyond it."""
    pids: Annotated[int, Number(1, 1_000_000, "processes and threads", whole=True)] = DEFAULT_PIDS
    """Processes and threads that it may have."""
    read_only: bool = True
    """Whether its root file system is read-only."""
    writable: Annotated[list[Folder], Field(max_length=20)] = Field(default_factory=lambda: ["/tmp"])  # noqa: S108 - inside
    """Folders that are writable all the same; in memory, and part of its limit."""
    user: Annotated[str, Text("[A-Za-z0-9_][-A-Za-z0-9_.]*(:[A-Za-z0-9_][-A-Za-z0-9_.]*)?|", "uid or uid:gid")] = ""
    """User that it runs as; the image's own when left out, and nobody (65534) where that is root."""
    capabilities: Annotated[list[Capability], Field(max_length=40)] = Field(default_factory=list)
    """Capabilities that it has; none when left out."""
    new_privileges: bool = False
    """Whether its programs may gain privileges (setuid)."""
    egress: Annotated[Egress, EgressField()] = Egress()
    """What it may connect to: `none`, `open`, or a list like `["db.shop.svc:5432", "10.1.0.0/16:443"]`."""
    pull: Literal["always", "missing", "never"] = "missing"
    """When its image is pulled; credentials are those of the manager's Docker configuration."""
    readiness: ReadinessBody = ReadinessBody()
    """When it is taken to be up."""
    stop_timeout: Annotated[float, Duration(0.0, 300.0)] = _STOP_TIMEOUT
    """Time from TERM to KILL."""

    @model_validator(mode="after")
    def _image_with_a_name(self) -> "DockerBody":
        if self.image.endswith((":", "/", "@")):
            refuse(f"{shown(self.image)} is no image", 'like "shop/catalog:2.1"', at="image")
        return self

    def to_model(self) -> DockerSpec:
        """Return what it runs."""
        return DockerSpec(
            image=self.image,
            port=self.port,
            command=tuple(self.command),
            entrypoint=tuple(self.entrypoint),
            env=dict(self.env),
            working_directory=self.working_directory,
            cpus=float(self.cpus),
            memory=self.memory,
            pids=self.pids,
            read_only=self.read_only,
            writable=tuple(self.writable),
            user=self.user,
            capabilities=tuple(self.capabilities),
            new_privileges=self.new_privileges,
            egress=self.egress,
            pull=Pull(self.pull),
            readiness=self.readiness.to_model(),
            stop_timeout=self.stop_timeout,
        )

    @classmethod
    def of(cls, spec: DockerSpec) -> "DockerBody":
        """Return the document of what it runs."""
        return cls.model_construct(
            image=spec.image,
            port=spec.port,
            command=list(spec.command),
            entrypoint=list(spec.entrypoint),
            env=dict(spec.env),
            working_directory=spec.working_directory,
            cpus=spec.cpus,
            memory=spec.memory,
            pids=spec.pids,
            read_only=spec.read_only,
            writable=list(spec.writable),
            user=spec.user,
            capabilities=list(spec.capabilities),
            new_privileges=spec.new_privileges,
            egress=spec.egress,
            pull=spec.pull.value,
            readiness=ReadinessBody.of(spec.readiness),
            stop_timeout=spec.stop_timeout,
        )
