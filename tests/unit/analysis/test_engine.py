import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from tests.unit.analysis.conftest import CONFIG, Manager, Start, envoy, until
from tests.unit.analysis.entries import INSTANCE, PROFILE, START, batch, entry, pair_entries
from tests.unit.analysis.kept import of_shadows
from tests.unit.analysis.link.test_last_good import layer, snapshot
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.engine import AnalysisEngine
from xds_server.analysis.link.collector import Collector
from xds_server.cache.resource import RUNTIME, Resource
from xds_server.cache.snapshot import make_snapshot
from xds_server.config import EngineSettings
from xds_server.errors import ConflictError
from xds_server.lifecycle.clock import SystemClock

DIFFERENT = {"body": b'{"a":1}'}


async def test_what_envoys_send_reaches_the_manager_compared(engine: Start) -> None:
    async with Manager() as manager, engine(manager.port) as one, envoy(one) as sender:
        await until(lambda: one.analyser._expected(PROFILE))
        await sender.log(batch(*pair_entries(), *pair_entries(shadow=DIFFERENT)))
        await manager.collector.first_pair(PROFILE)
        await until(lambda: manager.pairs == 2)
        summary = manager.collector.summary(PROFILE, INSTANCE)
        assert (summary.identical, summary.by_class) == (1, {"extra": 1})
        (tally,) = of_shadows(manager.collector.tallies(PROFILE))
        (found,) = tally.endpoints["GET /items/{id}"].fields.values()
        assert found.examples[0].as_json()["differences"][0]["field"] == "$.a"
        assert manager.collector.summary(PROFILE, "another").pairs == 0


async def test_the_first_pair_does_not_wait_for_the_window(engine: Start) -> None:
    async with Manager() as manager, engine(manager.port, window=3600) as one, envoy(one) as sender:
        await until(lambda: one.connected)
        await sender.log(batch(*pair_entries()))
        async with asyncio.timeout(10):
            await manager.collector.first_pair(PROFILE)


async def test_a_profile_that_lingers_is_judged_by_its_rules_until_it_is_forgotten(engine: Start) -> None:
    async with Manager() as manager, engine(manager.port) as one, envoy(one) as sender:
        await until(lambda: one.analyser._expected(PROFILE))
        await sender.log(batch(*pair_entries()))
        await until(lambda: manager.pairs == 1)
        revision = manager.collector.revision(PROFILE)
        manager.collector.linger(PROFILE)
        manager.collector.configure([])
        await sender.log(batch(*pair_entries(shadow=DIFFERENT)))
        await until(lambda: manager.pairs == 2)
        assert manager.collector.revision(PROFILE) > revision > 0
        assert PROFILE in one.analyser._profiles
        manager.collector.forget(PROFILE)
        await until(lambda: PROFILE not in one.analyser._profiles)
        await sender.log(batch(*pair_entries()))
        await until(lambda: one.analyser.pairs == 3)
        await asyncio.sleep(0.3)
        assert (manager.pairs, manager.collector.revision(PROFILE), manager.collector.tallies(PROFILE)) == (0, 0, [])


async def test_windows_wait_for_a_manager_that_is_away_and_are_counted_once(engine: Start) -> None:
    async with Manager() as manager:
        port = manager.port
        async with engine(port) as one, envoy(one) as sender:
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1)
            dump = manager.collector.dump(PROFILE)
            await manager.__aexit__()
            await until(lambda: not one.connected)
            await sender.log(batch(*pair_entries(), *pair_entries()))
            await until(lambda: one.analyser.pairs == 3)
            async with Manager(port) as again:
                again.collector.load(PROFILE, dump)
                await until(lambda: again.pairs == 3)
                assert again.collector.summary(PROFILE).lost == {}


async def test_a_manager_that_lost_windows_says_so(engine: Start) -> None:
    async with Manager() as manager:
        port = manager.port
        async with engine(port) as one, envoy(one) as sender:
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1 and one._link.outbox.empty)
            await manager.__aexit__()
            await sender.log(batch(*pair_entries()))
            await until(lambda: one.analyser.pairs == 2)
            async with Manager(port) as again:
                await until(lambda: again.pairs == 1)
                assert again.collector.summary(PROFILE).lost == {"engine_windows_dropped": 1}


