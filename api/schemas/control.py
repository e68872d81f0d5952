"""The document of a control: a second instance of the original's own version, which shows what is noise.

Guarantees: what it names is one thing at most. Whether it fits its component and the profile's match is for the
manager: `control: {}` means the component's `version`, if it has one.
"""

from typing import Annotated, Any

from pydantic import Field, model_validator

from api.schemas.base import OMITTED, Document, refuse
from api.schemas.values import DAY, Duration
from api.schemas.variant import LATER, EndpointVariantBody, ProcessBody, body_of, spec_of
from xds_server.model.profile import NO_CONTROL, Control, EndpointSpec, ProcessSpec, SelfSpec

_KINDS = ("process", "endpoint", "self")


def _refuse_later(value: Any) -> Any:
    for kind in LATER:
        if isinstance(value, dict) and kind in value:
            refuse("is not available in this version", "process or endpoint", at=kind)
    return value


class VersionBody(Document):
    """How to run the original's own version once more: exactly one of `process`, `endpoint`."""

    process: ProcessBody | None = OMITTED
    """Start it as a process on the node."""
    endpoint: EndpointVariantBody | None = OMITTED
    """It already runs."""

    @model_validator(mode="before")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        return _refuse_later(value)

    @model_validator(mode="after")
    def _one_kind(self) -> "VersionBody":
        if (self.process is None) == (self.endpoint is None):
            told = "has no kind" if self.process is None else "has two kinds, process and endpoint"
            refuse(told, "exactly one of process, endpoint")
        return self

    def to_model(self) -> ProcessSpec | EndpointSpec:
        """Return what it runs."""
        return spec_of(self.process, self.endpoint)

    @classmethod
    def of(cls, spec: Any) -> "VersionBody":
        """Return the document of what it runs."""
        return cls.model_construct(**body_of(spec))


class ControlBody(Document):
    """A second instance of the original's own version: one of `process`, `endpoint`, `self`."""

    process: ProcessBody | None = OMITTED
    """Start it as a process on the node."""
    endpoint: EndpointVariantBody | None = OMITTED
    """It already runs."""
    itself: Annotated[bool, Field(alias="self", exclude_if=lambda value: not value)] = False
    """The original answers each sampled request twice: safe methods only, and extra load for it."""
    duration: Annotated[float | None, Duration(1.0, DAY)] = OMITTED
    """How long it runs, from its first start; as long as the shadows when left out. Its result is kept."""
    enabled: Annotated[bool, Field(exclude_if=lambda value: value)] = True
    """False: no control, although the component has a `version`."""

    @model_validator(mode="before")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        return _refuse_later(value)

    @model_validator(mode="after")
    def _one_kind(self) -> "ControlBody":
        given = [
            name for name, is_there in zip(_KINDS, (self.process, self.endpoint, self.itself), strict=True) if is_there
        ]
        if len(given) > 1:
            refuse(f"has {len(given)} kinds, {' and '.join(given)}", "one of process, endpoint, self")
        if not self.enabled and (given or self.duration is not None):
            more = given[0] if given else "duration"
            refuse(f"is switched off (enabled: false) and has {more}", "enabled: false alone, or leave it out", at=more)
        return self

    def to_model(self) -> Control:
        """Return the control."""
        if not self.enabled:
            return NO_CONTROL
        if self.itself:
            return Control(SelfSpec(), self.duration)
        named = self.process is not None or self.endpoint is not None
        return Control(spec_of(self.process, self.endpoint) if named else None, self.duration)

    @classmethod
    def of(cls, control: Control) -> "ControlBody":
        """Return the document of a control."""
        spec = control.spec
        named = {"process": None, "endpoint": None} if spec is None or isinstance(spec, SelfSpec) else body_of(spec)
        return cls.model_construct(
            **named, itself=isinstance(spec, SelfSpec), duration=control.duration, enabled=control.enabled
        )
