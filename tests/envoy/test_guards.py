"""What keeps the original safe from its shadow."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from tests.envoy.als_sink import flags
from tests.envoy.harness import Envoy, Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.model.network import Address, Endpoint
from xds_server.model.profile import Match
from xds_server.model.state import NetworkState

WRITES = Match(methods=("GET", "POST"))
MEGABYTE = 1024 * 1024


def mirrored(mesh: Mesh, **changes: Any) -> NetworkState:
    each = active(profile(**{"match": WRITES, **changes}), shadow(port=mesh.shadow.port))
    return state(component(port=mesh.original.port), profiles=(each,))


@pytest.mark.parametrize("cap", [MEGABYTE, 64 * MEGABYTE])
async def test_a_shadow_that_stops_reading_does_not_hold_back_an_upload(mesh: Mesh, cap: int) -> None:
    mesh.shadow.instead["/echo"] = "/deaf"
    await mesh.start_envoy(mirrored(mesh, max_request_bytes=cap, shadow_timeout=3.0))
    body = b"0123456789abcdef" * (2 * MEGABYTE)
    async with await mesh.client() as client, asyncio.timeout(10):
        answer = await client.post("/echo", content=body)
    assert answer.content == body
    [(original, copy)] = await mesh.sink.pairs(1)
    assert flags(original) == set()
    # Refused by the guard, or taken in whole and then given up, but never a burden.
    refused = copy.response.response_code_details == "request_payload_too_large"
    assert refused or flags(copy) & {"upstream_request_timeout", "upstream_connection_termination"}


async def test_a_dead_shadow_costs_the_clients_nothing(mesh: Mesh) -> None:
    await mesh.start_envoy(mirrored(mesh))
    await mesh.shadow.__aexit__()
    async with await mesh.client() as client:
        answers = await asyncio.gather(*(client.get("/ok") for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}


async def test_the_original_has_no_timeout_unless_it_asks_for_one(mesh: Mesh) -> None:
    quick = state(component(port=mesh.original.port, timeout=0.3))
    await mesh.start_envoy(quick)
    async with await mesh.client() as client:
        assert (await client.get("/slow/1")).status_code == 504
        await mesh.publish(state(component(port=mesh.original.port)))
        assert (await client.get("/slow/1")).status_code == 200
    route = (await mesh.envoy.client.get("/config_dump", params={"resource": "dynamic_route_configs"})).text
    assert '"timeout": "0s"' in route


async def test_a_retry_helps_where_the_request_did_not_reach_the_application(mesh: Mesh) -> None:
    dead = Endpoint("127.0.0.1", 1)
    both = component(endpoints=(dead, Endpoint("127.0.0.1", mesh.original.port)), retries=3)
    await mesh.start_envoy(state(both))
    async with await mesh.client() as client:
        answers = [await client.get("/ok") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_second_envoy_on_the_port_says_so_instead_of_sharing_its_clients(mesh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = Address("127.0.0.1", free.getsockname()[1])
    envoy = await mesh.start_envoy(state(component(port=mesh.original.port, listen=address)))
    await envoy.listener_port(f"listen/{address.port}")
    async with Envoy(mesh.bootstrap(node_id="envoy-2"), mesh.folder, name="second") as second:
        async with asyncio.timeout(10):
            while not [line for line in second.complaints() if "cannot bind" in line]:
                await second._still_there()
    assert any("cannot bind" in r.error for e in mesh.board.envoys() for r in e.resources if r.error)


async def test_an_upload_is_mirrored_whole_when_it_fits(mesh: Mesh) -> None:
    await mesh.start_envoy(mirrored(mesh))
    body = b"x" * (MEGABYTE - 1)
    async with await mesh.client() as client:
        answer: httpx.Response = await client.post("/echo", content=body)
    assert answer.content == body
    await mesh.sink.pairs(1)
    assert mesh.shadow.asked[0].body == body