async def test_the_end_of_an_engine_hands_over_what_it_has(engine: Start) -> None:
    async with Manager() as manager:
        async with engine(manager.port, window=3600) as one, envoy(one) as sender:
            await until(lambda: one.connected)
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1)
            await sender.log(batch(*pair_entries(), entry(pair="alone")))
            await until(lambda: one.analyser.pairs == 2)
        summary = manager.collector.summary(PROFILE)
        assert (summary.pairs, summary.lost) == (2, {"engine_stopped": 1})


async def test_an_engine_that_is_stopped_takes_in_what_is_on_its_way(engine: Start) -> None:
    original, shadow = pair_entries()
    async with Manager() as manager:
        async with engine(manager.port) as one:
            async with envoy(one) as sender:
                await until(lambda: one.connected)
                await sender.log(batch(original))
                await until(lambda: one.analyser.records == 1)
                stopping = asyncio.create_task(one.stop())
                await sender.log(batch(shadow))
            await stopping
        summary = manager.collector.summary(PROFILE)
        assert (summary.pairs, summary.lost) == (1, {})


async def test_records_that_never_came_are_counted_by_envoys_own_counters(
    engine: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.GRACE", 0.05)
    name = f"http__shadow-{INSTANCE}__downstream_rq_total"
    async with Manager() as manager, engine(manager.port) as one, envoy(one) as sender:
        await sender.log(batch(*pair_entries()))
        await until(lambda: manager.pairs == 1)
        await sender.push(START + 10, **{name: 4.0})
        await until(lambda: manager.collector.summary(PROFILE).lost == {"als_gap": 3})


async def test_an_engine_that_was_away_finds_what_it_missed(engine: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.GRACE", 0.05)
    name = f"http__shadow-{INSTANCE}__downstream_rq_total"
    async with Manager() as manager:
        async with engine(manager.port) as one, envoy(one) as sender:
            await sender.log(batch(*pair_entries()))
            await sender.push(START + 10, **{name: 1.0})
            await until(lambda: manager.pairs == 1)
        async with engine(manager.port) as one, envoy(one) as sender:
            await sender.log(batch(*pair_entries({"started": START + 30}, {"started": START + 30})))
            await until(lambda: manager.pairs == 2)
            await sender.push(START + 40, **{name: 5.0})
            await until(lambda: manager.collector.summary(PROFILE).lost == {"als_gap": 3})


TOTAL = f"http__shadow-{INSTANCE}__downstream_rq_total"


async def kill(engine: AnalysisEngine) -> None:
    """Let an engine end as one that is killed does: nothing is handed over any more."""
    tasks, engine._tasks = engine._tasks, []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def later(seconds: float, pair: str) -> bytes:
    """Return a pair's records, of a request so many seconds after the start."""
    leg = {"started": START + seconds, "pair": pair}
    return batch(*pair_entries(leg, leg))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.analysis.ingest.ledger.GRACE", 0.05)


@pytest.mark.usefixtures("hasty")
async def test_what_a_killed_engine_handed_over_is_in_a_pair_and_what_it_did_not_is_lost(engine: Start) -> None:
    async with Manager() as manager:
        manager.writes = False
        async with engine(manager.port, window=3600) as one, envoy(one) as sender:
            await until(lambda: one.connected)
            await sender.log(later(1, "p/1"))
            await until(lambda: manager.pairs == 1)
            await sender.log(later(2, "p/2"))
            await until(lambda: one.analyser.pairs == 2)
            await kill(one)
        killed = one._id
        manager.writes = True
        async with engine(manager.port) as one, envoy(one) as sender:
            await sender.log(later(3, "p/3"))
            await sender.push(START + 10, **{TOTAL: 3.0})
            await until(lambda: manager.collector.summary(PROFILE).lost == {"als_gap": 1})
            await until(lambda: manager.pairs == 2)
            # What of the first may still be on its way would be in a pair and lost.
            assert not manager.collector._take_all(killed, [], 9)


@pytest.mark.usefixtures("hasty")
async def test_an_engine_sends_and_settles_nothing_before_it_knows_from_which_books_to_go_on(engine: Start) -> None:
    async with Manager() as manager:
        manager.writes = False
        async with engine(manager.port) as one, envoy(one) as sender:
            await sender.log(later(1, "p/1"))
            await until(lambda: manager.pairs == 1)
            await kill(one)
        # The second one is killed before it knows: what it received is nobody's.
        for number in (2, 3):
            async with engine(manager.port) as one, envoy(one) as sender:
                await until(lambda: one.connected)
                await sender.log(later(number, f"p/{number}"))
                await sender.push(START + 10 * number, **{TOTAL: float(number)})
                await until(lambda: one.analyser.pairs == 1)
                await asyncio.sleep(0.3)
                summary = manager.collector.summary(PROFILE)
                assert (summary.pairs, summary.lost, one.ledger.missing()) == (1, {}, {"node-1": 0})
                if number == 2:
                    await kill(one)
                    continue
                manager.writes = True
                await until(lambda: manager.pairs == 2)
                await until(lambda: manager.collector.summary(PROFILE).lost == {"als_gap": 1})


@pytest.mark.usefixtures("hasty")
async def test_what_a_killed_manager_had_not_written_of_a_killed_engine_is_lost(engine: Start) -> None:
    async with Manager() as manager:
        manager.writes = False
        port = manager.port
        async with engine(port) as one, envoy(one) as sender:
            await sender.log(later(1, "p/1"))
            await until(lambda: manager.pairs == 1)
            dump = manager.collector.dump(PROFILE)
            await sender.log(later(2, "p/2"))
            await until(lambda: manager.pairs == 2)
            await kill(one)
            await manager.__aexit__()
        async with engine(port) as one, envoy(one) as sender:
            await sender.log(later(3, "p/3"))
            await sender.push(START + 10, **{TOTAL: 3.0})
            another = Manager(port)
            another.collector.load(PROFILE, dump)
            async with another:
                await until(lambda: another.pairs == 2)
                await until(lambda: another.collector.summary(PROFILE).lost == {"als_gap": 1})


async def test_who_has_seen_something_of_a_profile_is_awaited_until_it_or_its_successor_is_there(engine: Start) -> None:
    async with Manager() as manager:
        assert manager.collector.awaits(PROFILE), "nobody is there"
        async with engine(manager.port) as one, envoy(one) as sender:
            await until(lambda: not manager.collector.awaits(PROFILE))
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1)
            assert not manager.collector.awaits(PROFILE)
            await kill(one)
        await until(lambda: manager.collector.awaits(PROFILE))
        async with engine(manager.port):
            await until(lambda: not manager.collector.awaits(PROFILE))


async def test_a_profile_that_was_deleted_is_judged_by_its_own_rules_under_the_next_manager_too(engine: Start) -> None:
    async with Manager() as manager, engine(manager.port) as one, envoy(one) as sender:
        await sender.log(batch(*pair_entries()))
        await until(lambda: manager.pairs == 1)
        dump = manager.collector.dump(PROFILE)
        await manager.__aexit__()
        another = Manager(manager.port)
        another.collector.configure(())
        another.collector.load(PROFILE, dump)
        another.collector.linger(PROFILE)
        assert another.collector._configs == (CONFIG,)
        async with another:
            await until(lambda: one.connected)
            await sender.log(batch(*pair_entries({"pair": "q"}, {"pair": "q"})))
            await until(lambda: another.pairs == 2)
            another.collector.forget(PROFILE)
            assert another.collector._configs == ()


async def test_what_the_manager_has_not_written_is_sent_again_to_the_next_one(engine: Start) -> None:
    async with Manager() as manager:
        manager.writes = False
        async with engine(manager.port) as one, envoy(one) as sender:
            await until(lambda: one.connected)
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1)
            await manager.__aexit__()
            async with Manager(manager.port) as another:
                await until(lambda: another.pairs == 1)
                await sender.log(batch(*pair_entries({"pair": "q"}, {"pair": "q"})))
                await until(lambda: another.pairs == 2)


