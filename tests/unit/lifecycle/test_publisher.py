"""From states to snapshots: groups, the last good one, what is translated anew."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.lifecycle.fakes import FakeBoard, FakeCollector, World, a_component, a_network, a_profile, settle, until
from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import CLUSTER, LISTENER, ROUTES, RUNTIME, Resource
from xds_server.config import Settings
from xds_server.errors import InconsistentError, InvalidError
from xds_server.lifecycle import publisher as module
from xds_server.lifecycle.groups import LISTEN_METADATA, group_of, listen_overrides
from xds_server.lifecycle.publisher import Publisher
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address, VirtualNetwork
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState
from xds_server.protocol.node import NodeInfo

ELSEWHERE = {LISTEN_METADATA: {"catalog": "127.0.0.1:10999"}}


def network(name: str = "shop") -> VirtualNetwork:
    return replace(a_network(name), id=NetworkID(f"id-of-{name}"), created_at=datetime(2026, 1, 1, tzinfo=UTC))


def active(percentage: float = 0.5) -> ActiveProfile:
    profile = a_profile(id=ProfileID("p1"), network_id=NetworkID("id-of-shop"), percentage=percentage)
    return ActiveProfile(profile, (ActiveShadow(InstanceID("i1"), "v2", Address("127.0.0.1", 20000)),))


class Bench:
    """A publisher with what is around it, counting translations."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = SnapshotCache()
        self.collector = FakeCollector()
        self.board = FakeBoard(World())
        board: Any = self.board
        self.publisher = Publisher(cache=self.cache, board=board, collector=self.collector, settings=Settings())
        self.translations = 0
        self.broken: Exception | None = None
        real = module.translate

        def translate(*args: Any, **fields: Any) -> list[Resource]:
            self.translations += 1
            if self.broken is not None:
                raise self.broken
            return real(*args, **fields)

        monkeypatch.setattr(module, "translate", translate)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    return Bench(monkeypatch)


async def test_a_network_is_served_under_its_name_and_its_id(bench: Bench) -> None:
    bench.publisher.publish(NetworkState(network()))
    assert bench.cache.get("shop") is bench.cache.get("id-of-shop")
    assert bench.cache.get("shop") is not None
    assert bench.publisher.groups(NetworkID("id-of-shop")) == {"shop", "id-of-shop"}


async def test_only_a_changed_network_is_translated_anew(bench: Bench) -> None:
    state = NetworkState(network(), (active(),))
    bench.publisher.publish(state)
    bench.publisher.publish(NetworkState(network("other")))
    assert bench.translations == 2
    bench.publisher.publish(NetworkState(network(), (active(),)))
    assert bench.translations == 2
    bench.publisher.publish(NetworkState(network(), (active(0.6),)))
    assert bench.translations == 3


async def test_a_checked_state_is_not_translated_twice(bench: Bench) -> None:
    bench.publisher.check(NetworkState(network()))
    bench.publisher.publish(NetworkState(network()))
    assert bench.translations == 1


@pytest.mark.parametrize("other", [0.0, 0.25, 1.0])
async def test_a_percentage_touches_the_runtime_alone(bench: Bench, other: float) -> None:
    bench.publisher.publish(NetworkState(network(), (active(),)))
    before = bench.cache.get("shop")
    bench.publisher.publish(NetworkState(network(), (active(other),)))
    after = bench.cache.get("shop")
    assert before is not None
    assert after is not None
    changed = {t for t in after.versions if after.versions[t] != before.versions.get(t)}
    assert changed == {RUNTIME}


async def test_a_profile_leaves_the_listener_of_its_component_alone(bench: Bench) -> None:
    bench.publisher.publish(NetworkState(network()))
    before = bench.cache.get("shop")
    bench.publisher.publish(NetworkState(network(), (active(),)))
    after = bench.cache.get("shop")
    assert before is not None
    assert after is not None
    for name, listener in before.of_type(LISTENER).items():
        assert after.of_type(LISTENER)[name] == listener
    assert after.version(ROUTES) != before.version(ROUTES)


