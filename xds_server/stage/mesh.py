"""A manager with its engine, and a real Envoy in front of an original, set up as a user would, for a while.

Guarantees: when `set_up` returns, Envoy takes requests; ports that we chose are chosen anew if one was taken meanwhile.
`strike` ends everything that was started here and removes the folder, whatever state it is in. An original that ran
before is not ended.
Not guaranteed: anything after KILL.
"""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx

from xds_server.envoy_binary import find_envoy
from xds_server.errors import ShadowmeshError, UnavailableError
from xds_server.stage.children import Child, ChildError, Household
from xds_server.stage.manager import Manager

TRIES = 3
"""Sets of ports tried, in case that somebody takes one between our look and our use."""
START_SECONDS = 60.0
"""Longest wait for one part to be up; machines can be busy."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on 127.0.0.1; `original` is free for an original that is started here."""

    original: int
    xds: int
    http: int
    engine: int
    envoy: int
    admin: int


@dataclass(frozen=True, slots=True)
class Struck:
    """What taking it down found: `left` outlived its parent and was ended, `taken` are ports still in use."""

    processes: int
    ports: int
    left: list[str]
    taken: list[int]
    folder_removed: bool

    @property
    def clean(self) -> bool:
        """Whether nothing is left (what was `left` has been ended)."""
        return not self.taken and self.folder_removed


class Mesh:
    """A manager, its engine, an Envoy.

    Args:
        folder: made by the caller, removed by `strike`.
        network: name of the one network.
        node: the Envoy's name.
        chance: chooses ports.
        say: told what has been set up, a line each.
        listen: port on which Envoy takes requests; a free one when None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        network: str,
        node: str,
        chance: Random,
        say: Callable[[str], None],
        listen: int | None = None,
    ) -> None:
        self.folder = folder
        self.household = Household(folder, chance=chance)
        self.network = network
        self._node = node
        self._say = say
        self._listen = listen
        self._started = 0
        self.ports: Ports
        self.manager: Manager

    # What differs from one to the other.

    def network_body(self) -> Mapping[str, Any]:
        """Return the body of `POST /networks`."""
        raise NotImplementedError

    def start_original(self) -> None:
        """Start the original, if that is to be done here."""

    async def original_up(self) -> None:
        """Return once the original answers."""

    async def served(self) -> bool:
        """Tell whether clients are served; asked once Envoy is ready."""
        return True

    # What is the same.

    async def set_up(self) -> None:
        """Start everything. Raises ShadowmeshError: it cannot be."""
        envoy = find_envoy()
        for attempt in range(1, TRIES + 1):
            port = self.household.free_port
            original, xds, http, engine = port(), port(), port(), port()
            self.ports = Ports(original, xds, http, engine, self._listen or port(), port())
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
        self.start_original()
        serve = ["serve", "--state", str(self.folder / "state")]
        serve += ["--xds-port", str(ports.xds), "--http-port", str(ports.http), "--engine-port", str(ports.engine)]
        manager = self.start("manager", shadowmesh(*serve))
        await self.original_up()
        await self.until(manager, self.manager.ready)
        self._say(f"Shadowmesh is up: REST on 127.0.0.1:{ports.http}, xDS on :{ports.xds}, engine on :{ports.engine}")
        await self.manager.create_network(self.network_body())
        await self.until(manager, self._engine_attached)
        bootstrap = self.folder / "envoy.yaml"
        bootstrap.write_bytes(await self.output(*self._bootstrap_arguments()))
        log = ["--log-level", "warning", "--log-format", "%Y-%m-%dT%T.%e %l %n: %v"]
        command = [str(envoy), "-c", str(bootstrap), "--disable-hot-restart", "--concurrency", "1", *log]
        proxy = self.start("envoy", command)
        await self.until(proxy, self._envoy_ready)
        await self.until(proxy, self.served)

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Start a process that `strike` ends."""
        self._started += 1
        return self.household.start(name, command)

    async def until(self, child: Child, up: Callable[[], Awaitable[bool]]) -> None:
        """Wait until `up` says so. Raises ChildError: the child has ended meanwhile, or it takes too long."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not await up():
            child.check()
            if asyncio.get_running_loop().time() > deadline:
                raise ChildError(f"{child.name} was not up within {START_SECONDS:g} s", child=child.name)
            await asyncio.sleep(0.05)
        child.check()

    def check(self) -> None:
        """Raise ChildError if a part has ended by itself."""
        for child in self.household.children:
            child.check()

    async def output(self, *arguments: str) -> bytes:
        """Return what a command of `shadowmesh` prints. Raises UnavailableError: it failed."""
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

    async def strike(self) -> Struck:
        """End everything, remove the folder."""
        if hasattr(self, "manager"):
            # The manager keeps shadows over a restart, so they are ended before it is.
            with suppress(ShadowmeshError, TimeoutError):
                async with asyncio.timeout(15):
                    await self.manager.delete_network(self.network)
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

    def _bootstrap_arguments(self) -> list[str]:
        ports = self.ports
        arguments = ["bootstrap", self.network, "--node-id", self._node]
        arguments += ["--manager", f"127.0.0.1:{ports.xds}", "--engine", f"127.0.0.1:{ports.engine}"]
        return [*arguments, "--admin", f"127.0.0.1:{ports.admin}"]

    async def _engine_attached(self) -> bool:
        engines = (await self.manager.status(self.network)).get("engines") or []
        return any(engine.get("connected") for engine in engines)

    async def _envoy_ready(self) -> bool:
        """Tell whether it has its listeners: it says so when all of its first configuration has come."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                return (await client.get(f"http://127.0.0.1:{self.ports.admin}/ready")).is_success
        except httpx.HTTPError:
            return False


def shadowmesh(*arguments: str) -> list[str]:
    """Return the command line of `shadowmesh`, of this very installation."""
    return [sys.executable, "-m", "xds_server.cli", *arguments]
