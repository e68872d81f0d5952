"""The documents of variants: the versions to shadow with. One field a runtime; exactly one of them is given."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from api.schemas.base import OMITTED, Document, refuse
from api.schemas.values import AnyText, Duration, HostAddress, Name, Port, Text
from xds_server.model.profile import EndpointSpec, ProcessSpec, Readiness, Variant, VariantSpec

LATER = ("docker", "kubernetes")
"""Kinds that the design names and this version cannot run."""
_PORT = "{port}"
_READY_TIMEOUT = 30.0
_READY_INTERVAL = 0.1
_STOP_TIMEOUT = 5.0

EnvName = Annotated[str, Text("[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", most=255)]


class ReadinessBody(Document):
    """When a shadow is taken to be up."""

    path: Annotated[str, Text("(/\\S*)?", 'a path that begins with "/"', most=2048)] = ""
    """HTTP GET of this path answers 200-399; a TCP connect is enough when left out."""
    timeout: Annotated[float, Duration(0.1, 600.0)] = _READY_TIMEOUT
    """When it counts as failed."""
    interval: Annotated[float, Duration(0.01, 60.0)] = _READY_INTERVAL
    """Time between two tries."""

    def to_model(self) -> Readiness:
        """Return the condition."""
        return Readiness(path=self.path, timeout=self.timeout, interval=self.interval)

    @classmethod
    def of(cls, readiness: Readiness) -> "ReadinessBody":
        """Return the document of a condition."""
        return cls.model_construct(path=readiness.path, timeout=readiness.timeout, interval=readiness.interval)


class ProcessBody(Document):
    """A version that is started as a process on the node."""

    command: Annotated[list[AnyText], Field(min_length=1, max_length=1000)]
    """Program and arguments as a list; `{port}` becomes the port that it must listen on."""
    env: dict[EnvName, AnyText] = Field(default_factory=dict)
    """Environment variables; `{port}` becomes the port."""
    working_directory: AnyText = ""
    """Folder that it is started in."""
    readiness: ReadinessBody = ReadinessBody()
    """When it is taken to be up."""
    stop_timeout: Annotated[float, Duration(0.0, 300.0)] = _STOP_TIMEOUT
    """Time from TERM to KILL."""

    @model_validator(mode="after")
    def _told_its_port(self) -> "ProcessBody":
        if not self.command[0].strip():
            refuse("is empty", "the program to start", at="command[0]")
        if not any(_PORT in text for text in (*self.command, *self.env.values())):
            hint = f'{_PORT} in an argument or in a value of env, like "--port", "{_PORT}": a free port is put there'
            refuse(f"{_PORT} is missing, so the version would not know where to listen", hint, at="command")
        return self


class EndpointVariantBody(Document):
    """A version that already runs; nothing is started or stopped."""

    address: HostAddress
    """IP address or DNS name."""
    port: Port
    """Port."""
    readiness: ReadinessBody = ReadinessBody()
    """When it is taken to be up."""


class VariantBody(Document):
    """A version to shadow with: exactly one of `process`, `endpoint`."""

    name: Name
    """Name, unique in its profile."""
    process: ProcessBody | None = OMITTED
    """Start it as a process on the node."""
    endpoint: EndpointVariantBody | None = OMITTED
    """It already runs."""

    @model_validator(mode="before")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        for kind in LATER:
            if isinstance(value, dict) and kind in value:
                refuse("is not available in this version", "process or endpoint", at=kind)
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> "VariantBody":
        if (self.process is None) == (self.endpoint is None):
            told = "has no kind" if self.process is None else "has two kinds, process and endpoint"
            refuse(told, "exactly one of process, endpoint")
        return self

    def to_model(self) -> Variant:
        """Return the variant."""
        return Variant(name=self.name, spec=spec_of(self.process, self.endpoint))

    @classmethod
    def of(cls, variant: Variant) -> "VariantBody":
        """Return the document of a variant."""
        return cls.model_construct(name=variant.name, **body_of(variant.spec))


def spec_of(process: ProcessBody | None, endpoint: EndpointVariantBody | None) -> ProcessSpec | EndpointSpec:
    """Return what a version runs; exactly one of the two is given."""
    if process is not None:
        return ProcessSpec(
            command=tuple(process.command),
            env=dict(process.env),
            working_directory=process.working_directory,
            readiness=process.readiness.to_model(),
            stop_timeout=process.stop_timeout,
        )
    assert endpoint is not None  # noqa: S101 - the documents hold it
    return EndpointSpec(endpoint.address, endpoint.port, endpoint.readiness.to_model())


def body_of(spec: VariantSpec) -> dict[str, Any]:
    """Return the fields `process` and `endpoint` of the document of what a version runs."""
    if isinstance(spec, EndpointSpec):
        readiness = ReadinessBody.of(spec.readiness)
        endpoint = EndpointVariantBody.model_construct(address=spec.address, port=spec.port, readiness=readiness)
        return {"process": None, "endpoint": endpoint}
    if isinstance(spec, ProcessSpec):
        process = ProcessBody.model_construct(
            command=list(spec.command),
            env=dict(spec.env),
            working_directory=spec.working_directory,
            readiness=ReadinessBody.of(spec.readiness),
            stop_timeout=spec.stop_timeout,
        )
        return {"process": process, "endpoint": None}
    return {"process": None, "endpoint": None}
