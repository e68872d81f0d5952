"""What can be wrong with a request in the light of what is there already. Pure; raises before anything is stored.

Guarantees: an error names the field as the user wrote it (names of the specification) and what would be right.
Not guaranteed: the shape of single values (types, lengths, spelling of names); the REST API has checked those.
"""

import math
from collections.abc import Collection, Iterable, Sequence

from xds_server.errors import ConflictError, InvalidError, ShadowmeshError
from xds_server.lifecycle.splits import check_beside, check_judging, check_split
from xds_server.model.names import ARMS
from xds_server.model.network import Component, Protocol, VirtualNetwork
from xds_server.model.profile import CONTROL, PERFORMANCE_METRICS, SAFE_METHODS, SelfSpec, ShadowingProfile
from xds_server.translate import check_profile

MAX_TTL = 86_400.0
"""Longest `shadowInstanceTTL`: a shadow is short-lived."""
MAX_FAULTS = 20
"""Faults on one instance at once."""
_ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def check_network(network: VirtualNetwork) -> None:
    """Refuse components with one name, or on one port without hosts that tell them apart.

    Raises:
        InvalidError: naming the component.
    """
    if not network.name:
        raise InvalidError("a network needs a name", field="name")
    for index, component in enumerate(network.components):
        for other in network.components[:index]:
            _check_pair(component, other, field=f"components[{index}]")


def _check_pair(component: Component, other: Component, *, field: str) -> None:
    if component.name == other.name:
        raise InvalidError(f'"{component.name}" is there twice', field=f"{field}.name", hint="a name of its own")
    mine, theirs = component.listen, other.listen
    if mine.port != theirs.port:
        return
    if mine.address != theirs.address:
        if {mine.address, theirs.address} & _ANYWHERE:
            raise InvalidError(
                f'{mine.address}:{mine.port} overlaps with {theirs.address}:{theirs.port} of component "{other.name}"',
                field=f"{field}.listen",
                hint="another port, or the same address and hosts of its own",
            )
        return
    shared = {h.lower() for h in component.hosts} & {h.lower() for h in other.hosts}
    if shared:
        raise InvalidError(
            f'{mine.address}:{mine.port} is taken by component "{other.name}" for host {min(shared)}',
            field=f"{field}.listen",
            hint="another port, or hosts of its own for each of the two",
        )


def check_replacement(
    before: VirtualNetwork,
    after: VirtualNetwork,
    profiles: Sequence[ShadowingProfile],
    *,
    living: Sequence[ShadowingProfile],
) -> None:
    """Refuse a new definition that the network's profiles cannot live with.

    Args:
        before: what the network is.
        after: what it is to be.
        profiles: all of its profiles, oldest first; each must fit the definition.
        living: those that claim a sample, in the same order; they must fit beside each other.

    Raises:
        InvalidError: another name.
        ConflictError: a component that has profiles is gone, or a profile does not fit it any more.
    """
    if after.name != before.name:
        raise InvalidError(
            f'the network is called "{before.name}" and cannot be renamed: its Envoys name it in node.cluster',
            field="name",
            hint=f'"{before.name}", or create another network',
        )
    for profile in profiles:
        if after.component(profile.component_name) is None:
            raise ConflictError(
                f'component "{profile.component_name}" has the shadowing profile "{profile.name or profile.id}"',
                field="components",
                hint="delete the profile first, or keep the component",
            )
    for profile in profiles:
        component = after.component(profile.component_name)
        try:
            beside = living[: living.index(profile)] if profile in living else ()
            if component is not None:
                check_control(component, profile)
                check_beside(component, beside, profile)
            check_profile(after, beside, profile)
        except ShadowmeshError as error:
            raise ConflictError(
                f'profile "{profile.name or profile.id}" does not fit the new definition: {error}',
                field="components",
                hint="change or delete the profile first",
            ) from error


