"""Splits: which users go to which version, as routes and runtime values.

A request that carries the cohort's key is sent by the hash of the key: each arm of the line has an interval of the
numbers 0 to 999,999, as long as its weight says. Weights are runtime values in a layer with a TTL; in the routes
themselves the original has everything, so without a manager all users are at the original again.

Guarantees: of one variant, or two, growing weights only ever take users from the original: the first grows from one
end of the line and the second from the other (property test). Who is chosen differs from profile to profile, and has
nothing to do with the number that samples are drawn by. A change of weights or of the measured share changes no route.
Not guaranteed: with more variants, those further inside keep their users only while the outer ones keep their weights.
An upgrade (WebSocket) is not split: it goes to the original.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatchAndSubstitute, RegexMatcher

from xds_server.model.ids import InstanceID, ProfileID
from xds_server.model.names import (
    KEYLESS_ARM,
    MILLION,
    ORIGINAL_ARM,
    PAIR_HEADER,
    SHADOW_HEADER,
    arm_pair,
    component_cluster,
    guarded_cluster,
    sample_key,
    split_key,
    weight_key,
)
from xds_server.model.network import Component
from xds_server.model.profile import SAFE_METHODS, ShadowingProfile
from xds_server.model.rollout import Cohort, Mode
from xds_server.model.state import ActiveProfile
from xds_server.translate.actions import to_arms, to_original
from xds_server.translate.capture import users_noted
from xds_server.translate.condition import Condition, conditions
from xds_server.translate.encode import by_runtime, set_header
from xds_server.translate.matchers import route_match


@dataclass(frozen=True, slots=True)
class SplitTraffic:
    """What the routes of a split are made of; `line` has the arms in order, the original's instance is None."""

    profile: ProfileID
    conditions: tuple[Condition, ...]
    cohort: Cohort
    line: tuple[tuple[str, InstanceID | None], ...]


def is_split(profile: ShadowingProfile) -> bool:
    """Tell whether a profile sends users to its variants instead of copies."""
    return profile.mode is Mode.SPLIT and profile.split is not None


def in_line(variants: Sequence[str], original: str) -> list[str]:
    """Return variants and original in the order of their intervals: the first and the second have an end each."""
    return [*variants[0::2], original, *reversed(variants[1::2])]


def lengths(profile: ShadowingProfile, running: Mapping[str, InstanceID]) -> dict[str, int]:
    """Return the weight of each arm that runs, and of the original, in millionths; together they are a million."""
    split = profile.split
    found: dict[str, int] = {}
    left = MILLION
    for variant in profile.variants:
        if split is None or variant.name not in running:
            continue
        wanted = split.weights.get(variant.name, 0.0)
        share = (MILLION if wanted > 0 else 0) if split.cohort.values else round(wanted / 100 * MILLION)
        found[variant.name] = min(left, max(0, share))
        left -= found[variant.name]
    return {**found, ORIGINAL_ARM: left}


def split_of(active: ActiveProfile, component: Component) -> SplitTraffic | None:
    """Return the split of a profile; None when it is not one."""
    profile = active.profile
    if profile.split is None or not is_split(profile):
        return None
    running = _running(active)
    order = in_line([variant.name for variant in profile.variants], ORIGINAL_ARM)
    return SplitTraffic(
        profile=profile.id,
        conditions=conditions(profile.match, component.protocol),
        cohort=profile.split.cohort,
        line=tuple((arm, running.get(arm)) for arm in order if arm in running or arm == ORIGINAL_ARM),
    )


def split_weights(active: ActiveProfile, component: Component) -> dict[str, int]:
    """Return the weights of a split by runtime key: plain integers, whose sum is a million.

    Nobody new is sent to an instance that is draining.
    """
    running = _running(active)
    found = _lengths_now(active)
    clusters = {name: guarded_cluster(instance) for name, instance in running.items()}
    clusters[ORIGINAL_ARM] = component_cluster(component.name)
    return {weight_key(active.profile.id, cluster): found.get(arm, 0) for arm, cluster in clusters.items()}


def chances(active: ActiveProfile) -> dict[str, int]:
    """Return the weight of each arm to which chance sends users now, in millionths; empty when it sends nobody."""
    split = active.profile.split
    if split is None or not is_split(active.profile) or split.cohort.values:
        return {}
    found = _lengths_now(active)
    return found if any(weight for arm, weight in found.items() if arm != ORIGINAL_ARM) else {}


