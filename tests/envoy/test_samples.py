"""Shares, counted on the real Envoy, and the switch that turns them off when nobody holds it."""

import asyncio

import pytest

from tests.envoy import load
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.config import XdsSettings
from xds_server.model.profile import Match, ShadowingProfile
from xds_server.model.state import NetworkState

COUNT = 6000


async def sampled(mesh: Mesh, each: ShadowingProfile) -> int:
    name = f"vhost.catalog.route.shadowmesh-{each.id}.upstream_rq_total"
    return (await mesh.envoy.stats("vhost.catalog.route")).get(name, 0)


def network_of(mesh: Mesh, *profiles: ShadowingProfile) -> NetworkState:
    mirrored = tuple(active(p, shadow(n, port=mesh.shadow.port)) for n, p in enumerate(profiles, 1))
    return state(component(port=mesh.original.port), profiles=mirrored)


@pytest.mark.parametrize(
    ("percentage", "count", "least", "most"),
    # 4.5 standard deviations of a fair draw or more; half of the share and double of it are outside.
    [(0.005, 40_000, 137, 263), (0.1234, COUNT, 587, 893), (1.0, COUNT, COUNT, COUNT), (0.0, COUNT, 0, 0)],
)
async def test_the_share_is_what_was_asked_for(
    mesh: Mesh, percentage: float, count: int, least: int, most: int
) -> None:
    each = profile(percentage=percentage)
    await mesh.start_envoy(network_of(mesh, each))
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > _STATIC_KEYS)
    await load.get(await mesh.port(), "/ok", count)
    assert least <= await sampled(mesh, each) <= most


async def test_profiles_that_overlap_share_a_region_and_keep_their_own(mesh: Mesh) -> None:
    profiles = (
        profile(1, percentage=0.5),
        profile(2, percentage=0.3, match=Match(path_prefix="/o")),
        profile(3, percentage=0.2, match=Match(path="/ok")),
    )
    await mesh.start_envoy(network_of(mesh, *profiles))
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > _STATIC_KEYS + 2)
    await load.get(await mesh.port(), "/ok", 2000)
    there = [await sampled(mesh, each) for each in profiles]
    assert sum(there) == 2000
    for got, wanted in zip(there, (1000, 600, 400), strict=True):
        assert abs(got - wanted) < 150
    await load.get(await mesh.port(), "/elsewhere", 1000)
    elsewhere = [await sampled(mesh, each) for each in profiles]
    assert abs(elsewhere[0] - there[0] - 500) < 100
    assert elsewhere[1:] == there[1:]


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_mirroring_stops_by_itself_when_the_manager_is_gone_and_goes_on_when_it_is_back(
    mesh: Mesh, mode: str
) -> None:
    mesh.settings = XdsSettings(port=0, runtime_ttl=3)
    mesh.options = {"mode": mode}
    mesh.expected = ("gRPC config",)  # it says that the manager is away
    await mesh.xds.stop(0.1)
    await mesh.serve()
    each = profile()
    await mesh.start_envoy(network_of(mesh, each))
    port = await mesh.port()
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > _STATIC_KEYS)
    await load.get(port, "/ok", 10)
    # Heartbeats keep the layer alive for longer than its time to live.
    await asyncio.sleep(6.6)
    assert (await mesh.envoy.stats("runtime.num_keys"))["runtime.num_keys"] > _STATIC_KEYS
    before = await sampled(mesh, each)
    assert before == 10
    manager = mesh.xds.port
    await mesh.xds.stop(0.1)
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value == _STATIC_KEYS)
    await load.get(port, "/ok", 50)
    assert await sampled(mesh, each) == before
    await mesh.serve(port=manager)
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > _STATIC_KEYS)
    await load.get(port, "/ok", 10)
    assert await sampled(mesh, each) == before + 10


_STATIC_KEYS = 1
"""The failover guard of the bootstrap."""
