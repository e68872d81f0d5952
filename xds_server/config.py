"""Settings: one nested class a part, validated once, at start.

Each field can be given as a flag of `shadowmesh serve` or `analyze` (`--xds-port`) or as the environment variable of
the same name (`SHADOWMESH_XDS_PORT`); the flag wins. Durations are seconds.
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_PORTS = 65535
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+: *[\x21-\x7e][\x20-\x7e]*")
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _split(given: object) -> object:
    # How the environment says it: one,two
    return tuple(filter(None, map(str.strip, given.split(",")))) if isinstance(given, str) else given


class XdsSettings(_Part):
    """The xDS server."""

    address: str = "127.0.0.1"
    """Address to listen on. Loopback unless you say otherwise."""
    port: int = Field(default=18000, ge=0, le=65535)
    """Port of the xDS server (gRPC); 0 picks a free one."""
    max_streams: int = Field(default=10_000, ge=1)
    """Streams served at once; one more is refused with UNAVAILABLE."""
    debounce: float = Field(default=0.001, ge=0)
    """Quiet time after a change before it is pushed, so that a burst is one push."""
    debounce_max: float = Field(default=0.1, ge=0)
    """Longest that a change waits while others keep coming."""
    keepalive: float = Field(default=30.0, gt=0)
    """Interval of HTTP/2 keepalive pings to each Envoy."""
    keepalive_timeout: float = Field(default=10.0, gt=0)
    """Time to answer a keepalive ping before the stream is taken for dead."""
    grace: float = Field(default=5.0, ge=0)
    """Time that streams are given to end at shutdown."""
    runtime_ttl: float = Field(default=15.0, ge=1)
    """Dead-man switch: this long after the manager was last heard, every Envoy stops mirroring by itself."""
    removal_timeout: float = Field(default=5.0, ge=0)
    """Longest wait for an Envoy's ACK of routes without a cluster, before that cluster is removed all the same."""


class HttpSettings(_Part):
    """The REST API."""

    address: str = "127.0.0.1"
    """Address to listen on. Beyond loopback, process variants are refused until a token is set."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port of the REST API; 0 picks a free one."""
    token: SecretStr | None = None
    """Bearer token that every write must carry; none is needed while it is not set."""
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Values of `Host` that are answered (the listen address is always one); keeps DNS rebinding out."""
    allowed_origins: tuple[str, ...] = ()
    """Values of `Origin` that may write, besides the API's own."""
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    """Largest request body."""

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return _split(given)


class EngineSettings(_Part):
    """The analysis engine of a node."""

    address: str = "127.0.0.1"
    """Address that Envoys of this node send their access log to."""
    port: int = Field(default=18001, ge=0, le=65535)
    """Port of the engine (gRPC); 0 picks a free one."""
    spawn: bool = True
    """Whether `serve` starts an engine for this machine as a child process."""
    manager: str = "127.0.0.1:18000"
    """Where the manager's xDS server is; the engine sends its windows there."""
    window: float = Field(default=1.0, gt=0)
    """Length of a window of summaries."""
    pair_timeout: float = Field(default=20.0, gt=0)
    """How long one leg of a pair waits for the other, at least, before it counts as unpaired; longer where a profile's
    copies may take longer."""
    max_waiting: int = Field(default=50_000, ge=1)
    """Legs that wait at once; one more drops the oldest, counted."""
    max_waiting_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    """Bytes of bodies that wait at once."""
    max_endpoints: int = Field(default=200, ge=1)
    """Endpoints (method and path template) told apart a profile; the rest are `other`."""
    max_differences: int = Field(default=500, ge=1)
    """Fields with differences told apart a profile; the rest are `other`."""
    examples: int = Field(default=5, ge=0)
    """Differing pairs kept as examples for each class, field and endpoint."""
    stats_interval: float = Field(default=1.0, gt=0)
    """How often Envoy pushes its counters to the engine (written to the bootstrap)."""

    @field_validator("manager")
    @classmethod
    def _reachable(cls, given: str) -> str:
        found = _PLACE.fullmatch(given)
        if found is None or not 1 <= int(found[1]) <= _PORTS:
            raise ValueError("should be HOST:PORT, like 127.0.0.1:18000")
        return given


