"""The REST variant of discovery: one POST, one answer, as Envoy's `REST` config source asks it.

Guarantees: pure but for the lookup in the cache: 304 when the client's version is current (never for a type with TTLs,
which a 304 would let expire), 404 for a path that is none of ours, 400 for a body that is not a DiscoveryRequest with a
node id. Not guaranteed: fields that the installed xds-protos does not know; give a `printer` that does.
Source: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol (REST-JSON polling subscriptions).
"""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable
from typing import Any

import orjson
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import FULL_STATE_TYPES, TYPE_PREFIX, Resource
from xds_server.cache.snapshot import Snapshot
from xds_server.errors import cut
from xds_server.protocol.node import Grouping, node_info
from xds_server.protocol.services import SINGLE_TYPES
from xds_server.protocol.subscription import WILDCARD

PREFIX = "/v3/discovery:"
_TYPES = {PREFIX + each.path: each.type_url for each in SINGLE_TYPES if each.path}
_MISSING = "Can not find message descriptor by type_url: "

Printer = Callable[[Resource], dict[str, Any]]
"""Returns a resource as the JSON of an Any: `@type` and the fields."""


def selected(snapshot: Snapshot, type_url: str, names: Collection[str]) -> tuple[Resource, ...]:
    """Return what a request for `names` gets; without names, all of a type that has a wildcard."""
    resources = snapshot.of_type(type_url)
    if WILDCARD in names or (not names and type_url in FULL_STATE_TYPES):
        return tuple(resources.values())
    return tuple(resources[name] for name in dict.fromkeys(names) if name in resources)


def fetch(
    path: str, body: bytes, *, cache: SnapshotCache, grouping: Grouping, printer: Printer | None = None
) -> tuple[int, bytes]:
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
    return 200, _response(type_url, version, resources, printer or print_any)


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


def print_any(resource: Resource) -> dict[str, Any]:
    """Return a resource as the JSON of an Any, by xds-protos."""
    message = any_pb2.Any(type_url=resource.type_url, value=resource.body)
    for _ in range(100):
        try:
            return dict(json_format.MessageToDict(message))
        except TypeError as error:
            _learn(str(error))
    raise TypeError(f"cannot print {resource.type_url} {resource.name}")


def _learn(error: str) -> None:
    """Import the messages of the package that a nested Any names; xds-protos keeps a package in the folder of its name.

    Raises:
        TypeError: there is no such package.
    """
    type_url = error.rpartition(_MISSING)[2].strip()
    package = ".".join(part for part in type_url.rpartition("/")[2].split(".") if part[:1].islower())
    try:
        folder = importlib.import_module(package)
    except ImportError as cause:
        raise TypeError(error) from cause
    before = len(_learned)
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{package}.{module.name}")
            _learned.add(f"{package}.{module.name}")
    if len(_learned) == before:
        raise TypeError(error)


_learned: set[str] = set()


def _detail(text: str) -> bytes:
    return orjson.dumps({"detail": text})
