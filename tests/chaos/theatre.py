"""The stage of the campaign: the whole stack, with wires that can be cut, a disk that can be filled, a clock that can
be set, and a shadow that counts for itself.

Guarantees: what is ours is found by its environment or command line, never by its name alone; the disk that is filled
is a small one of our own; only manager and engine see the clock that is set.
Not guaranteed: the small disk without the right to mount (`disk` says so), the clock without libfaketime (`FAKETIME`).
"""

import asyncio
import json
import os
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from docker.errors import DockerException
from requests.exceptions import RequestException

from tests.chaos import shadow
from tests.chaos.relay import Relay
from tests.docker.engines import DockerEngine, load
from tests.envoy.stack import JSON, Stack
from xds_server.demo import catalogue
from xds_server.demo.image import catalogue_in
from xds_server.runtime.command import MARKER
from xds_server.runtime.docker.runtime import INSTANCE, ROLE
from xds_server.stage.children import MARK, Child, ChildError

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
"""The library that turns the clock of a process; None when it is not installed."""
IMAGE = "smchaos:1"
DISK = "32m"
PORTS = 100
"""Ports that shadows may have."""
SUPERVISED_AGAIN = 0.3
"""Seconds after which a supervisor starts a manager again that has ended (systemd: 0.1, at first)."""


