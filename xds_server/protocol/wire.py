"""Discovery responses as bytes, put together from bodies that were encoded before.

Purpose: on the stream path nothing is encoded anew. Protobuf fields concatenate, so a response is a few headers written
by hand around bodies that are shared; the nonce, which differs from stream to stream, is appended last.

Guarantees: the bytes parse as `envoy.service.discovery.v3` messages (a test holds them against Google's encoder).
Source: https://protobuf.dev/programming-guides/encoding/, field numbers of discovery.proto.
"""

from collections.abc import Iterable
from functools import lru_cache

from xds_server.cache.resource import TYPE_PREFIX, Resource

WRAPPER = TYPE_PREFIX + "envoy.service.discovery.v3.Resource"
"""In state of the world a TTL travels in this wrapper ("TTL", xDS protocol)."""


def varint(number: int) -> bytes:
    """Return a base-128 varint."""
    out = bytearray()
    while rest := number >> 7:
        out.append(number & 0x7F | 0x80)
        number = rest
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """Return one length-delimited field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


@lru_cache(maxsize=4096)
def _text(number: int, value: str) -> bytes:
    return field(number, value.encode())


@lru_cache(maxsize=64)
def _ttl(seconds: float) -> bytes:
    """Return the field `ttl` of Resource: google.protobuf.Duration."""
    nanos = round(seconds * 1e9)
    whole, rest = divmod(nanos, 1_000_000_000)
    duration = (b"\x08" + varint(whole) if whole else b"") + (b"\x10" + varint(rest) if rest else b"")
    return field(6, duration)


def any_of(type_url: str, body: bytes) -> bytes:
    """Return a google.protobuf.Any."""
    return _text(1, type_url) + field(2, body)


def wrapped(resource: Resource, version: str, *, ttl: float | None) -> bytes:
    """Return the resource as the message Resource, with name, version, body and TTL."""
    body = field(2, any_of(resource.type_url, resource.body))
    return _text(3, resource.name) + _text(1, version) + body + (_ttl(ttl) if ttl else b"")


def heartbeat(name: str, version: str, ttl: float) -> bytes:
    """Return the message Resource without a body: it is still there, as it was, for another `ttl` seconds."""
    return _text(3, name) + _text(1, version) + _ttl(ttl)


def sotw(type_url: str, version: str, resources: Iterable[Resource]) -> bytes:
    """Return a DiscoveryResponse without its nonce."""
    parts = [field(1, version.encode()), _text(4, type_url)]
    for resource in resources:
        if resource.ttl:
            parts.append(field(2, any_of(WRAPPER, wrapped(resource, resource.version, ttl=resource.ttl))))
        else:
            parts.append(field(2, any_of(type_url, resource.body)))
    return b"".join(parts)


def sotw_heartbeat(type_url: str, version: str, alive: Iterable[tuple[str, str, float]]) -> bytes:
    """Return a DiscoveryResponse of heartbeats (name, version, TTL), without its nonce."""
    head = field(1, version.encode()) + _text(4, type_url)
    return head + b"".join(field(2, any_of(WRAPPER, heartbeat(n, version, ttl))) for n, _, ttl in alive)


def delta(type_url: str, version: str, resources: Iterable[Resource], removed: Iterable[str]) -> bytes:
    """Return a DeltaDiscoveryResponse without its nonce."""
    parts = [field(1, version.encode()), _text(4, type_url)]
    parts.extend(field(2, wrapped(r, r.version, ttl=r.ttl)) for r in resources)
    parts.extend(field(6, name.encode()) for name in removed)
    return b"".join(parts)


def delta_heartbeat(type_url: str, version: str, alive: Iterable[tuple[str, str, float]]) -> bytes:
    """Return a DeltaDiscoveryResponse of heartbeats (name, version, TTL), without its nonce."""
    head = field(1, version.encode()) + _text(4, type_url)
    return head + b"".join(field(2, heartbeat(*each)) for each in alive)


def with_nonce(response: bytes, nonce: str) -> bytes:
    """Return the response with its nonce; the field has the number 5 in both messages."""
    return response + field(5, nonce.encode())
