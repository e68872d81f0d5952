"""The demo's stage: version 1 of the catalogue behind a real Envoy; and the documents that the demo sends.

Guarantees: when `set_up` returns, Envoy answers with what version 1 says.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from xds_server.demo import catalogue
from xds_server.demo.image import catalogue_in
from xds_server.stage.children import Child
from xds_server.stage.client import Connection, Reply, ReplyError, Request
from xds_server.stage.mesh import Mesh

NETWORK = "shop"
COMPONENT = "catalog"
HEALTH = Request("GET", "/healthz", "GET /healthz")
WARM_UP = 2.0
"""Seconds after its start in which a shadow's answers are no evidence; the catalogue is warm at once."""
BLOCK = 1.0
"""Seconds of a block of time. Here nothing lasts longer."""


class Stage(Mesh):
    """Everything the demo runs on; the arguments are those of `Mesh`."""

    def __init__(self, folder: Path, *, chance: Random, say: Callable[[str], None]) -> None:
        super().__init__(folder, network=NETWORK, node="demo", chance=chance, say=say)
        self._original: Child

    def network_body(self) -> dict[str, object]:
        """Return the network: the catalogue."""
        return network_body(listen=self.ports.envoy, original=self.ports.original)

    def start_original(self) -> None:
        """Start version 1."""
        self._original = self.start("catalogue-v1", catalogue_command(version=1, port=str(self.ports.original)))

    async def original_up(self) -> None:
        """Return once version 1 answers."""
        await self.until(self._original, lambda: self._answers(self.ports.original))
        self._say(f"version 1 of the catalogue answers on 127.0.0.1:{self.ports.original}")

    async def served(self) -> bool:
        """Tell whether version 1 answers through Envoy."""
        if not await self._answers(self.ports.envoy):
            return False
        self._say(f"Envoy 1.40 listens on 127.0.0.1:{self.ports.envoy} and forwards to version 1")
        return True

    async def _answers(self, port: int) -> bool:
        async with Connection(port, timeout=2.0) as connection:
            try:
                reply: Reply = await connection.send(HEALTH)
            except ReplyError:
                return False
        return reply.status == 200 and reply.body == b"ok\n"  # noqa: PLR2004 - HTTP's OK


def catalogue_command(*, version: int, port: str, plain: bool = False) -> list[str]:
    """Return the command line of the catalogue; a file of its own, as a user's service is. `plain` is without noise."""
    noise = ["--plain"] if plain else []
    return [sys.executable, "-I", str(Path(catalogue.__file__)), "--port", port, *noise, "--version", str(version)]


def network_body(*, listen: int, original: int) -> dict[str, object]:
    """Return the body of `POST /networks`."""
    component = {
        "name": COMPONENT,
        "protocol": "http1",
        "listen": {"address": "127.0.0.1", "port": listen},
        "endpoints": [{"address": "127.0.0.1", "port": original}],
    }
    return {"name": NETWORK, "components": [component]}


def profile_name(version: int) -> str:
    """Return the name of the profile that judges a version."""
    return f"catalog-v{version}"


def profile_body(*, version: int, share: float, ttl: str, image: str = "") -> dict[str, object]:
    """Return the body of `POST /networks/{network_id}/shadowing/create`. The limits are the usual ones.

    With an `image` its versions are containers, without one processes.
    """
    return {
        "name": profile_name(version),
        "componentName": COMPONENT,
        "trafficShadowingPercentage": share,
        "shadowInstanceTTL": ttl,
        "performanceMetrics": ["response_time", "error_rate", "difference_rate", "cpu", "memory"],
        "variants": [{"name": f"v{version}", **_runs(version=version, image=image)}],
        "control": _runs(version=1, image=image),
        "analysis": {"warmUp": f"{WARM_UP:g}s", "block": f"{BLOCK:g}s"},
    }


def _runs(*, version: int, image: str) -> dict[str, object]:
    if image:
        return {"docker": catalogue_in(image, version=version)}
    command = catalogue_command(version=version, port="{port}")
    return {"process": {"command": command, "readiness": {"path": "/healthz"}}}


def fault_body(instance: str, *, seconds: float) -> dict[str, object]:
    """Return the body of `POST /networks/{network_id}/shadowing/inject_fault`; lifted by itself after `seconds`."""
    parameters = {
        "abort": {"httpStatus": 503, "percentage": 20},
        "delay": {"fixedDelay": "200ms", "percentage": 50},
    }
    return {"instanceID": instance, "faultInjectionParameters": parameters, "duration": f"{seconds:.0f}s"}
