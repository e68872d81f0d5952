"""What a profile must be so that it can be translated, beyond what its fields say alone."""

from collections.abc import Sequence

from xds_server.errors import ConflictError, InvalidError, NotFoundError
from xds_server.model.network import Component, Protocol, VirtualNetwork
from xds_server.model.profile import ShadowingProfile
from xds_server.translate.condition import conditions
from xds_server.translate.samples import regions

_SLACK = 1e-9
_NEVER_MIRRORED = ("CONNECT", "TRACE")


def check_profile(network: VirtualNetwork, others: Sequence[ShadowingProfile], profile: ShadowingProfile) -> None:
    """Return when `profile` can be mirrored beside the `others` of its network (in order of creation).

    An older self of the profile among the others is left out. Fields are named as in the public JSON.

    Raises:
        NotFoundError: the component does not exist.
        InvalidError: the profile can never be translated.
        ConflictError: it cannot together with the others.
    """
    component = network.component(profile.component_name)
    if component is None:
        known = ", ".join(sorted(each.name for each in network.components))
        raise NotFoundError(
            f"network {network.name!r} has no component {profile.component_name!r}",
            field="componentName",
            hint=f"one of: {known}",
        )
    _check_match(component, profile)
    _check_faults(component, profile)
    beside = [p for p in others if p.component_name == profile.component_name and p.id != profile.id]
    _check_expressible(component, beside, profile)
    for region in regions([*beside, profile], component.protocol):
        if region.total > 1.0 + _SLACK and profile in region.profiles:
            rest = [each for each in region.profiles if each is not profile]
            taken = sum(each.percentage for each in rest)
            raise ConflictError(
                f"{profile.percentage:g} of the requests that {_named(rest)} sample{'' if len(rest) > 1 else 's'} too "
                f"({taken:g}) is more than all of them",
                field="trafficShadowingPercentage",
                hint=f"at most {max(0.0, 1.0 - taken):.6g}, or a matcher that does not overlap",
            )


def _check_match(component: Component, profile: ShadowingProfile) -> None:
    match = profile.match
    if component.protocol is Protocol.GRPC and not match.grpc:
        raise InvalidError(
            f"component {component.name!r} speaks gRPC, whose calls are all POSTs: name those that may be mirrored",
            field="match.grpc",
            hint='for example ["pkg.Service/Get*", "pkg.Service/List"]',
        )
    if component.protocol is Protocol.HTTP1 and match.grpc:
        raise InvalidError(
            f"component {component.name!r} speaks HTTP/1.1, which gRPC calls do not use",
            field="match.grpc",
            hint="match by methods and path, or give the component protocol grpc or http2",
        )
    if match.grpc and (match.path or match.path_regex):
        raise InvalidError(
            "gRPC methods are paths: a path beside them has no meaning",
            field="match.path" if match.path else "match.pathRegex",
            hint="leave it out",
        )
    for index, pattern in enumerate(match.grpc):
        if "*" in pattern[:-1] or "/" not in pattern.strip("/"):
            raise InvalidError(
                f"{pattern!r} is no gRPC method",
                field=f"match.grpc[{index}]",
                hint="package.Service/Method, with a * at the end only",
            )
    if not match.grpc and not match.methods:
        raise InvalidError("no method may be mirrored", field="match.methods", hint='for example ["GET", "HEAD"]')
    for index, method in enumerate(match.methods):
        if method.upper() in _NEVER_MIRRORED:
            raise InvalidError(f"{method} is never mirrored", field=f"match.methods[{index}]", hint="leave it out")


def _check_faults(component: Component, profile: ShadowingProfile) -> None:
    abort = profile.faults.abort
    if component.protocol is Protocol.HTTP1 and abort is not None and abort.grpc_status is not None:
        raise InvalidError(
            f"component {component.name!r} speaks HTTP/1.1, which has no gRPC status",
            field="faultInjectionParameters.abort.grpcStatus",
            hint="httpStatus, for example 503",
        )


def _check_expressible(component: Component, beside: Sequence[ShadowingProfile], profile: ShadowingProfile) -> None:
    mine = conditions(profile.match, component.protocol)
    for other in beside:
        theirs = conditions(other.match, component.protocol)
        if any(a.inexpressible(b) for a in mine for b in theirs):
            raise ConflictError(
                f"Envoy cannot tell this path expression and that of {_named([other])} apart",
                field="match.pathRegex",
                hint="use the same expression, or disjoint methods, path prefixes or exact header values",
            )


def _named(profiles: Sequence[ShadowingProfile]) -> str:
    return " and ".join(f"profile {each.name or each.id!s}" for each in profiles)
