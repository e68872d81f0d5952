"""Lives drawn by chance, with deaths of shadows and managers in between: the audit trail must be their story."""

import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_network, a_profile, settle, until
from tests.unit.lifecycle.test_crash_points import all_at_rest
from tests.unit.lifecycle.test_life import mirrored
from tests.unit.lifecycle.test_trail import ANY
from xds_server.errors import RuntimeFailedError, ShadowmeshError
from xds_server.lifecycle.rollout import RolloutAction
from xds_server.lifecycle.trail import acting
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.audit import SYSTEM, AuditEvent, AuditKind, Who
from xds_server.model.ids import InstanceID
from xds_server.model.profile import Abort, FaultParameters
from xds_server.model.rollout import Mode, Step

STEPS = 40
ENDED = {"Stopped", "Failed"}
NAMES = ("p", "q", "r")

Told = tuple[str, str]
"""Who, and what they did."""


class AnyLife:
    """What people and the world do, drawn from a seed; `accepted` is what the manager said yes to."""

    def __init__(self, managers: Managers, seed: int) -> None:
        self.managers = managers
        self.chance = random.Random(seed)
        self.accepted: list[Told] = []
        self.asked = 0

    async def run(self) -> None:
        people = (
            self.create,
            self.change,
            self.move_ttl,
            self.inject,
            self.lift,
            self.delete,
            self.pause,
            self.replace,
        )
        world = (self.die, self.wait, self.refuse, self.kill_manager, self.stop_manager)
        await self.say("network created", lambda: self.managers.controller.create_network(a_network()))
        for _ in range(STEPS):
            await self.chance.choice((*people, self.create) if self.chance.random() < 0.65 else world)()
            await settle(self.chance.choice((0, 3, 50)))

    async def say(self, event: str, what: Callable[[], Awaitable[object]]) -> None:
        """Have somebody ask for something; an answer without an error is an acceptance."""
        self.asked += 1
        who = f"user-{self.asked}"
        try:
            with acting(Who(name=who, address="127.0.0.1"), reason=f"reason of {who}"):
                await what()
        except ShadowmeshError:
            return
        self.accepted.append((who, event))

    async def create(self) -> None:
        # Small shares, so that three fit; two profiles of one name do not, and are refused.
        steps = (Step(Mode.SHADOW, 0.1), Step(Mode.SHADOW, 0.2)) if self.chance.random() < 0.3 else ()
        profile = a_profile(name=self.chance.choice(NAMES), percentage=self.chance.choice((0.0, 0.1)), steps=steps)
        await self.say("profile created", lambda: self.managers.controller.create_profile("shop", profile))

    async def change(self) -> None:
        change = ProfileChange(percentage=self.chance.uniform(0.01, 0.3))
        await self._change(change)

    async def move_ttl(self) -> None:
        await self._change(ProfileChange(ttl=self.chance.choice((60.0, 1200.0)) + self.asked))

    async def _change(self, change: ProfileChange) -> None:
        name = self.chance.choice(NAMES)
        await self.say("profile changed", lambda: self.managers.controller.change_profile("shop", name, change))

    async def inject(self) -> None:
        running = mirrored(self.managers)
        if running:
            shadow, lasts = self.chance.choice(running), self.chance.choice((None, 30.0))
            faults = FaultParameters(abort=Abort(self.chance.choice((500, 503))))
            controller = self.managers.controller
            await self.say("fault injected", lambda: controller.inject_fault("shop", shadow, faults, duration=lasts))

    async def lift(self) -> None:
        faults = [f for f in await self.managers.controller.faults("shop") if not f.from_profile]
        if faults:
            fault = self.chance.choice(faults).id
            await self.say("fault lifted", lambda: self.managers.controller.lift_fault("shop", fault))

    async def delete(self) -> None:
        name = self.chance.choice(NAMES)
        await self.say("profile deleted", lambda: self.managers.controller.delete_profile("shop", name))

    async def pause(self) -> None:
        name, action = self.chance.choice(NAMES), self.chance.choice((RolloutAction.PAUSE, RolloutAction.RESUME))
        await self.say(f"rollout {action}", lambda: self.managers.controller.rollout("shop", name, action))

    async def replace(self) -> None:
        labels = {"round": str(self.asked)}
        again = replace(a_network(), labels=labels)
        await self.say("network replaced", lambda: self.managers.controller.replace_network("shop", again))

    async def die(self) -> None:
        if self.managers.world.alive:
            self.managers.world.kill(self.chance.choice(sorted(self.managers.world.alive)), exit_code=1)

    async def wait(self) -> None:
        await self.managers.clock.advance(self.chance.choice((1.0, 40.0, 700.0)))

    async def refuse(self) -> None:
        refusal = RuntimeFailedError("no such image")
        self.managers.runtime.refuse_start = self.chance.choice((None, refusal))

    async def kill_manager(self) -> None:
        await self.managers.crash()
        await self.managers.start()

    async def stop_manager(self) -> None:
        await self.managers.stop(keep_shadows=self.chance.random() < 0.5)
        self.managers.renew()
        await self.managers.start()


