"""Discovery responses as bytes, around bodies that were encoded before.

Purpose: what differs from stream to stream is the nonce alone, so everything else is encoded once and shared, and the
nonce is appended as bytes: protobuf fields concatenate.

Guarantees: the bytes parse as `envoy.service.discovery.v3` messages. Measured: of 30 listeners of 4 KB, shared bytes
with a nonce appended cost 7 us a stream, encoding them for each 19 us; of 1,000 small ones 0.17 against 0.84 ms.
Source: https://protobuf.dev/programming-guides/encoding/, field numbers of discovery.proto.
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from xds_server.cache.resource import Resource
from xds_server.protocol.plan import Plan

_NONCE = bytes([5 << 3 | 2])
"""Tag of the field `nonce`, which has the number 5 in both responses."""


@lru_cache(maxsize=128)
def sotw(plan: Plan) -> bytes:
    """Return a DiscoveryResponse without its nonce. What has a TTL is wrapped ("TTL", xDS protocol)."""
    response = discovery_pb2.DiscoveryResponse(version_info=plan.version, type_url=plan.type_url)
    for resource in plan.resources:
        if resource.ttl:
            response.resources.add().Pack(_wrapped(resource))
        else:
            response.resources.add(type_url=plan.type_url, value=resource.body)
    for name, version, ttl in plan.alive:
        response.resources.add().Pack(_heartbeat(name, version, ttl))
    return bytes(response.SerializeToString())


@lru_cache(maxsize=128)
def delta(plan: Plan) -> bytes:
    """Return a DeltaDiscoveryResponse without its nonce."""
    response = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=plan.version,
        type_url=plan.type_url,
        resources=[*map(_wrapped, plan.resources), *(_heartbeat(*each) for each in plan.alive)],
        removed_resources=plan.removed,
    )
    return bytes(response.SerializeToString())


def answer(type_url: str, version: str, resources: Iterable[Resource]) -> bytes:
    """Return the whole DiscoveryResponse of a fetch."""
    return sotw(Plan(type_url, version, tuple(resources)))


def with_nonce(response: bytes, nonce: str) -> bytes:
    """Return the response with its nonce, of at most 127 bytes."""
    text = nonce.encode()
    return response + _NONCE + bytes([len(text)]) + text


def _wrapped(resource: Resource) -> Any:
    message = discovery_pb2.Resource(name=resource.name, version=resource.version)
    message.resource.type_url, message.resource.value = resource.type_url, resource.body
    if resource.ttl:
        message.ttl.FromTimedelta(timedelta(seconds=resource.ttl))
    return message


def _heartbeat(name: str, version: str, ttl: float) -> Any:
    """Return a resource without a body: it is still there, as it was, for another `ttl` seconds."""
    message = discovery_pb2.Resource(name=name, version=version)
    message.ttl.FromTimedelta(timedelta(seconds=ttl))
    return message
