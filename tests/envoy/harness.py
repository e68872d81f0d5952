"""A real Envoy on our own xDS server, with backends and an end for its access log.

`Envoy` runs one process with any bootstrap; `Mesh` puts the parts together around it: what a test publishes is what
Envoy has when `publish` returns. Everything is on free ports of loopback.

Envoy gets TERM when the *thread* that started it ends, so start it from the thread of the test.
"""

import asyncio
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.envoy.als_sink import AlsSink
from tests.envoy.backend import Backend
from xds_server.cache.cache import SnapshotCache
from xds_server.cache.snapshot import make_snapshot
from xds_server.config import XdsSettings
from xds_server.envoy_binary import find_envoy
from xds_server.model.network import Address
from xds_server.model.state import NetworkState
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.server import XdsServer
from xds_server.translate import BootstrapOptions, bootstrap, translate

NETWORK = "shop"
READY_SECONDS = 30.0
_EXPECTED = (
    "active downstream connections",
    "caught ENVOY_SIGTERM",
    "failover",
    "initial fetch timed out for type.googleapis.com/envoy.service.runtime.v3.Runtime",
)
"""Warnings that each of our Envoys may write: failover sources are called experimental; on a busy machine the runtime
layer comes later than after the half second for which it is waited, and Envoy starts all the same."""


class Envoy:
    """One process. `async with Envoy(yaml, folder)` is ready on entry and gone on exit.

    Args:
        config: the bootstrap; admin port 0 is fine.
        folder: for its files, made by the caller.
        wait: whether to wait until it serves.
    """

    def __init__(self, config: str, folder: Path, *, name: str = "envoy", wait: bool = True) -> None:
        self.log = folder / f"{name}.log"
        self.client: httpx.AsyncClient
        self._config = folder / f"{name}.yaml"
        self._config.write_text(config)
        self._admin = folder / f"{name}.admin"
        self._wait = wait
        self._process: subprocess.Popen[bytes]

    async def __aenter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - must be this thread, see the module
                [
                    find_envoy(),
                    *("-c", self._config, "--admin-address-path", self._admin),
                    *("--disable-hot-restart", "--concurrency", "1"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not self._admin.exists() or not self._admin.read_text():
                    await self._still_there()
                self.client = httpx.AsyncClient(base_url=f"http://{self._admin.read_text()}")
                while self._wait and (await self.client.get("/ready")).status_code != httpx.codes.OK:
                    await self._still_there()
        except BaseException:
            self._process.kill()
            self._process.wait()
            print(self.log.read_text()[-4000:])
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)

    async def _still_there(self) -> None:
        await asyncio.sleep(0.02)
        assert self._process.poll() is None, "Envoy ended by itself"

    def kill(self) -> None:
        self._process.kill()

    async def stats(self, pattern: str = "") -> dict[str, int]:
        """Return counters and gauges, those whose names match the pattern."""
        answer = await self.client.get("/stats", params={"format": "json", "filter": pattern})
        return {stat["name"]: stat["value"] for stat in answer.json()["stats"] if "value" in stat}

    async def until_stat(self, name: str, condition: Callable[[int], bool], *, seconds: float = 10.0) -> None:
        """Wait until the condition holds of a counter or gauge (0 while it does not exist)."""
        async with asyncio.timeout(seconds):
            while not condition((await self.stats(re.escape(name))).get(name, 0)):
                await self._still_there()

    async def listener_port(self, name: str) -> int:
        """Return the port that a listener got (those of tests ask for port 0); waits for the listener."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                listeners = (await self.client.get("/listeners?format=json")).json().get("listener_statuses", [])
                for each in listeners:
                    if each["name"] == name:
                        return int(each["local_address"]["socket_address"]["port_value"])
                await asyncio.sleep(0.02)

    def complaints(self) -> list[str]:
        """Return the lines of its log that warn or worse, but for those that every Envoy of ours writes."""
        lines = re.findall(r"^\[.*\]\[(?:warning|error|critical)\].*$", self.log.read_text(), re.MULTILINE)
        return [line for line in lines if not any(each in line for each in _EXPECTED)]


@dataclass
class Mesh:
    """Manager, Envoy, an original and a shadow, an access log's end. See the module."""

    folder: Path
    settings: XdsSettings = field(default_factory=lambda: XdsSettings(port=0, runtime_ttl=30))
    options: Mapping[str, Any] = field(default_factory=dict)
    original: Backend = field(default_factory=lambda: Backend("original"))
    shadow: Backend = field(default_factory=lambda: Backend("shadow"))
    sink: AlsSink = field(default_factory=AlsSink)
    cache: SnapshotCache = field(default_factory=SnapshotCache)
    board: StatusBoard = field(default_factory=StatusBoard)
    expected: tuple[str, ...] = ()
    """What the Envoy may complain of in this test."""
    envoy: Envoy = field(init=False)
    xds: XdsServer = field(init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        for part in (self.sink, self.original, self.shadow):
            await self._stack.enter_async_context(part)
        await self.serve()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def serve(self, *, port: int = 0) -> None:
        """Start the manager's xDS server."""
        settings = self.settings.model_copy(update={"port": port})
        self.xds = XdsServer(settings=settings, cache=self.cache, grouping=lambda n: n.cluster, board=self.board)
        await self.xds.start()
        self._stack.push_async_callback(self.xds.stop, 0.2)

    async def start_envoy(self, state: NetworkState | None = None) -> Envoy:
        """Publish `state` and start the Envoy."""
        if state is not None:
            self.cache.set(NETWORK, make_snapshot(self.resources(state)))
        self.envoy = await self._stack.enter_async_context(Envoy(self.bootstrap(), self.folder))
        return self.envoy

    def bootstrap(self, **more: Any) -> str:
        options = {
            "network": NETWORK,
            "node_id": "envoy-1",
            "manager": Address("127.0.0.1", self.xds.port),
            "engine": Address("127.0.0.1", self.sink.port),
            "admin": Address("127.0.0.1", 0),
            "stats_interval": 0.2,
            **self.options,
            **more,
        }
        return bootstrap(BootstrapOptions(**options))

    def resources(self, state: NetworkState) -> list[Any]:
        return translate(state, runtime_ttl=self.settings.runtime_ttl)

    async def publish(self, state: NetworkState) -> None:
        """Put `state` in force; returns when Envoy has answered all of it. A NACK fails the test."""
        self.cache.set(NETWORK, make_snapshot(self.resources(state)))
        assert await self.board.settled([NETWORK], 15), self.board.envoys()
        self.assert_no_nack()

    def assert_no_nack(self) -> None:
        bad = [(r.name, r.error) for e in self.board.envoys() for r in e.resources if r.error]
        assert not bad, bad

    async def client(self) -> httpx.AsyncClient:
        """Return a client of the components' listener."""
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{await self.port()}", timeout=30)

    async def port(self) -> int:
        """Return the port of the components that listen on one of Envoy's choice."""
        return await self.envoy.listener_port("listen/0")
