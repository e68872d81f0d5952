"""Whose ending is it? One test a row: what the entries say when a copy, or its original, does not end well.

The analysis judges by exactly these details, flags and timings.
"""

import asyncio
from typing import Any

from tests.envoy.als_sink import Entry, captured, flags
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, fault, profile, shadow, state
from xds_server.model.profile import SAFE_METHODS, Abort, Delay, Fault, Match, ResponseRateLimit
from xds_server.translate import clusters, network

ANY_METHOD = Match(methods=(*SAFE_METHODS, "POST"))


async def started(mesh: Mesh, *faults: Fault, cut: float = 0.0, **changes: Any) -> None:
    """Start an Envoy that mirrors everything; the original and the shadow answer alike unless told otherwise."""
    changes = {"shadow_timeout": 5.0, "match": ANY_METHOD, **changes}
    mirrored = active(profile(**changes), shadow(port=mesh.shadow.port, faults=faults))
    await mesh.start_envoy(state(component(port=mesh.original.port, timeout=cut), profiles=(mirrored,)))
    # Only then: the runtime layer that carries shares and faults comes last.
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > 1 + len(faults))


async def one_pair(mesh: Mesh, path: str = "/ok") -> tuple[Entry, Entry]:
    """Send a GET that the original answers well; return the entries of both legs."""
    async with await mesh.client() as client:
        assert (await client.get(path)).status_code == 200
    [pair] = await mesh.sink.pairs(1)
    original, _ = pair
    assert (original.response.response_code_details, flags(original)) == ("via_upstream", set())
    return pair


def code(entry: Entry) -> int | None:
    return entry.response.response_code.value if entry.response.HasField("response_code") else None


async def test_the_shadows_own_error_comes_via_upstream(mesh: Mesh) -> None:
    mesh.shadow.instead["/ok"] = "/status/500"
    await started(mesh)
    _, copy = await one_pair(mesh)
    assert (code(copy), copy.response.response_code_details, flags(copy)) == (500, "via_upstream", set())


async def test_a_shadow_that_closes_without_an_answer_ends_as_its_own(mesh: Mesh) -> None:
    mesh.shadow.instead["/ok"] = "/close"
    await started(mesh)
    _, copy = await one_pair(mesh)
    details = "upstream_reset_before_response_started{connection_termination}"
    assert (code(copy), copy.response.response_code_details) == (503, details)
    assert flags(copy) == {"upstream_connection_termination"}


async def test_a_shadow_that_is_not_there_ends_as_its_own(mesh: Mesh) -> None:
    await started(mesh)
    await mesh.shadow.__aexit__()
    _, copy = await one_pair(mesh)
    assert (code(copy), flags(copy)) == (503, {"upstream_connection_failure"})
    assert not copy.common_properties.HasField("time_to_first_upstream_tx_byte")


async def test_a_shadow_that_hangs_ends_as_its_own_by_the_legs_timeout(mesh: Mesh) -> None:
    mesh.shadow.instead["/ok"] = "/hang"
    await started(mesh, shadow_timeout=0.5)
    _, copy = await one_pair(mesh)
    assert (code(copy), copy.response.response_code_details) == (504, "response_timeout")
    assert flags(copy) == {"upstream_request_timeout"}
    assert copy.common_properties.HasField("time_to_last_upstream_tx_byte")


async def test_a_shadow_that_hangs_after_its_headers_is_cut_and_says_so(mesh: Mesh) -> None:
    mesh.shadow.instead["/ok"] = "/drip/30"
    await started(mesh, shadow_timeout=0.5)
    _, copy = await one_pair(mesh)
    assert (code(copy), copy.response.response_code_details) == (200, "response_timeout")
    assert captured(copy)["t"] is True


async def test_a_hang_of_both_ends_as_the_shadows_own_because_its_leg_is_shorter(mesh: Mesh) -> None:
    await started(mesh, cut=1.0, shadow_timeout=15.0)
    async with await mesh.client() as client:
        assert (await client.get("/hang")).status_code == 504
    [(original, copy)] = await mesh.sink.pairs(1)
    assert [e.response.response_code_details for e in (original, copy)] == ["response_timeout", "response_timeout"]
    assert copy.common_properties.duration.ToTimedelta() < original.common_properties.duration.ToTimedelta()


async def test_an_injected_abort_says_so(mesh: Mesh) -> None:
    await started(mesh, fault(abort=Abort(http_status=503)))
    _, copy = await one_pair(mesh)
    assert (code(copy), copy.response.response_code_details) == (503, "fault_filter_abort")
    assert flags(copy) == {"fault_injected"}
    assert mesh.shadow.asked == []


