"""Processes of a stage: started in a group of their own, logged to a file, ended for certain.

Guarantees: after `Household.close` nothing that a child started is left, unless it has dropped both its environment and
its parents; what is left is reported. Children get no `SHADOWMESH_...` setting of the user's.
Not guaranteed: anything if we are killed ourselves with KILL.

Envoy gets TERM when the *thread* that started it ends, so children are started from the main thread.
"""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from xds_server.errors import UnavailableError

MARK = "STAGE_OF_SHADOWMESH"
"""Environment variable that all processes of one stage inherit; its value is the folder."""
FIRST_PORT, LAST_PORT = 10_000, 19_999
"""Ports are chosen here: below the range that the kernel gives to outgoing connections."""


class ChildError(UnavailableError):
    """A child could not be started or ended by itself; `child` is its name."""

    def __init__(self, detail: str, *, child: str, hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.child = child


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours. `log` has both its outputs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> list[str]:
        """Return the last lines of its log."""
        return self.log.read_text(errors="replace").splitlines()[-lines:]

    def check(self) -> None:
        """Raise ChildError if it has ended."""
        if (code := self.process.poll()) is not None:
            raise ChildError(f"{self.name} ended by itself ({_ending(code)})", child=self.name)


class Household:
    """All processes and ports of one stage.

    Args:
        folder: for the logs; also the mark by which stray processes are found.
        chance: chooses ports.
    """

    def __init__(self, folder: Path, *, chance: Random) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self.ports: list[int] = []
        self._chance = chance
        self._seen: set[psutil.Process] = set()

    def free_port(self) -> int:
        """Return a port that nobody uses now and that was not returned before."""
        self.ports.append(free_port(self._chance, but=self.ports))
        return self.ports[-1]

    def start(self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Child:
        """Start a child; from the main thread.

        Raises:
            ChildError: the command cannot be run.
        """
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            try:
                process = subprocess.Popen(  # noqa: S603 - the commands are our own
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=self.environment(env),
                    cwd=self.folder,
                )
            except OSError as error:
                raise ChildError(f"{name} could not be started: {error}", child=name) from error
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a child: the user's without settings of Shadowmesh, with our mark."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SHADOWMESH_")}
        return {**kept, MARK: str(self.folder), "PYTHONUNBUFFERED": "1", **(extra or {})}

    async def end(self, child: Child, *, grace: float = 10.0) -> None:
        """End one child: TERM, and KILL to its group after `grace` seconds. Nothing if it has ended already."""
        if child in self.children:
            self.children.remove(child)
        if not child.alive:
            return
        with suppress(psutil.NoSuchProcess):
            self._seen.update(psutil.Process(child.process.pid).children(recursive=True))
        with suppress(ProcessLookupError):
            os.kill(child.process.pid, signal.SIGTERM)
        if not await _ended(child.process, grace):
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            await _ended(child.process, grace)

    async def close(self) -> list[str]:
        """End all children, the youngest first; then end whatever they left, and return its descriptions."""
        for child in reversed(self.children.copy()):
            await self.end(child)
        strays = [process for process in self._strays() if process.is_running()]
        names = [_described(process) for process in strays]
        for process in strays:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        for _ in range(30):
            if not any(_runs(process) for process in strays):
                break
            await asyncio.sleep(0.1)
        for process in strays:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return names

    def taken_ports(self) -> list[int]:
        """Return those of our ports that something still listens on."""
        return [port for port in self.ports if not port_is_free(port)]

    def _strays(self) -> set[psutil.Process]:
        found = {process for process in self._seen if _runs(process)}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.folder):
                    found.add(process)
        return {process for process in found if _runs(process)}


def free_port(chance: Random, *, but: Container[int]) -> int:
    """Return a port that nobody listens on now, none of `but`, and none of those that the system gives out by itself.

    Raises: UnavailableError.
    """
    for _ in range(1000):
        port = chance.randint(FIRST_PORT, LAST_PORT)
        if port not in but and port_is_free(port):
            return port
    raise UnavailableError(f"no free port between {FIRST_PORT} and {LAST_PORT}")


def port_is_free(port: int) -> bool:
    """Tell whether nothing listens on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


async def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = asyncio.get_running_loop().time() + seconds
    while process.poll() is None:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:80]}"
    except psutil.Error:
        return str(process.pid)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
