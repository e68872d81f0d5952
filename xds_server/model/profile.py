"""A shadowing profile: what is mirrored, to which versions, for how long, with which faults, judged by what.

Field names of the specification (`trafficShadowingPercentage`, ...) live at the edge, in api/schemas; here are the
same values in Python's spelling.

Units: `percentage` is a share, 0.0-1.0 (the specification calls it percentage); fault percentages are 0-100 as in
Envoy; durations are seconds.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from xds_server.model.analysis import DEFAULT_ANALYSIS, Analysis
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.nodes import ANY_NODE, Placement
from xds_server.model.rollout import Mode, Rollout, Split, Step

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Mirrored unless a profile chooses others (RFC 9110, 9.2.1; TRACE is never mirrored)."""

DEFAULT_CAPTURE_BYTES = 16 * 1024
"""Head of each answer that is kept for comparison."""


class HeaderMatchKind(StrEnum):
    """How a header is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One condition on a request header. `value` is empty for PRESENT; REGEX is RE2, whole value."""

    name: str
    kind: HeaderMatchKind
    value: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests may be sampled; all conditions must hold. At most one of the three path forms is set.

    `grpc` holds patterns of full method names without the leading slash, `pkg.Svc/Get*` (a `*` only at the end).
    """

    methods: tuple[str, ...] = SAFE_METHODS
    path: str = ""
    path_prefix: str = "/"
    path_regex: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    grpc: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold the copy back for `fixed_delay` seconds, in `percentage` (0-100) of the copies."""

    fixed_delay: float
    percentage: float = 100.0


@dataclass(frozen=True, slots=True)
class Abort:
    """Answer the copy with an error instead of the shadow; exactly one of the two statuses is set."""

    http_status: int | None = None
    grpc_status: int | None = None
    percentage: float = 100.0


@dataclass(frozen=True, slots=True)
class ResponseRateLimit:
    """Let the shadow's answer flow at `kbps` KiB/s, in `percentage` (0-100) of the copies."""

    kbps: int
    percentage: float = 100.0


@dataclass(frozen=True, slots=True)
class Stress:
    """Lower limits: processors, bytes of memory; None leaves one as it is."""

    cpus: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class FaultParameters:
    """What is done to the copies, or to the instance that answers them.

    `headers`: only to copies that match all of them. `pause` lets all its processes stand still, `kill` ends them and
    starts them again when its time is over, `stress` lowers its limits.
    """

    delay: Delay | None = None
    abort: Abort | None = None
    response_rate_limit: ResponseRateLimit | None = None
    headers: tuple[HeaderMatch, ...] = ()
    pause: bool = False
    kill: bool = False
    stress: Stress | None = None

    def __bool__(self) -> bool:
        return self.on_copies or self.on_instance

    @property
    def on_copies(self) -> bool:
        """Whether something is done to the copies, in the Envoy."""
        return self.delay is not None or self.abort is not None or self.response_rate_limit is not None

    @property
    def on_instance(self) -> bool:
        """Whether something is done to the instance itself, by its runtime."""
        return self.pause or self.kill or self.stress is not None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in force on one shadow instance.

    The profile's own faults have `expires_at` None and live as long as the instance; an injected one with a duration
    is lifted when `expires_at` has come, also after a restart of the manager.
    """

    id: FaultID
    instance_id: InstanceID
    parameters: FaultParameters
    created_at: datetime
    expires_at: datetime | None = None
    from_profile: bool = False


@dataclass(frozen=True, slots=True)
class Readiness:
    """When a shadow is taken to be up: an HTTP GET of `path` answers 200-399, or with no path, a TCP connect."""

    path: str = ""
    timeout: float = 30.0
    """Seconds until it counts as failed."""
    interval: float = 0.1


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A shadow that is a process on the node. `{port}` in an argument or a value of `env` becomes the port."""

    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    working_directory: str = ""
    readiness: Readiness = Readiness()
    stop_timeout: float = 5.0
    """Seconds from TERM to KILL."""


class EgressMode(StrEnum):
    """Where a shadow may open connections to."""

    NONE = "none"
    ALLOW = "allow"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Egress:
    """What a shadow may reach beyond the answers that it gives.

    `allow` holds `host:port`, `host`, `network/bits:port` or `network/bits`, for ALLOW alone. A host is an address or a
    name; names are looked up once, when the shadow starts.
    """

    mode: EgressMode = EgressMode.NONE
    allow: tuple[str, ...] = ()