def check_new_profile(
    network: VirtualNetwork,
    others: Sequence[ShadowingProfile],
    profile: ShadowingProfile,
    *,
    names: Collection[str],
) -> None:
    """Refuse a profile that cannot be.

    Args:
        network: where it is to be.
        others: the profiles that claim a sample there, oldest first.
        profile: what is wanted.
        names: those that are taken, also by profiles that have ended.

    Raises:
        InvalidError: an unknown component or metric, a value out of range, variants that are called alike.
        ConflictError: a name that is taken, samples that would be more than all requests.
    """
    component = network.component(profile.component_name)
    if component is None:
        names = ", ".join(c.name for c in network.components) or "none"
        raise InvalidError(
            f'network "{network.name}" has no component "{profile.component_name}"',
            field="componentName",
            hint=f"components: {names}",
        )
    check_percentage(profile.percentage)
    check_ttl(profile.ttl)
    for index, metric in enumerate(profile.metrics):
        if metric not in PERFORMANCE_METRICS:
            raise InvalidError(
                f'unknown metric "{metric}"',
                field=f"performanceMetrics[{index}]",
                hint=f"one of: {', '.join(PERFORMANCE_METRICS)}",
            )
    _check_variants(profile)
    check_judging(profile)
    check_split(profile)
    check_control(component, profile)
    if profile.name and profile.name in names:
        raise ConflictError(
            f'network "{network.name}" has a profile "{profile.name}" already',
            field="name",
            hint="another name, or change that profile",
        )
    check_beside(component, others, profile)
    check_profile(network, others, profile)


def _check_variants(profile: ShadowingProfile) -> None:
    if not profile.variants:
        raise InvalidError("there is nothing to shadow with", field="variants", hint="at least one variant")
    twice = _first_twice(v.name for v in profile.variants)
    if twice is not None:
        raise InvalidError(
            f'"{profile.variants[twice].name}" is there twice',
            field=f"variants[{twice}].name",
            hint="a name of its own",
        )
    for index, variant in enumerate(profile.variants):
        if variant.name == CONTROL:
            raise InvalidError(
                f'"{CONTROL}" is the name of the profile\'s control',
                field=f"variants[{index}].name",
                hint="another name; the original's own version belongs in the field control",
            )
        if variant.name in ARMS:
            raise InvalidError(
                f'"{variant.name}" is the name of a group of the original\'s requests',
                field=f"variants[{index}].name",
                hint=f"another name, none of {', '.join(sorted(ARMS))}",
            )


def check_control(component: Component, profile: ShadowingProfile) -> None:
    """Refuse a control that names nothing, or that would have the original do twice what changes something.

    Raises:
        InvalidError: naming the field.
    """
    control = profile.control
    if control is None or not control.enabled:
        return
    if control.duration is not None and not (math.isfinite(control.duration) and 0.0 < control.duration <= MAX_TTL):
        raise InvalidError(f"{control.duration:g} s", field="control.duration", hint="above 0, 24h at most")
    if control.spec is None:
        raise InvalidError(
            f'it names nothing to run, and component "{component.name}" has no version',
            field="control",
            hint="process, endpoint, or self: true; or the component's version says how to run the original's own",
        )
    if not isinstance(control.spec, SelfSpec):
        return
    if component.protocol is Protocol.GRPC or profile.match.grpc:
        raise InvalidError(
            "gRPC calls are POSTs, and the original would do each of them twice",
            field="control.self",
            hint="process or endpoint: a second instance of the original's version",
        )
    unsafe = [method for method in profile.match.methods if method.upper() not in SAFE_METHODS]
    if unsafe:
        raise InvalidError(
            f"the original would do each {' and '.join(unsafe)} twice",
            field="control.self",
            hint=f"match.methods of {', '.join(SAFE_METHODS)} alone, or process or endpoint: a second instance",
        )


def check_percentage(percentage: float) -> None:
    """Refuse a share outside 0.0-1.0. Raises: InvalidError."""
    if not (math.isfinite(percentage) and 0.0 <= percentage <= 1.0):
        raise InvalidError(
            f"{percentage} is no share", field="trafficShadowingPercentage", hint="0.0 (nothing) to 1.0 (everything)"
        )


def check_ttl(ttl: float) -> None:
    """Refuse a TTL that is none, or as good as for ever. Raises: InvalidError."""
    if not (math.isfinite(ttl) and 0.0 < ttl <= MAX_TTL):
        raise InvalidError(f"{ttl:g} s", field="shadowInstanceTTL", hint="above 0, 24h at most")


def _first_twice(names: Iterable[str]) -> int | None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            return index
        seen.add(name)
    return None