class AlertSettings(_Part):
    """Alerts: when they are raised, and who is told."""

    alertmanager: tuple[str, ...] = ()
    """URL of an Alertmanager, like http://127.0.0.1:9093; each one of a cluster is told by itself."""
    alertmanager_token: SecretStr | None = None
    """Bearer token for it."""
    webhook: SecretStr | None = None
    """URL that alerts are posted to."""
    webhook_token: SecretStr | None = None
    """Bearer token for it."""
    webhook_template: str = "slack"
    """Shape of what is posted: slack, generic, or a file in which `$name` stands for a JSON value (docs/alerts.md)."""
    webhook_batch: int = Field(default=20, ge=1, le=1000)
    """Alerts told in one post."""
    ca_file: Path | None = None
    """Certificates that receivers are checked against, instead of the system's."""
    log: bool = True
    """Whether alerts are written to the log too."""
    interval: float = Field(default=5.0, gt=0)
    """Seconds between two looks at everything."""
    resend: float = Field(default=60.0, gt=0)
    """How often Alertmanager is told that an alert still fires; four times that without a word, and it expires."""
    timeout: float = Field(default=10.0, gt=0)
    """Longest wait for a receiver; then it is tried again, later and later."""
    window: float = Field(default=300.0, gt=0)
    """Seconds that rates are taken over."""
    quiet: float = Field(default=300.0, gt=0)
    """Seconds of an endpoint's traffic without a difference until its alert is resolved."""
    min_pairs: int = Field(default=100, ge=1)
    """Pairs in the window below which a rate is not judged."""
    max_alerts: int = Field(default=20, ge=1, le=1000)
    """Alerts of a profile and a condition that are told apart; the rest are one."""

    @field_validator("alertmanager", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return _split(given)


class PrometheusSettings(_Part):
    """Metrics of the user's own: the Prometheus that checks of the metric `prometheus` ask."""

    url: str = ""
    """URL of a Prometheus, or of what answers like one, such as http://127.0.0.1:9090."""
    token: SecretStr | None = None
    """Bearer token for it."""
    token_file: Path | None = None
    """File with the bearer token, read for each query."""
    headers: tuple[str, ...] = ()
    """Header that it is sent, like `X-Scope-OrgID: shop`."""
    ca_file: Path | None = None
    """Certificates that it is checked against, instead of the system's."""
    timeout: float = Field(default=5.0, gt=0, le=60)
    """Longest wait for an answer."""
    window: float = Field(default=30.0, ge=1, le=3600)
    """Seconds that `{window}` in a query is at least, and between two queries: two scrapes have to be within."""

    @field_validator("headers", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        return _split(given)

    @field_validator("headers")
    @classmethod
    def _named(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HEADER.fullmatch(each) for each in given):
            # Not echoed: it may be a secret.
            raise ValueError("should be NAME: VALUE, like X-Scope-OrgID: shop")
        return given


class EnvoySettings(_Part):
    """The admin interfaces of Envoys, as far as their bootstraps tell them: their own counters are read there."""

    admin: bool = True
    """Whether they are read."""
    admin_anywhere: bool = False
    """Also outside of loopback and private networks. An Envoy names the address, and the manager connects to it."""
    admin_interval: float = Field(default=5.0, ge=0.1)
    """Seconds between two readings."""
    admin_timeout: float = Field(default=2.0, gt=0, le=60)
    """Longest wait for an Envoy."""


class LogSettings(_Part):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["auto", "console", "json"] = "auto"
    """Lines for people or for machines; `auto` is `console` on a terminal."""


class NodeSettings(_Part):
    """The machine that the manager runs on, as a place for shadows; with `--nodes`, that file says it."""

    name: str = "local"
    """Name of the node."""
    region: str = ""
    """Region, for placement."""
    zone: str = ""
    """Zone, for placement."""
    max_shadows: int = Field(default=100, ge=0)
    """Shadow instances that may run here at once."""
    cpus: float | None = Field(default=None, gt=0)
    """Processors that containers may ask for here, all together; those of the machine when not set."""
    ports: tuple[int, int] = (20000, 29999)
    """Ports that process shadows are given, first and last."""

    @field_validator("ports", mode="before")
    @classmethod
    def _range(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        first, dash, last = given.partition("-")
        if not dash:
            raise ValueError("should be FIRST-LAST, like 20000-29999")
        return first, last


class DockerSettings(_Part):
    """The Docker engine of the machine that the manager runs on."""

    host: str = "auto"
    """Engine that containers are started on: `unix:///path`, `tcp://host:port`, `ssh://user@host`; `none` for none;
    `auto` is the one that the `docker` command would use (DOCKER_HOST, or /var/run/docker.sock if that is there)."""
    address: str = ""
    """Address at which Envoys reach published ports; containers are reached themselves when left out, as Envoys on the
    engine's own machine can."""
    tls_ca: Path | None = None
    """Authority that signed the engine's certificate, with a `tcp://` host."""
    tls_cert: Path | None = None
    """Our own certificate, which the engine trusts."""
    tls_key: Path | None = None
    """Its key."""

    @field_validator("host")
    @classmethod
    def _known(cls, given: str) -> str:
        if given not in {"auto", "none"} and not re.fullmatch(r"(unix:///|tcp://|ssh://)\S+", given):
            raise ValueError("should be unix:///path, tcp://host:port, ssh://user@host, auto or none")
        return given


class Settings(BaseSettings):
    """All settings of a Shadowmesh process."""

    model_config = SettingsConfigDict(
        env_prefix="SHADOWMESH_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        enable_decoding=False,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    state: Path = Path("shadowmesh-state")
    """Folder of everything that survives a restart: database, logs of shadows, last good resources."""
    nodes: Path | None = None
    """File with the nodes that shadows may run on (docs/placement.md); without it, this machine is the only one."""
    keep_shadows: bool = False
    """Leave running shadows, and the engine, to the manager that starts next, instead of ending them at a stop."""
    grace: float = Field(default=30.0, ge=0)
    """Time that mirroring's end and the shadows' have at a stop; what takes longer is left to the next manager.
    Requests under way have 5 s before it, and what is known is written in 10 s after it."""
    take_over: bool = False
    """Have the manager that works on this state let go of it first, with all shadows and the mirroring as they are."""
    xds: XdsSettings = XdsSettings()
    http: HttpSettings = HttpSettings()
    engine: EngineSettings = EngineSettings()
    node: NodeSettings = NodeSettings()
    docker: DockerSettings = DockerSettings()
    alerts: AlertSettings = AlertSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    envoy: EnvoySettings = EnvoySettings()
    log: LogSettings = LogSettings()
