"""The audit trail in a real file."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.lifecycle.fakes import a_network
from xds_server.errors import StoreError
from xds_server.model.audit import SYSTEM, AuditEvent, AuditKind, EventPage, EventQuery, Who
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.store import codec, events
from xds_server.store.base import Changes
from xds_server.store.sqlite import SqliteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOP, OTHER = NetworkID("n1"), NetworkID("n2")
FULL = AuditEvent(
    network_id=SHOP,
    network="shop",
    at=NOW,
    kind=AuditKind.INSTANCE,
    event="ready",
    who=Who(name="anna", address="127.0.0.1", agent="curl/8", token=True),
    what="v2 is Running",
    why="it answered",
    profile_id=ProfileID("p1"),
    profile="catalog-v2",
    instance_id=InstanceID("i1"),
    variant="v2",
    fault_id=FaultID("f1"),
    before="Pending",
    after="Running",
    changes={"trafficShadowingPercentage": (0.5, None)},
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "test.db")
    await store.open()
    yield store
    await store.close()


def event(number: int, *, network: NetworkID = SHOP, name: str = "shop") -> AuditEvent:
    return AuditEvent(
        network_id=network,
        network=name,
        at=NOW + timedelta(seconds=number),
        kind=AuditKind.NETWORK,
        event=str(number),
    )


async def write(store: SqliteStore, numbers: Sequence[int], *, network: NetworkID = SHOP, name: str = "shop") -> None:
    for number in numbers:
        await store.apply(Changes(events=(event(number, network=network, name=name),)))


def told(page: EventPage) -> list[str]:
    return [each.event for _, each in page.events]


@pytest.mark.parametrize("one", [FULL, event(1), replace(event(2), who=SYSTEM), replace(FULL, before=None)])
def test_an_event_is_read_as_it_was_written(one: AuditEvent) -> None:
    assert codec.decode_event(codec.encode_event(one)) == one


async def test_a_trail_is_read_from_where_one_was(store: SqliteStore) -> None:
    await write(store, range(5))
    await store.close()
    await store.open()
    first = await store.events(EventQuery(network_id=SHOP, limit=3))
    assert (told(first), first.more, first.dropped) == (["0", "1", "2"], True, 0)
    rest = await store.events(EventQuery(network_id=SHOP, limit=3, after=first.last))
    assert (told(rest), rest.more) == (["3", "4"], False)
    await write(store, [5])
    new = await store.events(EventQuery(network_id=SHOP, after=rest.last))
    assert told(new) == ["5"]
    assert told(await store.events(EventQuery(network_id=SHOP, after=new.last))) == []


async def test_a_walk_begins_with_the_newest_or_with_a_moment(store: SqliteStore) -> None:
    await write(store, range(5))
    assert told(await store.events(EventQuery(network_id=SHOP, tail=2))) == ["3", "4"]
    assert told(await store.events(EventQuery(network_id=SHOP, tail=99))) == ["0", "1", "2", "3", "4"]
    since = NOW + timedelta(seconds=3)
    assert told(await store.events(EventQuery(network_id=SHOP, since=since))) == ["3", "4"]
    assert told(await store.events(EventQuery(network_id=OTHER, tail=2))) == []


async def test_filters_leave_the_rest_out_and_say_what_is_unknown(store: SqliteStore) -> None:
    await store.apply(Changes(events=(event(0), FULL, event(1))))
    for query in (
        EventQuery(network_id=SHOP, kind=AuditKind.INSTANCE),
        EventQuery(network_id=SHOP, profile="p1"),
        EventQuery(network_id=SHOP, profile="catalog-v2", tail=1),
        EventQuery(network_id=SHOP, instance="i1"),
    ):
        page = await store.events(query)
        assert (told(page), page.known) == (["ready"], True)
        # What is left out is not looked at again.
        assert told(await store.events(replace(query, tail=None, after=page.last))) == []
    assert (await store.events(EventQuery(network_id=SHOP, profile="p1", since=NOW + timedelta(days=1)))).known
    assert not (await store.events(EventQuery(network_id=SHOP, profile="p2"))).known
    assert not (await store.events(EventQuery(network_id=SHOP, profile="p1", instance="i2"))).known


async def test_a_network_keeps_its_newest_events_and_knows_how_many_are_gone(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_OF_NETWORK", 3)
    await write(store, range(2), network=OTHER, name="other")
    await store.apply(Changes(events=tuple(map(event, range(7)))))
    page = await store.events(EventQuery(network_id=SHOP))
    assert (told(page), page.dropped) == (["4", "5", "6"], 4)
    other = await store.events(EventQuery(network_id=OTHER))
    assert (told(other), other.dropped) == (["0", "1"], 0)


async def test_all_networks_together_are_bounded_too(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST", 4)
    await store.apply(Changes(networks=(replace(a_network(), id=SHOP, created_at=NOW),)))
    await write(store, range(3))
    await write(store, range(3), network=OTHER, name="gone")
    assert await store.events_of("gone") == OTHER
    page = await store.events(EventQuery(network_id=SHOP))
    assert (told(page), page.dropped) == (["2"], 2)
    third = NetworkID("n3")
    await write(store, range(4), network=third, name="third")
    page = await store.events(EventQuery(network_id=SHOP))
    assert (told(page), page.dropped) == ([], 3)
    # Of a network that is gone, and of which nothing is kept, nothing is known.
    assert await store.events_of("gone") is None
    assert await store.events_of("shop") == SHOP
    assert told(await store.events(EventQuery(network_id=third))) == ["0", "1", "2", "3"]


async def test_the_trail_of_a_network_outlives_it(store: SqliteStore) -> None:
    await store.apply(Changes(networks=(replace(a_network(), id=SHOP, created_at=NOW),), events=(event(0),)))
    await store.apply(Changes(drop_networks=(SHOP,), events=(event(1),)))
    assert told(await store.events(EventQuery(network_id=SHOP))) == ["0", "1"]
    await write(store, [2], network=OTHER)
    assert await store.events_of("shop") == OTHER
    assert await store.events_of(SHOP) == SHOP
    assert await store.events_of("") is None


async def test_what_was_not_done_is_not_told(store: SqliteStore) -> None:
    a, b = (replace(a_network(), id=NetworkID(i), created_at=NOW) for i in ("a", "b"))
    with pytest.raises(StoreError):  # two networks of one name
        await store.apply(Changes(networks=(a, b), events=(event(0),)))
    page = await store.events(EventQuery(network_id=SHOP))
    assert (told(page), page.dropped) == ([], 0)
    assert await store.events_of(SHOP) is None