@dataclass
class Theatre(Stack):
    """See the module. `faked` puts manager and engine under a clock that `set_clock` sets; with `docker`, an engine,
    shadows are containers."""

    faked: bool = False
    docker: DockerEngine | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        free = self.household.free_port
        self.relays = {part: Relay(free(), port) for part, port in self.reached.items()}
        self.reached = {part: relay.port for part, relay in self.relays.items()}
        first = 20_000 + (self.http * 7) % 9_800
        self.node_ports = range(first, first + PORTS)
        engine = self.docker.url if self.docker else "none"
        ports = f"{first}-{first + PORTS - 1}"
        self.flags = (*self.flags, "--node-ports", ports, "--docker-host", engine)
        self.counts = self.folder / "counts"
        self.state = self.folder / "state"
        self.disk = False
        """Whether the state is on a disk that may be filled."""
        self.envoys = 0
        """Envoys started before this one."""
        if self.faked:
            self.set_clock(0)
            self.manager_env = {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }

    def open(self) -> None:
        """Start everything; from the main thread."""
        self.counts.mkdir()
        self.state.mkdir(mode=0o700)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "shadowmesh-chaos", str(self.state)]
        self.disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        for relay in self.relays.values():
            relay.start()
        if self.docker:
            load(self.docker, IMAGE, {"/catalogue.py": Path(catalogue.__file__).read_bytes()})
        super().open()

    def close(self) -> None:
        try:
            super().close()
        finally:
            for relay in self.relays.values():
                relay.stop()
            if self.disk:
                subprocess.run(["umount", "-l", str(self.state)], check=True)

    def version(self, number: int = 2, *, after: float = 0.0) -> JSON:
        """Return the variant of a shadow that counts for itself; a container does not."""
        if self.docker:
            return {"name": "v2", "docker": catalogue_in(IMAGE, version=number, plain=True)}
        command = [sys.executable, "-I", shadow.__file__, catalogue.__file__, str(self.counts), f"{after:g}"]
        command += ["--plain", "--port", "{port}", "--version", str(number)]
        env = {MARK: str(self.folder)}
        return {"name": "v2", "process": {"command": command, "env": env, "readiness": {"path": "/healthz"}}}

    def start_successor(self) -> Child:
        """Start a manager that is to take over from the one that runs; wait for nothing."""
        return self.household.start("successor", self.manager_command("--take-over"), env=self.manager_env)

    def answers(self) -> bool:
        """Tell whether a manager is ready."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).is_success
        return False

    async def revive(self, *, seconds: float = 60.0) -> None:
        """Start the manager until it is ready, as its supervisor does."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                await asyncio.to_thread(self.start_manager)
            except ChildError:
                assert time.monotonic() < deadline, "\n".join(self.manager.tail(20))
                await asyncio.sleep(SUPERVISED_AGAIN)
            else:
                return

    async def revive_docker(self, *, seconds: float = 60.0) -> None:
        """Start dockerd until it answers, as its supervisor does: the first may find its predecessor's containerd."""
        assert self.docker is not None
        deadline = time.monotonic() + seconds
        while True:
            try:
                await asyncio.to_thread(self.docker.start)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(SUPERVISED_AGAIN)
            else:
                return

    def start_envoy_again(self) -> None:
        """Start an Envoy in place of the one that has ended; from the main thread."""
        self.envoys += 1
        self.restart_envoy(self.proxy)

    # The world's tricks.

    def set_clock(self, seconds: int) -> None:
        """Set the clock of manager and engine so far ahead of the machine's."""
        fresh = self.folder / "clock.new"
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self.folder / "clock")

    def fill_disk(self) -> bool:
        """Leave no byte on the disk of the state; tell whether it is so."""
        with (self.state / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        with (self.state / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(256)):
                pass
        return os.statvfs(self.state).f_bavail == 0

    def free_disk(self) -> None:
        (self.state / "filler").unlink(missing_ok=True)

    # What there is of ours.

    def counted(self, instance: str) -> tuple[int, float]:
        """Return how many copies a shadow has got, by its own count, and when the last came (monotonic)."""
        try:
            count, last = shadow.FORM.unpack((self.counts / instance).read_bytes())
        except (OSError, struct.error):
            return 0, 0.0
        return int(count), float(last)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the living processes of shadows (not their supervisors), by instance id."""
        found: dict[str, list[psutil.Process]] = {}
        if self.docker:
            with suppress(DockerException, RequestException, psutil.Error), self.docker.client() as client:
                for one in client.containers(filters={"label": f"{ROLE}=shadow"}):
                    pid = client.inspect_container(one["Id"])["State"]["Pid"]
                    found.setdefault(one["Labels"][INSTANCE], []).append(psutil.Process(pid))
            return found
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environ = process.environ()
                if environ.get(MARK) == str(self.folder) and MARKER in environ:
                    found.setdefault(environ[MARKER], []).append(process)
        return found

    def containers(self) -> list[tuple[str, str]]:
        """Return instance and part (shadow or guard) of each container, alive or not."""
        if self.docker is None:
            return []
        with self.docker.client() as client:
            labels = [(one["Labels"], one["Id"]) for one in client.containers(all=True)]
        return [(each.get(INSTANCE, number), each.get(ROLE, "")) for each, number in labels]

    def supervisors(self) -> dict[str, list[psutil.Process]]:
        """Return the living supervisors, by instance id."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                line = process.cmdline()
                if any(word.endswith("/supervisor.py") for word in line) and line[-1].startswith(str(self.state)):
                    found.setdefault(Path(line[-1]).name, []).append(process)
        return found

    def engines(self) -> list[int]:
        """Return the pids of the engines that run on this stage."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.cmdline()[-1:] == ["analyze"] and process.environ().get(MARK) == str(self.folder):
                    found.append(process.pid)
        return found

    def listening(self) -> list[tuple[int, int]]:
        """Return the ports of the node's range that are listened on, each with the process id of each that does."""
        return [
            (each.laddr.port, each.pid or 0)
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port in self.node_ports
        ]

    def unended_folders(self) -> set[str]:
        """Return the instances whose folder says that they have not ended."""
        found = set()
        for path in (self.state / "shadows").glob("*"):
            try:
                over = json.loads((path / "status.json").read_bytes())["state"] == "ended"
            except (OSError, ValueError, KeyError):
                over = False
            if not over:
                found.add(path.name)
        return found

    def signal(self, pid: int, number: int) -> bool:
        """Send a signal; tell whether there was anybody to get it."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True
