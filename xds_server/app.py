"""The composition root: which parts there are, in which order they start, and in which they stop.

Order of a start: state is read and running shadows are taken up, *then* xDS is served, so that an Envoy never sees a
network without the shadows that it mirrors to. Order of a stop: REST first (no new work), then mirroring off and
shadows ended while xDS still serves, then streams, engine, store.
Importing this module does nothing.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog
import uvicorn

from api import create_app
from xds_server import log as logging_setup
from xds_server.alerts.exposition import Exposition
from xds_server.alerts.service import FILE, Alerts
from xds_server.alerts.sinks.factory import make_sinks
from xds_server.analysis.engine import AnalysisEngine
from xds_server.analysis.link.collector import Collector
from xds_server.cache.cache import SnapshotCache
from xds_server.config import Settings
from xds_server.engine_process import EngineProcess
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.court import Court
from xds_server.lifecycle.groups import group_of
from xds_server.lifecycle.publisher import Publisher
from xds_server.lifecycle.steady_clock import FILE as CLOCK_FILE
from xds_server.lifecycle.steady_clock import SteadyClock
from xds_server.listening import bound
from xds_server.metrics import REGISTRY
from xds_server.nodes import make_nodes
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.fetch import fetch
from xds_server.protocol.server import XdsServer
from xds_server.store.sqlite import SqliteStore
from xds_server.takeover import DATABASE, SIGNAL, take_over, wanted
from xds_server.translate.render import as_any

log = structlog.get_logger(__name__)

HTTP_GRACE = 5
"""Seconds that requests under way have at a stop: a client that sends no end of its body keeps no shadow running."""
HTTP_HAND_OVER, HAND_OVER = 2, 5.0
"""Seconds that requests, and then all else that is under way, have when a successor waits: shares of the mirroring live
for 15 s, and were renewed 5 s ago at the latest."""


async def serve(settings: Settings) -> None:
    """Run the manager until SIGTERM or SIGINT.

    Raises:
        ConflictError: a port is taken.
        StoreError: the state cannot be read or written, or another manager works on it.
    """
    logging_setup.configure(settings.log)
    told = Told(lambda: wanted(settings.state))
    while True:
        try:
            async with manager(settings, told=told) as ports:
                log.info("ready", **ports, state=str(settings.state))
                await told.wait()
                log.info("handing over" if told.hand_over else "stopping")
        except Exception:
            if not told.hand_over:
                raise
            log.exception("the hand-over did not end in order")  # all the more is it looked whether somebody took over
        if not told.hand_over or wanted(settings.state):
            return
        log.warning("the manager that wanted to take over is gone; this one goes on")
        told.begin_anew()
        settings = settings.model_copy(update={"take_over": False})


async def analyze(settings: Settings) -> None:
    """Run the analysis engine of a node until SIGTERM or SIGINT.

    Raises:
        ConflictError: the port is taken.
    """
    logging_setup.configure(settings.log)
    told = Told(lambda: False)
    bound(settings.engine.address, settings.engine.port, flag="--engine-port").close()
    engine = AnalysisEngine(
        settings=settings.engine,
        node=settings.node.name,
        state=settings.state / "engine",
        clock=SystemClock(),
        grouping=lambda node: group_of(node).name,
    )
    await engine.start()
    # What has been loaded so far stays: the collector need not walk over it again and again while records come and go.
    gc.collect()
    gc.freeze()
    try:
        log.info("engine ready", port=engine.port, manager=settings.engine.manager)
        await told.wait()
    finally:
        await engine.stop()


@asynccontextmanager
async def manager(settings: Settings, *, told: "Told | None" = None) -> AsyncIterator[dict[str, int]]:
    """Run the manager's parts for the length of a `with`; yields the ports they listen on.

    At the end `told` says whether a successor waits for what is there.
    """

    def handing_over() -> bool:
        return told is not None and told.hand_over

    async with contextlib.AsyncExitStack() as stack:
        # Lives are counted by what has really passed; what others say when something was, they say by the wall clock.
        clock, wall = SteadyClock(settings.state / CLOCK_FILE), SystemClock()
        sinks = make_sinks(settings.alerts, now=wall.now)
        alerts = Alerts(
            settings.alerts,
            sinks,
            now=wall.now,
            path=settings.state / FILE,
            steady=clock.monotonic,
            wall=clock.wall,
        )
        cache = SnapshotCache()
        board = StatusBoard()
        collector = Collector(clock=wall, settings=settings.engine)
        publisher = Publisher(cache=cache, board=board, collector=collector, settings=settings, wall=clock.wall)
        nodes = make_nodes(settings, now=clock.now)
        stack.push_async_callback(nodes.close)
        store = SqliteStore(settings.state / DATABASE)
        controller = Controller(
            store=store,
            fleet=nodes.fleet,
            inventory=nodes.inventory,
            publisher=publisher,
            collector=collector,
            board=board,
            clock=clock,
            settings=settings,
            judge=Court(),
            alerts=alerts,
        )
        if told is not None:
            told.unless = controller.owes
        exposition = Exposition(controller.watched)
        xds = XdsServer(
            settings=settings.xds,
            cache=cache,
            grouping=publisher.group_of,
            board=board,
            extra_handlers=(collector.handler,),
        )
        engine = EngineProcess(settings)
        up = False

        async def stop_controller() -> None:
            # A start that failed (a port in use) is no reason to end the shadows that it found.
            keep = settings.keep_shadows or handing_over()
            await controller.stop(
                keep_shadows=keep or not up,
                keep_mirroring=handing_over(),
                grace=min(HAND_OVER, settings.grace) if handing_over() else settings.grace,
                drain=engine.leave if keep else engine.stop,
            )

        async def stop_http(task: asyncio.Task[None]) -> None:
            config.timeout_graceful_shutdown = HTTP_HAND_OVER if handing_over() else HTTP_GRACE
            server.should_exit = True
            await task

        # Takes a while: before Envoys are let in, so that none of them waits for it.
        app = create_app(
            controller,
            settings.http,
            trouble=lambda: store.trouble,
            fetch=partial(fetch, cache=cache, grouping=publisher.group_of, printer=as_any),
        )
        config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, ws="none")
        server = uvicorn.Server(config)
        # All that takes long is done: the shorter Envoys are without a manager, the better.
        if settings.take_over:
            await take_over(settings)
        http_socket = stack.enter_context(bound(settings.http.address, settings.http.port, flag="--http-port"))
        # gRPC says in its own log, and late, that it cannot.
        bound(settings.xds.address, settings.xds.port, flag="--xds-port").close()
        # Callbacks run last in, first out: what is pushed later is stopped earlier.
        stack.push_async_callback(xds.stop, settings.xds.grace)
        stack.callback(collector.close)  # the engines' streams would hold the server for all of its grace
        stack.push_async_callback(stop_controller)
        await controller.start()
        REGISTRY.register(exposition)
        stack.callback(REGISTRY.unregister, exposition)
        # Stopped before the shadows are: their end is no news then.
        stack.push_async_callback(alerts.stop)
        alerts.start(controller.watched)
        await xds.start()
        if settings.engine.spawn:
            await engine.start(manager=reachable(settings.xds.address, xds.port))
        stack.push_async_callback(stop_http, asyncio.create_task(_serve_http(server, http_socket)))
        up = True
        yield {"http": http_socket.getsockname()[1], "xds": xds.port, "engine": engine.port}


def reachable(address: str, port: int) -> str:
    """Return `host:port` at which a neighbour on this machine reaches what listens on `address`."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - compared with, not listened on
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