class Pull(StrEnum):
    """When an image is pulled."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


DEFAULT_CPUS = 1.0
"""Processors that a container may use."""
DEFAULT_MEMORY = 512 * 1024 * 1024
"""Bytes of memory that a container may use; it has no swap."""
DEFAULT_PIDS = 256
"""Processes and threads that a container may have."""


@dataclass(frozen=True, slots=True)
class DockerSpec:
    """A shadow that is a container on the node. `{port}` in an argument or a value of `env` becomes `port`.

    Confined unless it says otherwise: root read-only, no capability, no new privileges, not root, no egress.
    """

    image: str
    port: int
    command: tuple[str, ...] = ()
    """Replaces the image's own command; its entrypoint stays."""
    entrypoint: tuple[str, ...] = ()
    """Replaces the image's entrypoint."""
    env: dict[str, str] = field(default_factory=dict)
    working_directory: str = ""
    cpus: float = DEFAULT_CPUS
    memory: int = DEFAULT_MEMORY
    """Bytes."""
    pids: int = DEFAULT_PIDS
    read_only: bool = True
    writable: tuple[str, ...] = ("/tmp",)  # noqa: S108 - a folder inside the container
    """Folders that are writable all the same, in memory."""
    user: str = ""
    """`uid`, `uid:gid` or a name in the image; empty: the image's own, or nobody (65534) where that is root."""
    capabilities: tuple[str, ...] = ()
    """What it has back of all that were dropped, like `NET_BIND_SERVICE`."""
    new_privileges: bool = False
    egress: Egress = Egress()
    pull: Pull = Pull.MISSING
    readiness: Readiness = Readiness()
    stop_timeout: float = 5.0
    """Seconds from TERM to KILL."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """A version that already runs somewhere; we start and stop nothing."""

    address: str
    port: int
    readiness: Readiness = Readiness()


@dataclass(frozen=True, slots=True)
class SelfSpec:
    """The original itself, for a control alone: it answers a second time. Nothing is started, stopped or asked."""


VariantSpec = ProcessSpec | DockerSpec | EndpointSpec | SelfSpec
"""One class a runtime; Kubernetes adds its own here."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A version to shadow with; the kind of `spec` chooses the runtime."""

    name: str
    spec: VariantSpec


@dataclass(frozen=True, slots=True)
class Capture:
    """What is kept of each answer. `checksum` covers what lies beyond the head, up to 1 MB."""

    head_bytes: int = DEFAULT_CAPTURE_BYTES
    checksum: bool = True


CONTROL = "control"
"""Variant name of a profile's control; no other variant may be called so."""


@dataclass(frozen=True, slots=True)
class Control:
    """A second instance of the original's own version, which gets each sampled request too: it shows what is noise.

    `spec` None means the component's own `version`; a profile that was created has it filled in. `duration` is how long
    it runs, in seconds from its first start; as long as the shadows when None. What it has shown is kept. One that is
    not `enabled` is none: it says that the component's `version` is not wanted.
    """

    spec: VariantSpec | None = None
    duration: float | None = None
    enabled: bool = True

    def resolved(self, version: VariantSpec | None) -> "Control":
        """Return it with the component's `version` where it names nothing of its own."""
        return replace(self, spec=version) if self.enabled and self.spec is None else self


NO_CONTROL = Control(enabled=False)


@dataclass(frozen=True, slots=True)
class ShadowingProfile:
    """One profile on one component.

    `revision` counts changes, from 1 (ETag). `ttl` is the life of each shadow instance from the moment it is created.
    `shadow_timeout` is the longest a copy may take (always finite; kept below the component's own timeout by the
    translation, so that a hang ends as the shadow's own).
    """

    id: ProfileID
    network_id: NetworkID
    component_name: str
    percentage: float
    ttl: float
    variants: tuple[Variant, ...]
    faults: FaultParameters = FaultParameters()
    metrics: tuple[str, ...] = ()
    match: Match = Match()
    name: str = ""
    """Optional; unique in its network. Manifests name profiles by it."""
    keep_credentials: bool = False
    capture: Capture = Capture()
    shadow_timeout: float = 15.0
    max_request_bytes: int = 1024 * 1024
    """Cap of the guard on the shadow leg: a larger copy is answered 413 by Envoy, the original is untouched."""
    analysis: Analysis = DEFAULT_ANALYSIS
    placement: Placement = ANY_NODE
    control: Control | None = None
    mode: Mode = Mode.SHADOW
    split: Split | None = None
    """Who goes where in mode `split`; there may be one in mode `shadow`, for steps to come."""
    steps: tuple[Step, ...] = ()
    rollout: Rollout | None = None
    """How far the steps have come; None without steps."""
    revision: int = 1
    created_at: datetime | None = None

    @property
    def versions(self) -> tuple[Variant, ...]:
        """The variants, and the control if there is one."""
        control = self.control
        if control is None or not control.enabled or control.spec is None:
            return self.variants
        return (*self.variants, Variant(CONTROL, control.spec))

    @property
    def mirrors(self) -> bool:
        """Whether it sends copies, now or in one of its steps."""
        return Mode.SHADOW in self._modes

    @property
    def splits(self) -> bool:
        """Whether it sends real users, now or in one of its steps."""
        return Mode.SPLIT in self._modes

    @property
    def _modes(self) -> set[Mode]:
        return {self.mode, *(step.mode for step in self.steps)}

    def is_control(self, variant: str) -> bool:
        """Tell whether instances of this variant are the control's."""
        return variant == CONTROL and len(self.versions) > len(self.variants)


PERFORMANCE_METRICS = ("response_time", "error_rate", "difference_rate", "cpu", "memory")
"""What `performanceMetrics` may name."""
