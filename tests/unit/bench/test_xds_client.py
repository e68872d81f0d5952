"""The client of the cold start sees what an Envoy would: its network's clusters, or nothing."""

from collections.abc import AsyncIterator

import pytest

from tests.bench._envoy import free_ports
from tests.bench._xds_client import accepts, first_clusters
from xds_server.cache import SnapshotCache
from xds_server.cache.resource import CLUSTER, make_resource
from xds_server.cache.snapshot import make_snapshot
from xds_server.config import XdsSettings
from xds_server.protocol import NodeInfo, StatusBoard, XdsServer


@pytest.fixture
async def target() -> AsyncIterator[str]:
    cache = SnapshotCache()
    for name in ("full", "other"):
        cache.set(name, make_snapshot([make_resource("c", CLUSTER, b"\n\x01c")]))
    cache.set("empty", make_snapshot([]))

    def grouping(node: NodeInfo) -> str:
        return node.cluster

    server = XdsServer(settings=XdsSettings(port=0), cache=cache, grouping=grouping, board=StatusBoard())
    await server.start()
    yield f"127.0.0.1:{server.port}"
    await server.stop(0.1)


async def test_each_network_is_answered(target: str) -> None:
    assert accepts(target)
    answers = await first_clusters(target, ["full", "other", "full"])
    assert len(answers.moments) == 3
    assert answers.refused == 0


async def test_a_network_without_clusters_is_not_taken_for_served(target: str) -> None:
    with pytest.raises(RuntimeError, match="empty has no cluster"):
        await first_clusters(target, ["empty"])


def test_a_closed_port_does_not_accept() -> None:
    assert not accepts(f"127.0.0.1:{free_ports(1)[0]}")
