"""Samples of several profiles: disjoint, and each with its own share wherever its matcher holds."""

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.envoy.values import active, component, network, profile, shadow, state
from tests.unit.translate.routing import Request, shares, tables
from xds_server.errors import ConflictError
from xds_server.model.names import MILLION
from xds_server.model.network import Protocol
from xds_server.model.profile import HeaderMatch, HeaderMatchKind, Match, ShadowingProfile
from xds_server.translate import check_profile, translate

PATHS = ("/", "/a", "/a/b", "/a/bc", "/b", "/a/b/c?d=/b", "/b?/a")
METHODS = ("GET", "HEAD", "POST")
TEAMS = ("", "red", "redder", "blue")


def header_matches() -> st.SearchStrategy[HeaderMatch]:
    return st.one_of(
        st.builds(HeaderMatch, st.just("x-team"), st.just(HeaderMatchKind.EXACT), st.sampled_from(TEAMS[1:])),
        st.builds(HeaderMatch, st.just("X-Team"), st.just(HeaderMatchKind.PREFIX), st.sampled_from(("r", "red", "b"))),
        st.builds(HeaderMatch, st.just("x-team"), st.just(HeaderMatchKind.REGEX), st.just("r.*|blue")),
        st.just(HeaderMatch("x-team", HeaderMatchKind.PRESENT)),
    )


def matches() -> st.SearchStrategy[Match]:
    paths = st.one_of(
        st.builds(dict, path_prefix=st.sampled_from(("/", "/a", "/a/b"))),
        st.builds(dict, path=st.sampled_from(("/a", "/a/b", "/b"))),
        st.just({"path_regex": "/a(/.*)?"}),
    )
    return st.builds(
        lambda where, methods, headers: Match(methods=tuple(methods), headers=tuple(headers), **where),
        paths,
        st.lists(st.sampled_from(METHODS), min_size=1, unique=True),
        st.lists(header_matches(), max_size=1),
    )


def profiles() -> st.SearchStrategy[list[ShadowingProfile]]:
    each = st.tuples(matches(), st.sampled_from((0.0, 0.005, 0.1234, 1 / 3, 0.5, 1.0)))
    return st.lists(each, min_size=1, max_size=4).map(
        lambda found: [profile(n, match=m, percentage=p) for n, (m, p) in enumerate(found, 1)]
    )


def requests() -> st.SearchStrategy[Request]:
    return st.builds(
        lambda method, path, team: Request(method, path, {"x-team": team} if team else {}),
        st.sampled_from(METHODS),
        st.sampled_from(PATHS),
        st.sampled_from(TEAMS),
    )


def is_for(each: ShadowingProfile, request: Request) -> bool:
    """Tell, straight from the profile's definition, whether it asks for this request."""
    path = request.path.partition("?")[0]
    match = each.match
    if match.path_regex:
        fits = re.fullmatch(match.path_regex, path) is not None
    else:
        fits = path == match.path if match.path else path.startswith(match.path_prefix)
    value = request.headers.get("x-team")
    for header in match.headers:
        if value is None:
            return False
        fits &= {
            HeaderMatchKind.EXACT: value == header.value,
            HeaderMatchKind.PREFIX: value.startswith(header.value),
            HeaderMatchKind.REGEX: re.fullmatch(header.value, value) is not None,
            HeaderMatchKind.PRESENT: True,
        }[header.kind]
    return fits and request.method in match.methods


@settings(max_examples=300, deadline=None)
@given(profiles(), st.lists(requests(), min_size=1, max_size=8))
def test_each_profile_has_its_share_in_each_region(found: list[ShadowingProfile], asked: list[Request]) -> None:
    accepted: list[ShadowingProfile] = []
    for each in found:
        try:
            check_profile(network(component()), accepted, each)
        except ConflictError:
            continue
        accepted.append(each)
    mirrored = tuple(active(each, shadow(n)) for n, each in enumerate(accepted, 1))
    routes, values = tables(translate(state(component(), profiles=mirrored), runtime_ttl=15))
    plain: dict[str, set[int]] = {}
    for request in asked:
        got = shares(routes, values, request)
        assert sum(got.values()) == MILLION
        for each in accepted:
            seen = plain.setdefault(each.id, set())
            beside = got.get(f"shadowmesh-{each.id}-plain", 0)
            if is_for(each, request):
                seen.add(beside)
            else:
                assert beside == 0
        for each in accepted:
            wanted = round(each.percentage * MILLION) if is_for(each, request) else 0
            assert abs(got.get(f"shadowmesh-{each.id}", 0) - wanted) <= 1, (each.match, request)
    # The same share wherever the profile's matcher holds; so it is made of the same requests as the mirrored sample.
    for each in accepted:
        share = round(min(each.percentage, 0.1) * MILLION)
        assert len(plain[each.id]) <= 1
        assert max(plain[each.id], default=0) <= share
        if len(accepted) == 1 and each.percentage <= 0.9:
            assert plain[each.id] <= {share}


