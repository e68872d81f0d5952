"""The documents of faults: what is done to the copies, never to the original."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field, model_validator

from api.schemas.base import OMITTED, Document, refuse
from api.schemas.match import HeaderMatchBody, Headers
from api.schemas.values import DAY, Duration, Memory, Number, Percentage, Reference
from xds_server.model.profile import Abort, Delay, FaultParameters, ResponseRateLimit, Stress

FAULTS = "at least one of delay, abort, responseRateLimit, pause, kill, stress"


class DelayBody(Document):
    """Hold copies back."""

    fixed_delay: Annotated[float, Duration(0.001, 300.0)]
    """How long each is held back, like `200ms`."""
    percentage: Percentage = 100.0
    """Per cent (0-100) of the copies."""


class AbortBody(Document):
    """Answer copies with an error instead of the shadow; exactly one of the two statuses."""

    http_status: Annotated[int, Number(200, 599, "an HTTP status, like 503", whole=True)] | None = OMITTED
    """HTTP status of the answer."""
    grpc_status: Annotated[int, Number(1, 16, "a gRPC status, like 14 (unavailable)", whole=True)] | None = OMITTED
    """gRPC status of the answer."""
    percentage: Percentage = 100.0
    """Per cent (0-100) of the copies."""

    @model_validator(mode="after")
    def _one_status(self) -> "AbortBody":
        if (self.http_status is None) == (self.grpc_status is None):
            told = "has no status" if self.http_status is None else "has httpStatus and grpcStatus"
            refuse(told, "exactly one of httpStatus, grpcStatus")
        return self


class ResponseRateLimitBody(Document):
    """Let the shadow's answers flow slowly."""

    kbps: Annotated[int, Number(1, 10_000_000, "KiB a second", whole=True)]
    """KiB a second."""
    percentage: Percentage = 100.0
    """Per cent (0-100) of the copies."""


class PauseBody(Document):
    """Let all processes of the instance stand still."""


class KillBody(Document):
    """Kill the instance, and start it again when the fault's time is over."""


class StressBody(Document):
    """Lower the instance's limits; at least one."""

    cpus: Annotated[float, Number(0.01, 1024.0, "processors")] | None = OMITTED
    """Processors, fewer than it has."""
    memory: Annotated[int, Memory(6 * 1024 * 1024, 1 << 44)] | None = OMITTED
    """Memory, like `64Mi`, less than it has."""

    @model_validator(mode="after")
    def _some_limit(self) -> "StressBody":
        if self.cpus is None and self.memory is None:
            refuse("lowers nothing", "at least one of cpus, memory")
        return self


class FaultParametersBody(Document):
    """What is done to the copies, or to the instance that answers them."""

    delay: DelayBody | None = OMITTED
    """Hold copies back."""
    abort: AbortBody | None = OMITTED
    """Answer copies with an error."""
    response_rate_limit: ResponseRateLimitBody | None = OMITTED
    """Let the shadow's answers flow slowly."""
    headers: Headers = Field(default_factory=list)
    """Only copies whose headers match all of these."""
    pause: PauseBody | None = OMITTED
    """Let all processes of the instance stand still; for `inject_fault`, of containers."""
    kill: KillBody | None = OMITTED
    """Kill it, and start it again when the time is over (a second later without one); as `pause`."""
    stress: StressBody | None = OMITTED
    """Lower its limits; as `pause`."""

    @model_validator(mode="after")
    def _headers_of_something(self) -> "FaultParametersBody":
        if self.headers and not self.to_model().on_copies:
            refuse("has headers and no fault", "at least one of delay, abort, responseRateLimit")
        return self

    def to_model(self) -> FaultParameters:
        """Return the parameters."""
        delay, abort, limit = self.delay, self.abort, self.response_rate_limit
        return FaultParameters(
            delay=Delay(delay.fixed_delay, delay.percentage) if delay else None,
            abort=Abort(abort.http_status, abort.grpc_status, abort.percentage) if abort else None,
            response_rate_limit=ResponseRateLimit(limit.kbps, limit.percentage) if limit else None,
            headers=tuple(header.to_model() for header in self.headers),
            pause=self.pause is not None,
            kill=self.kill is not None,
            stress=Stress(self.stress.cpus, self.stress.memory) if self.stress else None,
        )

    @classmethod
    def of(cls, faults: FaultParameters) -> "FaultParametersBody":
        """Return the document of the parameters."""
        kinds: dict[str, tuple[type[Document], Any]] = {
            "delay": (DelayBody, faults.delay),
            "abort": (AbortBody, faults.abort),
            "response_rate_limit": (ResponseRateLimitBody, faults.response_rate_limit),
            "stress": (StressBody, faults.stress),
        }
        parts: dict[str, Any] = {
            name: body.model_construct(**asdict(part)) for name, (body, part) in kinds.items() if part
        }
        parts |= {"pause": PauseBody()} if faults.pause else {}
        parts |= {"kill": KillBody()} if faults.kill else {}
        return cls.model_construct(**parts, headers=[HeaderMatchBody.of(header) for header in faults.headers])


def of_copies(faults: FaultParametersBody | None) -> FaultParametersBody | None:
    """Refuse for a profile what is for `inject_fault`: it would be done to an instance for all of its life."""
    for name in ("pause", "kill", "stress"):
        if faults is not None and getattr(faults, name) is not None:
            refuse("is not for all of an instance's life", "inject_fault, with a duration", at=name)
    return faults


class InjectFaultBody(Document):
    """The body of `POST /networks/{network_id}/shadowing/inject_fault`."""

    instance_id: Annotated[Reference, Field(alias="instanceID")]
    """Shadow instance to inject into."""
    fault_injection_parameters: FaultParametersBody
    """The fault: at least one of delay, abort, responseRateLimit; pause, kill, stress."""
    duration: Annotated[float, Duration(0.1, DAY)] | None = OMITTED
    """How long; until the instance ends or the fault is lifted when left out."""

    @model_validator(mode="after")
    def _some_fault(self) -> "InjectFaultBody":
        if not self.fault_injection_parameters.to_model():
            refuse("names no fault", FAULTS, at="faultInjectionParameters")
        return self
