"""What a profile is refused for, and in which words."""

import pytest

from tests.envoy.values import component, network, profile
from xds_server.errors import ConflictError, InvalidError, NotFoundError
from xds_server.model.network import Protocol
from xds_server.model.profile import Abort, FaultParameters, Match
from xds_server.translate import check_profile


def test_an_unknown_component_is_told_with_those_that_are_there() -> None:
    with pytest.raises(NotFoundError) as error:
        check_profile(network(component("a"), component("b")), [], profile(component_name="c"))
    assert (error.value.field, error.value.hint) == ("componentName", "one of: a, b")


@pytest.mark.parametrize(
    ("protocol", "match", "field"),
    [
        (Protocol.GRPC, Match(), "match.grpc"),
        (Protocol.HTTP1, Match(grpc=("a.B/C",)), "match.grpc"),
        (Protocol.GRPC, Match(grpc=("a.B/C", "noslash")), "match.grpc[1]"),
        (Protocol.GRPC, Match(grpc=("a.*/C",)), "match.grpc[0]"),
        (Protocol.GRPC, Match(grpc=("a.B/C",), path="/x"), "match.path"),
        (Protocol.GRPC, Match(grpc=("a.B/C",), path_regex="/x"), "match.pathRegex"),
        (Protocol.HTTP1, Match(methods=()), "match.methods"),
        (Protocol.HTTP1, Match(methods=("GET", "connect")), "match.methods[1]"),
        (Protocol.HTTP2, Match(methods=("TRACE",)), "match.methods[0]"),
    ],
)
def test_what_can_never_be_mirrored_is_refused_at_its_field(protocol: Protocol, match: Match, field: str) -> None:
    with pytest.raises(InvalidError) as error:
        check_profile(network(component(protocol=protocol)), [], profile(match=match))
    assert error.value.field == field
    assert error.value.hint


def test_a_grpc_status_over_http1_is_refused_at_its_field() -> None:
    faults = FaultParameters(abort=Abort(grpc_status=14))
    with pytest.raises(InvalidError) as error:
        check_profile(network(component(protocol=Protocol.HTTP1)), [], profile(faults=faults))
    assert error.value.field == "faultInjectionParameters.abort.grpcStatus"
    assert "httpStatus" in error.value.hint
    check_profile(network(component(protocol=Protocol.HTTP2)), [], profile(faults=faults))


@pytest.mark.parametrize(
    ("protocol", "match"),
    [
        (Protocol.GRPC, Match(grpc=("a.B/*",))),
        (Protocol.HTTP2, Match(grpc=("a.B/Get*",))),
        (Protocol.HTTP1, Match(methods=("get", "POST"), path_regex="/items/[0-9]+")),
    ],
)
def test_what_can_be_mirrored_passes(protocol: Protocol, match: Match) -> None:
    check_profile(network(component(protocol=protocol)), [], profile(match=match))


def test_two_path_expressions_that_may_overlap_are_refused() -> None:
    first = profile(1, percentage=0.1, match=Match(path_regex="/a.*"))
    with pytest.raises(ConflictError) as error:
        check_profile(network(component()), [first], profile(2, percentage=0.1, match=Match(path_regex=".*b")))
    assert error.value.field == "match.pathRegex"
    check_profile(network(component()), [first], profile(2, percentage=0.1, match=Match(path_regex="/a.*")))
    apart = Match(path_regex=".*b", methods=("POST",))
    check_profile(network(component()), [first], profile(2, percentage=0.1, match=apart))
