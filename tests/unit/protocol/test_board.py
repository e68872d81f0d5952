import asyncio

from tests.unit.protocol.test_session import Model, model
from tests.xds_resources import cluster
from xds_server.cache import SnapshotCache, make_snapshot
from xds_server.cache.resource import CLUSTER
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.node import NodeInfo
from xds_server.protocol.session import Mode

NODE = NodeInfo("envoy-1", "shop")


class Clock:
    """Wall-clock time that stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def connected(cache: SnapshotCache) -> Model:
    client = model(Mode.SOTW)
    client.session.adopt(cache.get("shop"), 0.0)
    client.want(CLUSTER, {"*"})
    client.finish()
    return client


def board_of(cache: SnapshotCache, **options: object) -> StatusBoard:
    board = StatusBoard(**options)
    board.compare_with(cache)
    return board


def cache_with(*names: str, note: int = 0) -> SnapshotCache:
    cache = SnapshotCache()
    cache.set("shop", make_snapshot(cluster(name, note=note) for name in names))
    return cache


def states(board: StatusBoard) -> dict[str, str]:
    return {r.name: r.state.value for envoy in board.envoys() for r in envoy.resources}


def test_what_is_no_longer_the_newest_is_stale() -> None:
    cache = cache_with("a", "b")
    board = board_of(cache)
    board.connect(NODE, "shop", connected(cache).session)
    assert states(board) == {"a": "ACKED", "b": "ACKED"}
    cache.set("shop", make_snapshot([cluster("a", note=1)]))
    assert states(board) == {"a": "STALE", "b": "STALE"}


def test_an_envoy_that_went_away_is_remembered_for_a_while() -> None:
    cache, clock = cache_with("a"), Clock()
    board = board_of(cache, clock=clock, remember_for=60.0)
    connection = board.connect(NODE, "shop", connected(cache).session)
    clock.now += 5
    board.disconnect(connection)
    (envoy,) = board.envoys()
    assert (envoy.connected, envoy.since, envoy.last_seen) == (False, 1005.0, 1000.0)
    assert states(board) == {"a": "ACKED"}
    clock.now += 61
    assert board.envoys() == []


def test_of_envoys_that_went_away_only_the_last_are_kept() -> None:
    cache = cache_with("a")
    board = board_of(cache, remember=3)
    for number in range(10):
        session = connected(cache).session
        board.disconnect(board.connect(NodeInfo(f"envoy-{number}", "shop"), "shop", session))
    assert [envoy.node_id for envoy in board.envoys()] == ["envoy-7", "envoy-8", "envoy-9"]


def test_streams_of_one_envoy_are_one_entry_until_the_last_ends() -> None:
    cache = cache_with("a")
    board = board_of(cache)
    first = board.connect(NODE, "shop", connected(cache).session)
    second = board.connect(NODE, "shop", connected(cache).session)
    board.disconnect(first)
    assert [envoy.connected for envoy in board.envoys()] == [True]
    board.disconnect(second)
    assert [envoy.connected for envoy in board.envoys()] == [False]
    board.connect(NODE, "shop", connected(cache).session)
    assert [envoy.connected for envoy in board.envoys()] == [True]


def test_only_the_groups_asked_for_are_shown() -> None:
    cache = cache_with("a")
    board = board_of(cache)
    board.connect(NODE, "shop", connected(cache).session)
    assert len(board.envoys(["shop"])) == 1
    assert board.envoys(["other"]) == []


async def test_settled_waits_for_the_answers_of_the_groups_asked_for() -> None:
    cache = cache_with("a")
    board = board_of(cache)
    client = connected(cache)
    board.connect(NODE, "shop", client.session)
    assert await board.settled(["shop"], 0)
    newest = make_snapshot([cluster("a", note=1)])
    cache.set("shop", newest)
    assert not await board.settled(["shop"], 0)
    assert await board.settled(["other"], 0)
    waiting = asyncio.create_task(board.settled(lambda group: group == "shop", 5.0))
    client.session.adopt(newest, 0.0)
    client.fetch()
    board.progressed()
    await asyncio.sleep(0)
    assert not waiting.done()
    client.read()
    board.progressed()
    assert await waiting
