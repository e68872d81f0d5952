"""The document of a shadowing profile, under the specification's names, and of a change to one."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from api.schemas.analysis import AnalysisBody
from api.schemas.base import OMITTED, Document, refuse, shown
from api.schemas.control import ControlBody
from api.schemas.fault import FaultParametersBody, of_copies
from api.schemas.judging import check_measured
from api.schemas.match import MatchBody
from api.schemas.placement import PlacementBody
from api.schemas.split import ModeName, SplitBody, SplitChangeBody, Steps, check_start, split_fields, weights_of
from api.schemas.values import DAY, Duration, Name, Number, Reference, Share
from api.schemas.variant import VariantBody
from xds_server.errors import InvalidError
from xds_server.lifecycle.splits import check_split
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.ids import NetworkID, ProfileID
from xds_server.model.names import ARMS
from xds_server.model.nodes import ANY_NODE
from xds_server.model.profile import (
    CONTROL,
    DEFAULT_CAPTURE_BYTES,
    PERFORMANCE_METRICS,
    Capture,
    FaultParameters,
    ShadowingProfile,
)
from xds_server.model.rollout import Mode

TTL = Annotated[float, Duration(1.0, DAY)]
"""Life of a shadow instance: a second to a day."""
MAX_VARIANTS = 10
CHANGEABLE = ("trafficShadowingPercentage", "shadowInstanceTTL", "faultInjectionParameters", "split.weights")
_SHADOW_TIMEOUT = 15.0
_MEGABYTE = 1024 * 1024


class CaptureBody(Document):
    """What is kept of each answer for the comparison."""

    head_bytes: Annotated[int, Number(0, 256 * 1024, "bytes", whole=True)] = DEFAULT_CAPTURE_BYTES
    """Bytes of the head of each answer's body."""
    checksum: bool = True
    """Whether what lies beyond the head is compared by checksum."""


class ProfileSpec(Document):
    """What a profile is, but for its name."""

    component_name: Reference
    """Component whose traffic is mirrored."""
    traffic_shadowing_percentage: Share
    """Share of the traffic that is mirrored, 0.0-1.0; 0.5 is half of it."""
    shadow_instance_ttl: Annotated[TTL, Field(alias="shadowInstanceTTL")]
    """Life of each shadow instance, like `10m`; at most a day."""
    fault_injection_parameters: FaultParametersBody | None = OMITTED
    """Faults in the traffic to the shadows, from the start; never in the original's."""
    performance_metrics: list[str] = Field(default_factory=lambda: list(PERFORMANCE_METRICS))
    """What is measured and judged; all when left out."""
    match: MatchBody = MatchBody()
    """Which requests may be sampled."""
    variants: Annotated[list[VariantBody], Field(min_length=1, max_length=MAX_VARIANTS)]
    """Versions to shadow with, at least one; each sampled request goes to all of them."""
    keep_credentials: bool = False
    """Whether copies keep `authorization` and `cookie`."""
    capture: CaptureBody = CaptureBody()
    """What is kept of each answer."""
    shadow_timeout: Annotated[float, Duration(0.01, 3600.0)] = _SHADOW_TIMEOUT
    """Longest a copy may take."""
    max_request_bytes: Annotated[int, Number(1, 1024 * _MEGABYTE, "bytes", whole=True)] = _MEGABYTE
    """Largest request body that is copied; the copy of a larger one is answered 413."""
    placement: PlacementBody | None = OMITTED
    """Which nodes the shadows may run on, the control too."""
    control: ControlBody | None = OMITTED
    """A second instance of the original's own version, to tell noise from change; the component's `version` if it has
    one when left out."""
    analysis: AnalysisBody = AnalysisBody()
    """How answers are compared and judged, what is kept secret, when alerts are raised."""
    mode: ModeName | None = OMITTED
    """`shadow`: copies go to the variants; so when left out. `split`: real users do, by weight. With `steps`, those say
    it."""
    split: SplitBody | None = OMITTED
    """Of a split: how users are told apart, and who goes where."""
    steps: Steps | None = OMITTED
    """The way from a mirrored share to real users; a PASS leads from each step to the next one."""

    @field_validator("performance_metrics")
    @classmethod
    def _known_metrics(cls, metrics: list[str]) -> list[str]:
        for index, metric in enumerate(metrics):
            if metric not in PERFORMANCE_METRICS:
                known = ", ".join(PERFORMANCE_METRICS)
                refuse(f"{shown(metric)} is not a metric", f"known are {known}", at=f"[{index}]")
            if metric in metrics[:index]:
                refuse(f"{shown(metric)} is there twice", "each metric once", at=f"[{index}]")
        return metrics

    @field_validator("fault_injection_parameters")
    @classmethod
    def _of_copies(cls, faults: FaultParametersBody | None) -> FaultParametersBody | None:
        return of_copies(faults)

    @field_validator("variants")
    @classmethod
    def _names_of_their_own(cls, variants: list[VariantBody]) -> list[VariantBody]:
        for index, variant in enumerate(variants):
            if any(variant.name == other.name for other in variants[:index]):
                refuse(f"{shown(variant.name)} is there twice", "a name of its own", at=f"[{index}].name")
            if variant.name == CONTROL:
                hint = "another name; the original's own version belongs in the field control"
                refuse(f"{shown(CONTROL)} is the name of the profile's control", hint, at=f"[{index}].name")
            if variant.name in ARMS:
                hint = f"another name, none of {', '.join(sorted(ARMS))}"
                told = f"{shown(variant.name)} is the name of a group of the original's requests"
                refuse(told, hint, at=f"[{index}].name")
        return variants

    @model_validator(mode="after")
    def _fits_together(self) -> "ProfileSpec":
        check_measured(self.analysis.checks, self.performance_metrics)
        check_start(self.mode, self.split, self.steps)
        try:
            check_split(self.to_model(""))
        except InvalidError as error:
            refuse(error.detail, error.hint, at=error.field)
        return self

    def to_model(self, name: str) -> ShadowingProfile:
        """Return the profile of this document; its ids are empty, which means: choose them. Steps say how it starts."""
        share = float(self.traffic_shadowing_percentage)
        split = self.split.to_model() if self.split else None
        steps = tuple(step.to_model(share) for step in self.steps or ())
        mode = Mode(self.mode or Mode.SHADOW)
        if steps:
            mode, share = steps[0].mode, steps[0].percentage or share
            split = replace(split, weights=steps[0].weights) if split else None
        return ShadowingProfile(
            id=ProfileID(""),
            network_id=NetworkID(""),
            component_name=self.component_name,
            percentage=share,
            ttl=self.shadow_instance_ttl,
            variants=tuple(variant.to_model() for variant in self.variants),
            faults=_faults(self.fault_injection_parameters),
            metrics=tuple(self.performance_metrics),
            match=self.match.to_model(),
            name=name,
            keep_credentials=self.keep_credentials,
            capture=Capture(head_bytes=self.capture.head_bytes, checksum=self.capture.checksum),
            shadow_timeout=self.shadow_timeout,
            max_request_bytes=self.max_request_bytes,
            placement=self.placement.to_model() if self.placement else ANY_NODE,
            control=self.control.to_model() if self.control else None,
            analysis=self.analysis.to_model(),
            mode=mode,
            split=split,
            steps=steps,
        )


