"""A component's own listener and the routes behind it: clients notice nothing of us."""

import asyncio
import socket

import httpx
import pytest

from tests.envoy.als_sink import captured, is_copy
from tests.envoy.harness import NETWORK, Mesh
from tests.envoy.values import active, component, fault, profile, shadow, state, without_profiles
from xds_server.model.names import PAIR_HEADER, SHADOW_HEADER
from xds_server.model.network import Address, Endpoint
from xds_server.model.profile import Abort


async def test_a_profile_comes_and_goes_without_a_touch_on_the_listener_or_its_clients(mesh: Mesh) -> None:
    full = state(
        component(port=mesh.original.port),
        profiles=(active(profile(), shadow(port=mesh.shadow.port, faults=(fault(abort=Abort(http_status=503)),))),),
    )
    envoy = await mesh.start_envoy(without_profiles(full))
    async with await mesh.client() as client:
        assert (await client.get("/ok")).json() == {"from": "original"}
        await mesh.publish(full)
        assert (await client.get("/ok")).json() == {"from": "original"}
        await mesh.sink.pairs(1)
        await mesh.publish(without_profiles(full))
        assert (await client.get("/ok")).json() == {"from": "original"}
    stats = await envoy.stats("listener_manager|http.listen")
    assert stats["listener_manager.listener_modified"] == 0
    assert stats["http.listen/0.downstream_cx_total"] == 1
    assert stats["http.listen/0.downstream_cx_drain_close"] == 0
    assert len(mesh.sink.copies) == 1


async def test_nobody_can_forge_the_headers_that_mark_samples(mesh: Mesh) -> None:
    forged = {PAIR_HEADER: "forged", SHADOW_HEADER: "forged"}
    whole = state(component(port=mesh.original.port), profiles=(active(profile(), shadow(port=mesh.shadow.port)),))
    await mesh.start_envoy(without_profiles(whole))
    async with await mesh.client() as client:
        await client.get("/plain", headers=forged)
        await mesh.publish(whole)
        await client.get("/sampled", headers=forged)
    await mesh.sink.pairs(1)
    assert len(mesh.sink.entries) == 2
    plain, sampled = mesh.original.asked
    assert PAIR_HEADER not in plain.headers
    assert SHADOW_HEADER not in plain.headers | sampled.headers
    assert sampled.headers[PAIR_HEADER].startswith(profile().id + "/")


async def test_an_answer_is_what_the_original_said_and_nothing_more(mesh: Mesh) -> None:
    mesh.original.headers = {"server": "teapot/1", "x-own": "kept"}
    whole = state(component(port=mesh.original.port), profiles=(active(profile(), shadow(port=mesh.shadow.port)),))
    await mesh.start_envoy(whole)
    async with await mesh.client() as client:
        answer = await client.get("/ok", headers={"x-request-id": "repeated"})
    assert set(answer.headers) == {"content-type", "content-length", "server", "x-own", "date"}
    assert answer.headers["server"] == "teapot/1"
    assert mesh.original.asked[0].headers["x-request-id"] == "repeated"


async def test_the_copy_differs_from_the_request_in_its_mark_and_its_credentials_only(mesh: Mesh) -> None:
    whole = state(component(port=mesh.original.port), profiles=(active(profile(), shadow(port=mesh.shadow.port)),))
    await mesh.start_envoy(whole)
    secrets = {"authorization": "Bearer x", "cookie": "a=b", "proxy-authorization": "y"}
    async with await mesh.client() as client:
        await client.get("/ok", headers={**secrets, "x-own": "kept"})
    [(original, copy)] = await mesh.sink.pairs(1)
    ours, theirs = mesh.original.asked[0].headers, mesh.shadow.asked[0].headers
    assert secrets.items() <= ours.items()
    # The mirror's client in Envoy appends its own address once more; it cannot be told not to.
    differing = {name for name in ours | theirs if ours.get(name) != theirs.get(name)}
    assert differing == {*secrets, SHADOW_HEADER, "x-forwarded-for"}
    assert captured(original)["k"] is True
    assert "k" not in captured(copy)


async def test_a_profile_that_keeps_credentials_sends_them_on(mesh: Mesh) -> None:
    kept = profile(keep_credentials=True)
    await mesh.start_envoy(
        state(component(port=mesh.original.port), profiles=(active(kept, shadow(port=mesh.shadow.port)),))
    )
    async with await mesh.client() as client:
        await client.get("/ok", headers={"authorization": "Bearer x"})
    await mesh.sink.pairs(1)
    assert mesh.shadow.asked[0].headers["authorization"] == "Bearer x"


