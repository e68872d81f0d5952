"""Checks, splits and steps of models that come another way than over REST, and who may stand beside whom."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_component, a_network, a_profile
from tests.unit.lifecycle.test_life import created, running
from xds_server.errors import ConflictError, InvalidError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.controls import with_control
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.analysis import Analysis
from xds_server.model.judging import Check, Judging, Metric
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import (
    PERFORMANCE_METRICS,
    Abort,
    Control,
    FaultParameters,
    Match,
    ProcessSpec,
    SelfSpec,
    ShadowingProfile,
    Variant,
)
from xds_server.model.rollout import Cohort, Mode, Split, Step

BY_COOKIE = Cohort(cookie="session")
ABORT = FaultParameters(abort=Abort(http_status=503))
RATE = Check(Metric.ERROR_RATE, max_increase=0.01)
TWO = (Variant("v2", ProcessSpec(("a",))), Variant("v3", ProcessSpec(("a",))))


def judged(*checks: Check, alpha: float = 0.01) -> dict[str, Any]:
    analysis = Analysis(judging=Judging(alpha=alpha, checks=checks))
    return {"analysis": analysis, "metrics": PERFORMANCE_METRICS}


def split(weights: dict[str, float], cohort: Cohort = BY_COOKIE, **fields: Any) -> dict[str, Any]:
    return {"mode": Mode.SPLIT, "split": Split(cohort, weights), **fields}


TEN = split({"v2": 10.0})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (judged(RATE, alpha=0.5), "analysis.alpha"),
        (judged(Check(Metric.CPU)), "analysis.checks[0]"),
        (judged(Check(Metric.CPU, max_ratio=1.1, max_rate=0.1)), "analysis.checks[0]"),
        (judged(Check(Metric.CPU, max_ratio=12.0)), "analysis.checks[0].maxRatio"),
        (
            judged(*(Check(Metric.RESPONSE_TIME, max_ratio=1.1, quantile=q) for q in (0.99, 0.9900000001))),
            "analysis.checks[1]",
        ),
        (judged(RATE, replace(RATE, max_increase=0.02)), "analysis.checks[1]"),
        (judged(replace(RATE, muted=True)), "analysis.checks"),
        (judged(Check(Metric.CPU, max_ratio=1.1)) | {"metrics": ("memory",)}, "analysis.checks[0].metric"),
        ({"mode": Mode.SPLIT}, "split"),
        ({"steps": (Step(Mode.SPLIT, weights={"v2": 5.0}),)}, "split"),
        ({"split": Split(BY_COOKIE)}, "mode"),
        (split({"v2": 10.0}, Cohort()), "split.cohort"),
        (split({"v2": 10.0}, Cohort("x-user", "session")), "split.cohort"),
        (split({"v2": 100.0}, Cohort("x-team", values=("a",)), variants=TWO), "split.cohort.values"),
        (split({"v2": 10.0}, Cohort("x-team", values=("a",))), "split.weights.v2"),
        (split({}), "split.weights"),
        (split({"v9": 10.0}), "split.weights.v9"),
        (split({"v2": -1.0}), "split.weights.v2"),
        (split({"v2": float("nan")}), "split.weights.v2"),
        (split({"v2": 60.0, "v3": 60.0}, variants=TWO), "split.weights"),
        *(
            ({"variants": (Variant(name, ProcessSpec(("a",))),)}, "variants[0].name")
            for name in ("original", "keyless", "plain", "mirrored", "control")
        ),
        (
            {
                "split": Split(BY_COOKIE),
                "steps": (Step(Mode.SPLIT, weights={"v2": 100.0}), Step(Mode.SPLIT, weights={"v2": 50.0})),
            },
            "steps[0].weights",
        ),
        (TEN | {"percentage": 0.0}, "trafficShadowingPercentage"),
        (TEN | {"faults": ABORT}, "faultInjectionParameters"),
        (TEN | {"control": Control(SelfSpec())}, "control"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    controller: Controller, fields: dict[str, Any], field: str
) -> None:
    await controller.create_network(a_network())
    with pytest.raises(InvalidError) as caught:
        await controller.create_profile("shop", a_profile(**fields))
    assert caught.value.field == field
    assert caught.value.hint
    assert not await controller.profiles("shop")


MIRRORED = a_profile(match=Match(methods=("GET",)))
SENT = a_profile(match=Match(methods=("GET",)), **TEN)
TO_BE_SENT = a_profile(
    match=Match(methods=("GET",)),
    split=Split(BY_COOKIE),
    steps=(Step(Mode.SHADOW, 0.5), Step(Mode.SPLIT, 0.5, {"v2": 5.0})),
)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (SENT, SENT, "sends users of these requests already"),
        (SENT, MIRRORED, "sends users of these requests already"),
        (TO_BE_SENT, MIRRORED, "sends users of these requests already"),
        (MIRRORED, SENT, "mirrors these requests already"),
        (MIRRORED, TO_BE_SENT, "mirrors these requests already"),
    ],
)
async def test_a_split_shares_its_requests_with_no_other_profile(
    controller: Controller, first: ShadowingProfile, second: ShadowingProfile, told: str
) -> None:
    await controller.create_network(a_network("shop", a_component(), a_component("cart", 10001)))
    first, second = (replace(each, percentage=0.1) for each in (first, second))
    await controller.create_profile("shop", first)
    with pytest.raises(ConflictError, match=told) as caught:
        await controller.create_profile("shop", second)
    assert caught.value.field == "match"
    assert "do not overlap: a split shares its requests with no other profile" in caught.value.hint
    # That is so, however much of them each would have.
    with pytest.raises(ConflictError, match=told):
        await controller.create_profile("shop", replace(second, percentage=1.0))
    # Other requests of the component, or another component, are free.
    await controller.create_profile("shop", replace(second, match=Match(methods=("POST",))))
    await controller.create_profile("shop", replace(second, component_name="cart"))


async def test_a_profile_that_is_woken_beside_a_split_is_checked_again(controller: Controller) -> None:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", replace(MIRRORED, percentage=0.0))
    await controller.create_profile("shop", SENT)
    with pytest.raises(ConflictError, match="sends users"):
        await controller.change_profile("shop", view.profile.id, ProfileChange(percentage=0.1))


async def test_the_weights_of_a_split_change_with_its_revision(controller: Controller) -> None:
    profile = await created(controller, **TEN)
    view = await controller.change_profile("shop", profile, ProfileChange(weights={"v2": 25.0}))
    assert view.profile.split == Split(BY_COOKIE, {"v2": 25.0})
    assert (view.profile.revision, view.profile.percentage) == (2, 0.5)
    same = await controller.change_profile("shop", profile, ProfileChange(weights={"v2": 25.0}))
    assert same.profile.revision == 2
    with pytest.raises(InvalidError, match="out of range"):
        await controller.change_profile("shop", profile, ProfileChange(weights={"v2": 125.0}))


async def test_a_profile_without_a_split_has_no_weights_to_change(controller: Controller) -> None:
    profile = await created(controller)
    with pytest.raises(InvalidError) as caught:
        await controller.change_profile("shop", profile, ProfileChange(weights={"v2": 25.0}))
    assert caught.value.field == "split"


async def test_no_fault_is_injected_where_real_users_are_sent(managers: Managers, controller: Controller) -> None:
    _, instance = await running(managers, controller, split=Split(BY_COOKIE), steps=TO_BE_SENT.steps)
    with pytest.raises(ConflictError, match="real users"):
        await controller.inject_fault("shop", instance.id, ABORT)


def test_the_version_of_a_component_is_a_control_only_where_there_are_copies() -> None:
    network: VirtualNetwork = a_network("shop", a_component(version=ProcessSpec(("old",))))
    component = network.components[0]
    assert with_control(a_profile(**TEN), component).control is None
    assert with_control(TO_BE_SENT, component).control == Control(ProcessSpec(("old",)))
