"""The analysis engine of this machine, as a child of the manager that outlives it.

Guarantees: at most one engine for a state folder. It is started anew, with growing pauses, when it ends; it is found
again after a restart of the manager, so Envoys that start while the manager is away still have their failover source.
Not guaranteed: that the engine is up when `start` returns; Envoys and the manager's link wait for it by themselves.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import psutil
import structlog

from xds_server import __version__
from xds_server.config import Settings
from xds_server.listening import bound
from xds_server.private_files import make_folder, opener, tighten, write_private
from xds_server.runtime.supervisor import boot_id, start_time

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
STOP_TIMEOUT = 5.0
POLL = 0.5
LOG_LIMIT = 10_000_000
"""Bytes of the engine's log before it is set aside (one older file is kept)."""


def engine_pid(state: Path) -> int:
    """Return the process id of the engine that managers of this state have left or watch; -1: there is none."""
    try:
        return int(orjson.loads(_record(state).read_bytes())["pid"])
    except (OSError, ValueError, KeyError):
        return -1


def _record(state: Path) -> Path:
    return state / "engine" / "process.json"


class EngineProcess:
    """Keeps one `shadowmesh analyze` running."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._manager = ""
        self.port = settings.engine.port
        """Port that Envoys send their access log to; known from `start` on when the settings say 0."""
        self._record = _record(settings.state)
        self._folder = self._record.parent
        self._watch: asyncio.Task[None] | None = None
        self._process: psutil.Process | None = None
        self._unwritten = b""
        """What the next manager finds it by, as long as the disk has not taken it."""

    async def start(self, *, manager: str) -> None:
        """Take over the engine that runs already, or start one, and keep watch.

        Args:
            manager: `host:port` of the manager's xDS server.

        Raises:
            ConflictError: the engine's port is taken.
        """
        self._manager = manager
        make_folder(self._folder)
        tighten(self._folder)
        self._process = await self._find()
        if self._process is None:
            # The engine itself would only say in its log that it cannot.
            with bound(self._settings.engine.address, self.port, flag="--engine-port") as probe:
                self.port = probe.getsockname()[1]
            self._spawn()
        self._watch = asyncio.create_task(self._keep(), name="engine-process")

    async def leave(self) -> None:
        """Leave the engine to the manager that comes next; meanwhile it serves Envoys that start."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def stop(self) -> None:
        """End the engine: TERM, then KILL."""
        await self.leave()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)
        self._record.unlink(missing_ok=True)

    @property
    def pid(self) -> int | None:
        """Process id of the engine, None while there is none."""
        return self._process.pid if self._process is not None else None

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(POLL)
            if self._process is not None and _alive(self._process):
                pause = FIRST_PAUSE
                self._write_record()
                continue
            log.warning("the analysis engine ended; starting it again", pause=pause, log=str(self._folder / "log"))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                self._spawn()
            except OSError as error:  # no memory, no room for its log: there may be some soon
                log.warning("the analysis engine could not be started", error=str(error))

    async def _find(self) -> psutil.Process | None:
        """Return the engine of an earlier manager when it is still the one we want; end it when it is not."""
        try:
            record = orjson.loads(self._record.read_bytes())
            process = psutil.Process(record["pid"])
            if not _same(process, record):
                return None
        except (OSError, ValueError, KeyError, psutil.Error):
            return None
        self.port = self.port or int(record.get("port", 0))
        if record.get("wanted") == self._wanted() and _alive(process):
            log.info("the analysis engine of the manager before is still there", pid=process.pid)
            return process
        # Not on the event loop: it hands its last windows over to this manager.
        await asyncio.to_thread(_end, process)
        return None

    def _wanted(self) -> dict[str, Any]:
        """Return what an engine must have been started with: an older one's windows mean something else."""
        return {"version": __version__, "node": self._settings.node.name, **self._engine_settings()}

    def _engine_settings(self) -> dict[str, Any]:
        settings = self._settings.engine.model_dump(mode="json", exclude={"spawn"})
        return {**settings, "manager": self._manager, "port": self.port}

    def _spawn(self) -> None:
        environment = {
            **os.environ,
            **{f"SHADOWMESH_ENGINE_{name.upper()}": str(value) for name, value in self._engine_settings().items()},
            "SHADOWMESH_STATE": str(self._settings.state.absolute()),
            "SHADOWMESH_NODE_NAME": self._settings.node.name,
            "SHADOWMESH_LOG_LEVEL": self._settings.log.level,
        }
        log_path = self._folder / "log"
        if log_path.exists() and log_path.stat().st_size > LOG_LIMIT:
            log_path.replace(self._folder / "log.1")
        with open(log_path, "ab", opener=opener) as output:
            # Its own session: a Ctrl-C in the manager's terminal is the manager's to handle.
            self._process = psutil.Popen(
                [sys.executable, "-m", "xds_server.cli", "analyze"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        record = {
            "pid": self._process.pid,
            "started": self._process.create_time(),
            "start": start_time(self._process.pid),
            "boot": boot_id(),
            "port": self.port,
            "wanted": self._wanted(),
        }
        self._unwritten = orjson.dumps(record)
        self._write_record()
        log.info("started the analysis engine", pid=self._process.pid, log=str(log_path))

    def _write_record(self) -> None:
        if not self._unwritten:
            return
        try:
            write_private(self._record, self._unwritten)
        except OSError as error:  # tried again at the next look
            log.warning("the engine's process could not be noted", path=str(self._record), error=str(error))
        else:
            self._unwritten = b""


def _same(process: psutil.Process, record: Mapping[str, Any]) -> bool:
    """Tell whether a process is the one on record. Its ticks since boot stay when somebody sets the clock."""
    if "start" in record:
        return bool(record["boot"] == boot_id() and record["start"] == start_time(process.pid))
    return bool(abs(process.create_time() - record["started"]) <= 1.0)  # what an earlier version wrote


def _alive(process: psutil.Process) -> bool:
    if isinstance(process, psutil.Popen) and process.poll() is not None:
        return False
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(process: psutil.Process) -> None:
    try:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)
    except psutil.NoSuchProcess:
        return
