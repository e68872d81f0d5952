"""The REST variant of discovery: one POST, one answer, as Envoy's `REST` config source asks it.

Guarantees: pure but for the lookup in the cache: 304 when the client's version is current (never for a type with TTLs,
which a 304 would let expire), 404 for a path that is none of ours, 400 for a body that is not a DiscoveryRequest with a
node id. The printer is the caller's: xds-protos lacks fields of the newest resources and would print them as nothing.
Source: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol (REST-JSON polling subscriptions).
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import orjson
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import FULL_STATE_TYPES, TYPE_PREFIX, Resource
from xds_server.cache.snapshot import Snapshot
from xds_server.errors import cut
from xds_server.protocol.node import Grouping, node_info
from xds_server.protocol.services import SINGLE_TYPES
from xds_server.protocol.subscription import WILDCARD

PREFIX = "/v3/discovery:"
_TYPES = {PREFIX + each.path: each.type_url for each in SINGLE_TYPES if each.path}

Printer = Callable[[Resource], dict[str, Any]]
"""Returns a resource as the JSON of an Any: `@type` and the fields."""


def selected(snapshot: Snapshot, type_url: str, names: Collection[str]) -> tuple[Resource, ...]:
    """Return what a request for `names` gets; without names, all of a type that has a wildcard."""
    resources = snapshot.of_type(type_url)
    if WILDCARD in names or (not names and type_url in FULL_STATE_TYPES):
        return tuple(resources.values())
    return tuple(resources[name] for name in dict.fromkeys(names) if name in resources)


def fetch(path: str, body: bytes, *, cache: SnapshotCache, grouping: Grouping, printer: Printer) -> tuple[int, bytes]:
    """Answer `POST path` with the JSON `body`.

    Returns:
        The HTTP status and the body: JSON of a DiscoveryResponse at 200, of `{"detail": ...}` at 4xx, empty at 304.
    """
    type_url = _TYPES.get(path)
    if type_url is None:
        return 404, _detail(f"no such resource type; there are {', '.join(sorted(_TYPES))}")
    try:
        request = _request(body, type_url)
    except ValueError as error:
        return 400, _detail(cut(str(error)))
    snapshot = cache.get(grouping(node_info(request.node)))
    if snapshot is None:
        # Nothing is known yet: the client keeps what it has.
        return 304, b""
    version = snapshot.version(type_url)
    resources = selected(snapshot, type_url, request.resource_names)
    if request.version_info == version and not any(r.ttl for r in resources):
        return 304, b""
    return 200, _response(type_url, version, resources, printer)


def _request(body: bytes, type_url: str) -> Any:
    """Return the DiscoveryRequest.

    Raises:
        ValueError: it is none, or one for another type.
    """
    request = discovery_pb2.DiscoveryRequest()
    try:
        json_format.Parse(body, request, ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a DiscoveryRequest in JSON: {error}") from error
    if not request.node.id:
        raise ValueError("node.id is missing")
    if request.type_url not in ("", type_url):
        raise ValueError(f"type_url must be empty or {type_url}")
    return request


def _response(type_url: str, version: str, resources: Iterable[Resource], printer: Printer) -> bytes:
    def item(resource: Resource) -> dict[str, Any]:
        printed = printer(resource)
        if not resource.ttl:
            return printed
        wrapper = {"@type": TYPE_PREFIX + "envoy.service.discovery.v3.Resource", "name": resource.name}
        return {**wrapper, "version": resource.version, "ttl": f"{resource.ttl:g}s", "resource": printed}

    return orjson.dumps(
        {"versionInfo": version, "typeUrl": type_url, "resources": [item(resource) for resource in resources]}
    )


def _detail(text: str) -> bytes:
    return orjson.dumps({"detail": text})
