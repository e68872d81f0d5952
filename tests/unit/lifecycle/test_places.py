"""Where shadows go when there are several nodes, and what becomes of them when a node cannot start them."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_component, a_network, a_profile, settle, until
from tests.unit.lifecycle.test_crash_points import all_at_rest, kill_at
from tests.unit.lifecycle.test_life import created, done, mirrored, shadow
from xds_server.errors import RuntimeFailedError, StoreError, UnavailableError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.places import Asked
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.names import NODE_METADATA
from xds_server.model.network import Endpoint
from xds_server.model.nodes import Placement, Taint, Toleration
from xds_server.model.profile import DockerSpec, EndpointSpec, ProcessSpec, Variant
from xds_server.model.shadow import InstanceStatus
from xds_server.protocol.node import NodeInfo
from xds_server.store.base import Changes

AWAY = UnavailableError("the engine is away")


def several(count: int) -> tuple[Variant, ...]:
    return tuple(Variant(f"v{i}", ProcessSpec(("run",))) for i in range(count))


async def test_a_node_that_cannot_start_it_is_left_and_the_next_one_tried(
    managers: Managers, controller: Controller
) -> None:
    managers.put_up("a", "b")["a"].refuse_start = AWAY
    profile = await created(controller)
    await until(lambda: mirrored(managers))
    now = shadow(managers, profile)
    assert (now.status, now.node, now.reason) == (InstanceStatus.RUNNING, "b", "")
    nodes = {node.name: node for node in await controller.nodes("shop")}
    assert nodes["a"].backed_off["process"].until == datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert "the engine is away" in nodes["a"].backed_off["process"].reason
    assert nodes["b"].backed_off == {}
    assert (nodes["a"].running, nodes["b"].running) == (0, 1)


async def test_the_row_names_the_new_node_before_it_is_started_there(
    managers: Managers, controller: Controller
) -> None:
    runtimes = managers.put_up("a", "b")
    runtimes["a"].refuse_start = AWAY
    runtimes["b"].may_start.clear()
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).node == "b")
    await managers.written()
    (row,) = (await managers.store.load()).instances
    assert (row.node, row.status, row.handle) == ("b", InstanceStatus.PENDING, {})
    assert row.reason == "a could not start it: the engine is away"
    assert not managers.world.alive


async def test_a_kill_between_the_two_nodes_starts_it_on_the_second_one(
    managers: Managers, controller: Controller
) -> None:
    runtimes = managers.put_up("a", "b")
    runtimes["a"].refuse_start = AWAY
    runtimes["b"].may_start.clear()
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).node == "b")
    await managers.written()
    await managers.crash()
    managers.put_up("a", "b")
    await managers.start()
    await until(lambda: mirrored(managers))
    assert shadow(managers, profile).node == "b"
    assert len(managers.world.alive) == 1


async def test_when_no_node_can_start_it_the_reason_names_each_of_them(
    managers: Managers, controller: Controller
) -> None:
    for name, runtime in managers.put_up("a", "b", "c").items():
        runtime.refuse_start = UnavailableError(f"{name} is out of disk")
    profile = await created(controller)
    await done(managers)
    now = shadow(managers, profile)
    assert now.status is InstanceStatus.FAILED
    for name in "abc":
        assert f"{name}: could not start it: {name} is out of disk" in now.reason
    assert all(node.running == 0 for node in await controller.nodes("shop"))


async def test_what_is_the_variants_fault_fails_at_once(managers: Managers, controller: Controller) -> None:
    for runtime in managers.put_up("a", "b").values():
        runtime.refuse_start = RuntimeFailedError("there is no such image", log=("manifest unknown",))
    profile = await created(controller)
    await done(managers)
    now = shadow(managers, profile)
    assert (now.status, now.node) == (InstanceStatus.FAILED, "a")
    assert now.reason == "there is no such image"
    assert all(not node.backed_off for node in await controller.nodes("shop"))


async def test_a_node_that_was_left_alone_is_asked_again_after_its_time_and_forgiven_when_it_can(
    managers: Managers, controller: Controller
) -> None:
    runtime = managers.put_up("a")["a"]
    runtime.refuse_start = AWAY
    profile = await created(controller)
    await done(managers)
    runtime.refuse_start = None
    with pytest.raises(UnavailableError, match="a: is left alone until 00:00:10 UTC"):
        await controller.change_profile("shop", profile, ProfileChange(percentage=0.6))
    await managers.clock.advance(10.0)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.7))
    await until(lambda: mirrored(managers))
    assert (await controller.nodes("shop"))[0].backed_off == {}
    # The next failure is the first one again: 10 s, not 20.
    runtime.refuse_start = AWAY
    other, _ = await controller.create_profile("shop", a_profile(component_name="catalog", percentage=0.1))
    await until(lambda: shadow(managers, other.profile.id).ended)
    off = (await controller.nodes("shop"))[0].backed_off["process"]
    assert (off.until - managers.clock.now()).total_seconds() == 10.0


async def test_a_profile_deleted_while_it_goes_to_another_node_leaves_no_process(
    managers: Managers, controller: Controller
) -> None:
    runtimes = managers.put_up("a", "b")
    runtimes["a"].may_start.clear()
    runtimes["a"].refuse_start = AWAY
    profile = await created(controller)
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await settle()
    runtimes["a"].may_start.set()
    await deletion
    assert not managers.world.alive
    assert (await managers.store.load()).instances == ()


async def test_a_profile_deleted_during_the_second_start_leaves_no_process(
    managers: Managers, controller: Controller
) -> None:
    runtimes = managers.put_up("a", "b")
    runtimes["a"].refuse_start = AWAY
    runtimes["b"].may_start.clear()
    profile = await created(controller)
    await until(lambda: shadow(managers, profile).node == "b")
    deletion = asyncio.create_task(controller.delete_profile("shop", profile))
    await settle()
    runtimes["b"].may_start.set()
    await deletion
    assert not managers.world.alive
    assert (await managers.store.load()).instances == ()


async def test_a_move_that_cannot_be_recorded_fails_and_starts_nothing(
    managers: Managers, controller: Controller
) -> None:
    runtimes = managers.put_up("a", "b")
    runtimes["a"].may_start.clear()
    runtimes["a"].refuse_start = AWAY
    profile = await created(controller)
    real, refused = managers.store.apply, []

    async def apply(changes: Changes) -> None:
        if not refused:
            refused.append(changes)
            raise StoreError("the disk is full")
        await real(changes)

    managers.store.apply = apply  # type: ignore[method-assign]
    runtimes["a"].may_start.set()
    await done(managers)
    assert refused[0].instances[0].node == "b"
    assert shadow(managers, profile).status is InstanceStatus.FAILED
    assert "the disk is full" in shadow(managers, profile).reason
    assert not [entry for entry in managers.world.log if entry[0] == "start"]


async def test_one_whose_time_is_over_while_its_move_is_written_is_not_started(
    managers: Managers, controller: Controller
) -> None:
    runtimes = managers.put_up("a", "b")
    runtimes["a"].may_start.clear()
    runtimes["a"].refuse_start = AWAY
    profile = await created(controller)
    real, reached, go_on = managers.store.apply, asyncio.Event(), asyncio.Event()

    async def apply(changes: Changes) -> None:
        reached.set()
        await go_on.wait()
        await real(changes)

    managers.store.apply = apply  # type: ignore[method-assign]
    runtimes["a"].may_start.set()
    await reached.wait()
    await managers.clock.advance(601.0)
    go_on.set()
    await done(managers)
    assert shadow(managers, profile).status is InstanceStatus.STOPPED
    assert not [entry for entry in managers.world.log if entry[0] == "start"]


async def test_creates_at_the_same_moment_never_take_more_than_there_is(
    managers: Managers, controller: Controller
) -> None:
    managers.put_up("a", "b")
    for runtimes in managers.nodes.values():
        runtimes["docker"] = runtimes["process"]
    wanted = 12
    for i in range(wanted):
        await controller.create_network(a_network(f"n{i}", a_component(port=10000 + i)))
    variant = Variant("v", DockerSpec(image="i", port=80, cpus=1.5))
    answers = await asyncio.gather(
        *(controller.create_profile(f"n{i}", a_profile(variants=(variant,))) for i in range(wanted)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, UnavailableError) for answer in answers) == wanted - 4
    nodes = await controller.nodes("n0")
    assert [(node.running, node.requested_cpus) for node in nodes] == [(2, 3.0), (2, 3.0)]


async def test_the_shadows_of_a_component_go_to_different_nodes(managers: Managers, controller: Controller) -> None:
    managers.put_up("a", "b", "c")
    await created(controller, variants=several(6))
    await until(lambda: len(mirrored(managers)) == 6)
    assert [node.running for node in await controller.nodes("shop")] == [2, 2, 2]


async def test_what_runs_is_counted_after_a_restart_and_gone_when_it_has_ended(
    managers: Managers, controller: Controller
) -> None:
    await created(controller, variants=several(2))
    await until(lambda: len(mirrored(managers)) == 2)
    again = await managers.restart()
    assert [node.running for node in await again.nodes("shop")] == [2]
    await again.delete_network("shop")
    await again.create_network(a_network())
    assert [node.running for node in await again.nodes("shop")] == [0]


async def test_a_profile_chooses_its_nodes_by_label_and_toleration(managers: Managers, controller: Controller) -> None:
    managers.put_up("a", "b", "c")
    managers.inventory.labels = {"b": {"disk": "ssd"}, "c": {"disk": "ssd"}}
    managers.inventory.taints = {"b": (Taint("gpu"),)}
    placement = Placement({"disk": "ssd"}, (Toleration("gpu"),))
    await created(controller, variants=several(4), placement=placement)
    await until(lambda: len(mirrored(managers)) == 4)
    assert [node.running for node in await controller.nodes("shop")] == [0, 2, 2]
    with pytest.raises(UnavailableError, match="label disk is absent, not nvme"):
        await controller.create_profile("shop", a_profile(placement=Placement({"disk": "nvme"})))


async def test_a_version_that_runs_already_needs_no_healthy_node(managers: Managers, controller: Controller) -> None:
    managers.runtimes["endpoint"] = managers.runtime
    managers.inventory.max_shadows = 0
    await created(controller, variants=(Variant("v", EndpointSpec("127.0.0.1", 9003)),))
    await until(lambda: mirrored(managers))


async def test_shadows_are_near_the_endpoints_and_the_envoys_of_their_own_network(
    managers: Managers, controller: Controller
) -> None:
    managers.put_up("a", "b", "c")
    component = a_component()
    await controller.create_network(a_network("shop", component))
    assert (await controller.select_node("shop", "catalog")).require().name == "a"
    managers.board.nodes = [NodeInfo("edge", metadata={NODE_METADATA: "c"})]
    assert (await controller.select_node("shop", "catalog")).require().name == "c"
    nearer = Endpoint("127.0.0.1", 9001, node="b")
    await controller.replace_network("shop", a_network("shop", a_component(endpoints=(nearer,))))
    assert (await controller.select_node("shop", "catalog")).require().name == "b"


async def test_the_place_of_a_shadow_that_is_not_there_can_be_asked_for(
    managers: Managers, controller: Controller
) -> None:
    await controller.create_network(a_network())
    choice = await controller.select_node("shop", "catalog", Asked(runtime="docker", cpus=9.0, memory=1 << 20))
    assert choice.scores[0].refused == ("has 4.00 of 4.00 processors left, of 9.00 needed",)
    assert (await controller.nodes("shop"))[0].running == 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(2, 7))
async def test_a_kill_at_any_write_of_a_move_leaves_one_shadow_and_no_orphan(
    managers: Managers, number: int, when: str
) -> None:
    managers.put_up("a", "b")["a"].refuse_start = AWAY
    controller = await managers.start()
    reached = kill_at(managers, number, when=when)
    await controller.create_network(a_network())
    living = asyncio.create_task(controller.create_profile("shop", a_profile(name="p")))
    dying = asyncio.create_task(reached.wait())
    await asyncio.wait((dying,), timeout=0.3)
    await settle()
    await managers.crash()
    for task in (living, dying):
        task.cancel()
    await asyncio.gather(living, dying, return_exceptions=True)

    managers.put_up("a", "b")["a"].refuse_start = AWAY
    again = await managers.start()
    await until(lambda: all_at_rest(managers))
    profiles = await again.profiles("shop")
    live = {i.instance.id: i.instance for view in profiles for i in view.instances if not i.instance.ended}
    assert len(live) == len(profiles) <= 1
    assert {instance.node for instance in live.values()} <= {"b"}
    assert set(managers.world.alive) == set(mirrored(managers)) == set(live)
    assert sum(node.running for node in await again.nodes("shop")) == len(live)
