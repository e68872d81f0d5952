"""A discovery resource: encoded once per content, immutable, shared by every stream."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it goes over the wire.

    `version` is a hash of the content, so it is the same after a restart. `ttl` (seconds) is set only on what an Envoy
    must forget when the manager is gone; nothing that the original needs has one.
    """

    name: str
    type_url: str
    body: bytes
    version: str
    ttl: float | None = None


def make_resource(name: str, type_url: str, body: bytes, *, ttl: float | None = None) -> Resource:
    """Return the resource of these encoded bytes (the message itself, not an Any)."""
    # A changed TTL is a change: an Envoy has to be told of it.
    digest = hashlib.blake2b(body, digest_size=8, key=repr(ttl).encode() if ttl else b"")
    return Resource(name=name, type_url=type_url, body=body, version=digest.hexdigest(), ttl=ttl)


TYPE_PREFIX = "type.googleapis.com/"
CLUSTER = TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = TYPE_PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = TYPE_PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTES = TYPE_PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST = TYPE_PREFIX + "envoy.config.route.v3.VirtualHost"
SECRET = TYPE_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
RUNTIME = TYPE_PREFIX + "envoy.service.runtime.v3.Runtime"
EXTENSION_CONFIG = TYPE_PREFIX + "envoy.config.core.v3.TypedExtensionConfig"

PUSH_ORDER = (CLUSTER, ENDPOINTS, LISTENER, ROUTES, SCOPED_ROUTES, VIRTUAL_HOST, SECRET, EXTENSION_CONFIG, RUNTIME)
"""Make before break (xDS protocol, "Eventual consistency considerations")."""
FULL_STATE_TYPES = frozenset({LISTENER, CLUSTER, SCOPED_ROUTES})
"""Types whose state-of-the-world responses list everything; a name that is missing is deleted."""