async def test_the_books_of_a_closing_are_on_disk_before_it_is_sent(engine: Start, tmp_path: Path) -> None:
    path = tmp_path / "engine" / "books.json"
    async with engine(1) as one, envoy(one) as sender:
        sent: list[tuple[int, list[int]]] = []

        def send(tallies: list[Any], _: Any, *, closing: int) -> None:
            if tallies:
                sent.append((closing, [number for number, _ in orjson.loads(path.read_bytes())["books"]]))

        one._link.send = send  # type: ignore[method-assign]
        await sender.log(batch(*pair_entries()))
        await until(lambda: sent)
    assert sent[0] == (1, [0, 1])


async def test_profiles_are_known_again_after_a_restart_without_a_manager(engine: Start, tmp_path: Path) -> None:
    async with Manager() as manager:
        async with engine(manager.port):
            await until((tmp_path / "engine" / "profiles.json").exists)
        port = manager.port
    async with engine(port) as one:
        assert one.analyser._expected(PROFILE) == {INSTANCE}


async def test_a_change_of_the_profiles_reaches_the_engine(engine: Start) -> None:
    async with Manager() as manager, engine(manager.port) as one:
        await until(lambda: one.analyser._expected(PROFILE) == {INSTANCE})
        manager.collector.configure([])
        await until(lambda: not one.analyser._profiles)


