"""Where a Docker engine is, and how it is spoken to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Paths on the manager's machine: the authority of the engine's certificate, our certificate and its key."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class DockerHost:
    """One engine.

    `url` is `unix:///path`, `tcp://host:port` or `ssh://[user@]host[:port]`. `address` is where Envoys reach ports that
    are published there; empty: they reach the containers themselves, as on the engine's own machine.
    """

    url: str
    tls: TLSFiles | None = None
    address: str = ""
