"""Resources as YAML, for people and for Envoy.

Printed from envoy-data-plane: xds-protos lacks fields of Envoy 1.40 and would print them as nothing.
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml
from betterproto2 import Message
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.service.runtime.v3 import Runtime

from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, PUSH_ORDER, ROUTES, RUNTIME, Resource

_TYPES: dict[str, type[Message]] = {
    CLUSTER: Cluster,
    ENDPOINTS: ClusterLoadAssignment,
    LISTENER: Listener,
    ROUTES: RouteConfiguration,
    RUNTIME: Runtime,
}
_SURELY_TEXT = re.compile(r"[A-Za-z/@][A-Za-z0-9_./@-]+")
_AS_IT_IS: Any = str
"""Python's names of fields are Envoy's; betterproto2's snake case makes `consecutive_5_xx` of `consecutive_5xx`."""
_NUMBERS = frozenset({"inf", "infinity", "nan"})


def to_yaml(resources: Iterable[Resource]) -> str:
    """Return the resources in the order that Envoys get them, as a YAML stream: a document each."""
    ordered = sorted(resources, key=lambda each: (PUSH_ORDER.index(each.type_url), each.name))
    return "---\n".join(dump(as_dict(resource)) for resource in ordered)


def as_dict(resource: Resource) -> dict[str, Any]:
    """Return a resource as Envoy's JSON, with its `@type`; one with a TTL is wrapped as it goes over the wire."""
    body = as_any(resource)
    if resource.ttl is None:
        return body
    return {"name": resource.name, "ttl": f"{resource.ttl:g}s", "resource": body}


def as_any(resource: Resource) -> dict[str, Any]:
    """Return a resource as the JSON of an Any: `@type` and its fields, without its TTL."""
    return {"@type": resource.type_url, **plain(_TYPES[resource.type_url].parse(resource.body))}


def plain(message: Message) -> dict[str, Any]:
    """Return a message as Envoy's JSON, names as in its documentation (snake case)."""
    return message.to_dict(casing=_AS_IT_IS)


def dump(document: Any) -> str:
    """Return YAML that a YAML 1.1 reader and Envoy's take for the same."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes all that some reader may take for a number or a truth value: to Envoy's, `n` is false."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    plain_is_fine = _SURELY_TEXT.fullmatch(value) and value.lower() not in _NUMBERS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain_is_fine else '"')


_Dumper.add_representer(str, _text)
