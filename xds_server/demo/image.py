"""The catalogue as an image: this machine's Python and the one file, made without a registry.

Guarantees: the same files give the same tag, so an engine gets the image once (some 60 MB).
"""

import asyncio
import hashlib
import sys
from pathlib import Path

import docker

from xds_server.config import DockerSettings
from xds_server.demo import catalogue
from xds_server.errors import UnavailableError
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.hosts import local_host
from xds_server.runtime.docker.root_fs import PYTHON, python

REPOSITORY = "shadowmesh-catalogue"
PORT = 8080
_SECONDS = 120.0


async def catalogue_image() -> str:
    """Have the image on this machine's engine; return its name.

    Raises:
        UnavailableError: there is no engine, or it does not answer.
        RuntimeFailedError: the image cannot be made here.
    """
    host = local_host(DockerSettings())
    if host is None:
        hint = "start one (Debian: apt-get install docker.io), or set DOCKER_HOST; --runtime process needs none"
        raise UnavailableError("there is no Docker engine on this machine", hint=hint)
    code = await asyncio.to_thread(Path(catalogue.__file__).read_bytes)
    tag = hashlib.sha256(sys.version.encode() + code).hexdigest()[:12]

    def work(client: docker.APIClient) -> None:
        if not client.images(name=f"{REPOSITORY}:{tag}", quiet=True):
            client.import_image_from_data(python({"/catalogue.py": code}), repository=REPOSITORY, tag=tag)

    engine = Engine(host, node="local")
    try:
        await engine.call(work, timeout=_SECONDS)
    finally:
        engine.close()
    return f"{REPOSITORY}:{tag}"


def catalogue_in(image: str, *, version: int, plain: bool = False) -> dict[str, object]:
    """Return the `docker` of a variant that runs a version of the catalogue."""
    noise = ["--plain"] if plain else []
    return {
        "image": image,
        "port": PORT,
        "entrypoint": [PYTHON, "-u", "-I", "/catalogue.py"],
        "command": ["--host", "0.0.0.0", "--port", "{port}", *noise, "--version", str(version)],  # noqa: S104 - its own
        # Four of them, two versions and their controls, have room on a machine with two processors.
        "cpus": 0.4,
        "memory": "256Mi",
        "pull": "never",
        "readiness": {"path": "/healthz"},
    }