@pytest.mark.parametrize("seed", range(30))
async def test_the_trail_of_any_life_is_its_story(managers: Managers, seed: int) -> None:
    await managers.start()
    life = AnyLife(managers, seed)
    await life.run()
    await until(lambda: all_at_rest(managers))
    await managers.written()
    network = managers.controller._registry.find("shop").network.id
    _, page = await managers.controller.events("shop", ANY)
    numbers, events = [number for number, _ in page.events], [event for _, event in page.events]
    assert not page.more
    assert numbers == sorted(set(numbers))
    assert {e.network_id for e in events} == {network}

    # What somebody asked for and got is told once, as theirs, in that order; what was refused is not.
    by_people = [e for e in events if e.who != SYSTEM]
    assert [(e.who.name, f"{e.kind} {e.event}") for e in by_people if not _followed(e)] == life.accepted
    assert {e.why for e in by_people if e.kind is not AuditKind.INSTANCE} <= {
        f"reason of {e.who.name}" for e in by_people
    }

    _each_instance_has_an_unbroken_story(managers, events)
    _each_profile_and_fault_is_begun_and_ended(managers, events)

    # And it is the same story for the next manager.
    again = await managers.restart()
    _, later = await again.events("shop", ANY)
    assert later.events[: len(page.events)] == page.events


def _followed(event: AuditEvent) -> bool:
    """Whether it is not what somebody asked for, but what came of that."""
    return event.kind is AuditKind.INSTANCE or event.event in {"gone", "over"}


def _each_instance_has_an_unbroken_story(managers: Managers, events: list[AuditEvent]) -> None:
    stories: dict[InstanceID | None, list[AuditEvent]] = {}
    for event in events:
        if event.kind is AuditKind.INSTANCE:
            stories.setdefault(event.instance_id, []).append(event)
    known = {i.id: i for record in managers.controller._registry for i in record.instances.values()}
    assert set(known) <= set(stories)
    for instance, story in stories.items():
        steps = [(e.before, e.after) for e in story]
        assert steps[0] == (None, "Pending"), story[0]
        for (_, was), (before, _) in itertools.pairwise(steps):
            assert before == was, [f"{e.event}: {e.before} -> {e.after}" for e in story]
        after_its_end = [e for e in story if e.before in ENDED]
        assert all(e.before == e.after and e.event.startswith("manager restarted") for e in after_its_end), story
        if instance in known:
            assert steps[-1][1] == known[instance].status.value
        else:
            assert steps[-1][1] in ENDED
        assert all(e.why for e in story if e.after in ENDED), "an end has a reason"


def _each_profile_and_fault_is_begun_and_ended(managers: Managers, events: list[AuditEvent]) -> None:
    (record,) = managers.controller._registry
    at = {name: [str(e.profile_id) for e in events if f"{e.kind} {e.event}" == f"profile {name}"] for name in _PROFILE}
    assert len(set(at["created"])) == len(at["created"])
    assert sorted(at["deleted"]) == sorted(at["gone"])
    assert set(at["created"]) - set(at["gone"]) == set(record.profiles)
    begun = [str(e.fault_id) for e in events if f"{e.kind} {e.event}" == "fault injected"]
    over = [str(e.fault_id) for e in events if e.kind is AuditKind.FAULT and e.event in {"over", "lifted"}]
    assert len(set(over)) == len(over), "a fault ends once"
    kept = {f.id for f in record.faults.values() if not f.from_profile}
    dropped = {str(e.fault_id) for e in events if e.fault_id and str(e.profile_id) in at["gone"]}
    assert set(begun) - set(over) - dropped == kept


_PROFILE = ("created", "deleted", "gone")
