"""The discovery services by name: which methods there are, which type each is about.

Source: the service definitions of envoy/service/*/v3.
"""

from dataclasses import dataclass

from envoy.service.cluster.v3 import cds_pb2
from envoy.service.discovery.v3 import ads_pb2
from envoy.service.endpoint.v3 import eds_pb2
from envoy.service.extension.v3 import config_discovery_pb2
from envoy.service.listener.v3 import lds_pb2
from envoy.service.route.v3 import rds_pb2, srds_pb2
from envoy.service.runtime.v3 import rtds_pb2
from envoy.service.secret.v3 import sds_pb2

from xds_server.cache.resource import (
    CLUSTER,
    ENDPOINTS,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTES,
    RUNTIME,
    SCOPED_ROUTES,
    SECRET,
    VIRTUAL_HOST,
)

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"

DESCRIBED = (ads_pb2, cds_pb2, config_discovery_pb2, eds_pb2, lds_pb2, rds_pb2, rtds_pb2, sds_pb2, srds_pb2)
"""The modules of the services. gRPC reflection can describe only what has been imported."""


@dataclass(frozen=True, slots=True)
class SingleType:
    """A service of one type. Its methods are Stream-, Delta- and Fetch- with `noun`; `path` is its REST path."""

    service: str
    noun: str
    type_url: str
    path: str = ""
    delta_only: bool = False


SINGLE_TYPES = (
    SingleType("envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters", CLUSTER, "clusters"),
    SingleType("envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", ENDPOINTS, "endpoints"),
    SingleType("envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", LISTENER, "listeners"),
    SingleType("envoy.service.route.v3.RouteDiscoveryService", "Routes", ROUTES, "routes"),
    SingleType("envoy.service.route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", SCOPED_ROUTES, "scoped-routes"),
    SingleType("envoy.service.route.v3.VirtualHostDiscoveryService", "VirtualHosts", VIRTUAL_HOST, delta_only=True),
    SingleType("envoy.service.secret.v3.SecretDiscoveryService", "Secrets", SECRET, "secrets"),
    SingleType("envoy.service.runtime.v3.RuntimeDiscoveryService", "Runtime", RUNTIME, "runtime"),
    SingleType(
        "envoy.service.extension.v3.ExtensionConfigDiscoveryService",
        "ExtensionConfigs",
        EXTENSION_CONFIG,
        "extension_configs",
    ),
)
