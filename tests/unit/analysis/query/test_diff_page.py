"""Questions about differences."""

import random
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.analysis.differing import START, a_tally, judged, seen, versions
from xds_server.analysis.query.diff_page import page_of, pair_of
from xds_server.analysis.query.diff_query import DiffQuery, Group, Sort, sources_of
from xds_server.analysis.windows.noise import Nature
from xds_server.analysis.windows.tally import Tally
from xds_server.errors import InvalidError, NotFoundError

CLASSES = DiffQuery(group=Group.CLASS)


def noisy() -> Tally:
    """Of 1,000 pairs: a rare difference, a frequent one, one that is noise, one that is known by its looks."""
    tally = a_tally()
    judged(tally, 1000, trios=500)
    seen(tally, "$.rare", count=3)
    seen(tally, "$.often", "type", count=400)
    seen(tally, "$.often", count=30)
    seen(tally, "$.id", count=900, both=450, alone=2, control=3)
    seen(tally, "$.at", "same_kind", count=1000, what="timestamp")
    seen(tally, "status", "status", endpoint="GET /b", count=5)
    return tally


def names(page: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(i["endpoint"], i["field"], i["class"]) for i in page["items"]]


def test_the_most_surprising_class_comes_first_and_noise_last() -> None:
    page = page_of(versions(noisy()), CLASSES)
    fields = [i["field"] for i in page["items"]]
    assert fields == ["$.rare", "$.often", "$.often", "status", "$.at", "$.id"]
    assert [i["surprise"] for i in page["items"][-2:]] == [0.0, 0.0]
    assert page["natures"] == {"difference": 4, "undecided": 0, "noise": 1, "recognised": 1}
    assert page["items"][-1]["noise"] == {
        "shadowRate": 0.904,
        "controlRate": 0.906,
        "evidence": pytest.approx(0.3, abs=1),
        "proven": False,
    }
    assert page["items"][-2]["what"] == "timestamp"


def test_a_field_and_an_endpoint_count_pairs_once_and_without_noise() -> None:
    sources = versions(noisy())
    fields = page_of(sources, DiffQuery(group=Group.FIELD, endpoint="GET /items/{id}"))["items"]
    often = next(i for i in fields if i["field"] == "$.often")
    assert (often["count"], often["classes"], often["class"]) == (430, {"type": 1, "value": 1}, None)
    endpoints = page_of(sources, DiffQuery(group=Group.ENDPOINT))["items"]
    first = next(i for i in endpoints if i["endpoint"] == "GET /items/{id}")
    assert (first["count"], first["pairs"], first["fields"], first["countIs"]) == (433, 1000, 4, "exact")
    assert (first["nature"], first["field"]) == ("difference", None)


@pytest.mark.parametrize(
    ("sort", "first"),
    [(Sort.SURPRISE, "$.new"), (Sort.RAREST, "$.rare"), (Sort.COUNT, "$.at"), (Sort.NEWEST, "$.new")],
)
def test_each_order_has_its_first(sort: Sort, first: str) -> None:
    tally = noisy()
    # After 990 pairs without it, half of all the others show it.
    seen(tally, "$.new", count=500, first=START + 99, last=START + 99.5)
    page = page_of(versions(tally), replace(CLASSES, sort=sort))
    assert page["items"][0]["field"] == first


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        ({"endpoint": "GET /b"}, ["status"]),
        ({"field": "$.often"}, ["$.often", "$.often"]),
        ({"field": "$.often", "kind": "type"}, ["$.often"]),
        ({"nature": Nature.NOISE}, ["$.id"]),
        ({"nature": Nature.RECOGNISED}, ["$.at"]),
        ({"field": "$.nothing"}, []),
    ],
)
def test_filters_leave_what_they_name(wanted: dict[str, Any], fields: list[str]) -> None:
    assert [i["field"] for i in page_of(versions(noisy()), replace(CLASSES, **wanted))["items"]] == fields


def test_versions_are_told_apart_instances_of_one_are_not_and_the_control_is_none() -> None:
    one, two, other, control = a_tally("i1"), a_tally("i2"), a_tally("i3"), a_tally("c", control=True)
    for tally in (one, two, other, control):
        seen(tally, "$.a", count=5)
    tallies, variants = [one, two, other, control], {"i1": "v2", "i2": "v2", "i3": "v3", "c": "control"}

    def counts(version: str | None) -> list[tuple[str, int]]:
        found = sources_of(tallies, variants, profile_id="p1", profile="p", component="c", version=version)
        return sorted((i["variant"], i["count"]) for i in page_of(found, CLASSES)["items"])

    assert counts(None) == [("v2", 10), ("v3", 5)]
    assert counts("v3") == [("v3", 5)]
    assert counts("i2") == [("v2", 5)]
    assert one.endpoints["GET /items/{id}"].pairs == 5  # merging has changed nothing


def test_a_stretch_of_time_counts_its_buckets_and_says_how_wide_they_are() -> None:
    tally = a_tally()
    judged(tally, 1000)
    seen(tally, "$.early", count=100, first=START, last=START + 19)
    seen(tally, "$.late", count=50, first=START + 80, last=START + 99)
    page = page_of(versions(tally), replace(CLASSES, since=START + 50, until=START + 200))
    (late,) = page["items"]
    assert (late["field"], late["count"], late["pairs"]) == ("$.late", 50, 500)
    assert page["window"]["resolutionSeconds"] == 10
    assert sum(late["timeline"]["counts"]) == 50
    (early,) = page_of(versions(tally), replace(CLASSES, until=START + 9))["items"]
    # Evenly over 19 s: the buckets of the first 10 s.
    assert (early["field"], early["count"], early["pairs"]) == ("$.early", 53, 100)