async def test_a_forgotten_profile_does_not_come_back(engine: Start) -> None:
    async with Manager() as manager, engine(manager.port) as one, envoy(one) as sender:
        await sender.log(batch(*pair_entries()))
        await until(lambda: manager.pairs == 1)
        manager.collector.forget(PROFILE)
        windows = manager.collector.engines()[0].windows
        await sender.log(batch(*pair_entries()))
        await until(lambda: manager.collector.engines()[0].windows > windows)
        assert manager.pairs == 0


async def test_the_manager_lists_its_engines(engine: Start) -> None:
    async with Manager() as manager:
        async with engine(manager.port) as one, envoy(one) as sender:
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1)
            await until(lambda: manager.collector.engines()[0].as_json().get("records") == 2)
            (status,) = manager.collector.engines()
            assert (status.node, status.connected) == ("local", True)
        await until(lambda: not manager.collector.engines()[0].connected)


async def test_while_the_manager_is_away_the_engine_serves_the_last_good_without_mirroring(engine: Start) -> None:
    async with Manager() as manager:
        port = manager.port
        async with engine(port) as one:
            manager.collector.offer_last_good({"shop": snapshot(), "shop-id": snapshot()})
            await until(lambda: set(one._cache.groups()) == {"shop", "shop-id"})
            manager.collector.offer_last_good({"shop": snapshot()})
            await until(lambda: one._cache.groups() == ("shop",))
    async with engine(port) as one, grpc.aio.insecure_channel(f"127.0.0.1:{one.port}") as channel:
        ask = channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", None, None
        )()
        request = discovery_pb2.DiscoveryRequest(type_url=RUNTIME, resource_names=["shadowmesh"])
        request.node.id, request.node.cluster = "envoy-1", "shop"
        await ask.write(request.SerializeToString())
        answer = discovery_pb2.DiscoveryResponse.FromString(await ask.read())
        (resource,) = answer.resources
        served = make_snapshot([Resource("shadowmesh", RUNTIME, resource.value, "")])
        assert layer(served)["shadowmesh.sample.p"] == {"numerator": 0, "denominator": "MILLION"}
        ask.cancel()


