"""An Envoy-like client: one aggregated stream a network, which asks for its clusters."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from xds_server.cache.resource import CLUSTER

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_CHANNELS = 8
_TRIES = 50
_BACKOFF = 0.2
"""Seconds; the base interval of our bootstrap's Envoys."""
_REFUSED = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}
"""INTERNAL is how grpc.aio words a write to a stream that the server has just refused."""


@dataclass(frozen=True, slots=True)
class Answers:
    """When each network had its clusters (monotonic clock), and how many streams were refused and asked again."""

    moments: list[float]
    refused: int


async def first_clusters(target: str, networks: Sequence[str]) -> Answers:
    """Ask for the clusters of each network, all at once, and stay until all are answered.

    Raises:
        RuntimeError: an answer had no cluster.
        grpc.aio.AioRpcError: a stream failed, otherwise than by being refused.
    """
    async with contextlib.AsyncExitStack() as stack:
        # A channel of its own each: by default, gRPC lets channels to one target share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options))
            for _ in range(min(_CHANNELS, len(networks)))
        ]
        found = await asyncio.gather(
            *(_clusters(channels[n % len(channels)], network, stack) for n, network in enumerate(networks)),
        )
    return Answers([moment for moment, _ in found], sum(refused for _, refused in found))


def accepts(target: str) -> bool:
    """Tell whether something listens at `host:port`."""
    host, port = target.rsplit(":", 1)
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


async def _clusters(channel: grpc.aio.Channel, network: str, stack: contextlib.AsyncExitStack) -> tuple[float, int]:
    request = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
    request.node.id, request.node.cluster = f"envoy-of-{network}", network
    refused = 0
    while True:
        stream = _stream(channel)
        stack.callback(stream.cancel)
        try:
            await stream.write(request)
            response = await stream.read()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _REFUSED or refused == _TRIES:
                raise
            refused += 1
            await asyncio.sleep(_BACKOFF)
            continue
        now = time.monotonic()
        if not getattr(response, "resources", ()):
            raise RuntimeError(f"the answer for {network} has no cluster: {response}")
        return now, refused


def _stream(channel: grpc.aio.Channel) -> Any:
    call: Any = channel.stream_stream(
        _METHOD,
        request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
        response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
    )
    return call()
