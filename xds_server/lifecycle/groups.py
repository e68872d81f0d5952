"""Which Envoys get the same resources: the grouping that the xDS server asks once a stream.

An Envoy belongs to the network that its `node.cluster` names (by name or id), and that is its group. One that listens
elsewhere (`node.metadata["shadowmesh.listen"] = {"catalog": "127.0.0.1:10001"}`) has a group of its own, shared
with those that listen alike.

Guarantees: the group of a node is a function of its cluster and metadata alone, so it is the same after a restart.
Not guaranteed: that overrides which cannot be read are noticed by anyone but the log; they are left out.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from xds_server.model.network import Address
from xds_server.protocol.node import NodeInfo

log = structlog.get_logger(__name__)

LISTEN_METADATA = "shadowmesh.listen"
"""Key of the node metadata that overrides listen addresses: component name to `address:port`."""
MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Group:
    """A group of Envoys: the network reference they gave, and where they listen instead."""

    name: str
    cluster: str
    listen: Mapping[str, Address]


def group_of(node: NodeInfo) -> Group:
    """Return the group of an Envoy."""
    listen = listen_overrides(node.metadata.get(LISTEN_METADATA), node=node.id)
    if not listen:
        return Group(node.cluster, node.cluster, {})
    text = json.dumps([[c, a.address, a.port] for c, a in sorted(listen.items())])
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return Group(f"{node.cluster}@{digest}", node.cluster, listen)


def listen_overrides(value: Any, *, node: str) -> dict[str, Address]:
    """Return the addresses by component name; what cannot be read is left out and logged."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        log.warning("node metadata cannot be read", node=node, key=LISTEN_METADATA, want="an object")
        return {}
    found = {}
    for component, text in value.items():
        address = _address(text)
        if address is None:
            log.warning("node metadata cannot be read", node=node, key=LISTEN_METADATA, component=component)
        else:
            found[str(component)] = address
    return found


def _address(text: Any) -> Address | None:
    host, colon, port = str(text).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= MAX_PORT:
        return None
    return Address(host, int(port))
