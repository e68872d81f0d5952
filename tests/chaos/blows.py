"""What is done, and how it is undone: each blow lands, and returns what brings back what it hit.

Guarantees: whatever is killed is started again as its supervisor (systemd, Kubernetes, for the engine the manager)
would; whatever stands still goes on. The time that Envoy itself is away is on record (`away`).
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psutil

from tests.chaos.points import Blow
from tests.chaos.theatre import Theatre
from tests.docker.engines import DockerEngine
from tests.envoy.stack import until
from xds_server.stage.client import Connection, ReplyError, Request

HOUR = 3600
ASKED, HANDS_OVER = 30.0, b"handing over"
"""Seconds until a successor has asked, and what the old manager logs then."""
TARGET, AT_ITS_END = 10.0, 3.0
"""Seconds that a shadow is waited for which is to be hit; the same where it ends meanwhile, and is not hit then."""
HEALTH = Request("GET", "/healthz", "GET /healthz")

Mend = Callable[[], Awaitable[None]]


@dataclass
class Blows:
    """Lands blows on a stage."""

    theatre: Theatre
    patience: float = TARGET
    """Seconds that a shadow is waited for."""
    into: float = 0.0
    """Seconds from the beginning of a hand-over to the death of the one that hands over."""
    away: list[tuple[float, float]] = field(default_factory=list)
    """When Envoy was away, from its death to its first answer."""
    still: list[tuple[float, float]] = field(default_factory=list)
    """When Envoy stood still, from SIGSTOP to SIGCONT."""
    envoy_up: float = 0.0
    """Seconds from the start of the last Envoy to its first answer."""
    hit: int = 0
    """What was struck: processes that got their signal, wires with something on them, a disk that is full, a clock."""

    async def land(self, blow: Blow) -> Mend:
        """Do it; return what undoes it."""
        self.hit = 0
        lands: dict[Blow, Callable[[], Awaitable[Mend]]] = {
            Blow.KILL_MANAGER: self._kill_manager,
            Blow.KILL_ENGINE: self._kill_engine,
            Blow.KILL_ENVOY: self._kill_envoy,
            Blow.KILL_SHADOW: self._kill_shadow,
            Blow.KILL_SUPERVISOR: self._kill_supervisor,
            Blow.STOP_MANAGER: lambda: self._freeze([self.theatre.manager.process.pid]),
            Blow.STOP_ENGINE: lambda: self._freeze([self.theatre.engine_process.pid]),
            Blow.STOP_ENVOY: self._stop_envoy,
            Blow.STOP_SHADOW: self._stop_shadow,
            Blow.STOP_SUPERVISOR: self._stop_supervisor,
            Blow.CUT_MANAGER: lambda: self._wire("manager", cut=True),
            Blow.CUT_ENGINE: lambda: self._wire("engine", cut=True),
            Blow.FREEZE_MANAGER: lambda: self._wire("manager", cut=False),
            Blow.FREEZE_ENGINE: lambda: self._wire("engine", cut=False),
            Blow.DISK_FULL: self._fill,
            Blow.CLOCK_FORWARD: lambda: self._set_clock(HOUR),
            Blow.CLOCK_BACK: lambda: self._set_clock(-HOUR),
            Blow.MANAGER_THEN_ENVOY: lambda: self._both(self._kill_manager, self._kill_envoy, together=False),
            Blow.ENGINE_AND_MANAGER: lambda: self._both(self._kill_engine, self._kill_manager),
            Blow.SHADOW_AND_MANAGER: lambda: self._both(self._kill_shadow, self._kill_manager),
            Blow.DISK_FULL_AND_MANAGER: lambda: self._both(self._fill, self._kill_manager),
            Blow.CLOCK_BACK_AND_MANAGER: lambda: self._both(lambda: self._set_clock(-HOUR), self._kill_manager),
            Blow.START_ON_FULL_DISK: self._start_on_full_disk,
            Blow.TAKE_OVER_OLD_DIES: lambda: self._take_over(old_dies=True),
            Blow.TAKE_OVER_NEW_DIES: lambda: self._take_over(old_dies=False),
            Blow.KILL_DOCKERD: self._kill_dockerd,
            Blow.STOP_DOCKERD: lambda: self._freeze([self._docker.pid]),
            Blow.DOCKERD_AND_MANAGER: lambda: self._both(self._kill_dockerd, self._kill_manager),
        }
        return await lands[blow]()

    async def _both(
        self, first: Callable[[], Awaitable[Mend]], second: Callable[[], Awaitable[Mend]], *, together: bool = True
    ) -> Mend:
        """Land two; they are undone side by side, or the second while the first is not yet."""
        mends = [await first(), await second()]

        async def mend() -> None:
            if together:
                await asyncio.gather(*(each() for each in mends))
            else:
                for each in reversed(mends):
                    await each()

        return mend

    async def _kill_manager(self) -> Mend:
        self.hit += 1
        self.theatre.kill(self.theatre.manager)
        return self.theatre.revive

    async def _start_on_full_disk(self) -> Mend:
        """What starts it tries again and again while there is no room."""
        await self._kill_manager()
        free = await self._fill()
        revival = asyncio.create_task(self.theatre.revive())

        async def mend() -> None:
            await free()
            await revival

        return mend

    async def _take_over(self, *, old_dies: bool) -> Mend:
        """A successor is started; one of the two is killed while the old one hands over, and the other goes on."""
        old, begun = self.theatre.manager, self.theatre.manager.log.stat().st_size
        new = self.theatre.start_successor()
        deadline = time.monotonic() + ASKED
        while HANDS_OVER not in old.log.read_bytes()[begun:]:
            new.check()
            assert time.monotonic() < deadline, "the manager was not asked to hand over"
            await asyncio.sleep(0.005)
        dies, lives = (old, new) if old_dies else (new, old)
        # Once the old one has looked whether it is still wanted, it is gone without a successor: that one dies at once.
        await asyncio.sleep(self.into if old_dies else 0.0)
        self.hit += dies.alive
        self.theatre.kill(dies)
        self.theatre.manager = lives

        async def mend() -> None:
            async def serves() -> bool:
                lives.check()
                return await asyncio.to_thread(self.theatre.answers)

            await until(serves, "the manager that was not killed serves")

        return mend

    async def _kill_engine(self) -> Mend:
        self.hit += 1
        self.theatre.engine_process.kill()
        return _nothing

    async def _kill_envoy(self) -> Mend:
        self.hit += 1
        died = time.monotonic()
        self.theatre.kill(self.theatre.proxy.child)

        async def mend() -> None:
            started = time.monotonic()
            self.theatre.start_envoy_again()
            try:
                async with Connection(self.theatre.proxy.ports["catalog"], timeout=1.0) as connection:

                    async def serves() -> bool:
                        try:
                            return (await connection.send(HEALTH)).status == 200
                        except ReplyError:
                            return False

                    await until(serves, "Envoy serves the original", seconds=30)
            finally:
                up = time.monotonic()
                self.envoy_up = up - started
                self.away.append((died, up))

        return mend

    async def _kill_dockerd(self) -> Mend:
        self.hit += 1
        await asyncio.to_thread(self._docker.kill)
        return self.theatre.revive_docker

    @property
    def _docker(self) -> DockerEngine:
        assert self.theatre.docker is not None
        return self.theatre.docker

    async def _kill_shadow(self) -> Mend:
        self._signal(await self._targets(self.theatre.processes), signal.SIGKILL)
        return _nothing

    async def _kill_supervisor(self) -> Mend:
        self._signal(await self._targets(self.theatre.supervisors), signal.SIGKILL)
        return _nothing

    async def _stop_shadow(self) -> Mend:
        return await self._freeze(await self._targets(self.theatre.processes))

    async def _stop_supervisor(self) -> Mend:
        return await self._freeze(await self._targets(self.theatre.supervisors))

    async def _stop_envoy(self) -> Mend:
        began = time.monotonic()
        go_on = await self._freeze([self.theatre.proxy.child.process.pid])

        async def mend() -> None:
            await go_on()
            self.still.append((began, time.monotonic()))

        return mend

    async def _freeze(self, pids: list[int]) -> Mend:
        self._signal(pids, signal.SIGSTOP)

        async def mend() -> None:
            for pid in pids:
                self.theatre.signal(pid, signal.SIGCONT)

        return mend

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        self.hit += sum(self.theatre.signal(pid, number) for pid in pids)

    async def _wire(self, part: str, *, cut: bool) -> Mend:
        relay = self.theatre.relays[part]
        self.hit += relay.carries
        await asyncio.to_thread(relay.cut if cut else relay.freeze)
        return lambda: asyncio.to_thread(relay.mend)

    async def _fill(self) -> Mend:
        self.hit += self.theatre.fill_disk()

        async def mend() -> None:
            self.theatre.free_disk()

        return mend

    async def _set_clock(self, seconds: int) -> Mend:
        self.hit += self.theatre.faked
        self.theatre.set_clock(seconds)
        return _nothing

    async def _targets(self, look: Callable[[], dict[str, list[psutil.Process]]]) -> list[int]:
        """Wait a while for a shadow that can be hit; return the process ids."""
        deadline = time.monotonic() + self.patience
        while not (found := look()) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
        return [process.pid for processes in found.values() for process in processes]


async def _nothing() -> None:
    """What was hit is brought back by Shadowmesh itself."""