def test_pairs_come_newest_first_with_what_each_of_their_differences_is() -> None:
    tally = noisy()
    page = page_of(versions(tally), DiffQuery())
    times = [i["time"] for i in page["items"]]
    assert times == sorted(times, reverse=True)
    assert page["total"] == 6
    assert {(i["nature"], i["differences"][0]["nature"]) for i in page["items"]} == {
        (str(n), str(n)) for n in Nature if n is not Nature.UNDECIDED
    }
    rarest = page_of(versions(tally), DiffQuery(sort=Sort.RAREST))["items"]
    assert rarest[0]["differences"][0]["field"] == "$.rare"
    only = page_of(versions(tally), DiffQuery(field="$.often", kind="type"))
    assert [i["differences"][0]["class"] for i in only["items"]] == ["type"]


def test_a_pair_that_differs_in_noise_and_more_is_a_difference_also_when_only_its_noise_is_asked_for() -> None:
    tally = noisy()
    fields = tally.endpoints["GET /items/{id}"].fields
    example = fields["$.rare", "value"].examples[0]
    fields["$.id", "value"].examples = [example]
    example.data["differences"].append({**example.data["differences"][0], "field": "$.id"})
    (pair,) = page_of(versions(tally), DiffQuery(field="$.id"))["items"]
    assert pair["nature"] == "difference"
    assert [d["nature"] for d in pair["differences"]] == ["difference", "noise"]


def test_a_pair_is_found_by_either_form_of_its_id_and_its_own_stands_in_a_url() -> None:
    sources = versions(noisy(), archived=True)
    pair = page_of(sources, DiffQuery(field="$.rare"))["items"][0]
    assert "/" not in pair["pairID"]
    for name in (pair["pairID"], pair["id"]):
        found = pair_of(sources, name)
        assert (found["id"], found["archived"]) == (pair["id"], True)
    with pytest.raises(NotFoundError, match="no differing pair"):
        pair_of(sources, "nothing~i1")


@pytest.mark.parametrize("group", [Group.CLASS, Group.FIELD, Group.PAIR])
@pytest.mark.parametrize("sort", list(Sort))
def test_a_walk_shows_each_item_that_stays_once_whatever_comes_goes_and_moves(group: Group, sort: Sort) -> None:
    chance = random.Random(f"{group}{sort}")
    tally = a_tally()
    judged(tally, 10_000)
    for number in range(30):
        seen(tally, f"$.f{number}", count=chance.randrange(1, 300), last=START + chance.randrange(100))
    fields = tally.endpoints["GET /items/{id}"].fields
    staying = {f"$.f{number}" for number in range(30)}
    query, shown = DiffQuery(group=group, sort=sort, limit=4), []
    for turn in range(100):
        page = page_of(versions(tally), query)
        shown += [i["field"] if group is not Group.PAIR else i["differences"][0]["field"] for i in page["items"]]
        if page["nextCursor"] is None:
            break
        query = replace(query, cursor=page["nextCursor"])
        gone = f"$.f{chance.randrange(30)}"
        staying.discard(gone)
        fields.pop((gone, "value"), None)
        seen(tally, f"$.new{turn}", count=chance.randrange(1, 300), last=START + chance.randrange(100, 200))
        moved = chance.choice(list(fields.values()))
        moved.count += chance.randrange(1, 2000)
        moved.first += chance.randrange(-50, 50)
    assert len(shown) == len(set(shown))
    assert staying <= set(shown)
    assert len(shown) > 20


@pytest.mark.parametrize("cursor", ["", "x", "äö", "MTI=", "AAAA" * 9, "A" * 100_000])
def test_what_is_no_cursor_is_refused_by_name(cursor: str) -> None:
    with pytest.raises(InvalidError, match="is not a cursor") as caught:
        page_of(versions(noisy()), replace(CLASSES, cursor=cursor))
    assert caught.value.field == "cursor"


def test_a_cursor_of_another_list_is_refused() -> None:
    sources = versions(noisy())
    cursor = page_of(sources, replace(CLASSES, limit=1))["nextCursor"]
    assert page_of(sources, replace(CLASSES, limit=2, since=START, cursor=cursor))["items"]
    for other in (DiffQuery(), replace(CLASSES, sort=Sort.COUNT), replace(CLASSES, field="$.often")):
        with pytest.raises(InvalidError, match="another group, sort or filter"):
            page_of(sources, replace(other, cursor=cursor))
    with pytest.raises(InvalidError, match="another group, sort or filter"):
        page_of(sources, replace(CLASSES, cursor=cursor), scope="another network")


def test_a_timeline_of_many_buckets_is_shown_in_few() -> None:
    tally = a_tally()
    seen(tally, "$.a", count=1000, first=START, last=START + 1000)
    (item,) = page_of(versions(tally), CLASSES)["items"]
    counts = item["timeline"]["counts"]
    assert len(counts) <= 30
    assert sum(counts) == 1000
    assert item["timeline"]["bucketSeconds"] == 40


def test_an_example_without_its_difference_breaks_nothing() -> None:
    tally = a_tally()
    seen(tally, "other", count=1).examples[0].data["differences"] = []
    page = page_of(versions(tally), CLASSES)
    assert page["items"][0]["example"]["original"] is None
    assert page_of(versions(tally), DiffQuery())["total"] == 1
