"""Shadows that are processes of this machine, each under its supervisor (supervisor.py).

Guarantees: the manager holds nothing that a restart would lose: all state is in `<root>/<instanceID>/`. A shadow ends
at its deadline whether there is a manager or not. What is ready is the shadow's own: an answer from another process
on its port is a failure. Its end is known within milliseconds (pidfd).
Not guaranteed: confinement. A process shadow has the manager's user, network and files; use containers for that.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from xds_server.errors import RuntimeFailedError, cut
from xds_server.model.ids import InstanceID
from xds_server.model.network import Address
from xds_server.model.profile import ProcessSpec, VariantSpec
from xds_server.runtime import supervisor
from xds_server.runtime.base import Condition, Ending, Life, Started, Usage, expect
from xds_server.runtime.command import MARKER, arguments, check_process, environment, working_directory
from xds_server.runtime.folder import Folder, condition
from xds_server.runtime.ports import Ports
from xds_server.runtime.probe import until_ready
from xds_server.runtime.processes import Processes, Table, kill_marked
from xds_server.runtime.sockets import listening, stranger_on

LOOPBACK = "127.0.0.1"
LOG_LIMIT = 2 * 1024 * 1024
"""Bytes of log kept of each shadow."""
KEEP_ENDED = 100
"""Folders of ended shadows that are kept for their logs; the oldest go first."""
SPAWN_TIMEOUT = 20.0
"""Seconds that a supervisor has to spawn its shadow."""
STOP_MARGIN = supervisor.KILL_TIMEOUT + 2.0
"""Seconds over its `stop_timeout` after which a supervisor is itself killed."""
PYTHON_NEEDS = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""Environment that some builds of Python do not start without."""
NOTE_TIMEOUT = 2.0
"""Seconds that a supervisor has to note the end of its shadow, or a new deadline."""
NOTE_POLL = 0.01


