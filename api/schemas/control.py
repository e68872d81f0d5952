"""The document of a control: a second instance of the original's own version, which shows what is noise.

Guarantees: what it names is one thing at most. Whether it fits its component and the profile's match is for the
manager: `control: {}` means the component's `version`, if it has one.
"""

from typing import Annotated

from pydantic import Field, model_validator

from api.schemas.base import OMITTED, refuse
from api.schemas.values import DAY, Duration
from api.schemas.variant import KINDS, KindsBody
from xds_server.model.profile import NO_CONTROL, Control, SelfSpec


class ControlBody(KindsBody):
    """A second instance of the original's own version: one of `process`, `docker`, `endpoint`, `self`."""

    itself: Annotated[bool, Field(alias="self", exclude_if=lambda value: not value)] = False
    """The original answers each sampled request twice: safe methods only, and extra load for it."""
    duration: Annotated[float | None, Duration(1.0, DAY)] = OMITTED
    """How long it runs, from its first start; as long as the shadows when left out. Its result is kept."""
    enabled: Annotated[bool, Field(exclude_if=lambda value: value)] = True
    """False: no control, although the component has a `version`."""

    @model_validator(mode="after")
    def _one_kind(self) -> "ControlBody":
        given = [*self.given, *(["self"] if self.itself else [])]
        if len(given) > 1:
            refuse(f"has {len(given)} kinds, {' and '.join(given)}", f"one of {', '.join(KINDS)}, self")
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
        return Control(self.spec(), self.duration)

    @classmethod
    def of(cls, control: Control) -> "ControlBody":
        """Return the document of a control."""
        spec = control.spec
        return cls.model_construct(
            **cls.fields_of(spec), itself=isinstance(spec, SelfSpec), duration=control.duration, enabled=control.enabled
        )
