"""The documents of variants: the versions to shadow with. One field a runtime; exactly one of them is given."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from api.schemas.base import OMITTED, Document, refuse
from api.schemas.docker import DockerBody
from api.schemas.readiness import ReadinessBody
from api.schemas.values import AnyText, Duration, EnvName, HostAddress, Name, Port
from xds_server.model.profile import DockerSpec, EndpointSpec, ProcessSpec, Variant, VariantSpec

LATER = ("kubernetes",)
"""Kinds that the design names and this version cannot run."""
KINDS = ("process", "docker", "endpoint")
"""Fields of which one says how a version runs."""
_PORT = "{port}"
_STOP_TIMEOUT = 5.0


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

    def to_model(self) -> ProcessSpec:
        """Return what it runs."""
        return ProcessSpec(
            command=tuple(self.command),
            env=dict(self.env),
            working_directory=self.working_directory,
            readiness=self.readiness.to_model(),
            stop_timeout=self.stop_timeout,
        )

    @classmethod
    def of(cls, spec: ProcessSpec) -> "ProcessBody":
        """Return the document of what it runs."""
        return cls.model_construct(
            command=list(spec.command),
            env=dict(spec.env),
            working_directory=spec.working_directory,
            readiness=ReadinessBody.of(spec.readiness),
            stop_timeout=spec.stop_timeout,
        )


class EndpointVariantBody(Document):
    """A version that already runs; nothing is started or stopped."""

    address: HostAddress
    """IP address or DNS name."""
    port: Port
    """Port."""
    readiness: ReadinessBody = ReadinessBody()
    """When it is taken to be up."""

    def to_model(self) -> EndpointSpec:
        """Return where it runs."""
        return EndpointSpec(self.address, self.port, self.readiness.to_model())

    @classmethod
    def of(cls, spec: EndpointSpec) -> "EndpointVariantBody":
        """Return the document of where it runs."""
        return cls.model_construct(address=spec.address, port=spec.port, readiness=ReadinessBody.of(spec.readiness))


class KindsBody(Document):
    """One field a runtime, of which one at most is given."""

    process: ProcessBody | None = OMITTED
    """Start it as a process on the node."""
    docker: DockerBody | None = OMITTED
    """Start it as a container on the node."""
    endpoint: EndpointVariantBody | None = OMITTED
    """It already runs."""

    @model_validator(mode="before")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        for kind in LATER:
            if isinstance(value, dict) and kind in value:
                refuse("is not available in this version", f"{', '.join(KINDS[:-1])} or {KINDS[-1]}", at=kind)
        return value

    @property
    def given(self) -> list[str]:
        """Names of the fields that are there."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    @property
    def program(self) -> str | None:
        """Name of the field that has us run a program; None when there is none."""
        return next((kind for kind in ("process", "docker") if getattr(self, kind) is not None), None)

    def spec(self) -> VariantSpec | None:
        """Return what it runs; None when nothing is given."""
        body = self.process or self.docker or self.endpoint
        return body.to_model() if body else None

    @staticmethod
    def fields_of(spec: VariantSpec | None) -> dict[str, Any]:
        """Return these fields of the document of what a version runs."""
        return {
            "process": ProcessBody.of(spec) if isinstance(spec, ProcessSpec) else None,
            "docker": DockerBody.of(spec) if isinstance(spec, DockerSpec) else None,
            "endpoint": EndpointVariantBody.of(spec) if isinstance(spec, EndpointSpec) else None,
        }


class VersionBody(KindsBody):
    """How to run a version: exactly one of `process`, `docker`, `endpoint`."""

    @model_validator(mode="after")
    def _one_kind(self) -> "VersionBody":
        if len(self.given) != 1:
            told = f"has {len(self.given)} kinds, {' and '.join(self.given)}" if self.given else "has no kind"
            refuse(told, f"exactly one of {', '.join(KINDS)}")
        return self

    def runs(self) -> VariantSpec:
        """Return what it runs."""
        spec = self.spec()
        assert spec is not None  # noqa: S101 - `_one_kind` holds it
        return spec


class _Named(Document):
    name: Name
    """Name, unique in its profile."""


class VariantBody(VersionBody, _Named):
    """A version to shadow with: exactly one of `process`, `docker`, `endpoint`."""

    def to_model(self) -> Variant:
        """Return the variant."""
        return Variant(name=self.name, spec=self.runs())

    @classmethod
    def of(cls, variant: Variant) -> "VariantBody":
        """Return the document of a variant."""
        return cls.model_construct(name=variant.name, **cls.fields_of(variant.spec))