def split_fractions(profile: ShadowingProfile) -> dict[str, int]:
    """Return the share of a split's requests that is measured, by runtime key, in millionths."""
    return {sample_key(profile.id): round(profile.percentage * MILLION)}


def split_routes(component: Component, split: SplitTraffic) -> list[Route]:
    """Return the routes of a split: who has the key, measured and not; then, measured only, who has none."""
    cohort = split.cohort
    found = [
        _split_route(component, split, condition, measured=measured)
        for condition in split.conditions
        for measured in (True, False)
    ]
    if cohort.values:
        others = Cohort(header=cohort.header, cookie=cohort.cookie)
        found += (_original_route(component, split, each, ORIGINAL_ARM, others) for each in split.conditions)
    found += (_original_route(component, split, each, KEYLESS_ARM, None) for each in split.conditions)
    return found


def _split_route(component: Component, split: SplitTraffic, condition: Condition, *, measured: bool) -> Route:
    fraction = by_runtime(sample_key(split.profile)) if measured else None
    name = f"shadowmesh-{split.profile}-{'measured' if measured else 'split'}"
    return Route(
        name=name,
        match=route_match(condition, fraction=fraction, cohort=split.cohort),
        route=_action(component, split, condition, measured=measured),
        typed_per_filter_config=users_noted(split.cohort) if measured and not split.cohort.values else {},
        request_headers_to_remove=[SHADOW_HEADER] if measured else [PAIR_HEADER, SHADOW_HEADER],
        stat_prefix=name,
    )


def _action(component: Component, split: SplitTraffic, condition: Condition, *, measured: bool) -> RouteAction:
    clusters = [
        WeightedClusterClusterWeight(
            name=component_cluster(component.name) if instance is None else guarded_cluster(instance),
            weight=MILLION if instance is None else 0,
            request_headers_to_add=[set_header(PAIR_HEADER, arm_pair(split.profile, arm))] if measured else [],
        )
        for arm, instance in split.line
    ]
    weighted = WeightedCluster(clusters=clusters, runtime_key_prefix=split_key(split.profile), use_hash_policy=True)
    action = to_arms(component, weighted, safe_methods=set(condition.methods) <= set(SAFE_METHODS))
    action.hash_policy = [_by_key(split.cohort), _salt(split.profile)]
    return action


def _original_route(
    component: Component, split: SplitTraffic, condition: Condition, arm: str, cohort: Cohort | None
) -> Route:
    name = f"shadowmesh-{split.profile}-{arm}"
    return Route(
        name=name,
        match=route_match(condition, fraction=by_runtime(sample_key(split.profile)), cohort=cohort),
        route=to_original(component),
        request_headers_to_add=[set_header(PAIR_HEADER, arm_pair(split.profile, arm))],
        request_headers_to_remove=[SHADOW_HEADER],
        stat_prefix=name,
    )


def _by_key(cohort: Cohort) -> RouteActionHashPolicy:
    if cohort.header:
        return RouteActionHashPolicy(header=RouteActionHashPolicyHeader(header_name=cohort.header))
    return RouteActionHashPolicy(cookie=RouteActionHashPolicyCookie(name=cohort.cookie))


def _salt(profile: ProfileID) -> RouteActionHashPolicy:
    """Return a policy that adds the same to each hash, so that not the same users try everything first.

    Each request has a method; what is hashed is the profile's id in its place.
    """
    constant = RegexMatchAndSubstitute(pattern=RegexMatcher(regex=".+"), substitution=profile)
    return RouteActionHashPolicy(header=RouteActionHashPolicyHeader(header_name=":method", regex_rewrite=constant))


def _lengths_now(active: ActiveProfile) -> dict[str, int]:
    draining = {shadow.variant for shadow in active.shadows if shadow.draining}
    return lengths(active.profile, {name: i for name, i in _running(active).items() if name not in draining})


def _running(active: ActiveProfile) -> dict[str, InstanceID]:
    """Return the instance of each variant that gets users: the newest."""
    return {s.variant: s.instance_id for s in active.shadows if not active.profile.is_control(s.variant)}
