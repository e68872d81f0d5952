"""The real Envoy of a bench, and the plain listeners that it is compared with.

Guarantees: Envoy is ready when the `with` begins and has ended when it ends.
"""

import contextlib
import json
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.bench._children import child
from tests.bench._http import AnswerError, call
from xds_server.envoy_binary import find_envoy
from xds_server.stage.children import free_port

_START = 30.0
_CHANCE = Random()
_given: list[int] = []
_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


@dataclass(frozen=True, slots=True)
class Envoy:
    """An Envoy that runs. `admin` is `host:port`."""

    pid: int
    admin: str

    def get(self, path: str) -> str:
        """Return what the admin interface answers."""
        return call(self.admin, "GET", path).decode()

    def counter(self, pattern: str) -> int:
        """Return the sum of the counters and gauges whose names match a regular expression."""
        stats = json.loads(self.get(f"/stats?format=json&filter={urllib.parse.quote(pattern)}"))["stats"]
        return sum(int(stat["value"]) for stat in stats if "value" in stat)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now and that were not returned before."""
    for _ in range(count):
        _given.append(free_port(_CHANCE, but=_given))
    return _given[-count:]


@contextlib.contextmanager
def envoy(bootstrap: dict[str, Any], folder: Path) -> Iterator[Envoy]:
    """Run Envoy with one worker for the length of a `with`."""
    config, address, log = folder / "envoy.yaml", folder / "envoy.admin", folder / "envoy.log"
    config.write_text(yaml.safe_dump(bootstrap, sort_keys=False))
    command = [str(find_envoy()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1"]
    with child([*command, "--admin-address-path", str(address), "-l", "warning"], log=log) as process:
        running = Envoy(process.pid, _wait_for(address, process, log))
        until(lambda: running.get("/ready").startswith("LIVE"), _START, "Envoy to be ready")
        yield running


def until(condition: Any, seconds: float, what: str, *, every: float = 0.02) -> Any:
    """Wait until `condition()` is true and return it; connection errors count as not yet."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, AnswerError):
            if value := condition():
                return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every)


def plain_cluster(name: str, port: int) -> dict[str, Any]:
    """Return a cluster with one endpoint on loopback."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def plain_listener(name: str, port: int, cluster: str, *, mirror: str = "", percent: int = 100) -> dict[str, Any]:
    """Return the listener that an Envoy user writes by hand: a router, and a mirror policy if a cluster is named."""
    action: dict[str, Any] = {"cluster": cluster, "timeout": "0s"}
    if mirror:
        fraction = {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
        action["request_mirror_policies"] = [{"cluster": mirror, "runtime_fraction": fraction}]
    manager = {
        "@type": _HCM,
        "stat_prefix": name,
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]},
            ],
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]},
        ],
    }


def _wait_for(address: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    def there() -> str:
        if process.poll() is not None:
            raise RuntimeError(f"Envoy ended with {process.returncode}:\n{log.read_text()[-2000:]}")
        return address.read_text() if address.exists() else ""

    return str(until(there, _START, "Envoy's admin address"))
