"""gRPC components: calls by method, unary and server streaming, status from trailers and from headers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tests.envoy.als_sink import captured
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.ingest.als import _record
from xds_server.analysis.kinds import Reason
from xds_server.analysis.record import Record
from xds_server.model.network import Protocol
from xds_server.model.profile import Match

SERVICE = "shop.Catalog"
CHOSEN = Match(grpc=(f"{SERVICE}/Get*", f"{SERVICE}/Watch"))


class Service(grpc.GenericRpcHandler):
    """Answers each method with its name; `GetMissing` fails, `Watch` streams three messages, `Upload` takes many."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.calls: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method.rpartition("/")[2]
        self.calls.append(method)

        async def unary(_request: bytes, context: Any) -> bytes:
            if method == "GetMissing":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such item")
            return self.name

        async def stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
            for number in range(3):
                yield self.name + str(number).encode()

        if method == "Upload":
            return grpc.stream_unary_rpc_method_handler(self.upload)
        if method == "Chat":
            return grpc.stream_stream_rpc_method_handler(self.chat)
        if method == "Watch":
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def upload(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        async for _ in requests:
            pass
        return self.name

    async def chat(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield self.name + request


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0.2)


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP2])
async def test_chosen_methods_are_mirrored_and_their_status_is_logged(mesh: Mesh, protocol: Protocol) -> None:
    original, copy = Service("original"), Service("shadow")
    async with serving(original) as port, serving(copy) as shadow_port:
        mirrored = active(profile(match=CHOSEN), shadow(port=shadow_port))
        await mesh.start_envoy(state(component(port=port, protocol=protocol), profiles=(mirrored,)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await mesh.port()}") as channel:
            for method in ("GetItem", "List"):
                assert await channel.unary_unary(f"/{SERVICE}/{method}")(b"x") == b"original"
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(f"/{SERVICE}/GetMissing")(b"x")
            assert error.value.code() is grpc.StatusCode.NOT_FOUND
            streamed = [each async for each in channel.unary_stream(f"/{SERVICE}/Watch")(b"x")]
        assert streamed == [b"original0", b"original1", b"original2"]
        pairs = await mesh.sink.pairs(3)
    assert original.calls == ["GetItem", "List", "GetMissing", "Watch"]
    assert sorted(copy.calls) == ["GetItem", "GetMissing", "Watch"]
    for both in pairs:
        statuses = []
        for entry in both:
            answer = entry.response
            statuses.append({**answer.response_headers, **answer.response_trailers}.get("grpc-status"))
        assert statuses in (["0", "0"], ["5", "5"])
        assert [captured(entry)["t"] for entry in both] == [False, False]
    sizes = {entry.request.path: captured(entry)["n"] for entry, _ in pairs}
    assert sizes[f"/{SERVICE}/Watch"] == 3 * (5 + len("original0"))


def by_method(pairs: list[Any]) -> dict[str, list[Record]]:
    return {both[0].request.path.rpartition("/")[2]: [_record(each) for each in both] for both in pairs}


async def test_a_conversation_is_told_from_a_call_and_an_answer(mesh: Mesh) -> None:
    original, copy = Service("original"), Service("shadow")
    async with serving(original) as port, serving(copy) as shadow_port:
        mirrored = active(profile(match=Match(grpc=(f"{SERVICE}/*",))), shadow(port=shadow_port))
        await mesh.start_envoy(state(component(port=port, protocol=Protocol.GRPC), profiles=(mirrored,)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await mesh.port()}") as channel:
            call = channel.stream_stream(f"/{SERVICE}/Chat")(timeout=20)
            for number in range(3):
                await call.write(b"%d" % number)
                assert await call.read() == b"original%d" % number
                await asyncio.sleep(0.02)
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert await channel.unary_unary(f"/{SERVICE}/GetItem")(b"x") == b"original"
        pairs = await mesh.sink.pairs(2)
    records = by_method(pairs)
    assert compare(*records["Chat"]).reason is Reason.STREAMING
    assert compare(*records["GetItem"]).reason is None


@pytest.mark.parametrize("length", [3, 30_000])
async def test_a_call_with_several_messages_in_its_request_is_told_from_one_with_one(mesh: Mesh, length: int) -> None:
    original, copy = Service("original"), Service("shadow")
    async with serving(original) as port, serving(copy) as shadow_port:
        mirrored = active(profile(match=Match(grpc=(f"{SERVICE}/*",))), shadow(port=shadow_port))
        await mesh.start_envoy(state(component(port=port, protocol=Protocol.GRPC), profiles=(mirrored,)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await mesh.port()}") as channel:
            call = channel.stream_unary(f"/{SERVICE}/Upload")(timeout=20)
            for _ in range(3):
                await call.write(b"x" * length)
            await call.done_writing()
            assert await call == b"original"
            assert await channel.unary_unary(f"/{SERVICE}/GetItem")(b"x" * length) == b"original"
        pairs = await mesh.sink.pairs(2)
    records = by_method(pairs)
    assert compare(*records["Upload"]).reason is Reason.STREAMING
    assert compare(*records["GetItem"]).reason is None
