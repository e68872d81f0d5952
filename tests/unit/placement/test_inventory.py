"""Nodes, each as it was seen last."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from xds_server.errors import UnavailableError
from xds_server.model.nodes import Capacity, NodeEntry, Taint
from xds_server.placement import inventory as module
from xds_server.placement.demand import MIB
from xds_server.placement.inventory import FRESH, STALE, UNSEEN, NodesInventory
from xds_server.placement.node import Look, Node, Taken

LOOK = Look(cpus=4.0, cpu_load=0.25, memory_bytes=1000 * MIB, memory_free_bytes=400 * MIB)


class Machine:
    """A machine that answers when a test lets it."""

    def __init__(self) -> None:
        self.seen: Look | Exception = LOOK
        self.answers = asyncio.Event()
        self.answers.set()
        self.looks = 0

    async def __call__(self) -> Look:
        self.looks += 1
        await self.answers.wait()
        if isinstance(self.seen, Exception):
            raise self.seen
        return self.seen


class Inventory(NodesInventory):
    """One that a test steers; nodes by name."""

    def __init__(self, *entries: NodeEntry) -> None:
        self.machines = {entry.name: Machine() for entry in entries}
        self.time = 100.0
        super().__init__(entries, looks=self.machines, runtimes=lambda _: ("docker",), clock=lambda: self.time)

    def by_name(self, **taken: Taken) -> dict[str, Node]:
        return {node.name: node for node in self.nodes(taken)}


@pytest.fixture
async def inventory() -> AsyncIterator[Inventory]:
    made = Inventory(
        NodeEntry("a", "r", "z", {"disk": "ssd"}, (Taint("gpu"),)),
        NodeEntry("b", capacity=Capacity(cpus=2.0, memory=100 * MIB, shadows=3)),
    )
    yield made
    await made.close()


async def test_a_node_is_what_is_said_of_it_and_what_is_seen(inventory: Inventory) -> None:
    await inventory.refresh()
    node = inventory.by_name()["a"]
    assert (node.region, node.zone, node.taints, node.runtimes) == ("r", "z", (Taint("gpu"),), ("docker",))
    assert (node.cpus, node.cpu_load, node.cpus_idle) == (4.0, 0.25, 3.0)
    assert (node.memory_bytes, node.memory_free_bytes, node.max_shadows) == (1000 * MIB, 400 * MIB, 100)
    assert (node.healthy, node.reason) == (True, "")
    assert node.labels == {
        "disk": "ssd",
        "kubernetes.io/hostname": "a",
        "topology.kubernetes.io/region": "r",
        "topology.kubernetes.io/zone": "z",
    }


async def test_what_it_has_for_shadows_may_be_less_than_the_machine(inventory: Inventory) -> None:
    await inventory.refresh()
    node = inventory.by_name()["b"]
    assert (node.cpus, node.memory_bytes, node.max_shadows) == (2.0, 100 * MIB, 3)


async def test_what_starting_shadows_ask_for_is_not_free_although_nobody_uses_it_yet(inventory: Inventory) -> None:
    await inventory.refresh()
    taken = Taken(2, cpus=2.0, memory_bytes=300 * MIB, starting_cpus=1.0, starting_memory_bytes=100 * MIB)
    node = inventory.by_name(a=taken)["a"]
    assert (node.running, node.requested_cpus, node.requested_memory_bytes) == (2, 2.0, 300 * MIB)
    assert (node.cpus_idle, node.memory_free_bytes) == (2.0, 300 * MIB)
    assert inventory.by_name()["a"].running == 0


async def test_a_look_that_fails_makes_the_node_unhealthy_until_one_succeeds(inventory: Inventory) -> None:
    inventory.machines["a"].seen = UnavailableError("the certificate is for another host")
    await inventory.refresh()
    nodes = inventory.by_name()
    assert (nodes["a"].healthy, nodes["a"].reason) == (False, "the certificate is for another host")
    assert nodes["b"].healthy, "one that answers does not suffer from one that does not"
    inventory.machines["a"].seen = LOOK
    inventory.time += STALE
    await inventory.refresh()
    assert inventory.by_name()["a"].healthy


async def test_an_error_of_ours_is_a_reason_too(inventory: Inventory, capsys: pytest.CaptureFixture[str]) -> None:
    inventory.machines["a"].seen = ZeroDivisionError("planted")
    await inventory.refresh()
    assert inventory.by_name()["a"].reason == "an error of Shadowmesh itself: ZeroDivisionError"
    assert "planted" in "".join(capsys.readouterr())


async def test_a_machine_is_not_looked_at_again_while_the_last_look_is_good(inventory: Inventory) -> None:
    await inventory.refresh()
    inventory.time += FRESH / 2
    await inventory.refresh()
    assert inventory.machines["a"].looks == 1


async def test_nobody_waits_for_a_machine_that_was_seen_lately(inventory: Inventory) -> None:
    await inventory.refresh()
    machine = inventory.machines["a"]
    machine.answers.clear()
    inventory.time += FRESH
    await inventory.refresh()
    await inventory.refresh()
    assert machine.looks == 1, "the task has not begun, and this has returned"
    await asyncio.sleep(0)
    assert machine.looks == 2
    assert inventory.by_name()["a"].healthy
    machine.answers.set()


async def test_the_wait_for_a_machine_that_does_not_answer_is_bounded(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT", 0.02)
    monkeypatch.setattr(module, "LOOK_TIMEOUT", 0.05)
    inventory.machines["a"].answers.clear()
    async with asyncio.timeout(5.0):
        await inventory.refresh()
    nodes = inventory.by_name()
    assert nodes["b"].healthy
    assert nodes["a"].reason == UNSEEN
    await asyncio.wait(inventory._looking.values())
    assert inventory.by_name()["a"].reason == "no answer within 0.05 s"


async def test_a_node_without_a_way_to_look_at_it_is_never_healthy() -> None:
    bare = NodesInventory([NodeEntry("x")], looks={}, runtimes=lambda _: ())
    await bare.refresh()
    assert bare.nodes({})[0].reason == "nothing can be seen of it"


async def test_a_node_of_which_nothing_has_changed_is_not_made_anew(inventory: Inventory) -> None:
    await inventory.refresh()
    taken = Taken(1)
    first = inventory.by_name(a=taken)["a"]
    inventory.time += STALE
    await inventory.refresh()
    assert inventory.by_name(a=taken)["a"] is first
