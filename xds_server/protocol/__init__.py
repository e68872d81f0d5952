"""xDS on the wire: subscriptions as pure state, streams, and the services that carry them."""

from xds_server.protocol.board import EnvoyStatus, ResourceStatus, StatusBoard
from xds_server.protocol.fetch import fetch
from xds_server.protocol.node import Grouping, NodeInfo
from xds_server.protocol.server import XdsServer
from xds_server.protocol.subscription import AckState

__all__ = ["AckState", "EnvoyStatus", "Grouping", "NodeInfo", "ResourceStatus", "StatusBoard", "XdsServer", "fetch"]