@pytest.mark.parametrize("error", [InvalidError("planted"), ZeroDivisionError("planted")])
async def test_what_cannot_be_translated_leaves_the_last_good_in_force(
    bench: Bench, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.publisher.publish(NetworkState(network()))
    good = bench.cache.get("shop")
    bench.broken = error
    bench.publisher.publish(NetworkState(network(), (active(),)))
    assert bench.cache.get("shop") is good
    assert "planted" in bench.publisher.problem(NetworkID("id-of-shop"))

    bench.broken = None
    bench.publisher.publish(NetworkState(network(), (active(),)))
    assert bench.publisher.problem(NetworkID("id-of-shop")) == ""
    assert bench.cache.get("shop") is not good


async def test_what_is_inconsistent_leaves_the_last_good_in_force(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.publisher.publish(NetworkState(network()))
    good = bench.cache.get("shop")
    real = module.translate
    monkeypatch.setattr(
        module, "translate", lambda *a, **k: [r for r in real(*a, **k) if not r.type_url.endswith(".Cluster")]
    )
    bench.publisher.publish(NetworkState(network(), (active(),)))
    assert bench.cache.get("shop") is good
    assert bench.publisher.problem(NetworkID("id-of-shop"))
    with pytest.raises(InconsistentError):
        bench.publisher.check(NetworkState(network("other")))


async def test_an_envoy_that_listens_elsewhere_gets_its_own_listener(bench: Bench) -> None:
    bench.publisher.publish(NetworkState(network()))
    group = bench.publisher.group_of(NodeInfo("e1", "shop", ELSEWHERE))
    assert group not in {"shop", "id-of-shop"}
    own, plain = bench.cache.get(group), bench.cache.get("shop")
    assert own is not None
    assert plain is not None
    assert own.version(LISTENER) != plain.version(LISTENER)
    assert own.version(CLUSTER) == plain.version(CLUSTER)
    assert group in bench.publisher.groups(NetworkID("id-of-shop"))


async def test_envoys_that_listen_alike_share_a_group(bench: Bench) -> None:
    first = bench.publisher.group_of(NodeInfo("e1", "shop", ELSEWHERE))
    assert bench.publisher.group_of(NodeInfo("e2", "shop", ELSEWHERE)) == first
    assert bench.publisher.group_of(NodeInfo("e3", "shop")) == "shop"
    assert bench.publisher.group_of(NodeInfo("e4", "id-of-shop", ELSEWHERE)) != first


async def test_an_envoy_that_comes_before_its_network_is_served_when_it_is_there(bench: Bench) -> None:
    group = bench.publisher.group_of(NodeInfo("e1", "shop", ELSEWHERE))
    assert bench.cache.get(group) is None
    bench.publisher.publish(NetworkState(network()))
    assert bench.cache.get(group) is not None


async def test_a_group_that_listens_elsewhere_follows_changes(bench: Bench) -> None:
    group = bench.publisher.group_of(NodeInfo("e1", "shop", ELSEWHERE))
    bench.publisher.publish(NetworkState(network()))
    before = bench.cache.get(group)
    bench.publisher.publish(NetworkState(network(), (active(),)))
    assert bench.cache.get(group) != before


async def test_groups_nobody_uses_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OVERRIDES", 5)
    bench.publisher.publish(NetworkState(network()))
    for port in range(11000, 11050):
        bench.publisher.group_of(NodeInfo("e", "shop", {LISTEN_METADATA: {"catalog": f"127.0.0.1:{port}"}}))
    assert len(bench.cache.groups()) == 2 + 5
    assert len(bench.publisher.groups(NetworkID("id-of-shop"))) == 2 + 5


async def test_a_withdrawn_network_is_not_served(bench: Bench) -> None:
    group = bench.publisher.group_of(NodeInfo("e1", "shop", ELSEWHERE))
    bench.publisher.publish(NetworkState(network()))
    bench.publisher.withdraw(NetworkID("id-of-shop"))
    assert bench.cache.groups() == ()
    bench.publisher.publish(NetworkState(network()))
    assert bench.cache.get(group) is not None


async def test_the_analysis_is_told_once_a_burst(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    real = bench.collector.offer_last_good

    def offer(groups: Any) -> None:
        nonlocal calls
        calls += 1
        real(groups)

    monkeypatch.setattr(bench.collector, "offer_last_good", offer)
    for number in range(50):
        bench.publisher.publish(NetworkState(network(f"n{number}")))
        await settle(1)
    await until(lambda: calls)
    assert calls == 1
    assert len(bench.collector.last_good) == 100


async def test_the_analysis_knows_the_profiles_and_their_shadows(bench: Bench) -> None:
    bench.publisher.publish(NetworkState(network(), (active(),)))
    bench.publisher.close()
    (config,) = bench.collector.configs
    assert (config.profile_id, config.network, config.component) == ("p1", "shop", "catalog")
    assert config.shadows == {"i1": "v2"}


@pytest.mark.parametrize(
    "value", ["text", ["127.0.0.1:1"], {"catalog": "nowhere"}, {"catalog": ":1"}, {"catalog": "a:0"}, {"catalog": None}]
)
def test_metadata_that_cannot_be_read_overrides_nothing(value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert listen_overrides(value, node="e1") == {}


def test_an_ipv6_address_can_be_listened_on() -> None:
    assert listen_overrides({"catalog": "[::1]:80"}, node="e1") == {"catalog": Address("::1", 80)}


async def test_an_override_of_an_unknown_component_is_left_out(bench: Bench) -> None:
    bench.publisher.publish(NetworkState(network()))
    group = bench.publisher.group_of(NodeInfo("e1", "shop", {LISTEN_METADATA: {"nothing": "127.0.0.1:1"}}))
    assert bench.cache.get(group) == bench.cache.get("shop")


def test_the_group_of_an_envoy_is_the_same_after_a_restart() -> None:
    assert group_of(NodeInfo("e1", "shop", ELSEWHERE)).name == group_of(NodeInfo("e2", "shop", ELSEWHERE)).name


async def test_components_that_share_nothing_do_not_disturb_each_other(bench: Bench) -> None:
    two = replace(network(), components=(a_component(), a_component("cart", 10001)))
    bench.publisher.publish(NetworkState(two))
    assert bench.publisher.problem(NetworkID("id-of-shop")) == ""
