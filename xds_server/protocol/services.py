"""The discovery services by name: which methods there are, which type each is about.

Source: the service definitions of envoy/service/*/v3.
"""

from dataclasses import dataclass

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
