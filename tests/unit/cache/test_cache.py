import pytest

from tests.xds_resources import cluster, routes, runtime
from xds_server.cache import Snapshot, SnapshotCache, make_resource, make_snapshot
from xds_server.cache.resource import CLUSTER
from xds_server.errors import InconsistentError


def watched(cache: SnapshotCache, group: str) -> list[Snapshot | None]:
    seen: list[Snapshot | None] = []
    cache.subscribe(group, seen.append)
    return seen


def test_a_change_is_told_to_the_watchers_of_its_group_only() -> None:
    cache = SnapshotCache()
    shop, other = watched(cache, "shop"), watched(cache, "other")
    snapshot = make_snapshot([cluster("a")])
    cache.set("shop", snapshot)
    assert (shop, other) == ([snapshot], [])
    assert cache.get("shop") is snapshot
    assert cache.get("other") is None


def test_an_equal_snapshot_is_no_change() -> None:
    cache = SnapshotCache()
    seen = watched(cache, "shop")
    cache.set("shop", make_snapshot([cluster("a")]))
    cache.set("shop", make_snapshot([cluster("a")]))
    assert len(seen) == 1


def test_an_inconsistent_snapshot_leaves_the_last_good_in_force() -> None:
    cache = SnapshotCache()
    good = make_snapshot([cluster("a")])
    cache.set("shop", good)
    seen = watched(cache, "shop")
    with pytest.raises(InconsistentError):
        cache.set("shop", make_snapshot([routes("r", "gone")]))
    assert cache.get("shop") is good
    assert seen == []


def test_a_dropped_group_is_told_as_none_once() -> None:
    cache = SnapshotCache()
    cache.set("shop", make_snapshot([cluster("a")]))
    seen = watched(cache, "shop")
    cache.drop("shop")
    cache.drop("shop")
    assert seen == [None]
    assert cache.groups() == ()


def test_a_watch_ends_and_leaves_nothing() -> None:
    cache = SnapshotCache()
    seen: list[Snapshot | None] = []
    end = cache.subscribe("shop", seen.append)
    assert cache.watches == 1
    end()
    end()
    cache.set("shop", make_snapshot([cluster("a")]))
    assert seen == []
    assert cache.watches == 0


def test_versions_follow_content_and_ttl() -> None:
    assert cluster("a").version == cluster("a").version
    assert cluster("a").version != cluster("a", note=1).version
    assert runtime(ttl=1).version != runtime(ttl=2).version != runtime().version
    first, second = make_snapshot([cluster("a"), cluster("b")]), make_snapshot([cluster("b"), cluster("a")])
    assert first.version(CLUSTER) == second.version(CLUSTER)
    renamed = make_snapshot([make_resource("c", CLUSTER, cluster("a").body), cluster("b")])
    assert renamed.version(CLUSTER) != first.version(CLUSTER)