async def test_writes_are_not_mirrored_unless_the_profile_says_so(mesh: Mesh) -> None:
    await mesh.start_envoy(
        state(component(port=mesh.original.port), profiles=(active(profile(), shadow(port=mesh.shadow.port)),))
    )
    async with await mesh.client() as client:
        for method in ("POST", "PUT", "DELETE", "GET"):
            await client.request(method, "/ok")
    await mesh.sink.pairs(1)
    assert [each.method for each in mesh.shadow.asked] == ["GET"]
    assert [entry.request.request_method for entry in mesh.sink.entries] == [3 - 2, 1]


async def test_a_websocket_works_where_it_is_listed_and_is_never_mirrored(mesh: Mesh) -> None:
    listed = component(port=mesh.original.port, upgrades=("websocket",))
    await mesh.start_envoy(state(listed, profiles=(active(profile(), shadow(port=mesh.shadow.port)),)))
    reader, writer = await asyncio.open_connection("127.0.0.1", await mesh.port())
    writer.write(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()
    async with await mesh.client() as client:
        await client.get("/ok")
    await mesh.sink.pairs(1)
    assert [each.path for each in mesh.shadow.asked] == ["/ok"]


async def test_components_share_a_port_by_their_hosts(mesh: Mesh) -> None:
    shop = component(port=mesh.original.port, hosts=("shop.example",))
    blog = component("blog", port=mesh.shadow.port, hosts=("blog.example", "*.blog.example"))
    await mesh.start_envoy(state(shop, blog))
    async with await mesh.client() as client:
        answers = [
            await client.get("/ok", headers={"host": host})
            for host in ("shop.example", "shop.example:8080", "blog.example", "a.blog.example", "other.example")
        ]
    assert [a.json()["from"] if a.status_code == 200 else a.status_code for a in answers] == [
        *("original", "original", "shadow", "shadow", 404),
    ]


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_a_component_that_gets_another_name_keeps_its_clients_and_their_connections(
    mesh: Mesh, mode: str
) -> None:
    mesh.options = {"mode": mode}
    with socket.create_server(("127.0.0.1", 0)) as free:
        at = Address("127.0.0.1", free.getsockname()[1])
    before, after = (component(name, port=mesh.original.port, listen=at) for name in ("before", "after"))
    envoy = await mesh.start_envoy(state(before))
    await envoy.listener_port(f"listen/{at.port}")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{at.port}") as client:
        answers: list[int] = []

        async def ask() -> None:
            while True:
                answers.append((await client.get("/ok")).status_code)

        asking = asyncio.create_task(ask())
        for each in (after, before, after):
            await mesh.publish(state(each))
            seen = len(answers)
            async with asyncio.timeout(20):
                while len(answers) < seen + 100:  # noqa: ASYNC110 - a list has no event
                    await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert set(answers) == {200}
    stats = await envoy.stats("listener_manager|http.listen")
    assert stats["listener_manager.listener_create_success"] == 1
    assert stats[f"http.listen/{at.port}.downstream_cx_total"] == 1


async def test_a_listener_that_cannot_move_stays_where_it_was_and_the_status_says_why(mesh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    here, everywhere = (component(port=mesh.original.port, listen=Address(a, port)) for a in ("127.0.0.1", "0.0.0.0"))
    await mesh.start_envoy(state(here))
    with pytest.raises(AssertionError, match="Address already in use"):
        await mesh.publish(state(everywhere))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/ok")).json() == {"from": "original"}
    mesh.expected = ("Address already in use",)


async def test_two_variants_get_a_copy_each(mesh: Mesh) -> None:
    both = active(profile(), shadow(1, port=mesh.shadow.port), shadow(2, port=mesh.shadow.port))
    await mesh.start_envoy(state(component(port=mesh.original.port), profiles=(both,)))
    async with await mesh.client() as client:
        await client.get("/ok")
    pairs = await mesh.sink.pairs(2)
    marks = {copy.request.request_headers[SHADOW_HEADER] for _, copy in pairs}
    assert marks == {shadow(1).instance_id, shadow(2).instance_id}
    assert len(mesh.original.asked) == 1


async def test_a_component_by_name_is_resolved(mesh: Mesh) -> None:
    named = component(endpoints=(Endpoint("localhost", mesh.original.port),))
    await mesh.start_envoy(state(named))
    async with await mesh.client() as client:
        assert (await client.get("/ok")).json() == {"from": "original"}
    assert mesh.cache.get(NETWORK) is not None
    assert not any(is_copy(entry) for entry in mesh.sink.entries)
