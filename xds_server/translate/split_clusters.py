"""Clusters of a split: an instance that gets users, and the guard through which they reach it.

The guard is an aggregate cluster: the instance, then the original. An instance that refuses connections, or answers
with nothing but errors, is ejected by what its own requests show; the guard then goes on to the original at once,
without a push and without a manager. What the instance never took is tried at the original (the route's retry policy).

An instance has no limits of ours here, as the original has none: its requests are those of users. Idle connections to
it are closed sooner than servers do, since of a small share of the requests many more would meet a server's closing.
"""

from dataclasses import replace
from functools import cache

from envoy_data_plane.envoy.config.cluster.v3 import (
    Cluster,
    ClusterCommonLbConfig,
    ClusterCustomClusterType,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterLbPolicy,
    OutlierDetection,
)
from envoy_data_plane.envoy.extensions.clusters.aggregate.v3 import ClusterConfig
from envoy_data_plane.envoy.type.v3 import Percent

from xds_server.model.ids import InstanceID
from xds_server.model.names import guarded_cluster, split_cluster
from xds_server.model.network import Address, Endpoint, Protocol
from xds_server.translate.clusters import SHADOW_IDLE_TIMEOUT, UNLIMITED, breakers, by_dns, options
from xds_server.translate.encode import packed, seconds
from xds_server.translate.endpoints import cluster_of
from xds_server.translate.fastbytes import fast_bytes

CONNECT_TIMEOUT = 1.0
"""Seconds that a user waits for a connection to an instance before the original is asked."""
ERRORS_IN_A_ROW = 5
"""Answers of 5xx, one after the other, that send an instance's users to the original."""
FAILURES_IN_A_ROW = 2
"""The same for connections that could not be made or broke off, and requests that timed out."""
EJECTED = 10.0
"""Seconds for which that lasts, the first time; each further time it is longer by as much, up to `LONGEST`."""
LONGEST = 300.0
SWEEP = 1.0
"""Seconds between looks whether an ejection is over."""


def split_cluster_bytes(instance: InstanceID, address: Address, protocol: Protocol) -> bytes:
    """Return the cluster of an instance that gets users."""
    endpoint = Endpoint(address.address, address.port)
    return _instance(protocol, resolved=by_dns([endpoint])) + cluster_of(split_cluster(instance), [endpoint])


def guarded_cluster_bytes(instance: InstanceID, original: str) -> bytes:
    """Return the cluster of the instance with the `original`'s cluster behind it."""
    members = ClusterConfig(clusters=[split_cluster(instance), original])
    own = Cluster(
        name=guarded_cluster(instance),
        cluster_type=ClusterCustomClusterType(name="envoy.clusters.aggregate", typed_config=packed(members)),
    )
    return _guard() + fast_bytes(own)


@cache
def _instance(protocol: Protocol, *, resolved: bool) -> bytes:
    cluster = Cluster(
        type=ClusterDiscoveryType.STRICT_DNS if resolved else ClusterDiscoveryType.STATIC,
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        circuit_breakers=breakers(UNLIMITED),
        common_lb_config=_at_once(),
        outlier_detection=OutlierDetection(
            consecutive_5xx=ERRORS_IN_A_ROW,
            split_external_local_origin_errors=True,
            consecutive_local_origin_failure=FAILURES_IN_A_ROW,
            interval=seconds(SWEEP),
            base_ejection_time=seconds(EJECTED),
            max_ejection_time=seconds(LONGEST),
            max_ejection_percent=100,
        ),
        typed_extension_protocol_options=options(protocol, idle_timeout=SHADOW_IDLE_TIMEOUT),
    )
    return fast_bytes(cluster)


@cache
def _guard() -> bytes:
    cluster = Cluster(
        lb_policy=ClusterLbPolicy.CLUSTER_PROVIDED,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        circuit_breakers=breakers(UNLIMITED),
        common_lb_config=_no_panic(),
    )
    return fast_bytes(cluster)


def _no_panic() -> ClusterCommonLbConfig:
    # By default Envoy takes hosts that were ejected when most of them are: here, the one that has failed.
    return ClusterCommonLbConfig(healthy_panic_threshold=Percent(value=0.0))


def _at_once() -> ClusterCommonLbConfig:
    # By default Envoy merges changes of health within a second: one that fails again as soon as it is let in would get
    # all its users for the rest of that second.
    return replace(_no_panic(), update_merge_window=seconds(0))