@asynccontextmanager
async def failed_over(engine: AnalysisEngine) -> AsyncIterator[Any]:
    """An Envoy's discovery stream to the engine, answered once."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{engine.port}") as channel:
        stream = channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", None, None
        )()
        request = discovery_pb2.DiscoveryRequest(type_url=RUNTIME, resource_names=["shadowmesh"])
        request.node.id, request.node.cluster = "envoy-1", "shop"
        await stream.write(request.SerializeToString())
        await stream.read()
        yield stream
        stream.cancel()


async def test_an_envoy_stays_with_the_engine_until_the_manager_is_back(
    engine: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xds_server.analysis.engine.STAY", 0.3)
    async with Manager() as manager:
        manager.collector.offer_last_good({"shop": snapshot()})
        port = manager.port
        async with engine(port) as one:
            await until(lambda: one._cache.groups() == ("shop",))
    async with engine(port) as one, failed_over(one) as stream:
        await asyncio.sleep(0.6)
        assert not stream.done()
        async with Manager(port):
            await until(lambda: one.connected)
            assert not stream.done()
            await until(stream.done)
            assert await stream.code() is grpc.StatusCode.OK
            # One that cannot reach the manager comes back at once, and is served again.
            async with failed_over(one) as again:
                assert not again.done()


async def test_unchanged_resources_are_not_sent_again(engine: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    async with Manager() as manager:
        manager.collector.offer_last_good({"shop": snapshot()})
        async with engine(manager.port) as one:
            await until(lambda: one._cache.groups() == ("shop",))
        async with engine(manager.port) as one:
            monkeypatch.setattr(one._last_good, "take", lambda *of: taken.append(of[0]))
            await until(lambda: one.connected)
            manager.collector.offer_last_good({"shop": snapshot(), "bank": snapshot()})
            await until(lambda: taken)
    assert taken == ["bank"]


async def test_a_port_in_use_is_a_conflict_that_names_the_setting(engine: Start) -> None:
    async with engine(1) as one:
        with pytest.raises(ConflictError) as caught:
            async with engine(1, port=one.port):
                pass
        assert caught.value.field == "engine.port"


@pytest.mark.parametrize("name", ["profiles.json", "books.json"])
async def test_state_that_cannot_be_read_begins_anew(engine: Start, tmp_path: Path, name: str) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / name).write_bytes(b'{"a": [1')
    async with engine(1) as one:
        assert one.port


def test_a_window_that_comes_again_is_counted_once_also_by_the_next_manager() -> None:
    def manager() -> Collector:
        made = Collector(clock=SystemClock(), settings=EngineSettings())
        made.configure([CONFIG])
        return made

    analyser = Analyser(EngineSettings(), wall=lambda: START)
    analyser.feed(batch(*pair_entries()), 0.0)
    (window,) = of_shadows(analyser.take())
    one, other = manager(), manager()
    for _ in range(2):
        one._take("engine", 7, 0, window.pack())
    assert one.summary(PROFILE).pairs == 1
    other.load(PROFILE, one.dump(PROFILE))
    other._take("engine", 7, 0, window.pack())
    assert other.summary(PROFILE).pairs == 1
    other._take("engine", 8, 7, window.pack())
    assert (other.summary(PROFILE).pairs, other.summary(PROFILE).lost) == (2, {})


def test_how_far_it_got_with_an_engine_is_known_after_a_restart_from_any_profile() -> None:
    analyser = Analyser(EngineSettings(), wall=lambda: START)
    analyser.feed(batch(*pair_entries()), 0.0)
    (window,) = (tally.pack() for tally in of_shadows(analyser.take()))
    one, other = (Collector(clock=SystemClock(), settings=EngineSettings()) for _ in range(2))
    one._take_all("engine", [(1, 0, window)], 5)
    early = one.dump(PROFILE)
    one._take_all("engine", [(3, 0, {**window, "profile": "another"})], 6)
    other.load("another", one.dump("another"))
    other.load(PROFILE, early)
    assert other._reached == {"engine": 6}


def test_nothing_is_taken_of_an_engine_that_has_a_successor() -> None:
    analyser = Analyser(EngineSettings(), wall=lambda: START)
    analyser.feed(batch(*pair_entries()), 0.0)
    (window,) = (tally.pack() for tally in of_shadows(analyser.take()))
    collector = Collector(clock=SystemClock(), settings=EngineSettings())
    collector._end("engine")
    assert not collector._take_all("engine", [(1, 0, window)], 1)
    assert (collector.summary(PROFILE).pairs, dict(collector._reached)) == (0, {})


def test_a_dump_is_loaded_and_added() -> None:
    collector = Collector(clock=SystemClock(), settings=EngineSettings())
    collector.configure([CONFIG])
    empty = collector.dump(PROFILE)
    collector.load(PROFILE, empty)
    assert collector.summary(PROFILE).pairs == 0


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 99}', b'{"version":1,"applied":{},"tallies":[{}]}'])
def test_a_dump_that_is_none_is_refused(data: bytes) -> None:
    collector = Collector(clock=SystemClock(), settings=EngineSettings())
    with pytest.raises(ValueError):  # noqa: PT011 - several texts
        collector.load(PROFILE, data)


async def test_nonsense_on_the_link_harms_nobody(engine: Start) -> None:
    async with Manager() as manager:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{manager.port}") as channel:
            call = channel.stream_stream("/shadowmesh.analysis.v1.Manager/Attach", None, None)()
            for message in (
                b"\xff",
                b"[]",
                b'{"window": {}}',
                b'{"hello": {}}',
                b'{"window": {"profile": 1}, "seq": 1}',
                b'{"closing": 1, "seq": 2}',
            ):
                await call.write(message)
            assert b"config" in b"".join([await call.read() for _ in range(2)])
            await call.done_writing()
        async with engine(manager.port) as one, envoy(one) as sender:
            await sender.log(b"\xff\xff")
            await sender.log(batch(*pair_entries()))
            await until(lambda: manager.pairs == 1)
