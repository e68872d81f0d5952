"""Route configurations: of the listeners of components, and the inline one of a shadow's internal listener."""

from collections.abc import Sequence
from dataclasses import dataclass

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteActionRequestMirrorPolicy,
    RouteActionUpgradeConfig,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)

from xds_server.model.ids import InstanceID, ProfileID
from xds_server.model.names import PAIR_HEADER, PLAIN_ARM, SHADOW_HEADER, arm_pair, shadow_in_cluster
from xds_server.model.network import Component
from xds_server.model.profile import Capture
from xds_server.model.state import ActiveProfile
from xds_server.translate.actions import to_original
from xds_server.translate.capture import switched_on
from xds_server.translate.condition import Condition
from xds_server.translate.encode import by_runtime, seconds, set_header
from xds_server.translate.matchers import route_match
from xds_server.translate.samples import Region
from xds_server.translate.splits import SplitTraffic, split_routes

CREDENTIALS = ("authorization", "cookie", "proxy-authorization")
"""Taken from copies unless the profile keeps them (the capture script knows the same)."""
SHARE_OF_TIMEOUT = 0.8
"""The shadow leg's timeout is at most this part of the mirrored request's own, so that a hang ends as the shadow's."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sampled route is made of: requests that meet `condition`, as many as runtime key `key` says.

    Without `instances` it is the plain sample: requests that are only measured.
    """

    profile: ProfileID
    key: str
    condition: Condition
    instances: tuple[InstanceID, ...]
    capture: Capture
    keep_credentials: bool


def samples_of(regions: Sequence[Region], active: Sequence[ActiveProfile]) -> tuple[Sample, ...]:
    """Return the sampled routes of a component, in the order that Envoy tries them.

    In each region those that mirror come first, then the plain ones.
    """
    instances = {each.profile.id: tuple(shadow.instance_id for shadow in each.shadows) for each in active}
    return tuple(
        Sample(
            profile=profile.id,
            key=key,
            condition=condition,
            instances=instances[profile.id] if mirrored else (),
            capture=profile.capture,
            keep_credentials=profile.keep_credentials,
        )
        for region in regions
        for mirrored, keys in ((True, region.keys()), (False, region.plain_keys()))
        for key, profile in zip(keys, region.profiles, strict=True)
        for condition in region.conditions
    )


def virtual_host(component: Component, splits: Sequence[SplitTraffic], samples: Sequence[Sample]) -> VirtualHost:
    """Return a component's host: the routes of splits, then its sampled routes, then the plain one."""
    routes = [route for split in splits for route in split_routes(component, split)]
    routes += (
        _sampled_route(component, each) if each.instances else _measured_route(component, each) for each in samples
    )
    routes.append(_plain_route(component))
    return VirtualHost(name=component.name, domains=list(component.hosts), routes=routes)


def route_configuration(name: str, hosts: Sequence[VirtualHost]) -> RouteConfiguration:
    """Return what a component's listener asks for under `name`."""
    return RouteConfiguration(
        name=name,
        virtual_hosts=list(hosts),
        ignore_port_in_host_matching=True,
    )


def shadow_routes(cluster: str, capture: Capture, timeout: float, *, request: bool = True) -> RouteConfiguration:
    """Return the routes of a shadow's internal listener: all copies to its cluster, captured, in finite time.

    Args:
        cluster: where copies go.
        capture: how much of each answer is kept.
        timeout: seconds that a copy may take.
        request: whether the request is kept too; one leg of a profile is enough.
    """
    route = Route(
        name="shadow",
        match=RouteMatch(prefix="/"),
        route=RouteAction(cluster=cluster, timeout=seconds(timeout)),
        typed_per_filter_config=switched_on(capture, request=request),
    )
    return RouteConfiguration(name="shadow", virtual_hosts=[VirtualHost(name="shadow", domains=["*"], routes=[route])])


def shadow_timeout(component: Component, wanted: float) -> float:
    """Return the seconds a copy may take."""
    return min(wanted, component.timeout * SHARE_OF_TIMEOUT) if component.timeout else wanted


def _sampled_route(component: Component, sample: Sample) -> Route:
    action = to_original(component)
    dropped = () if sample.keep_credentials else CREDENTIALS
    action.request_mirror_policies = [
        RouteActionRequestMirrorPolicy(
            cluster=shadow_in_cluster(instance),
            disable_shadow_host_suffix_append=True,
            request_headers_mutations=[
                HeaderMutation(append=set_header(SHADOW_HEADER, instance)),
                *(HeaderMutation(remove=name) for name in dropped),
            ],
        )
        for instance in sample.instances
    ]
    return Route(
        name=f"shadowmesh-{sample.profile}",
        match=route_match(sample.condition, fraction=by_runtime(sample.key)),
        route=action,
        # Clients can repeat x-request-id; this one is unique, and a value that a client sent is overwritten.
        request_headers_to_add=[set_header(PAIR_HEADER, f"{sample.profile}/%UNIQUE_ID%")],
        typed_per_filter_config=switched_on(sample.capture),
        stat_prefix=f"shadowmesh-{sample.profile}",
    )


def _measured_route(component: Component, sample: Sample) -> Route:
    """Return the route of a plain sample: to the original, nothing differs but that there is no copy and no capture."""
    name = f"shadowmesh-{sample.profile}-plain"
    return Route(
        name=name,
        match=route_match(sample.condition, fraction=by_runtime(sample.key)),
        route=to_original(component),
        request_headers_to_add=[set_header(PAIR_HEADER, arm_pair(sample.profile, PLAIN_ARM))],
        stat_prefix=name,
    )


def _plain_route(component: Component) -> Route:
    action = to_original(component)
    action.upgrade_configs = [RouteActionUpgradeConfig(upgrade_type=each, enabled=True) for each in component.upgrades]
    return Route(
        name="plain",
        match=RouteMatch(prefix="/"),
        route=action,
        request_headers_to_remove=[PAIR_HEADER, SHADOW_HEADER],
    )
