"""Faults on the real Envoy: they strike the copies, at once and alone, and go as fast."""

import asyncio
import time
from dataclasses import replace
from typing import Any

from tests.envoy.als_sink import Entry, flags
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, fault, profile, shadow, state
from xds_server.model.profile import Abort, Delay, Fault, HeaderMatch, HeaderMatchKind
from xds_server.model.state import NetworkState


def mirrored(mesh: Mesh, *faults: Fault) -> NetworkState:
    each = active(profile(), shadow(port=mesh.shadow.port, faults=faults))
    return state(component(port=mesh.original.port), profiles=(each,))


async def next_copy(mesh: Mesh, client: Any, path: str = "/ok", **more: Any) -> Entry:
    before = len(mesh.sink.copies)
    await client.get(path, **more)
    await mesh.sink.until(lambda sink: len(sink.copies) > before)
    return mesh.sink.copies[-1]


async def test_a_fault_strikes_a_running_shadow_within_a_second_and_is_lifted_as_fast(mesh: Mesh) -> None:
    await mesh.start_envoy(mirrored(mesh))
    async with await mesh.client() as client:
        # A connection into the shadow's listener is open, and keeps the filters that it began with.
        await next_copy(mesh, client)
        for wanted in (True, False, True, False):
            faults = (fault(abort=Abort(http_status=503)),) if wanted else ()
            await mesh.publish(mirrored(mesh, *faults))
            published = time.time()
            async with asyncio.timeout(20):
                while ("fault_injected" in flags(copy := await next_copy(mesh, client))) is not wanted:
                    began = copy.common_properties.start_time.ToMicroseconds() / 1e6
                    assert began < published + 1.5, "by Envoy's clock, whenever we come to look"


async def test_with_all_copies_aborted_the_originals_answers_are_bit_for_bit_what_they_were(mesh: Mesh) -> None:
    await mesh.start_envoy(state(component(port=mesh.original.port)))
    async with await mesh.client() as client:
        plain = [await client.get(f"/size/{n}") for n in range(40)]
        await mesh.publish(mirrored(mesh, fault(abort=Abort(http_status=503))))
        for _ in range(50):
            answers = await asyncio.gather(*(client.get(f"/size/{n}") for n in range(40)))
            for before, now in zip(plain, answers, strict=True):
                assert (now.status_code, now.content) == (before.status_code, before.content)
                assert _without_date(now.headers.raw) == _without_date(before.headers.raw)
    await mesh.sink.until(lambda sink: len(sink.copies) == 2000)
    assert all(flags(copy) == {"fault_injected"} for copy in mesh.sink.copies)
    assert mesh.shadow.asked == []


async def test_two_faults_with_headers_strike_the_copies_that_match(mesh: Mesh) -> None:
    red = (HeaderMatch("x-team", HeaderMatchKind.EXACT, "red"),)
    faults = (
        fault(1, abort=Abort(http_status=418), headers=red),
        fault(2, delay=Delay(fixed_delay=0.05), headers=(HeaderMatch("x-slow", HeaderMatchKind.PRESENT),)),
    )
    await mesh.start_envoy(mirrored(mesh, *faults))
    async with await mesh.client() as client:
        assert flags(await next_copy(mesh, client)) == set()
        assert flags(await next_copy(mesh, client, headers={"x-team": "blue"})) == set()
        copy = await next_copy(mesh, client, headers={"x-team": "red"})
        assert (copy.response.response_code.value, flags(copy)) == (418, {"fault_injected"})
        assert flags(await next_copy(mesh, client, headers={"x-slow": "1"})) == {"delay_injected"}


async def test_a_faults_percentage_changes_by_the_runtime_layer_alone(mesh: Mesh) -> None:
    whole = mirrored(mesh, fault(abort=Abort(http_status=503, percentage=30)))
    each = whole.profiles[0]
    changed = mirrored(mesh, fault(abort=Abort(http_status=503, percentage=60)))
    before, after = ({(r.type_url, r.name): r.version for r in mesh.resources(s)} for s in (whole, changed))
    assert {key[0].rpartition(".")[2] for key in before if before[key] != after[key]} == {"Runtime"}
    assert replace(whole, profiles=(each,)) == whole
    await mesh.start_envoy(whole)
    async with await mesh.client() as client:
        await asyncio.gather(*(client.get("/ok") for _ in range(400)))
        await mesh.sink.until(lambda sink: len(sink.copies) == 400)
    struck = sum("fault_injected" in flags(copy) for copy in mesh.sink.copies)
    assert 60 < struck < 180


def _without_date(raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in raw if name.lower() != b"date"]
