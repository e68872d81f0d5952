"""One network, translated: its state in, Envoy's resources out.

Guarantees: pure (no I/O, clock or chance); the same state gives the same bytes; what does not change between two states
(a listener, a cluster, routes) is not encoded again. Nothing that the original needs has a TTL.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from betterproto2 import Message

from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, RUNTIME, Resource, make_resource
from xds_server.model.ids import InstanceID
from xds_server.model.names import (
    RTDS_LAYER,
    component_cluster,
    guarded_cluster,
    listener_names,
    shadow_cluster,
    shadow_in_cluster,
    shadow_listener,
    split_cluster,
)
from xds_server.model.network import Address, Component, Protocol
from xds_server.model.profile import Capture, Fault
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState
from xds_server.translate.clusters import (
    by_dns,
    component_cluster_bytes,
    shadow_cluster_bytes,
    shadow_in_cluster_bytes,
)
from xds_server.translate.endpoints import load_assignment
from xds_server.translate.fastbytes import fast_bytes
from xds_server.translate.faults import fault_values
from xds_server.translate.listeners import component_listener_message, shadow_listener_message
from xds_server.translate.routes import (
    Sample,
    route_configuration,
    samples_of,
    shadow_routes,
    shadow_timeout,
    virtual_host,
)
from xds_server.translate.runtime import runtime_layer
from xds_server.translate.samples import regions, sample_values
from xds_server.translate.split_clusters import guarded_cluster_bytes, split_cluster_bytes
from xds_server.translate.splits import SplitTraffic, is_split, split_fractions, split_of, split_weights

_AS_GIVEN: Mapping[str, Address] = MappingProxyType({})
_CACHED = 8192

Entrances = tuple[tuple[Component, tuple[SplitTraffic, ...], tuple[Sample, ...]], ...]
"""The components behind one listen address, each with its splits and its sampled routes."""


def translate(state: NetworkState, *, listen: Mapping[str, Address] = _AS_GIVEN, runtime_ttl: float) -> list[Resource]:
    """Return all resources of a network's Envoys.

    Args:
        state: the network, its profiles in order of creation, and their shadows that may be mirrored to.
        listen: listen addresses, by component, of Envoys that do not use those of the network.
        runtime_ttl: seconds after which an Envoy forgets shares and faults when it no longer hears of them.
    """
    resources: list[Resource] = []
    entrances: dict[Address, Entrances] = {}
    values: dict[str, int] = {}
    weights: dict[str, int] = {}
    for component in state.network.components:
        active = [p for p in state.profiles if p.profile.component_name == component.name and p.shadows]
        mirrored = [each for each in active if not is_split(each.profile)]
        found = regions([each.profile for each in mirrored], component.protocol)
        values |= sample_values(found)
        values |= fault_values(fault for each in mirrored for shadow in each.shadows for fault in shadow.faults)
        resources += _original(component)
        resources += (made for each in mirrored for shadow in each.shadows for made in _shadow(component, each, shadow))
        splits = []
        for each in active:
            if (split := split_of(each, component)) is None:
                continue
            splits.append(split)
            values |= split_fractions(each.profile)
            weights |= split_weights(each, component)
            resources += _arms(component, each, split)
        address = listen.get(component.name, component.listen)
        behind = (component, tuple(splits), samples_of(found, mirrored))
        entrances[address] = (*entrances.get(address, ()), behind)
    for address, name in listener_names(entrances):
        resources += _entrance(name, address, entrances[address])
    resources.append(_resource(RTDS_LAYER, RUNTIME, runtime_layer(values, weights), ttl=runtime_ttl))
    return resources


@lru_cache(maxsize=_CACHED)
def _original(component: Component) -> tuple[Resource, ...]:
    name = component_cluster(component.name)
    cluster = make_resource(name, CLUSTER, component_cluster_bytes(component))
    if by_dns(component.endpoints):
        return (cluster,)
    return (cluster, make_resource(name, ENDPOINTS, load_assignment(name, component.endpoints)))


def _arms(component: Component, active: ActiveProfile, split: SplitTraffic) -> list[Resource]:
    """Return the clusters of the instances that a split sends users to."""
    chosen = {instance for _, instance in split.line}
    return [
        made
        for shadow in active.shadows
        if shadow.instance_id in chosen
        for made in _arm(shadow.instance_id, shadow.address, component.protocol, component_cluster(component.name))
    ]


@lru_cache(maxsize=_CACHED)
def _arm(instance: InstanceID, address: Address, protocol: Protocol, original: str) -> tuple[Resource, Resource]:
    own, guarded = split_cluster(instance), guarded_cluster(instance)
    return (
        make_resource(own, CLUSTER, split_cluster_bytes(instance, address, protocol)),
        make_resource(guarded, CLUSTER, guarded_cluster_bytes(instance, original)),
    )


def _shadow(component: Component, active: ActiveProfile, shadow: ActiveShadow) -> tuple[Resource, ...]:
    profile = active.profile
    return _leg(
        shadow.instance_id,
        None if shadow.original else shadow.address,
        component.protocol,
        cluster=component_cluster(component.name) if shadow.original else shadow_cluster(shadow.instance_id),
        faults=shadow.faults,
        capture=profile.capture,
        request=not profile.is_control(shadow.variant),
        timeout=shadow_timeout(component, profile.shadow_timeout),
        max_request_bytes=profile.max_request_bytes,
    )


@lru_cache(maxsize=_CACHED)
def _leg(
    instance: InstanceID,
    address: Address | None,
    protocol: Protocol,
    *,
    cluster: str,
    faults: tuple[Fault, ...],
    capture: Capture,
    request: bool,
    timeout: float,
    max_request_bytes: int,
) -> tuple[Resource, ...]:
    listener = shadow_listener_message(
        instance,
        shadow_routes(cluster, capture, timeout, request=request),
        faults=faults,
        max_request_bytes=max_request_bytes,
    )
    inner = shadow_in_cluster_bytes(instance, max_request_bytes=max_request_bytes)
    way_in = make_resource(shadow_in_cluster(instance), CLUSTER, inner)
    entry = _resource(shadow_listener(instance), LISTENER, listener)
    if address is None:  # the original itself: its cluster is there already
        return (way_in, entry)
    own = shadow_cluster_bytes(instance, address, protocol, max_request_bytes=max_request_bytes)
    return (way_in, make_resource(cluster, CLUSTER, own), entry)


def _entrance(name: str, address: Address, behind: Entrances) -> tuple[Resource, Resource]:
    """Return a listener and its routes."""
    upgrades = tuple(sorted({each for component, _, _ in behind for each in component.upgrades}))
    return _listener(name, address, upgrades), _routes(name, behind)


@lru_cache(maxsize=_CACHED)
def _listener(name: str, address: Address, upgrades: Iterable[str]) -> Resource:
    return _resource(name, LISTENER, component_listener_message(name, address, tuple(upgrades)))


@lru_cache(maxsize=_CACHED)
def _routes(name: str, behind: Entrances) -> Resource:
    hosts = [virtual_host(component, splits, samples) for component, splits, samples in behind]
    return _resource(name, ROUTES, route_configuration(name, hosts))


def _resource(name: str, type_url: str, message: Message, *, ttl: float | None = None) -> Resource:
    return make_resource(name, type_url, fast_bytes(message), ttl=ttl)
