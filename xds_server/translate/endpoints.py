"""Endpoints: what churns most, hence written with Google's protobuf (upb), a thousand times faster here.

Also that part of a cluster that names it and its fixed endpoints; the rest of it is shared, see clusters.py.
"""

from collections.abc import Sequence
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from xds_server.model.network import Endpoint


def load_assignment(cluster: str, endpoints: Sequence[Endpoint]) -> bytes:
    """Return the encoded `ClusterLoadAssignment` of these endpoints; without any, requests are answered 503."""
    return _bytes(_assignment(cluster, endpoints))


def cluster_of(name: str, endpoints: Sequence[Endpoint] | None) -> bytes:
    """Return the encoded part of a `Cluster` that is its own: name, and endpoints unless they come by EDS (None)."""
    assignment = None if endpoints is None else _assignment(name, endpoints)
    return _bytes(cluster_pb2.Cluster(name=name, load_assignment=assignment))


def internal_cluster_of(name: str, listener: str) -> bytes:
    """Return the encoded part of a `Cluster` whose one endpoint is an internal listener of the same Envoy."""
    cluster = cluster_pb2.Cluster(name=name)
    cluster.load_assignment.cluster_name = name
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.envoy_internal_address.server_listener_name = listener
    return _bytes(cluster)


def _assignment(cluster: str, endpoints: Sequence[Endpoint]) -> Any:
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster)
    if endpoints:
        locality = assignment.endpoints.add()
        for endpoint in endpoints:
            added = locality.lb_endpoints.add()
            address = added.endpoint.address.socket_address
            address.address = endpoint.address
            address.port_value = endpoint.port
            added.load_balancing_weight.value = endpoint.weight
    return assignment


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))
