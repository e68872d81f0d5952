"""Shadowmesh as a user starts it: `shadowmesh serve`, `shadowmesh bootstrap`, and REST.

Guarantees: when the `with` of a manager ends, the manager has ended, and its engine with it.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.bench._children import ROOT, child
from tests.bench._envoy import free_ports, until
from tests.bench._http import call, call_json
from tests.bench._xds_client import accepts

START = 60.0
COMMAND = [sys.executable, "-m", "xds_server.cli"]
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manager:
    """A manager that runs. `http` and `xds` are `host:port`."""

    process: subprocess.Popen[bytes]
    http: str
    xds: str
    engine: str

    @property
    def pid(self) -> int:
        """The manager's process."""
        return self.process.pid

    def accepts(self) -> bool:
        """Tell whether the xDS port accepts."""
        self.check()
        return accepts(self.xds)

    def check(self) -> None:
        """Raise RuntimeError if the manager has ended."""
        if (code := self.process.poll()) is not None:
            raise RuntimeError(f"the manager ended with {code}")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API; the answer as JSON."""
        return call_json(self.http, method, path, body)

    def ready(self) -> bool:
        """Tell whether the REST API says that it is."""
        self.check()
        call(self.http, "GET", "/readyz", timeout=5)
        return True

    def engine_pid(self) -> int:
        """Return the process of the engine that the manager started."""
        return int(until(self._find_engine, START, "the engine to be started"))

    def _find_engine(self) -> int:
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                if "analyze" in process.cmdline():
                    return process.pid
        return 0

    def bootstrap(self, network: str) -> JSON:
        """Return the bootstrap that `shadowmesh bootstrap` writes for an Envoy of a network."""
        arguments = ["bootstrap", network, "--node-id", "bench", "--admin", "127.0.0.1:0"]
        arguments += ["--manager", self.xds, "--engine", self.engine]
        done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, env=environment(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"shadowmesh bootstrap: {done.stderr.decode(errors='replace')[-2000:]}")
        return dict(yaml.safe_load(done.stdout))

    def profile(self, network: str, profile_id: str) -> JSON:
        """Return a profile as the network's status shows it."""
        status = self.call("GET", f"/networks/{network}/shadowing/status")
        return next(dict(each) for each in status["profiles"] if each["profileID"] == profile_id)

    def wait_running(self, network: str, profile_id: str) -> JSON:
        """Wait until all instances of a profile run; return it."""

        def running() -> JSON | None:
            profile = self.profile(network, profile_id)
            states = [instance["status"] for instance in profile["instances"]]
            if "Failed" in states:
                raise RuntimeError(f"a shadow failed: {profile['instances']}")
            return profile if states and set(states) == {"Running"} else None

        return dict(until(running, START, "the shadows to run"))


def environment() -> dict[str, str]:
    """Return the environment without a user's settings of Shadowmesh."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SHADOWMESH_")}


@contextlib.contextmanager
def starting(folder: Path, *flags: str) -> Iterator[Manager]:
    """Start a manager with the state in `folder`/state; it may not be up yet when the `with` begins."""
    http, xds, engine = free_ports(3)
    command = [*COMMAND, "serve", "--state", str(folder / "state"), "--http-port", str(http), "--xds-port", str(xds)]
    command += ["--engine-port", str(engine), "--log-level", "warning", *flags]
    with child(command, log=folder / "manager.log", env=environment()) as process:
        manager = Manager(process, f"127.0.0.1:{http}", f"127.0.0.1:{xds}", f"127.0.0.1:{engine}")
        try:
            yield manager
        except BaseException as error:
            error.add_note(f"manager's log:\n{(folder / 'manager.log').read_text(errors='replace')[-3000:]}")
            raise


@contextlib.contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Manager]:
    """Run a manager that is ready."""
    with starting(folder, *flags) as manager:
        until(manager.ready, START, "the manager to be ready")
        yield manager


def component(name: str, listen: int, endpoint: int) -> JSON:
    """Return the document of a component on loopback."""
    return {
        "name": name,
        "protocol": "http1",
        "listen": {"address": "127.0.0.1", "port": listen},
        "endpoints": [{"address": "127.0.0.1", "port": endpoint}],
    }


def profile(component_name: str, share: float, variant: JSON, **more: Any) -> JSON:
    """Return the document of a profile with one variant."""
    return {
        "componentName": component_name,
        "trafficShadowingPercentage": share,
        "shadowInstanceTTL": "1h",
        "variants": [{"name": "v2", **variant}],
        **more,
    }


def endpoint(port: int) -> JSON:
    """Return the variant of a version that already runs on loopback."""
    return {"endpoint": {"address": "127.0.0.1", "port": port}}
