"""An Envoy-like client: one aggregated stream a network, which asks for its clusters."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from xds_server.cache.resource import CLUSTER

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_CHANNELS = 8


async def first_clusters(target: str, networks: Sequence[str]) -> list[float]:
    """Ask for the clusters of each network, all at once; return when each had them (monotonic clock).

    Raises:
        RuntimeError: an answer had no cluster.
    """
    async with contextlib.AsyncExitStack() as stack:
        # A channel of its own each: by default, gRPC lets channels to one target share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options))
            for _ in range(min(_CHANNELS, len(networks)))
        ]
        return await asyncio.gather(
            *(_clusters(channels[n % len(channels)], name) for n, name in enumerate(networks)),
        )


def accepts(target: str) -> bool:
    """Tell whether something listens at `host:port`."""
    host, port = target.rsplit(":", 1)
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


async def _clusters(channel: grpc.aio.Channel, network: str) -> float:
    call = channel.stream_stream(
        _METHOD,
        request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
        response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
    )
    answered = asyncio.Event()

    async def requests() -> AsyncIterator[discovery_pb2.DiscoveryRequest]:
        request = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
        request.node.id, request.node.cluster = f"envoy-of-{network}", network
        yield request
        await answered.wait()

    stream = call(requests())
    response = await stream.read()
    now = time.monotonic()
    answered.set()
    stream.cancel()
    if not getattr(response, "resources", ()):
        raise RuntimeError(f"the answer for {network} has no cluster: {response}")
    return now
