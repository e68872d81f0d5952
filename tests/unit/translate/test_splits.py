"""Who is sent where: intervals of a hash, in routes that weights do not change."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pytest
from envoy_data_plane.envoy.config.route.v3 import Route
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envoy.values import active, component, control, profile, shadow, split, state
from tests.unit.translate.routing import Request, arm_of, shares, tables, weights
from xds_server.cache.resource import CLUSTER, LISTENER, RUNTIME, Resource
from xds_server.model.names import MILLION, component_cluster, guarded_cluster, split_cluster
from xds_server.model.profile import Control, EndpointSpec, ShadowingProfile
from xds_server.model.rollout import Cohort, Split
from xds_server.model.state import ActiveShadow
from xds_server.translate import translate

ORIGINAL = component_cluster("catalog")
USER = Request(headers={"x-user": "a"})


def of(each: ShadowingProfile, *shadows: ActiveShadow) -> list[Resource]:
    there = shadows or tuple(shadow(n, variant=v.name) for n, v in enumerate(each.variants, 1))
    return translate(state(component(), profiles=(active(each, *there),)), runtime_ttl=15)


def the_split(made: list[Resource]) -> Route:
    routes, _ = tables(made)
    return next(route for route in routes if route.name.endswith("-split"))


def chooser(made: list[Resource]) -> Callable[[int], str]:
    """Return the function from a hash to the cluster that it leads to."""
    return partial(arm_of, the_split(made), weights(made))


def growing() -> st.SearchStrategy[tuple[dict[str, float], dict[str, float]]]:
    """Weights of up to two versions before and after, none of which shrinks."""
    return (
        st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=2)
        .map(lambda found: [sorted(each) for each in found])
        .map(lambda found: tuple({f"v{n}": each[when] for n, each in enumerate(found, 2)} for when in (0, 1)))
    )


@settings(max_examples=50, deadline=None)
@given(growing(), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_cohorts_stay_when_weights_grow(both: tuple[dict[str, float], dict[str, float]], numbers: list[int]) -> None:
    before, after = (of(split(weights=each)) for each in both)
    assert sum(weights(before).values()) == sum(weights(after).values()) == MILLION
    first, then = chooser(before), chooser(after)
    for number in (*numbers, 0, MILLION - 1):
        assert first(number) in (ORIGINAL, then(number))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(lambda found: sum(found) <= 100))
def test_each_version_has_the_length_of_its_weight(found: list[int]) -> None:
    wanted = {f"v{n}": float(each) for n, each in enumerate(found, 2)}
    made = of(split(weights=wanted))
    for n, each in enumerate(wanted.values(), 1):
        assert weights(made)[key(guarded_cluster(shadow(n).instance_id))] == round(each * 10_000)
    assert weights(made)[key(ORIGINAL)] == MILLION - sum(found) * 10_000


def key(cluster: str) -> str:
    return f"shadowmesh.split.{split().id}.{cluster}"


def test_without_the_runtime_layer_the_original_has_everything() -> None:
    route = the_split(of(split(weights={"v2": 60.0, "v3": 40.0})))
    assert {arm_of(route, {}, number) for number in range(0, MILLION, 9973)} == {ORIGINAL}


@pytest.mark.parametrize(
    ("changed", "draining"),
    [
        ({"split": Split(Cohort(header="x-user"), {"v2": 60.0, "v3": 1.0})}, False),
        ({"split": Split(Cohort(header="x-user"), {})}, False),
        ({"percentage": 0.7}, False),
        ({}, True),
    ],
)
def test_weights_and_shares_are_in_the_runtime_layer_alone(changed: Mapping[str, object], draining: bool) -> None:  # noqa: FBT001 - a parameter
    each = split(weights={"v2": 5.0, "v3": 5.0}, percentage=0.1)
    before = of(each, shadow(1), shadow(2, variant="v3"))
    after = of(replace(each, **changed), shadow(1, draining=draining), shadow(2, variant="v3"))  # type: ignore[arg-type]
    assert [b.type_url for b, a in zip(before, after, strict=True) if a != b] == [RUNTIME]


def test_what_drains_or_does_not_run_has_no_users_and_the_others_keep_theirs() -> None:
    each = split(weights={"v2": 30.0, "v3": 30.0})
    whole = chooser(of(each))
    second = guarded_cluster(shadow(2).instance_id)
    for made in (of(each, shadow(1, draining=True), shadow(2, variant="v3")), of(each, shadow(2, variant="v3"))):
        now = chooser(made)
        for number in range(0, MILLION, 9973):
            assert now(number) == (second if whole(number) == second else ORIGINAL)


def test_requests_with_the_key_are_split_and_the_share_of_all_is_measured() -> None:
    routes, values = tables(of(split(percentage=0.25)))
    name = f"shadowmesh-{split().id}"
    assert shares(routes, values, USER) == {f"{name}-measured": 250_000, f"{name}-split": 750_000}
    without = {f"{name}-keyless": 250_000, "plain": 750_000}
    for request in (Request(), Request(headers={"x-user": ""})):
        assert shares(routes, values, request) == without
    for other in (replace(USER, method="POST"), replace(USER, headers={**USER.headers, "upgrade": "websocket"})):
        assert shares(routes, values, other) == {"plain": MILLION}


def test_values_choose_users_and_a_weight_switches_them_over() -> None:
    cohort = Cohort(cookie="group", values=("staff", "a.b"))
    made = of(split(cohort=cohort, weights={"v2": 1.0}, percentage=0.25))
    routes, values = tables(made)
    name = f"shadowmesh-{split().id}"
    for value, wanted in (
        ("staff", {f"{name}-measured": 250_000, f"{name}-split": 750_000}),
        ("a.b", {f"{name}-measured": 250_000, f"{name}-split": 750_000}),
        ("axb", {f"{name}-original": 250_000, "plain": 750_000}),
    ):
        assert shares(routes, values, Request(headers={"cookie": f"x=y; group={value}"})) == wanted
    assert set(map(chooser(made), range(0, MILLION, 9973))) == {guarded_cluster(shadow().instance_id)}
    off = of(split(cohort=cohort, weights={"v2": 0.0}))
    assert set(map(chooser(off), range(0, MILLION, 9973))) == {ORIGINAL}


def test_nothing_is_mirrored_and_the_listener_is_as_without_a_profile() -> None:
    each = split(control=Control(EndpointSpec("127.0.0.1", 9001)))
    made = of(each, shadow(1), control(2))
    routes, _ = tables(made)
    assert not any(route.route.request_mirror_policies for route in routes if route.route)
    assert {r.name for r in made if r.type_url == CLUSTER} == {
        ORIGINAL,
        split_cluster(shadow(1).instance_id),
        guarded_cluster(shadow(1).instance_id),
    }
    bare = translate(state(component()), runtime_ttl=15)
    assert [r for r in made if r.type_url == LISTENER] == [r for r in bare if r.type_url == LISTENER]


def test_a_profile_that_mirrors_and_has_a_split_for_later_mirrors() -> None:
    waiting = profile(split=Split(Cohort(header="x-user"), {"v2": 50.0}))
    assert of(waiting) == of(profile())


def test_all_routes_of_a_split_have_the_timeouts_of_the_component() -> None:
    slow = component(timeout=7.0, idle_timeout=9.0)
    routes, _ = tables(translate(state(slow, profiles=(active(split(), shadow()),)), runtime_ttl=15))
    found = {(r.route.timeout, r.route.idle_timeout) for r in routes if r.route}
    assert len(found) == 1
