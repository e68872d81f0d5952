"""Envoy's choice of a route, simulated on the encoded table: what the shares of samples really are.

Follows Envoy: routes in order, the first whose path, headers and runtime fraction match. All fractions of a request
draw the same number, modulo their denominator.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher, Route, RouteConfiguration
from envoy_data_plane.envoy.service.runtime.v3 import Runtime
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.envoy.type.v3 import FractionalPercentDenominatorType

from xds_server.cache.resource import ROUTES, RUNTIME, Resource
from xds_server.model.names import MILLION


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)


def tables(resources: Sequence[Resource]) -> tuple[list[Route], dict[str, int]]:
    """Return the routes of the first listener's first host, and the runtime layer's numerators."""
    routes = next(RouteConfiguration.parse(r.body) for r in resources if r.type_url == ROUTES)
    layer = next(Runtime.parse(r.body) for r in resources if r.type_url == RUNTIME)
    assert layer.layer is not None
    values = layer.layer.to_dict()
    values = {key: each for key, each in values.items() if isinstance(each, dict)}
    assert all(each["denominator"] == "MILLION" for each in values.values())
    return routes.virtual_hosts[0].routes, {key: int(each["numerator"]) for key, each in values.items()}


def weights(resources: Sequence[Resource]) -> dict[str, int]:
    """Return the weights in the runtime layer, by key."""
    layer = next(Runtime.parse(r.body) for r in resources if r.type_url == RUNTIME)
    assert layer.layer is not None
    return {key: int(each) for key, each in layer.layer.to_dict().items() if isinstance(each, float | int)}


def arm_of(route: Route, values: Mapping[str, int], number: int) -> str:
    """Return the cluster that a route leads the hash `number` to, as Envoy does: intervals in order, of their sum."""
    assert route.route is not None
    weighted = route.route.weighted_clusters
    assert weighted is not None
    assert weighted.use_hash_policy
    keys = {each.name: f"{weighted.runtime_key_prefix}.{each.name}" for each in weighted.clusters}
    found = {each.name: values.get(keys[each.name], each.weight or 0) for each in weighted.clusters}
    rest = number % sum(found.values())
    for name, length in found.items():
        if rest < length:
            return name
        rest -= length
    raise AssertionError(found)


def shares(routes: Sequence[Route], values: Mapping[str, int], request: Request) -> dict[str, int]:
    """Return how many of the million numbers lead this request to each route, by the route's name."""
    found: dict[str, int] = {}
    taken = 0
    for route in routes:
        if not _matches(route, request):
            continue
        assert route.match is not None
        share = MILLION
        if (fraction := route.match.runtime_fraction) is not None:
            assert fraction.default_value is not None
            assert fraction.default_value.numerator == 0
            assert fraction.default_value.denominator == FractionalPercentDenominatorType.MILLION
            share = values.get(fraction.runtime_key, 0)
        # Numbers below `taken` have found a route already.
        if share > taken:
            found[route.name] = found.get(route.name, 0) + share - taken
            taken = share
    return found


def _matches(route: Route, request: Request) -> bool:
    match = route.match
    assert match is not None
    path = request.path.partition("?")[0]
    if match.safe_regex is not None:
        fits = re.fullmatch(match.safe_regex.regex, path) is not None
    elif match.path is not None:
        fits = path == match.path
    else:
        assert match.prefix is not None
        fits = path.startswith(match.prefix)
    sent = request.headers.get("cookie", "").split("; ")
    cookies = dict(pair for each in sent if len(pair := each.split("=", 1)) == 2)
    fits &= all(_says(each.string_match, cookies.get(each.name)) for each in match.cookies)
    return fits and all(_holds(header, request) for header in match.headers)


def _says(matcher: StringMatcher | None, value: str | None) -> bool:
    assert matcher is not None
    assert matcher.safe_regex is not None
    return value is not None and re.fullmatch(matcher.safe_regex.regex, value) is not None


def _holds(matcher: HeaderMatcher, request: Request) -> bool:
    special = {":method": request.method, ":path": request.path}
    value = special.get(matcher.name, request.headers.get(matcher.name))
    if matcher.present_match is not None:
        holds = value is not None
    elif value is None:
        holds = False
    else:
        text = matcher.string_match
        assert text is not None
        if text.safe_regex is not None:
            holds = re.fullmatch(text.safe_regex.regex, value) is not None
        elif text.prefix is not None:
            holds = value.startswith(text.prefix)
        else:
            holds = value == text.exact
    return holds is not matcher.invert_match
