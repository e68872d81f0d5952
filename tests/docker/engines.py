"""Real Docker engines, each with a socket, a data root and a bridge of its own, and images made without a registry.

Needs root and Debian's docker.io and nftables, which `hack/docker` installs.
"""

import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest

from xds_server.runtime.docker.root_fs import PATH, python

ROOT = Path(__file__).parents[2]
READY = 30.0
"""Seconds that an engine has to answer."""
_NUMBERS = itertools.count()


def need_docker() -> None:
    """Have what an engine needs on this machine; skip the test with the reason when it cannot be had.

    CI has to have it: there it fails.
    """
    why = why_not()
    if why and os.environ.get("CI"):
        pytest.fail(f"CI needs a Docker engine: {why}")
    if why:
        pytest.skip(f"no Docker engine to test with: {why}")


@functools.cache
def why_not() -> str:
    """Return why no engine can be started here; empty when one can."""
    if os.geteuid() != 0:
        return "an engine of our own needs root"
    done = subprocess.run([ROOT / "hack/docker"], capture_output=True, text=True, check=False, timeout=600)
    return done.stderr.strip() or f"hack/docker ended with {done.returncode}" if done.returncode else ""


class DockerEngine:
    """One engine; `start` and `kill` may follow each other.

    Args:
        folder: a short path (its socket is in there).
        number: its bridge's; unlike those of all engines at the same time.
        tcp: extra arguments, like those for TLS.
    """

    def __init__(self, folder: Path, number: int, *arguments: str, root: Path | None = None) -> None:
        self.folder = folder
        self._root = root or folder / "data"
        self.bridge = f"smtest{os.getpid() % 10000}n{number}"[:15]
        self.subnet = f"10.{200 + number % 50}.{os.getpid() % 250}.1/24"
        self.url = f"unix://{folder}/d.sock"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the id of dockerd's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            "dockerd",
            f"--host={self.url}",
            f"--data-root={self._root}",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/pid",
            f"--bridge={self.bridge}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--log-level=warn",
            *self._arguments,
        ]
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            environment = {**os.environ, "PATH": PATH}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        end = time.monotonic() + READY
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(2.0)
            try:
                one.connect(self.url.removeprefix("unix://"))
                one.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in one.recv(100)
            except OSError:
                return False

    @contextmanager
    def client(self) -> Iterator[docker.APIClient]:
        """Return a client of our own."""
        client = docker.APIClient(base_url=self.url, version="1.41", timeout=30)
        try:
            yield client
        finally:
            client.close()

    def kill(self) -> None:
        """End dockerd as kill -9 does; its containerd goes with it, containers do not."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        # The next dockerd takes a containerd that is dying, or dead and not yet reaped, for one that runs.
        file = self.folder / "exec" / "containerd" / "containerd.pid"
        with suppress(OSError, ValueError):
            end = time.monotonic() + READY
            while _runs(int(file.read_text())) and time.monotonic() < end:
                time.sleep(0.02)
        file.unlink(missing_ok=True)

    def send(self, number: int) -> None:
        """Send dockerd a signal."""
        os.kill(self.pid, number)

    def containers(self) -> list[dict[str, object]]:
        """Return all containers there are."""
        with self.client() as client:
            return list(client.containers(all=True))

    def stop(self) -> None:
        """End it with all its containers."""
        if self._process is None:
            return
        with suppress(Exception), self.client() as client:
            for one in client.containers(all=True):
                client.remove_container(one["Id"], force=True)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def engine(*arguments: str, root: Path | None = None) -> Iterator[DockerEngine]:
    """Run an engine for the length of a `with`; see `need_docker`. Its data is in `root`, if one is given."""
    need_docker()
    folder = Path(tempfile.mkdtemp(prefix="smd"))
    one = DockerEngine(folder, next(_NUMBERS), *arguments, root=root)
    _ip("link", "add", one.bridge, "type", "bridge")
    try:
        _ip("addr", "add", one.subnet, "dev", one.bridge)
        _ip("link", "set", one.bridge, "up")
        one.start()
        yield one
    finally:
        one.stop()
        _ip("link", "del", one.bridge)
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, env={**os.environ, "PATH": PATH}, capture_output=True)


def _unmount(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


def load(one: DockerEngine, name: str, files: dict[str, bytes], *, changes: list[str] | None = None) -> None:
    """Import an image: this machine's Python, and `files`."""
    with one.client() as client:
        repository, _, tag = name.partition(":")
        client.import_image_from_data(python(files), repository=repository, tag=tag, changes=changes)
