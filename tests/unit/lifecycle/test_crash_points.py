"""Kill the manager at every write of a whole life, before and after it, and look at what the next one makes of it."""

import asyncio

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_network, a_profile, settle, until
from tests.unit.lifecycle.test_life import mirrored
from xds_server.errors import ShadowmeshError
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.profile import Abort, Delay, FaultParameters, ProcessSpec, Variant
from xds_server.model.shadow import InstanceStatus
from xds_server.store.base import Changes

WRITES = 20
"""More than the life below has; the points beyond its end are lives that nobody disturbs."""


class Life:
    """What a user does, and which of it was accepted."""

    def __init__(self, managers: Managers) -> None:
        self.managers = managers
        self.accepted: list[str] = []

    async def run(self) -> None:
        controller = self.managers.controller
        variants = tuple(Variant(name, ProcessSpec(("run",))) for name in ("v2", "v3"))
        faults = FaultParameters(delay=Delay(0.1))
        await controller.create_network(a_network())
        self.accepted.append("network")
        view, _ = await controller.create_profile("shop", a_profile(name="p", variants=variants, faults=faults))
        self.accepted.append("profile")
        await until(lambda: len(mirrored(self.managers)) == 2)
        first = mirrored(self.managers)[0]
        await controller.inject_fault("shop", first, FaultParameters(abort=Abort(503)), duration=60.0)
        self.accepted.append("fault")
        await controller.change_profile("shop", "p", ProfileChange(ttl=1200.0, faults=FaultParameters()))
        self.accepted.append("change")
        self.managers.world.kill(first, exit_code=1)
        await until(lambda: len(mirrored(self.managers)) == 1)
        await controller.change_profile("shop", "p", ProfileChange(percentage=0.9))
        await until(lambda: len(mirrored(self.managers)) == 2)
        self.accepted.append("deletion asked for")
        await controller.delete_profile("shop", view.profile.id)
        self.accepted.append("deletion")


def kill_at(managers: Managers, number: int, *, when: str) -> asyncio.Event:
    """Let the disk hang for ever at a write, before or after it has taken effect; the event says that it came."""
    reached = asyncio.Event()
    writes = 0
    real = managers.store.apply

    async def apply(changes: Changes) -> None:
        nonlocal writes
        writes += 1
        if writes < number:
            await real(changes)
            return
        if writes == number and when == "after":
            await real(changes)
        reached.set()
        await asyncio.Event().wait()

    managers.store.apply = apply  # type: ignore[method-assign]
    return reached


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
async def test_a_kill_at_any_write_loses_nothing_and_leaks_nothing(managers: Managers, number: int, when: str) -> None:
    await managers.start()
    reached = kill_at(managers, number, when=when)
    life = Life(managers)
    living = asyncio.create_task(life.run())
    dying = asyncio.create_task(reached.wait())
    await asyncio.wait((living, dying), return_when=asyncio.FIRST_COMPLETED)
    await settle()
    await managers.crash()
    for task in (living, dying):
        task.cancel()
    await asyncio.gather(living, dying, return_exceptions=True)

    again = await managers.start()
    await until(lambda: all_at_rest(managers))

    # Nothing that was accepted is lost, nothing is there by half.
    names = [n.name for n in await again.networks()]
    assert names == ["shop"] or (names == [] and life.accepted == [])
    profiles = await again.profiles("shop") if names else []
    if "profile" in life.accepted and "deletion asked for" not in life.accepted:
        assert len(profiles) == 1
    if "deletion" in life.accepted:
        assert profiles == []
    for view in profiles:
        assert {i.instance.variant for i in view.instances} == {"v2", "v3"}
        if "change" in life.accepted:
            assert view.profile.ttl == 1200.0
    # What runs is what is on record, what is mirrored to is what runs.
    live = {i.instance.id for view in profiles for i in view.instances if not i.instance.ended}
    assert set(managers.world.alive) == live
    assert set(mirrored(managers)) == live
    for fault in await again.faults("shop") if names else []:
        assert fault.instance_id in live
    # And it can all be ended.
    try:
        await again.delete_network("shop")
    except ShadowmeshError:
        assert names == []
    assert not managers.world.alive
    contents = await managers.store.load()
    assert (contents.networks, contents.profiles, contents.instances, contents.faults) == ((), (), (), ())


def all_at_rest(managers: Managers) -> bool:
    """No start, end or deletion is under way."""
    records = list(managers.controller._registry)
    return (
        not managers.controller._jobs
        and all(
            instance.status is InstanceStatus.RUNNING or (instance.ended and not instance.handle)
            for record in records
            for instance in record.instances.values()
        )
        and {i.id for r in records for i in r.instances.values() if i.status is InstanceStatus.RUNNING}
        == set(mirrored(managers))
    )