async def test_an_injected_grpc_abort_says_so(mesh: Mesh) -> None:
    await started(mesh, fault(abort=Abort(grpc_status=14)))
    async with await mesh.client() as client:
        await client.post("/echo", headers={"content-type": "application/grpc"})
    [(_, copy)] = await mesh.sink.pairs(1)
    assert (code(copy), flags(copy)) == (200, {"fault_injected"})
    assert copy.response.response_headers["grpc-status"] == "14"


async def test_an_injected_delay_says_so_and_stays_out_of_the_response_time(mesh: Mesh) -> None:
    await started(mesh, fault(delay=Delay(fixed_delay=2.0)))
    _, copy = await one_pair(mesh)
    assert (code(copy), flags(copy)) == (200, {"delay_injected"})
    times = copy.common_properties
    assert times.time_to_first_upstream_tx_byte.ToMilliseconds() >= 1950
    spent = times.time_to_first_upstream_rx_byte.ToMilliseconds() - times.time_to_last_upstream_tx_byte.ToMilliseconds()
    assert spent < 1950


async def test_an_injected_rate_limit_holds_back_the_answer_and_not_its_capture(mesh: Mesh) -> None:
    await started(mesh, fault(response_rate_limit=ResponseRateLimit(kbps=100)))
    _, copy = await one_pair(mesh, "/size/30000")
    times = copy.common_properties
    assert times.time_to_last_downstream_tx_byte.ToMilliseconds() >= 150
    assert captured(copy)["n"] == 30000
    assert (await mesh.envoy.stats("response_rl_injected"))[f"http.{_leg()}.fault.response_rl_injected"] == 1


async def test_our_guard_answers_an_oversize_copy_and_leaves_the_original_alone(mesh: Mesh) -> None:
    await started(mesh, max_request_bytes=10_000)
    async with await mesh.client() as client:
        assert (await client.post("/echo", content=b"x" * 200_000)).content == b"x" * 200_000
    [(_, copy)] = await mesh.sink.pairs(1)
    assert (code(copy), copy.response.response_code_details) == (413, "request_payload_too_large")
    assert flags(copy) == set()
    assert mesh.shadow.asked == []


async def test_a_copy_cancelled_with_its_original_says_so(mesh: Mesh) -> None:
    await started(mesh)
    _, writer = await asyncio.open_connection("127.0.0.1", await mesh.port())
    writer.write(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc")
    await mesh.original.until_asked()
    writer.close()
    [(original, copy)] = await mesh.sink.pairs(1)
    assert (code(copy), copy.response.response_code_details) == (None, "http2.remote_reset")
    assert flags(copy) == {"downstream_remote_reset"}
    assert flags(original) == {"downstream_connection_termination"}


async def test_a_client_that_goes_is_seen_on_the_original_and_the_copy_ends_by_itself(mesh: Mesh) -> None:
    await started(mesh, shadow_timeout=0.5)
    _, writer = await asyncio.open_connection("127.0.0.1", await mesh.port())
    writer.write(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n")
    await mesh.original.until_asked()
    await mesh.shadow.until_asked()
    writer.close()
    [(original, copy)] = await mesh.sink.pairs(1)
    assert (code(original), original.response.response_code_details) == (None, "downstream_remote_disconnect")
    assert flags(original) == {"downstream_connection_termination"}
    assert (code(copy), copy.response.response_code_details) == (504, "response_timeout")


async def test_what_the_shadows_breaker_refuses_is_logged_as_overflow(mesh: Mesh, monkeypatch: Any) -> None:
    monkeypatch.setattr(clusters, "SHADOW_REQUESTS", 1)
    caches = (clusters._shadow, network._leg)
    for each in caches:
        each.cache_clear()
    mesh.shadow.instead["/ok"] = "/slow/0.4"
    try:
        await started(mesh, shadow_timeout=5.0)
    finally:
        for each in caches:
            each.cache_clear()
    async with await mesh.client() as client:
        answers = await asyncio.gather(*(client.get("/ok") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    pairs = await mesh.sink.pairs(6)
    refused = [copy for _, copy in pairs if flags(copy) == {"upstream_overflow"}]
    assert refused
    assert {code(copy) for copy in refused} == {503}


async def test_every_copy_that_reached_the_leg_is_counted_whatever_its_end(mesh: Mesh) -> None:
    await started(mesh, max_request_bytes=1000)
    async with await mesh.client() as client:
        await client.get("/ok")
        await client.post("/echo", content=b"x" * 5000)
        await client.get("/status/500")
    await mesh.sink.pairs(3)
    name = f"http.{_leg()}.downstream_rq_total"
    await mesh.sink.until(lambda sink: sink.counters.get(name) == 3)
    await mesh.sink.until(lambda sink: sink.counters.get("access_logs.grpc_access_log.logs_written") == 6)


def _leg() -> str:
    return f"shadow-{shadow().instance_id}"