@settings(max_examples=100, deadline=None)
@given(profiles(), requests())
def test_an_upgrade_is_never_sampled(found: list[ShadowingProfile], request: Request) -> None:
    mirrored = tuple(active(each, shadow(n)) for n, each in enumerate(found[:1], 1))
    routes, values = tables(translate(state(component(), profiles=mirrored), runtime_ttl=15))
    upgrade = replace(request, headers={**request.headers, "upgrade": "websocket"})
    assert shares(routes, values, upgrade) == {"plain": MILLION}


@settings(max_examples=100, deadline=None)
@given(profiles(), st.floats(0, 1), st.integers(0, 3))
def test_a_change_of_a_percentage_touches_one_resource(
    found: list[ShadowingProfile], percentage: float, which: int
) -> None:
    assume(which < len(found))
    changed = [replace(each, percentage=percentage) if n == which else each for n, each in enumerate(found)]

    def versions(each: list[ShadowingProfile]) -> dict[tuple[str, str], str]:
        mirrored = tuple(active(p, shadow(n)) for n, p in enumerate(each, 1))
        made = translate(state(component(), profiles=mirrored), runtime_ttl=15)
        return {(r.type_url, r.name): r.version for r in made}

    before, after = versions(found), versions(changed)
    assert before.keys() == after.keys()
    assert {key[1] for key in before if before[key] != after[key]} <= {"shadowmesh"}


def test_a_sum_above_all_of_the_traffic_is_refused_with_what_is_left() -> None:
    with pytest.raises(ConflictError, match=r"profile a sample") as error:
        check_profile(network(component()), [profile(1, name="a", percentage=0.7)], profile(2, percentage=0.4))
    assert error.value.field == "trafficShadowingPercentage"
    assert "at most 0.3" in error.value.hint


def test_a_sum_above_all_is_fine_where_matchers_do_not_overlap() -> None:
    first = profile(1, match=Match(path_prefix="/a"))
    for other in (Match(path_prefix="/b"), Match(path="/"), Match(methods=("POST",))):
        check_profile(network(component()), [first], profile(2, match=other))


def test_only_the_three_that_meet_are_added_up() -> None:
    pair = [
        profile(1, percentage=0.6, match=Match(path_prefix="/a")),
        profile(2, percentage=0.6, match=Match(path_prefix="/b")),
    ]
    check_profile(network(component()), pair, profile(3, percentage=0.4))
    with pytest.raises(ConflictError):
        check_profile(network(component()), pair, profile(3, percentage=0.5))


def test_a_profile_is_not_counted_against_its_older_self() -> None:
    check_profile(network(component()), [profile(1, percentage=0.8)], profile(1, percentage=0.9))


def test_tenths_add_up_to_one() -> None:
    tenths = [profile(n, percentage=0.1) for n in range(10)]
    for n, each in enumerate(tenths):
        check_profile(network(component()), tenths[:n], each)


def test_nested_matchers_need_one_region_each() -> None:
    nested = [profile(n, percentage=0.05, match=Match(path_prefix="/" + "a" * n)) for n in range(1, 8)]
    mirrored = tuple(active(each, shadow(n)) for n, each in enumerate(nested, 1))
    routes, _ = tables(translate(state(component(), profiles=mirrored), runtime_ttl=15))
    assert len(routes) == 2 * sum(range(1, 8)) + 1


def test_too_many_ways_to_overlap_are_refused() -> None:
    many = [
        profile(n, percentage=0.05, match=Match(headers=(HeaderMatch(f"x-{n}", HeaderMatchKind.PRESENT),)))
        for n in range(1, 8)
    ]
    check_profile(network(component()), many[:5], many[5])
    with pytest.raises(ConflictError, match="too many ways"):
        check_profile(network(component()), many[:6], many[6])


def test_grpc_methods_are_posts_of_grpc_at_their_paths() -> None:
    grpc = profile(match=Match(grpc=("shop.Catalog/Get*", "shop.Catalog/List")), percentage=0.25)
    made = translate(
        state(component(protocol=Protocol.GRPC), profiles=(active(grpc, shadow()),)),
        runtime_ttl=15,
    )
    routes, values = tables(made)
    call = {"content-type": "application/grpc+proto"}
    for path, headers, wanted in (
        ("/shop.Catalog/GetItem", call, 250_000),
        ("/shop.Catalog/List", call, 250_000),
        ("/shop.Catalog/ListAll", call, 0),
        ("/shop.Catalog/GetItem", {"content-type": "text/plain"}, 0),
    ):
        got = shares(routes, values, Request("POST", path, headers))
        assert got.get(f"shadowmesh-{grpc.id}", 0) == wanted, path
