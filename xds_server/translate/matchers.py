"""Conditions as Envoy's matchers."""

import re

from envoy_data_plane.envoy.config.core.v3 import RuntimeFractionalPercent
from envoy_data_plane.envoy.config.route.v3 import CookieMatcher, HeaderMatcher, RouteMatch
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher

from xds_server.model.profile import HeaderMatch, HeaderMatchKind
from xds_server.model.rollout import Cohort
from xds_server.translate.condition import Condition, PathKind


def header_matcher(header: HeaderMatch) -> HeaderMatcher:
    """Return one condition on a header."""
    if header.kind is HeaderMatchKind.PRESENT:
        return HeaderMatcher(name=header.name, present_match=True)
    if header.kind is HeaderMatchKind.PREFIX:
        return _matching(header.name, StringMatcher(prefix=header.value))
    if header.kind is HeaderMatchKind.REGEX:
        return _matching(header.name, StringMatcher(safe_regex=RegexMatcher(regex=header.value)))
    return _matching(header.name, StringMatcher(exact=header.value))


def no_upgrade() -> HeaderMatcher:
    """Return the condition that a request asks for no upgrade; Envoy would mirror WebSockets."""
    return HeaderMatcher(name="upgrade", present_match=True, invert_match=True)


def route_match(
    condition: Condition, *, fraction: RuntimeFractionalPercent | None, cohort: Cohort | None = None
) -> RouteMatch:
    """Return the match of a route that a profile adds.

    Args:
        condition: which requests.
        fraction: the share of them; None: all.
        cohort: only those that carry its key.
    """
    headers = [_method_matcher(condition.methods), no_upgrade(), *map(header_matcher, condition.headers)]
    match = RouteMatch(runtime_fraction=fraction)
    if cohort is not None and cohort.header:
        headers.append(_matching(cohort.header, _key_matcher(cohort)))
    elif cohort is not None:
        match.cookies = [CookieMatcher(name=cohort.cookie, string_match=_key_matcher(cohort))]
    if condition.regex and condition.kind is PathKind.EXACT:
        # A route has one path matcher; the other part of an intersection looks at the raw path, query included.
        match.path = condition.path
        raw = RegexMatcher(regex=f"(?:{condition.regex})" + r"(?:\?(?s:.)*)?")
        headers.append(_matching(":path", StringMatcher(safe_regex=raw)))
    elif condition.regex:
        match.safe_regex = RegexMatcher(regex=condition.regex)
        if condition.path not in ("", "/"):
            headers.append(_matching(":path", StringMatcher(prefix=condition.path)))
    elif condition.kind is PathKind.EXACT:
        match.path = condition.path
    else:
        match.prefix = condition.path
    match.headers = headers
    return match


def _key_matcher(cohort: Cohort) -> StringMatcher:
    """Return the condition on a key: one of the values, or anything; an empty key is none."""
    values = "|".join(map(re.escape, cohort.values))
    return StringMatcher(safe_regex=RegexMatcher(regex=values or ".+"))


def _method_matcher(methods: tuple[str, ...]) -> HeaderMatcher:
    if len(methods) == 1:
        return _matching(":method", StringMatcher(exact=methods[0]))
    return _matching(":method", StringMatcher(safe_regex=RegexMatcher(regex="|".join(methods))))


def _matching(name: str, matcher: StringMatcher) -> HeaderMatcher:
    return HeaderMatcher(name=name, string_match=matcher)
