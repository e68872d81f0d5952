"""What the campaign rests on: its schedule, its wires, how it tells who hurt a client."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from tests.chaos.callers import Callers, Wrong
from tests.chaos.campaign import chosen
from tests.chaos.invariants import Result, judge_clients, judge_speed
from tests.chaos.points import OF_DOCKER, OF_SHADOWS, Blow, Moment, Point, schedule, silences, with_containers
from tests.chaos.relay import Relay
from tests.chaos.table import kinds, markdown, summary
from xds_server.stage.children import Household


def test_a_point_is_the_same_however_many_are_asked_for() -> None:
    assert schedule(1, 100)[:37] == schedule(1, 37)
    assert schedule(1, 100) != schedule(2, 100)


@pytest.mark.parametrize("seed", range(20))
def test_each_blow_is_struck_and_each_moment_hit_about_as_often(seed: int) -> None:
    points = schedule(seed, 100)
    for blow in set(Blow) - OF_DOCKER:
        assert sum(point.blow is blow for point in points) == 4
    for moment in Moment:
        assert sum(point.moment is moment for point in points) >= 4
    assert not [point for point in points if point.blow in OF_SHADOWS and point.moment is Moment.IDLE]
    assert {point.blow for point in chosen(points, None, each_kind=True)} == set(Blow) - OF_DOCKER
    assert len(silences(points)) >= 5
    assert len(silences(chosen(points, None, each_kind=True))) >= 1
    assert {point.blow for point in with_containers(seed, 3)} == OF_DOCKER
    assert [point.number for point in chosen(points, [37, 4], each_kind=False)] == [4, 37]


def test_only_a_request_that_overlaps_the_absence_of_envoy_is_not_held_against_us() -> None:
    result = Result(schedule(1, 1)[0])
    before, during, after = Wrong(1.0, 1.9, "reset"), Wrong(1.9, 2.1, "reset"), Wrong(5.1, 5.2, "refused")
    judge_clients(result, [before, during, after], [(2.0, 5.0)])
    assert (result.hurt, result.while_envoy_was_away) == (2, 1)
    assert result.wrong
    assert "2 clients were hurt" in summary([result])
    assert "2 clients were hurt" in markdown([result], seed=1)


def test_the_table_sums_up_each_kind_of_blow() -> None:
    kill, cut = Blow.KILL_MANAGER, Blow.CUT_MANAGER
    results = [
        Result(
            Point(1, kill, Moment.TTL, 0.0, 1.0), requests=5, sent=10, accounted=9, struck_sent=7, struck_accounted=8
        ),
        Result(Point(2, kill, Moment.IDLE, 0.0, 1.0), requests=6, sent=3, accounted=3, stopped=2.5, slowest=0.5),
        Result(Point(3, cut, Moment.IDLE, 0.0, 1.0), lost_profiles=1, leaked=2, hurt=3),
    ]
    rows = [row.strip("| ").split(" | ") for row in kinds(results)[2:]]
    assert rows == [
        [str(kill), "2", "0", "11", "0", "0", "0", "0", "20", "20", "2", "2.5", "", "0.5"],
        [str(cut), "1", "0", "0", "3", "0", "2", "1", "0", "0", "0", "", "", "0"],
        ["all", "3", "0", "11", "3", "0", "2", "1", "20", "20", "2", "2.5", "", "0.5"],
    ]


def test_a_right_answer_that_is_slow_is_wrong_unless_envoy_itself_was_struck_meanwhile() -> None:
    callers = Callers(0, {}, 1.0, Random(1), slowest=0.1, slow=[(1.0, 9.0), (12.0, 13.5)])
    result = Result(schedule(1, 1)[0])
    judge_speed(result, callers, [(8.0, 9.0)])
    assert (result.slowest, result.wrong) == (1.5, [])
    judge_speed(result, callers, [])
    assert result.wrong == ["slowest after 8.0 s, 2 s allowed"]


def test_what_took_longer_than_its_bound_is_wrong() -> None:
    result = Result(schedule(1, 1)[0])
    result.within("back", 14.0, 15.0)
    assert result.wrong == []
    result.within("running", 15.5, 15.0)
    assert result.wrong == ["running after 15.5 s, 15 s allowed"]
    assert (result.back, result.running) == (14.0, 15.5)


@pytest.fixture
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    """A relay to a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    household = Household(tmp_path_factory.mktemp("relay"), chance=Random())
    port, target = household.free_port(), household.free_port()
    async with await asyncio.start_server(echo, "127.0.0.1", target):
        made = Relay(port, target)
        made.start()
        yield made
        await asyncio.to_thread(made.stop)


async def test_a_wire_carries_both_ways_until_it_is_cut_and_again_when_it_is_mended(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"one")
    assert await reader.readexactly(3) == b"one"
    await asyncio.to_thread(relay.cut)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", relay.port)
    await asyncio.to_thread(relay.mend)
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"two")
    assert await reader.readexactly(3) == b"two"
    writer.close()


async def test_a_frozen_wire_carries_nothing_and_loses_nothing(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"one")
    assert await reader.readexactly(3) == b"one"
    relay.freeze()
    await asyncio.sleep(0.05)
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.readexactly(1)
    await asyncio.to_thread(relay.mend)
    assert await reader.readexactly(3) == b"two"
    writer.close()
