"""A tiny xDS client: sends what a test says, shows what came, in both variants through one set of verbs."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2
from grpc.aio import EOF

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
WRAPPER = "type.googleapis.com/envoy.service.discovery.v3.Resource"
WAIT = 5.0
SILENCE = 0.15


@dataclass(frozen=True)
class Got:
    """A response, alike in both variants. `bodies` and `versions` by name; a heartbeat has no body."""

    type_url: str
    version: str
    nonce: str
    bodies: Mapping[str, bytes]
    removed: tuple[str, ...]
    heartbeats: tuple[str, ...]
    ttls: Mapping[str, float]
    count: int

    @property
    def names(self) -> set[str]:
        return set(self.bodies)


class Client:
    """One stream."""

    def __init__(self, channel: grpc.aio.Channel, mode: str, *, method: str = "", node: str = "envoy-1") -> None:
        self.mode = mode
        self.node = node
        self.cluster = "shop"
        delta = mode == "delta"
        default = ADS + ("DeltaAggregatedResources" if delta else "StreamAggregatedResources")
        self._request = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
        self._response = discovery_pb2.DeltaDiscoveryResponse if delta else discovery_pb2.DiscoveryResponse
        self.call = channel.stream_stream(method or default)()
        self._first = True
        self.names: dict[str, list[str]] = {}
        self.accepted: dict[str, str] = {}
        self.last: dict[str, Got] = {}

    async def send(self, type_url: str, **fields: Any) -> None:
        """Send a raw request; the node goes with the first."""
        request = self._request(type_url=type_url, **fields)
        if self._first and self.node:
            request.node.id, request.node.cluster = self.node, self.cluster
        self._first = False
        await self.call.write(request.SerializeToString())

    async def subscribe(
        self, type_url: str, *names: str, initial: Mapping[str, str] | None = None, nonce: str | None = None
    ) -> None:
        """Want `names` too (delta), or just `names` (sotw: the whole list as it shall be)."""
        if self.mode == "delta":
            await self.send(
                type_url,
                resource_names_subscribe=names,
                initial_resource_versions=initial or {},
                response_nonce=nonce or "",
            )
            return
        self.names[type_url] = list(names)
        last = self.last.get(type_url)
        await self.send(
            type_url,
            resource_names=names,
            version_info=self.accepted.get(type_url, ""),
            response_nonce=nonce if nonce is not None else last.nonce if last else "",
        )

    async def also(self, type_url: str, *names: str) -> None:
        """Want `names` on top of what is wanted, in either variant."""
        wanted = [*self.names.get(type_url, []), *names] if self.mode == "sotw" else names
        await self.subscribe(type_url, *wanted)

    async def without(self, type_url: str, *names: str) -> None:
        """No longer want `names`, in either variant."""
        if self.mode == "delta":
            await self.send(type_url, resource_names_unsubscribe=names)
        else:
            await self.subscribe(type_url, *(n for n in self.names[type_url] if n not in names))

    async def get(self, *, wait: float = WAIT) -> Got:
        """Return the next response."""
        async with asyncio.timeout(wait):
            raw = await self.call.read()
        assert raw is not EOF, f"stream ended: {await self.call.code()} {await self.call.details()}"
        got = self._decode(raw)
        self.last[got.type_url] = got
        return got

    async def ack(self, got: Got) -> None:
        self.accepted[got.type_url] = got.version
        await self._answer(got)

    async def nack(self, got: Got, error: str) -> None:
        await self._answer(got, error_detail=status_pb2.Status(code=13, message=error))

    async def got_and_acked(self, *, wait: float = WAIT) -> Got:
        got = await self.get(wait=wait)
        await self.ack(got)
        return got

    async def silent(self, seconds: float = SILENCE) -> bool:
        """Tell whether nothing comes. Ends the stream's usefulness if something does (a test fails then)."""
        reading = asyncio.ensure_future(self.call.read())
        done, _ = await asyncio.wait({reading}, timeout=seconds)
        if done:
            return False
        # The read goes on; the next `get` takes its result.
        self._pending(reading)
        return True

    async def close(self) -> None:
        self.call.cancel()
        await self.call.code()

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        async with asyncio.timeout(WAIT):
            return await self.call.code(), await self.call.details() or ""

    def _pending(self, reading: asyncio.Future[bytes]) -> None:
        call = self.call

        class Resumed:
            async def read(inner) -> bytes:  # noqa: N805 - `self` is the client
                self.call = call
                return await reading

            def __getattr__(inner, name: str) -> Any:  # noqa: N805
                return getattr(call, name)

            def cancel(inner) -> bool:  # noqa: N805
                reading.cancel()
                return call.cancel()

        self.call = Resumed()

    async def _answer(self, got: Got, **fields: Any) -> None:
        if self.mode == "sotw":
            fields["version_info"] = self.accepted.get(got.type_url, "")
            fields["resource_names"] = self.names.get(got.type_url, [])
        await self.send(got.type_url, response_nonce=got.nonce, **fields)

    def _decode(self, raw: bytes) -> Got:
        response = self._response.FromString(raw)
        if self.mode == "delta":
            items: Iterable[Any] = response.resources
            removed, version = tuple(response.removed_resources), response.system_version_info
        else:
            items = [self._unwrapped(each, response.type_url) for each in response.resources]
            removed, version = (), response.version_info
        items = list(items)
        return Got(
            type_url=response.type_url,
            version=version,
            nonce=response.nonce,
            bodies={r.name: r.resource.value for r in items if r.HasField("resource")},
            removed=removed,
            heartbeats=tuple(r.name for r in items if not r.HasField("resource")),
            ttls={r.name: r.ttl.ToTimedelta().total_seconds() for r in items if r.HasField("ttl")},
            count=len(items),
        )

    def _unwrapped(self, item: Any, type_url: str) -> Any:
        if item.type_url == WRAPPER:
            return discovery_pb2.Resource.FromString(item.value)
        assert item.type_url == type_url
        found = discovery_pb2.Resource(resource=item)
        found.name = name_of(type_url, item.value)
        return found


def name_of(type_url: str, body: bytes) -> str:
    """Return the name inside a body: field 1 of every type that the tests use."""
    assert body[0] == 0x0A, type_url
    return body[2 : 2 + body[1]].decode()
