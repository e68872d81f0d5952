"""Who a stream belongs to: the node of its first request, as plain values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """An Envoy (or another xDS client) as it names itself. `metadata` is plain JSON."""

    id: str
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    user_agent: str = ""
    region: str = ""
    zone: str = ""


Grouping = Callable[[NodeInfo], str]
"""Which group of the cache an Envoy gets its resources from. Asked once a stream."""


def node_info(node: Any) -> NodeInfo:
    """Return the values of an `envoy.config.core.v3.Node` message."""
    version = node.user_agent_build_version.version
    numbers = f"{version.major_number}.{version.minor_number}.{version.patch}"
    agent = node.user_agent_version or (numbers if numbers != "0.0.0" else "")
    return NodeInfo(
        id=node.id,
        cluster=node.cluster,
        metadata=json_format.MessageToDict(node.metadata) if node.HasField("metadata") else {},
        user_agent=f"{node.user_agent_name} {agent}".strip(),
        region=node.locality.region,
        zone=node.locality.zone,
    )
