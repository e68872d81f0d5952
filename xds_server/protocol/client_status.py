"""CSDS: what each Envoy has, over gRPC, for tools that speak `envoy.service.status.v3`.

Guarantees: the same facts as the status board; `exclude_resource_contents` leaves the bodies out. Not guaranteed:
matchers by regular expression or metadata, which are refused.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.service.status.v3 import csds_pb2

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.snapshot import EMPTY
from xds_server.protocol.board import EnvoyStatus, StatusBoard
from xds_server.protocol.rpc import Handler
from xds_server.protocol.subscription import AckState

_CONFIG = {
    AckState.ACKED: csds_pb2.SYNCED,
    AckState.NACKED: csds_pb2.ERROR,
    AckState.SENT: csds_pb2.STALE,
    AckState.STALE: csds_pb2.STALE,
}
_CLIENT = {
    AckState.ACKED: config_dump_shared_pb2.ACKED,
    AckState.NACKED: config_dump_shared_pb2.NACKED,
    AckState.SENT: config_dump_shared_pb2.REQUESTED,
    AckState.STALE: config_dump_shared_pb2.REQUESTED,
}
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}


class ClientStatus:
    """The client status discovery service on a board."""

    name = "envoy.service.status.v3.ClientStatusDiscoveryService"

    def __init__(self, *, board: StatusBoard, cache: SnapshotCache) -> None:
        """Answer from `board`; the bodies come from `cache`."""
        self._board = board
        self._cache = cache

    def handler(self) -> Handler:
        """Return the handler to add to a `grpc.aio` server."""
        read = csds_pb2.ClientStatusRequest.FromString
        write = csds_pb2.ClientStatusResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            self.name,
            {
                "StreamClientStatus": grpc.stream_stream_rpc_method_handler(self._stream, read, write),
                "FetchClientStatus": grpc.unary_unary_rpc_method_handler(self._fetch, read, write),
            },
        )

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield await self._fetch(request, context)

    async def _fetch(self, request: Any, context: Any) -> Any:
        try:
            matches = [_matcher(each) for each in request.node_matchers]
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        chosen = [e for e in self._board.envoys() if not matches or any(match(e.node.id) for match in matches)]
        bodies = not request.exclude_resource_contents
        return csds_pb2.ClientStatusResponse(config=[self._config(envoy, bodies=bodies) for envoy in chosen])

    def _config(self, envoy: EnvoyStatus, *, bodies: bool) -> Any:
        node = envoy.node
        config = csds_pb2.ClientConfig()
        config.node.id, config.node.cluster = node.id, node.cluster
        config.node.locality.region, config.node.locality.zone = node.region, node.zone
        snapshot = self._cache.get(envoy.group) or EMPTY
        for status in envoy.resources:
            entry = config.generic_xds_configs.add(
                type_url=status.type_url,
                name=status.name,
                version_info=status.version,
                config_status=_CONFIG[status.state],
                client_status=_CLIENT[status.state],
            )
            if status.error:
                entry.error_state.details = status.error
            resource = snapshot.of_type(status.type_url).get(status.name)
            if bodies and resource is not None and resource.version == status.version:
                entry.xds_config.type_url, entry.xds_config.value = resource.type_url, resource.body
        return config


def _matcher(matcher: Any) -> Callable[[str], bool]:
    """Return the test that a NodeMatcher asks for.

    Raises:
        ValueError: it asks for what is not offered.
    """
    if matcher.node_metadatas:
        raise ValueError("node_matchers: matching by metadata is not offered; match node_id")
    if not matcher.HasField("node_id"):
        return _any
    kind = matcher.node_id.WhichOneof("match_pattern")
    if kind not in _TESTS:
        raise ValueError(f"node_matchers: use one of {', '.join(_TESTS)}")
    pattern = getattr(matcher.node_id, kind)
    test = _TESTS[kind]
    if matcher.node_id.ignore_case:
        return lambda text: test(text.lower(), pattern.lower())
    return lambda text: test(text, pattern)


def _any(_text: str) -> bool:
    return True
