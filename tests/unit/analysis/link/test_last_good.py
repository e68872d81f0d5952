from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf import json_format

from xds_server.analysis.link.last_good import LastGoodStore, without_mirroring
from xds_server.analysis.link.wire import pack_snapshot, unpack_snapshot, version_of
from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import CLUSTER, RUNTIME, Resource, make_resource
from xds_server.cache.snapshot import Snapshot, make_snapshot


def runtime(**layer: object) -> Resource:
    message = rtds_pb2.Runtime(name="shadowmesh")
    json_format.ParseDict(layer, message.layer)
    return make_resource("shadowmesh", RUNTIME, message.SerializeToString(), ttl=15.0)


def cluster(name: str) -> Resource:
    return make_resource(name, CLUSTER, cluster_pb2.Cluster(name=name).SerializeToString())


def snapshot() -> Snapshot:
    sample = {"numerator": 500_000, "denominator": "MILLION"}
    return make_snapshot([cluster("component/catalog"), runtime(**{"shadowmesh.sample.p": sample, "weight": 50})])


def layer(of: Snapshot) -> dict[str, object]:
    message = rtds_pb2.Runtime.FromString(of.of_type(RUNTIME)["shadowmesh"].body)
    return dict(json_format.MessageToDict(message.layer))


def test_shares_become_zero_weights_are_those_of_the_routes_and_nothing_expires() -> None:
    kept = without_mirroring(snapshot())
    assert layer(kept) == {"shadowmesh.sample.p": {"numerator": 0, "denominator": "MILLION"}}
    assert kept.of_type(RUNTIME)["shadowmesh"].ttl is None
    assert kept.of_type(CLUSTER) == snapshot().of_type(CLUSTER)


def test_a_snapshot_survives_the_link() -> None:
    assert unpack_snapshot(pack_snapshot(snapshot())) == snapshot()
    assert version_of(snapshot()) != version_of(without_mirroring(snapshot()))


def test_what_was_taken_is_there_after_a_restart(tmp_path: Path) -> None:
    store = LastGoodStore(tmp_path / "last-good", SnapshotCache())
    store.load()
    store.take("shop", "v1", pack_snapshot(snapshot()))
    cache = SnapshotCache()
    again = LastGoodStore(tmp_path / "last-good", cache)
    again.load()
    assert again.versions == {"shop": "v1"}
    assert cache.get("shop") == without_mirroring(snapshot())


def test_groups_that_are_gone_are_dropped_from_the_disk_too(tmp_path: Path) -> None:
    cache = SnapshotCache()
    store = LastGoodStore(tmp_path, cache)
    for group in ("shop", "bank"):
        store.take(group, "v1", pack_snapshot(snapshot()))
    store.keep_only(["shop"])
    assert cache.groups() == ("shop",)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"group": "x"}', b'{"group":"g","version":"v","resources":[["a"]]}'])
def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.json").write_bytes(content)
    cache = SnapshotCache()
    LastGoodStore(tmp_path, cache).load()
    assert cache.groups() == ()


def test_what_cannot_be_used_leaves_the_one_before(tmp_path: Path) -> None:
    cache = SnapshotCache()
    store = LastGoodStore(tmp_path, cache)
    store.take("shop", "v1", pack_snapshot(snapshot()))
    store.take("shop", "v2", [["shadowmesh", RUNTIME, "/////w==", "x", None]])
    assert store.versions == {"shop": "v1"}
    assert cache.get("shop") is not None