class ProfileBody(ProfileSpec):
    """The body of `POST /networks/{network_id}/shadowing/create`."""

    name: Name | None = OMITTED
    """Name, unique in its network; manifests name profiles by it."""


class ManifestProfileSpec(ProfileSpec):
    """The `spec` of a ShadowingProfile in a manifest."""

    network: Reference
    """Virtual network that it belongs to."""


class ProfileChangeBody(Document):
    """The body of `PATCH .../profiles/{profile_id}`: what a living profile can change; the rest stays as it is."""

    traffic_shadowing_percentage: Share | None = OMITTED
    """Share of the traffic that is mirrored, 0.0-1.0."""
    shadow_instance_ttl: Annotated[TTL | None, Field(alias="shadowInstanceTTL")] = None
    """Life of each instance, counted from when it was created."""
    fault_injection_parameters: FaultParametersBody | None = OMITTED
    """The profile's faults, as a whole; `null` or `{}` takes them away."""
    split: SplitChangeBody | None = OMITTED
    """Other weights of a split."""

    @field_validator("fault_injection_parameters")
    @classmethod
    def _of_copies(cls, faults: FaultParametersBody | None) -> FaultParametersBody | None:
        return of_copies(faults)

    @model_validator(mode="before")
    @classmethod
    def _not_the_rest(cls, value: Any) -> Any:
        fixed = {field.alias or name for name, field in ProfileBody.model_fields.items()} - {
            field.alias or name for name, field in cls.model_fields.items()
        }
        for name in value if isinstance(value, dict) else ():
            if name in fixed:
                hint = f"{', '.join(CHANGEABLE[:-1])} and {CHANGEABLE[-1]} can be changed; "
                refuse("cannot be changed", hint + "end this profile and create another one", at=name)
        return value

    @model_validator(mode="after")
    def _something(self) -> "ProfileChangeBody":
        if not self.model_fields_set:
            refuse("changes nothing", "at least one field")
        for name, field in type(self).model_fields.items():
            if name != "fault_injection_parameters" and name in self.model_fields_set and getattr(self, name) is None:
                refuse("null is not a value", "a value, or leave the field out", at=field.alias or name)
        return self

    def to_model(self) -> ProfileChange:
        """Return the change."""
        touched = "fault_injection_parameters" in self.model_fields_set
        return ProfileChange(
            percentage=self.traffic_shadowing_percentage,
            ttl=self.shadow_instance_ttl,
            faults=_faults(self.fault_injection_parameters) if touched else None,
            weights=weights_of(self.split.weights) if self.split else None,
        )


def fields_of(profile: ShadowingProfile) -> dict[str, Any]:
    """Return the fields of `ProfileBody` for a profile, by their Python names."""
    return {
        "name": profile.name or None,
        "component_name": profile.component_name,
        "traffic_shadowing_percentage": profile.percentage,
        "shadow_instance_ttl": profile.ttl,
        "fault_injection_parameters": FaultParametersBody.of(profile.faults) if profile.faults else None,
        "performance_metrics": list(profile.metrics),
        "match": MatchBody.of(profile.match),
        "variants": [VariantBody.of(variant) for variant in profile.variants],
        "keep_credentials": profile.keep_credentials,
        "capture": CaptureBody.model_construct(
            head_bytes=profile.capture.head_bytes, checksum=profile.capture.checksum
        ),
        "shadow_timeout": profile.shadow_timeout,
        "max_request_bytes": profile.max_request_bytes,
        "placement": PlacementBody.of(profile.placement) if profile.placement != ANY_NODE else None,
        "control": ControlBody.of(profile.control) if profile.control else None,
        "analysis": AnalysisBody.of(profile.analysis),
        **split_fields(profile),
    }


def _faults(body: FaultParametersBody | None) -> FaultParameters:
    return body.to_model() if body else FaultParameters()