async def _serve_http(server: uvicorn.Server, listener: socket.socket) -> None:
    # Signals are ours: uvicorn would end before the shadows do.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    await server.serve(sockets=[listener])


class Told:
    """What the first of SIGTERM, SIGINT and the signal to hand over has said; a second TERM or INT ends it at once.

    To be made before anything is started: a signal in the middle of a start is then an orderly stop as well.

    Args:
        wanted: whether there is somebody to hand over to.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self.hand_over = False
        self.unless: Callable[[], str] = str
        """Says why nothing can be handed over just now; empty: it can."""
        self._wanted = wanted
        self._stopped = False
        self._told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(SIGNAL, self._hand_over)

    async def wait(self) -> None:
        """Return when it was told something."""
        await self._told.wait()

    def _stop(self) -> None:
        if self._stopped:
            os._exit(130)
        self._stopped = True
        self._told.set()

    def begin_anew(self) -> None:
        """Forget that a successor asked; a stop that came meanwhile stands."""
        self.hand_over = False
        if not self._stopped:
            self._told.clear()

    def _hand_over(self) -> None:
        if not self._wanted():
            log.warning("asked to hand over, but nobody waits for it; going on")
            return
        if reason := self.unless():
            log.warning("asked to hand over, but a successor would undo what is in effect; going on", reason=reason)
            return
        self.hand_over = self.hand_over or not self._told.is_set()
        self._told.set()
