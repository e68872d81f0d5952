"""Which engine is the local machine's: what the settings say, or what the `docker` command would use."""

import os
from collections.abc import Mapping
from pathlib import Path

from xds_server.config import DockerSettings
from xds_server.model.docker_host import DockerHost, TLSFiles

SOCKET = "/var/run/docker.sock"


def local_host(settings: DockerSettings, *, environ: Mapping[str, str] = os.environ) -> DockerHost | None:
    """Return the engine of the manager's own machine; None when there is none."""
    if settings.host == "none":
        return None
    if settings.host != "auto":
        return DockerHost(settings.host, _tls(settings), settings.address)
    if told := environ.get("DOCKER_HOST"):
        return DockerHost(told, _tls(settings) or _as_docker(environ), settings.address)
    return DockerHost(f"unix://{SOCKET}", None, settings.address) if Path(SOCKET).is_socket() else None


def _tls(settings: DockerSettings) -> TLSFiles | None:
    files = [str(path or "") for path in (settings.tls_ca, settings.tls_cert, settings.tls_key)]
    return TLSFiles(*files) if any(files) else None


def _as_docker(environ: Mapping[str, str]) -> TLSFiles | None:
    if not environ.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    return TLSFiles(str(folder / "ca.pem"), str(folder / "cert.pem"), str(folder / "key.pem"))
