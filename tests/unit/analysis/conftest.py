"""A manager with a collector, and engines, on real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from tests.unit.analysis.entries import INSTANCE, PROFILE
from xds_server.analysis.engine import AnalysisEngine
from xds_server.analysis.ingest import als, metrics
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.cache.cache import SnapshotCache
from xds_server.config import EngineSettings, XdsSettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.server import XdsServer

CONFIG = ProfileConfig(PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"})
PATIENCE = 30.0


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so; give up (and fail) after a while."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event for most of what tests wait for
            await asyncio.sleep(0.01)


class Manager:
    """A manager's xDS server with a collector; `port` 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self.collector = Collector(clock=SystemClock(), settings=EngineSettings())
        self.collector.configure([CONFIG])
        self.writes = True
        self._server = XdsServer(
            settings=XdsSettings(port=port),
            cache=SnapshotCache(),
            grouping=lambda node: node.cluster,
            board=StatusBoard(),
            extra_handlers=(self.collector.handler,),
        )

    @property
    def port(self) -> int:
        return self._server.port

    async def _keep(self) -> None:
        """Say that everything is written, as the manager does."""
        while True:
            if self.writes:
                self.collector.kept(self.collector.mark())
            await asyncio.sleep(0.01)

    @property
    def pairs(self) -> int:
        return self.collector.summary(PROFILE).pairs

    async def __aenter__(self) -> Self:
        await self._server.start()
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self.collector.close()
        await self._server.stop(1.0)


class Envoy:
    """What an Envoy sends to its engine."""

    def __init__(self, channel: Any) -> None:
        self._log = channel.stream_unary(f"/{als.SERVICE}/{als.METHOD}", None, None)()
        self._metrics = channel.stream_unary(f"/{metrics.SERVICE}/{metrics.METHOD}", None, None)()

    async def log(self, message: bytes) -> None:
        await self._log.write(message)

    async def push(self, at: float, **counters: float) -> None:
        message = metrics.Message()
        message.identifier.node.id = "node-1"
        for name, value in counters.items():
            family = message.envoy_metrics.add(name=name.replace("__", "."))
            family.metric.add(timestamp_ms=int(at * 1000)).counter.value = value
        await self._metrics.write(message.SerializeToString())

    async def close(self) -> None:
        for call in (self._log, self._metrics):
            await call.done_writing()
            await call


Start = Callable[..., Any]


@pytest.fixture
def engine(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def start(manager_port: int, **settings: Any) -> AsyncIterator[AnalysisEngine]:
        made = AnalysisEngine(
            settings=EngineSettings(**{"port": 0, "manager": f"127.0.0.1:{manager_port}", "window": 0.1, **settings}),
            node="local",
            state=tmp_path / "engine",
            clock=SystemClock(),
        )
        await made.start()
        try:
            yield made
        finally:
            await made.stop()

    return start


@asynccontextmanager
async def envoy(engine: AnalysisEngine) -> AsyncIterator[Envoy]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{engine.port}") as channel:
        made = Envoy(channel)
        yield made
        await made.close()