class ProcessRuntime:
    """Runs `process` variants on this machine."""

    kind = "process"

    def __init__(
        self,
        root: Path,
        *,
        ports: Ports | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        environ: Mapping[str, str] = os.environ,
        log_limit: int = LOG_LIMIT,
    ) -> None:
        """Keep shadows in `root` (made when needed).

        Args:
            root: folder of the shadows' folders.
            ports: ports to give them; 20000-29999 from a random one unless given.
            now: wall clock (aware); deadlines are measured from it once, at `start` and `extend`.
            environ: environment that the few inherited variables come from.
            log_limit: bytes of log kept of each.
        """
        self._root = root.absolute()
        self._ports = ports or Ports(20000, 29999, start=secrets.randbelow(10000))
        self._now = now
        self._environ = environ
        self._log_limit = log_limit
        self._processes = Processes()
        self._starting: set[InstanceID] = set()
        self._cpu: dict[InstanceID, float] = {}

    def check(self, spec: VariantSpec) -> None:
        """See `Runtime.check`."""
        check_process(expect(spec, ProcessSpec), environ=self._environ)

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:
        """See `Runtime.start`. The shadow is spawned, with its port in the handle, when this returns."""
        own = expect(spec, ProcessSpec)
        self.check(own)
        folder = Folder(self._root, instance_id)
        if instance_id in self._starting:
            raise RuntimeFailedError(f"instance {instance_id} is being started already")
        self._starting.add(instance_id)
        try:
            # What a manager has left that was killed between the start and its handle.
            await self._end(folder)
            port = self._ports.take(instance_id)
            launch = asyncio.create_task(asyncio.to_thread(self._launch, folder, own, port, self._boottime(deadline)))
            try:
                await asyncio.shield(launch)
            except BaseException:  # also when cancelled: nothing half-started may stay
                await asyncio.wait({launch})
                launch.cancelled() or launch.exception()
                await self._end(folder)
                folder.remove()
                self._ports.release(port, instance_id)
                raise
        finally:
            self._starting.discard(instance_id)
        handle = {"runtime": self.kind, "instance": instance_id, "port": str(port)}
        return Started(Address(LOOPBACK, port), handle)

    async def ready(self, started: Started, spec: VariantSpec) -> None:
        """See `Runtime.ready`."""
        own = expect(spec, ProcessSpec)
        ended = asyncio.create_task(self.wait(started.handle), name="shadow-ended")
        probe = asyncio.create_task(until_ready(started.address, own.readiness), name="shadow-ready")
        try:
            await asyncio.wait({ended, probe}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise _ended_early(ended.result())
            if error := probe.exception():
                raise await self._not_ready(started, own, str(error)) from error
            await self._check_owner(started)
        finally:
            for task in (ended, probe):
                task.cancel()
            await asyncio.gather(ended, probe, return_exceptions=True)

    async def inspect(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.inspect`. What a killed supervisor left behind is ended here."""
        folder = self._folder(handle)
        return Condition(Life.UNKNOWN) if folder is None else await self._settle(folder)

    async def wait(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.wait`."""
        while (now := await self.inspect(handle)).alive:
            folder = self._folder(handle)
            status = folder.status() if folder else None
            if status is not None and (watched := status.child or status.supervisor) is not None:
                await watched.gone()
        return now

    async def adopt(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.adopt`."""
        found = await self.inspect(handle)
        if found.alive:
            self._ports.hold(int(handle["port"]), handle["instance"])
        return found

    async def stop(self, handle: Mapping[str, str], spec: VariantSpec) -> None:
        """See `Runtime.stop`."""
        expect(spec, ProcessSpec)
        if (folder := self._folder(handle)) is not None:
            await self._end(folder)
            self._ports.release(int(handle.get("port", 0)), folder.instance)

    async def usage(self, handle: Mapping[str, str]) -> Usage | None:
        """See `Runtime.usage`. Processes that have ended count with their CPU time."""
        folder = self._folder(handle)
        status = folder.status() if folder else None
        if folder is None or status is None or status.supervisor is None or not status.supervised:
            return None
        now = (await self._processes.table()).usage(status.supervisor.pid)
        most = self._cpu[folder.instance] = max(now.cpu_seconds, self._cpu.get(folder.instance, 0.0))
        return Usage(cpu_seconds=most, rss_bytes=now.rss_bytes)

    async def extend(self, handle: Mapping[str, str], deadline: datetime) -> None:
        """See `Runtime.extend`. Returns when the supervisor has taken the new deadline over."""
        folder = self._folder(handle)
        wanted = self._boottime(deadline)
        if folder is not None and (status := folder.status()) is not None and status.supervised:
            folder.move_deadline(wanted)
            loop = asyncio.get_running_loop()
            end = loop.time() + NOTE_TIMEOUT
            while (status := folder.status()) is not None and loop.time() < end:
                if status.deadline == wanted:
                    return
                if status.state != "running" or not (status.supervisor and status.supervisor.send(signal.SIGUSR1)):
                    break
                await asyncio.sleep(NOTE_POLL)
        raise RuntimeFailedError("the deadline could not be moved: the shadow has ended or its supervisor hangs")

    async def sweep(self, known: Collection[InstanceID]) -> list[InstanceID]:
        """See `Runtime.sweep`. Logs of the newest `KEEP_ENDED` ended shadows are kept."""
        orphans = [f for f in Folder.all(self._root) if f.instance not in known and f.instance not in self._starting]
        statuses = [(folder, folder.status()) for folder in orphans]
        alive = [folder for folder, status in statuses if status is not None and not status.over]
        for folder, status in statuses:
            if status is None:  # a supervisor that is just starting here ends by itself when it finds nothing
                folder.remove()
        await asyncio.gather(*(self._end(folder) for folder in alive))
        await asyncio.to_thread(self._prune)
        return [folder.instance for folder in alive]

    def _folder(self, handle: Mapping[str, str]) -> Folder | None:
        instance = handle.get("instance", "")
        return Folder(self._root, InstanceID(instance)) if instance else None

    def _boottime(self, deadline: datetime) -> float:
        return supervisor.boottime() + (deadline - self._now()).total_seconds()

    def _launch(self, folder: Folder, spec: ProcessSpec, port: int, deadline: float) -> None:
        """Write the folder, spawn supervisor and shadow. Blocks for some 30 ms."""
        self._prune()
        folder.create(
            {
                "command": arguments(spec, port),
                "env": environment(spec, port=port, instance=folder.instance, environ=self._environ),
                "cwd": str(working_directory(spec)),
                "port": port,
                "stop_timeout": spec.stop_timeout,
                "deadline": deadline,
                "log_limit": self._log_limit,
            }
        )
        command = [sys.executable, "-I", "-S", supervisor.__file__, str(folder.path)]
        try:
            done = subprocess.run(  # noqa: S603 -- our own script; the shadow's command is the user's wish
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={name: self._environ[name] for name in PYTHON_NEEDS if name in self._environ},
                timeout=SPAWN_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeFailedError(f"the supervisor could not be started: {cut(str(error))}") from error
        if not (status := folder.status()) or status.ending == "spawn" or status.state == "starting":
            why = done.stderr.decode("utf-8", "replace").strip() or "its supervisor ended"
            raise RuntimeFailedError(
                f"could not be started: {cut(why)}", field="process.command", hint="check the command on this machine"
            )

    def _prune(self) -> None:
        folders = Folder.all(self._root)
        for folder in folders[KEEP_ENDED:]:
            if (status := folder.status()) is not None and status.over:
                folder.remove()

    async def _settle(self, folder: Folder) -> Condition:
        """Return the condition, in line with the processes: a death is noted first, a killed supervisor made good."""
        loop = asyncio.get_running_loop()
        end = loop.time() + NOTE_TIMEOUT
        while (status := folder.status()) is not None and not status.over:
            if not status.supervised:
                if (again := folder.status()) is not None and not again.over:
                    await asyncio.to_thread(kill_marked, MARKER, [folder.instance])
                    words = "its supervisor was killed" if status.same_boot else "the machine was restarted"
                    if not folder.close(words):  # a full disk; the next look finds the same
                        status = replace(again, state="ended", ending=again.ending or Ending.LOST, detail=words)
                        break
                continue
            if status.exit is not None or status.state == "starting" or (status.child and status.child.alive):
                break
            if loop.time() > end:
                return Condition(Life.EXITED, Ending.LOST, detail="its supervisor does not answer", log=folder.tail())
            await asyncio.sleep(NOTE_POLL)
        if status is not None and status.over:
            self._ports.release(int(folder.spec().get("port", 0)), folder.instance)
            self._cpu.pop(folder.instance, None)
        return condition(folder, status)

    async def _end(self, folder: Folder) -> None:
        """End supervisor and tree; return when all is gone."""
        status = folder.status()
        if status is not None and (chief := status.supervisor) is not None and chief.send(signal.SIGTERM):
            chief.send(signal.SIGCONT)
            patience = float(folder.spec().get("stop_timeout", 0.0)) + STOP_MARGIN
            try:
                async with asyncio.timeout(patience):
                    await chief.gone()
            except TimeoutError:
                chief.send(signal.SIGKILL)
                with suppress(TimeoutError):
                    async with asyncio.timeout(NOTE_TIMEOUT):
                        await chief.gone()
        await self._settle(folder)

    async def _check_owner(self, started: Started) -> None:
        pids = await self._tree(started)
        pid = await asyncio.to_thread(stranger_on, started.address.port, pids)
        if pid is not None:
            raise RuntimeFailedError(
                f"port {started.address.port} is answered by process {pid}, which is not the shadow's",
                field="process.command",
                hint="the command must itself listen on {port}",
            )

    async def _not_ready(self, started: Started, spec: ProcessSpec, why: str) -> RuntimeFailedError:
        """Make the error of a shadow that runs and does not answer; say where it listens instead, if it does."""
        found = await asyncio.to_thread(listening, await self._tree(started))
        elsewhere = sorted({f"{one.address}:{one.port}" for one in found if one.port != started.address.port})
        hint = f"it listens on {', '.join(elsewhere[:3])}: pass it {{port}}" if elsewhere else ""
        return RuntimeFailedError(
            f"not ready on {started.address.address}:{started.address.port} after {spec.readiness.timeout:g} s: {why}",
            field="process.readiness",
            hint=hint or "it must listen on {port}, or needs a longer readiness timeout",
            log=(await self.inspect(started.handle)).log,
        )

    async def _tree(self, started: Started) -> list[int]:
        folder = self._folder(started.handle)
        status = folder.status() if folder else None
        if status is None or status.supervisor is None:
            return []
        return (await asyncio.to_thread(Table.read)).below(status.supervisor.pid)


def _ended_early(end: Condition) -> RuntimeFailedError:
    hint = "it must stay in the foreground" if end.exit_code == 0 else "its last log lines say why"
    return RuntimeFailedError(
        f"{end.describe()} before it was ready",
        field="process.command",
        hint=hint if end.exit_code == 0 or end.log else "it wrote nothing",
        log=end.log,
    )
