"""The demo's stage: version 1 of the catalogue, a manager with its engine, and a real Envoy, set up as a user would.

Guarantees: when `set_up` returns, Envoy answers with what version 1 says; ports are chosen anew if one was taken in
between. `strike` ends everything and removes the folder, whatever state the stage is in.
Not guaranteed: a stage after KILL.
"""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from xds_server.demo import catalogue
from xds_server.demo.children import Child, ChildError, Household
from xds_server.demo.client import Connection, Reply, ReplyError, Request
from xds_server.demo.manager import Manager
from xds_server.envoy_binary import find_envoy
from xds_server.errors import ShadowmeshError, UnavailableError

NETWORK = "shop"
COMPONENT = "catalog"
TRIES = 3
"""Sets of ports tried, in case that somebody takes one between our look and our use."""
START_SECONDS = 60.0
"""Longest wait for one part to be up; machines can be busy."""
HEALTH = Request("GET", "/healthz", "GET /healthz")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on 127.0.0.1."""

    original: int
    xds: int
    http: int
    engine: int
    envoy: int
    admin: int


@dataclass(frozen=True, slots=True)
class Struck:
    """What taking the stage down found: `left` outlived its parent and was ended, `taken` are ports still in use."""

    processes: int
    ports: int
    left: list[str]
    taken: list[int]
    folder_removed: bool

    @property
    def clean(self) -> bool:
        """Whether nothing is left (what was `left` has been ended)."""
        return not self.taken and self.folder_removed


class Stage:
    """Everything the demo runs on.

    Args:
        folder: made by the caller, removed by `strike`.
        chance: chooses ports.
        say: told what has been set up, a line each.
    """

    def __init__(self, folder: Path, *, chance: Random, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.household = Household(folder, chance=chance)
        self._say = say
        self._started = 0
        self.ports: Ports
        self.manager: Manager

    async def set_up(self) -> None:
        """Start everything. Raises ShadowmeshError: it cannot be."""
        envoy = find_envoy()
        for attempt in range(1, TRIES + 1):
            port = self.household.free_port
            self.ports = Ports(port(), port(), port(), port(), port(), port())
            self.manager = Manager(f"http://127.0.0.1:{self.ports.http}")
            try:
                await self._start_all(envoy)
            except ChildError:
                await self.manager.__aexit__(None, None, None)
                await self.household.close()
                # All of ours have ended: a port that is still in use is somebody else's, and the reason.
                if attempt == TRIES or not self.household.taken_ports():
                    raise
                self._say(f"a port was taken in the meantime, trying others ({attempt} of {TRIES})")
                self.household.ports.clear()
                shutil.rmtree(self.folder / "state", ignore_errors=True)
            else:
                return

    async def _start_all(self, envoy: Path) -> None:
        ports = self.ports
        original = self._start("catalogue-v1", catalogue_command(version=1, port=str(ports.original)))
        serve = ["serve", "--state", str(self.folder / "state")]
        serve += ["--xds-port", str(ports.xds), "--http-port", str(ports.http), "--engine-port", str(ports.engine)]
        manager = self._start("manager", shadowmesh(*serve))
        await self._until(original, lambda: self._answers(ports.original))
        self._say(f"version 1 of the catalogue answers on 127.0.0.1:{ports.original}")
        await self._until(manager, self.manager.ready)
        self._say(f"Shadowmesh is up: REST on 127.0.0.1:{ports.http}, xDS on :{ports.xds}, engine on :{ports.engine}")
        await self.manager.create_network(network_body(listen=ports.envoy, original=ports.original))
        await self._until(manager, self._engine_attached)
        bootstrap = self.folder / "envoy.yaml"
        bootstrap.write_bytes(await self._output(*self._bootstrap_arguments()))
        log = ["--log-level", "warning", "--log-format", "%Y-%m-%dT%T.%e %l %n: %v"]
        command = [str(envoy), "-c", str(bootstrap), "--disable-hot-restart", "--concurrency", "1", *log]
        proxy = self._start("envoy", command)
        await self._until(proxy, lambda: self._answers(ports.envoy))
        self._say(f"Envoy 1.40 listens on 127.0.0.1:{ports.envoy} and forwards to version 1")

    def check(self) -> None:
        """Raise ChildError if a part has ended by itself."""
        for child in self.household.children:
            child.check()

    async def strike(self) -> Struck:
        """End everything, remove the folder."""
        if hasattr(self, "manager"):
            # The manager keeps shadows over a restart, so they are ended before it is.
            with suppress(ShadowmeshError, TimeoutError):
                async with asyncio.timeout(15):
                    await self.manager.delete_network(NETWORK)
            await self.manager.__aexit__(None, None, None)
        left = await self.household.close()
        taken = self.household.taken_ports()
        shutil.rmtree(self.folder, ignore_errors=True)
        return Struck(self._started, len(self.household.ports), left, taken, folder_removed=not self.folder.exists())

    def tails(self, lines: int = 12) -> list[tuple[str, list[str]]]:
        """Return the last lines of each log, by the name of its process; shadows' own logs too."""
        paths = sorted([*self.folder.glob("*.log"), *(self.folder / "state").rglob("*log*")])
        texts = ((path, path.read_text(errors="replace").splitlines()[-lines:]) for path in paths if path.is_file())
        return [(str(path.relative_to(self.folder)), text) for path, text in texts if text]

    def _start(self, name: str, command: Sequence[str]) -> Child:
        self._started += 1
        return self.household.start(name, command)

    def _bootstrap_arguments(self) -> list[str]:
        ports = self.ports
        arguments = ["bootstrap", NETWORK, "--node-id", "demo"]
        arguments += ["--manager", f"127.0.0.1:{ports.xds}", "--engine", f"127.0.0.1:{ports.engine}"]
        return [*arguments, "--admin", f"127.0.0.1:{ports.admin}"]

    async def _output(self, *arguments: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *shadowmesh(*arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.household.environment(),
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise UnavailableError(f"shadowmesh {' '.join(arguments)} failed: {errors.decode(errors='replace')}")
        return output

    async def _until(self, child: Child, up: Callable[[], Awaitable[bool]]) -> None:
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not await up():
            child.check()
            if asyncio.get_running_loop().time() > deadline:
                raise ChildError(f"{child.name} was not up within {START_SECONDS:g} s", child=child.name)
            await asyncio.sleep(0.05)
        child.check()

    async def _engine_attached(self) -> bool:
        engines = (await self.manager.status(NETWORK)).get("engines") or []
        return any(engine.get("connected") for engine in engines)

    async def _answers(self, port: int) -> bool:
        async with Connection(port, timeout=2.0) as connection:
            try:
                reply: Reply = await connection.send(HEALTH)
            except ReplyError:
                return False
        return reply.status == 200 and reply.body == b"ok\n"  # noqa: PLR2004 - HTTP's OK


def shadowmesh(*arguments: str) -> list[str]:
    """Return the command line of `shadowmesh`, of this very installation."""
    return [sys.executable, "-m", "xds_server.cli", *arguments]


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


def profile_body(*, share: float, ttl: str) -> dict[str, object]:
    """Return the body of `POST /networks/{network_id}/shadowing/create`."""
    return {
        "name": "catalog-v2",
        "componentName": COMPONENT,
        "trafficShadowingPercentage": share,
        "shadowInstanceTTL": ttl,
        "performanceMetrics": ["response_time", "error_rate", "difference_rate", "cpu", "memory"],
        "variants": [{"name": "v2", "process": _process(version=2)}],
        "control": {"process": _process(version=1)},
    }


def _process(*, version: int) -> dict[str, object]:
    return {"command": catalogue_command(version=version, port="{port}"), "readiness": {"path": "/healthz"}}


def fault_body(instance: str, *, seconds: float) -> dict[str, object]:
    """Return the body of `POST /networks/{network_id}/shadowing/inject_fault`; lifted by itself after `seconds`."""
    parameters = {
        "abort": {"httpStatus": 503, "percentage": 20},
        "delay": {"fixedDelay": "200ms", "percentage": 50},
    }
    return {"instanceID": instance, "faultInjectionParameters": parameters, "duration": f"{seconds:.0f}s"}
