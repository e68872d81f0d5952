"""A controller on fakes and a real SQLite store; it can be crashed and started again on the same world."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.lifecycle.fakes import FakeBoard, FakeClock, FakeCollector, FakeInventory, FakeJudge, FakeRuntime, World
from xds_server.cache.cache import SnapshotCache
from xds_server.config import Settings
from xds_server.errors import StoreError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.publisher import Publisher
from xds_server.model.ids import InstanceID
from xds_server.model.shadow import ShadowInstance
from xds_server.model.state import NetworkState
from xds_server.runtime.base import Runtime
from xds_server.runtime.fleet import Fleet
from xds_server.store.base import Changes
from xds_server.store.sqlite import SqliteStore

Spoil = Callable[[Callable[[Changes], bool]], None]


class RecordingPublisher(Publisher):
    """The real one; notes in the world's log what was mirrored to."""

    world: World

    def publish(self, state: NetworkState) -> None:
        super().publish(state)
        shadows = [s.instance_id for p in state.profiles for s in p.shadows]
        self.world.log.append(("publish", *shadows))


class Managers:
    """Managers one after the other, on one machine."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.world = World()
        self.clock = FakeClock()
        self.running: Controller | None = None
        self.renew()

    def renew(self) -> None:
        """A new process: everything in memory is new, the disk and the machine are not."""
        settings = Settings(state=self.state)
        self.cache = SnapshotCache()
        self.board = FakeBoard(self.world)
        self.collector = FakeCollector()
        self.runtime = FakeRuntime(self.world)
        self.runtimes: dict[str, Runtime] = {"process": self.runtime}
        self.nodes: dict[str, dict[str, Runtime]] = {"here": self.runtimes}
        self.inventory = FakeInventory()
        self.judge = FakeJudge()
        self.store = SqliteStore(self.state / "shadowmesh.db")
        board: Any = self.board
        collector: Any = self.collector
        self.publisher = RecordingPublisher(cache=self.cache, board=board, collector=collector, settings=settings)
        self.publisher.world = self.world
        self.controller = Controller(
            store=self.store,
            fleet=Fleet(self.nodes),
            inventory=self.inventory,
            publisher=self.publisher,
            collector=collector,
            board=board,
            clock=self.clock,
            settings=settings,
            judge=self.judge,
        )

    def put_up(self, *names: str) -> dict[str, FakeRuntime]:
        """Have these nodes instead of the one, each with a runtime of its own; return those."""
        runtimes = {name: FakeRuntime(self.world, name) for name in names}
        self.nodes.clear()
        self.nodes.update({name: {"process": runtime} for name, runtime in runtimes.items()})
        self.inventory.names = list(names)
        return runtimes

    async def start(self) -> Controller:
        await self.controller.start()
        self.running = self.controller
        return self.controller

    async def stop(self, *, keep_shadows: bool = False) -> None:
        self.running = None
        await self.controller.stop(keep_shadows=keep_shadows)

    async def crash(self) -> None:
        """End the manager as kill -9 does: nothing is written any more, the processes go on."""
        self.running = None
        await abandon(self.controller)
        await self.store.close()
        self.renew()

    async def written(self) -> None:
        """Wait until the disk has each instance as the manager knows it, for a successor to find."""
        async with asyncio.timeout(10.0):
            while {i.id: i for i in (await self.store.load()).instances} != self._known():  # noqa: ASYNC110 - the disk tells nobody
                await asyncio.sleep(0.001)

    def _known(self) -> dict[InstanceID, ShadowInstance]:
        return {i.id: i for record in self.controller._registry for i in record.instances.values()}

    async def restart(self) -> Controller:
        """Crash it when all is on the disk, and start its successor."""
        await self.written()
        await self.crash()
        return await self.start()


async def abandon(controller: Controller) -> None:
    """Cancel every task of a controller, without letting it clean up."""
    mine = [t for t in asyncio.all_tasks() if t is not asyncio.current_task() and _belongs(t)]
    for task in mine:
        task.cancel()
    await asyncio.gather(*mine, return_exceptions=True)


def _belongs(task: Any) -> bool:
    file = task.get_coro().cr_code.co_filename
    return "xds_server/lifecycle" in file or file.endswith("lifecycle/fakes.py")


@pytest.fixture
async def managers(tmp_path: Path) -> AsyncIterator[Managers]:
    """Managers on one machine; the last one is crashed at the end of the test."""
    managers = Managers(tmp_path)
    yield managers
    if managers.running is not None:
        await abandon(managers.controller)
    await managers.store.close()


@pytest.fixture
async def controller(managers: Managers) -> Controller:
    return await managers.start()


@pytest.fixture
def full(managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Let the disk refuse the writes that a test chooses; `monkeypatch.undo` makes room."""

    def spoil(refused: Callable[[Changes], bool]) -> None:
        real = managers.store.apply

        async def apply(changes: Changes) -> None:
            if refused(changes):
                raise StoreError("the disk is full")
            await real(changes)

        monkeypatch.setattr(managers.store, "apply", apply)

    return spoil
