"""The life of a control: as any shadow's, but for its duration, its faults, and what it must not do to the others."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import START, a_component, a_network, a_profile, settle, until
from xds_server.errors import InvalidError, RuntimeFailedError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.controls import OVER
from xds_server.lifecycle.registry import KEPT_ENDED
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.network import Protocol
from xds_server.model.profile import (
    NO_CONTROL,
    Abort,
    Control,
    FaultParameters,
    Match,
    ProcessSpec,
    SelfSpec,
    ShadowingProfile,
    Variant,
)
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.runtime.original import OriginalRuntime

RUNNING, STOPPED, FAILED = InstanceStatus.RUNNING, InstanceStatus.STOPPED, InstanceStatus.FAILED
OWN = ProcessSpec(("python", "app.py", "--old", "--port", "{port}"))


A_CONTROL = Control(OWN)


async def created(controller: Controller, control: Control | None = A_CONTROL, **fields: object) -> str:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(control=control, **fields))
    return view.profile.id


def of(managers: Managers, variant: str) -> list[ShadowInstance]:
    """The instances of a variant, oldest first."""
    record = managers.controller._registry.find("shop")
    return [i for i in record.instances.values() if i.variant == variant]


def mirrored(managers: Managers) -> set[str]:
    """The variants that were mirrored to at the last publish."""
    record = managers.controller._registry.find("shop")
    ids = next((entry[1:] for entry in reversed(managers.world.log) if entry[0] == "publish"), ())
    return {record.instances[each].variant for each in ids}


async def both(managers: Managers) -> None:
    await until(lambda: mirrored(managers) == {"v2", "control"})
    await managers.written()


async def ended(managers: Managers) -> None:
    """Wait until the control has nothing left to do."""
    await until(lambda: len(managers.controller._shadows) == 1)


async def test_a_control_is_one_more_instance_and_the_engine_is_told_which(
    managers: Managers, controller: Controller
) -> None:
    profile = await created(controller)
    await both(managers)
    (control,) = of(managers, "control")
    await settle()
    (config,) = managers.collector.configs
    assert config.control == control.id
    assert set(config.shadows.values()) == {"v2", "control"}
    assert (await controller.profile("shop", profile)).profile.is_control(control.variant)


async def test_a_control_ends_with_its_duration_and_the_shadow_goes_on(
    managers: Managers, controller: Controller
) -> None:
    await created(controller, Control(OWN, duration=60.0))
    await both(managers)
    await managers.clock.advance(61)
    await ended(managers)
    (control,) = of(managers, "control")
    assert (control.status, control.reason) == (STOPPED, OVER)
    assert of(managers, "v2")[0].status is RUNNING
    assert mirrored(managers) == {"v2"}
    assert managers.collector.configs[0].control == ""


async def test_a_control_never_outlives_the_ttl(managers: Managers, controller: Controller) -> None:
    await created(controller, Control(OWN, duration=900.0), ttl=300.0)
    await both(managers)
    (control,) = of(managers, "control")
    assert control.expires_at == START + timedelta(seconds=300)
    await managers.clock.advance(301)
    await until(lambda: not len(managers.controller._shadows))
    assert of(managers, "control")[0].reason == "its time to live was over"


async def test_raising_the_percentage_starts_no_control_again_whose_duration_is_over(
    managers: Managers, controller: Controller
) -> None:
    profile = await created(controller, Control(OWN, duration=60.0))
    await both(managers)
    await managers.clock.advance(61)
    await ended(managers)
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.9))
    await settle()
    assert [i.status for i in of(managers, "control")] == [STOPPED]


async def test_its_duration_counts_from_its_first_start_also_over_many_instances(
    managers: Managers, controller: Controller
) -> None:
    profile = await created(controller, Control(OWN, duration=300.0))
    await both(managers)
    share = 0.5
    for _ in range(KEPT_ENDED + 2):
        share += 0.01
        (control,) = [i for i in of(managers, "control") if not i.ended]
        managers.world.kill(control.id, exit_code=1)
        await ended(managers)
        await controller.change_profile("shop", profile, ProfileChange(percentage=share))
        await both(managers)
        await managers.clock.advance(10)
    (control,) = [i for i in of(managers, "control") if not i.ended]
    assert control.created_at > START
    assert control.expires_at == START + timedelta(seconds=300)
    assert min(i.created_at for i in of(managers, "control")) == START
    assert len(of(managers, "control")) <= KEPT_ENDED + 3


async def test_a_ttl_that_is_raised_gives_a_control_no_more_than_its_duration(
    managers: Managers, controller: Controller
) -> None:
    profile = await created(controller, Control(OWN, duration=700.0), ttl=600.0)
    await both(managers)
    await controller.change_profile("shop", profile, ProfileChange(ttl=1200.0))
    assert of(managers, "control")[0].expires_at == START + timedelta(seconds=700)
    assert of(managers, "v2")[0].expires_at == START + timedelta(seconds=1200)


async def test_a_control_that_fails_leaves_the_shadow_mirrored_to(managers: Managers, controller: Controller) -> None:
    await created(controller)
    await both(managers)
    managers.world.kill(of(managers, "control")[0].id, exit_code=3)
    await ended(managers)
    assert of(managers, "control")[0].status is FAILED
    assert mirrored(managers) == {"v2"}


async def test_a_control_that_never_gets_ready_leaves_the_shadow_mirrored_to(
    managers: Managers, controller: Controller
) -> None:
    real = managers.runtime.ready

    async def ready(started: object, spec: object) -> None:
        if spec == OWN:
            raise RuntimeFailedError("no")
        await real(started, spec)  # type: ignore[arg-type]

    managers.runtime.ready = ready  # type: ignore[method-assign]
    await created(controller)
    await until(lambda: mirrored(managers) == {"v2"})
    await ended(managers)
    assert of(managers, "control")[0].status is FAILED


async def test_a_control_alone_is_not_mirrored_to(managers: Managers, controller: Controller) -> None:
    await created(controller)
    await both(managers)
    managers.world.kill(of(managers, "v2")[0].id, exit_code=3)
    await ended(managers)
    assert of(managers, "control")[0].status is RUNNING
    assert mirrored(managers) == set()


async def test_faults_of_the_profile_never_go_to_the_control(managers: Managers, controller: Controller) -> None:
    abort = FaultParameters(abort=Abort(http_status=503))
    profile = await created(controller, faults=abort)
    await both(managers)
    assert {f.instance_id for f in await controller.faults("shop")} == {of(managers, "v2")[0].id}
    other = FaultParameters(abort=Abort(http_status=500))
    await controller.change_profile("shop", profile, ProfileChange(faults=other))
    assert {f.instance_id for f in await controller.faults("shop")} == {of(managers, "v2")[0].id}


async def test_a_control_is_found_again_after_a_restart_and_ends_in_time(
    managers: Managers, controller: Controller
) -> None:
    await created(controller, Control(OWN, duration=60.0))
    await both(managers)
    (before,) = of(managers, "control")
    await managers.restart()
    assert of(managers, "control") == [before]
    await managers.crash()
    managers.clock.jump(61)
    await managers.start()
    await ended(managers)
    (control,) = of(managers, "control")
    assert (control.status, control.reason) == (STOPPED, OVER)
    assert mirrored(managers) == {"v2"}


async def test_the_original_itself_as_a_control_needs_no_process(managers: Managers) -> None:
    managers.runtimes["self"] = OriginalRuntime()
    controller = await managers.start()
    await created(controller, Control(SelfSpec()))
    await both(managers)
    (control,) = of(managers, "control")
    assert control.id not in managers.world.alive
    state = managers.controller._registry.find("shop").state()
    assert {s.variant: s.original for s in state.profiles[0].shadows} == {"v2": False, "control": True}

    await managers.crash()
    managers.runtimes["self"] = OriginalRuntime()
    await managers.start()
    assert [i.status for i in of(managers, "control")] == [RUNNING]


async def test_a_components_version_is_the_control_of_profiles_that_name_none(controller: Controller) -> None:
    await controller.create_network(a_network("shop", a_component(version=OWN)))
    given = [None, Control(), Control(duration=60.0), NO_CONTROL, Control(replace(OWN, stop_timeout=1.0))]
    for number, control in enumerate(given):
        profile = a_profile(control=control, name=f"p{number}", percentage=0.0)
        await controller.create_profile("shop", profile)
    found = [view.profile.control for view in await controller.profiles("shop")]
    assert found == [Control(OWN), Control(OWN), Control(OWN, 60.0), NO_CONTROL, given[-1]]

    await controller.replace_network("shop", a_network("shop", a_component(version=replace(OWN, stop_timeout=2.0))))
    assert [view.profile.control for view in await controller.profiles("shop")] == found


GRPC = Match(grpc=("pkg.Svc/Get",))


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"control": Control()}, "control", "no version"),
        ({"control": Control(duration=60.0)}, "control", "no version"),
        ({"control": Control(OWN, duration=0.0)}, "control.duration", "0 s"),
        ({"control": Control(OWN, duration=float("nan"))}, "control.duration", "nan"),
        ({"control": Control(SelfSpec()), "match": Match(methods=("GET", "post"))}, "control.self", "post twice"),
        ({"control": Control(ProcessSpec(("missing",)))}, "control.process.command", "no such command"),
        ({"variants": (Variant("control", OWN),)}, "variants[0].name", "control"),
    ],
)
async def test_a_control_that_cannot_be_is_refused_by_name(
    controller: Controller, fields: dict[str, object], field: str, words: str
) -> None:
    await controller.create_network(a_network())
    with pytest.raises(InvalidError, match=words) as caught:
        await controller.create_profile("shop", a_profile(**fields))
    assert caught.value.field == field
    assert await controller.profiles("shop") == []


async def test_grpc_calls_are_never_answered_twice_by_the_original(controller: Controller) -> None:
    grpc = replace(a_component(), protocol=Protocol.GRPC)
    await controller.create_network(a_network("shop", grpc))
    with pytest.raises(InvalidError, match="POSTs") as caught:
        await controller.create_profile("shop", a_profile(control=Control(SelfSpec()), match=GRPC))
    assert caught.value.field == "control.self"


async def test_a_components_version_that_cannot_run_is_refused(controller: Controller) -> None:
    with pytest.raises(InvalidError) as caught:
        await controller.create_network(a_network("shop", a_component(version=ProcessSpec(("missing",)))))
    assert caught.value.field == "components[0].version.process.command"


def test_a_variant_called_control_of_before_the_name_was_taken_is_no_control() -> None:
    profile: ShadowingProfile = a_profile(variants=(Variant("control", OWN),))
    assert not profile.is_control("control")
    assert profile.versions == profile.variants
