"""The documents of a split and of steps: who goes where, and the way from a mirrored share to real users.

Weights are per cent of the requests that carry the cohort's key, 0-100, by the name of the variant; the rest, and who
has no key, goes to the original. Guarantees: what stands in one of these documents fits together; whether it fits the
profile (names of variants, a split for the steps) is checked with the profile.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from api.schemas.base import OMITTED, Document, refuse, shown
from api.schemas.match import HeaderName
from api.schemas.values import DAY, Duration, Name, Number, Share, Text
from xds_server.model.profile import ShadowingProfile
from xds_server.model.rollout import Cohort, Mode, Split, Step

MOST_STEPS = 20
MOST_VALUES = 100
ModeName = Literal["shadow", "split"]
Weight = Annotated[float, Number(0.0, 100.0, "per cent of the users; 10 is one in ten")]
Weights = dict[Name, Weight]
CookieName = Annotated[str, Text("[!#$%&'*+.^_`|~0-9A-Za-z-]+", 'the name of a cookie, like "session"', most=128)]
KeyValue = Annotated[str, Text(r"[^\s;,\"\\]+", "what the header or cookie says, without spaces and quotes", most=256)]


class CohortBody(Document):
    """What keeps a user with a version: exactly one of `header`, `cookie`."""

    header: HeaderName | None = OMITTED
    """Header whose value tells users apart."""
    cookie: CookieName | None = OMITTED
    """Cookie whose value tells users apart."""
    values: Annotated[list[KeyValue], Field(min_length=1, max_length=MOST_VALUES)] | None = OMITTED
    """Who has one of these goes to the one variant; when left out, users are told apart by a hash of the value."""

    @field_validator("values")
    @classmethod
    def _each_once(cls, values: list[str] | None) -> list[str] | None:
        for index, value in enumerate(values or ()):
            if value in (values or ())[:index]:
                refuse(f"{shown(value)} is there twice", "each value once", at=f"[{index}]")
        return values

    @model_validator(mode="after")
    def _one_key(self) -> "CohortBody":
        if (self.header is None) == (self.cookie is None):
            told = "has no key" if self.header is None else "has header and cookie"
            refuse(told, "exactly one of header, cookie")
        return self

    def to_model(self) -> Cohort:
        """Return the cohort."""
        return Cohort((self.header or "").lower(), self.cookie or "", tuple(self.values or ()))

    @classmethod
    def of(cls, cohort: Cohort) -> "CohortBody":
        """Return the document of a cohort."""
        return cls.model_construct(
            header=cohort.header or None, cookie=cohort.cookie or None, values=list(cohort.values) or None
        )


class SplitBody(Document):
    """Who goes where."""

    cohort: CohortBody
    """What keeps a user with a version."""
    weights: Weights = Field(default_factory=dict)
    """Per cent of the users for each variant, like `{"v2": 10}`; with `steps`, those say it."""

    def to_model(self) -> Split:
        """Return the split."""
        return Split(self.cohort.to_model(), weights_of(self.weights))

    @classmethod
    def of(cls, split: Split) -> "SplitBody":
        """Return the document of a split."""
        return cls.model_construct(cohort=CohortBody.of(split.cohort), weights=dict(split.weights))


class SplitChangeBody(Document):
    """What of a split can be changed while it lives."""

    weights: Weights
    """Per cent of the users for each variant, as a whole: who is not named gets none."""

    @model_validator(mode="before")
    @classmethod
    def _only_weights(cls, value: Any) -> Any:
        if isinstance(value, dict) and "cohort" in value:
            refuse("cannot be changed: users would change sides", "weights alone", at="cohort")
        return value


class StepBody(Document):
    """One step of a rollout; a PASS leads to the next one."""

    mode: ModeName
    """`shadow`: a share is mirrored. `split`: real users, by weight."""
    traffic_shadowing_percentage: Share | None = OMITTED
    """Share that is mirrored, or of a split measured, 0.0-1.0; the profile's when left out."""
    weights: Weights | None = OMITTED
    """Of a split: per cent of the users for each variant."""
    hold: Annotated[float, Duration(0.0, DAY)] = 0.0
    """How long it lasts at least."""
    timeout: Annotated[float, Duration(1.0, DAY)] | None = OMITTED
    """After which time without a verdict the rollout is paused; never when left out."""

    @model_validator(mode="after")
    def _fits(self) -> "StepBody":
        if self.mode == "shadow" and self.weights is not None:
            refuse("are not for a step that mirrors", "mode: split, or trafficShadowingPercentage", at="weights")
        if self.mode == "split" and not any((self.weights or {}).values()):
            refuse("are required for a split", 'per cent of the users for each variant, like {"v2": 10}', at="weights")
        if self.traffic_shadowing_percentage == 0:
            refuse("0 measures nothing", "above 0, at most 1.0", at="trafficShadowingPercentage")
        if self.timeout is not None and self.timeout < self.hold:
            refuse("is shorter than hold", "at least as long, or leave it out", at="timeout")
        return self

    def to_model(self, percentage: float) -> Step:
        """Return the step; `percentage` is the profile's, for one that names none."""
        own = self.traffic_shadowing_percentage
        return Step(
            mode=Mode(self.mode),
            percentage=percentage if own is None else float(own),
            weights=weights_of(self.weights or {}),
            hold=self.hold,
            timeout=self.timeout,
        )

    @classmethod
    def of(cls, step: Step) -> "StepBody":
        """Return the document of a step."""
        return cls.model_construct(
            mode=step.mode.value,
            traffic_shadowing_percentage=step.percentage,
            weights=dict(step.weights) if step.mode is Mode.SPLIT else None,
            hold=step.hold,
            timeout=step.timeout,
        )


Steps = Annotated[list[StepBody], Field(min_length=1, max_length=MOST_STEPS)]


def weights_of(weights: Weights) -> dict[str, float]:
    """Return weights as the model has them."""
    return {name: float(weight) for name, weight in weights.items()}


def check_start(mode: ModeName | None, split: SplitBody | None, steps: list[StepBody] | None) -> None:
    """Refuse a profile that says another start than its first step does. Raises: PydanticCustomError."""
    first = steps[0] if steps else None
    if first is None:
        return
    if mode is not None and mode != first.mode:
        refuse(f"is {mode}, and the first step is {first.mode}", "leave it out: the steps say it", at="mode")
    given = weights_of(split.weights) if split else {}
    if given and given != weights_of(first.weights or {}):
        hint = "leave them out: the steps say them"
        refuse("are others than those of the first step", hint, at="split.weights")


def split_fields(profile: ShadowingProfile) -> dict[str, Any]:
    """Return the fields of a profile's document that are of splits and steps, by their Python names."""
    return {
        "mode": profile.mode.value,
        "split": SplitBody.of(profile.split) if profile.split else None,
        "steps": [StepBody.of(step) for step in profile.steps] or None,
    }
