"""The guards of a shadow's clusters."""

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster

from xds_server.model.ids import InstanceID
from xds_server.model.network import Address, Protocol
from xds_server.translate.clusters import SHADOW_HELD, SHADOW_REQUESTS, shadow_cluster_bytes, shadow_in_cluster_bytes

INSTANCE = InstanceID("22222222-0000-4000-8000-000000000001")
MEGABYTE = 1024 * 1024


def limits(cap: int) -> tuple[int, int]:
    """Return how many copies of at most `cap` bytes are let in, and on to the shadow."""
    inner = shadow_cluster_bytes(INSTANCE, Address("127.0.0.1", 1), Protocol.HTTP1, max_request_bytes=cap)
    outer = shadow_in_cluster_bytes(INSTANCE, max_request_bytes=cap)
    found = []
    for each in (outer, inner):
        breakers = Cluster.parse(each).circuit_breakers
        assert breakers is not None
        (threshold,) = breakers.thresholds
        numbers = (threshold.max_connections, threshold.max_pending_requests, threshold.max_requests)
        assert len(set(numbers)) == 1
        assert numbers[0] is not None
        found.append(numbers[0])
    return found[0], found[1]


@pytest.mark.parametrize("cap", [1, MEGABYTE, MEGABYTE + 1, 64 * MEGABYTE, 256 * MEGABYTE])
def test_the_copies_in_flight_are_bounded_in_number_and_in_bytes(cap: int) -> None:
    outer, inner = limits(cap)
    assert 1 <= inner <= SHADOW_REQUESTS
    assert inner * cap <= SHADOW_HELD
    assert outer > inner


def test_one_copy_at_a_time_is_let_through_however_large() -> None:
    assert limits(1024 * MEGABYTE)[1] == 1
