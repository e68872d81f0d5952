"""Version 1 is the same each time but for its noise; version 2 differs in the planted bugs and in nothing else."""

import gzip
import json
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest

from xds_server.analysis.diff.looks import same_kind
from xds_server.demo.catalogue import BUGS, FAILS_EVERY, ITEMS, NOISE, WITHOUT_WARRANTY, Answer, Catalogue, Stamp
from xds_server.demo.load import catalogue_requests
from xds_server.model.analysis import RECOGNISED


def get(version: int, target: str) -> Answer:
    return Catalogue(version, stamps=None).answer("GET", target)


class Stamps:
    """Stamps by chance; the same ones again for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)

    def __call__(self) -> Stamp:
        at = datetime.fromtimestamp(1_800_000_000 + self._chance.random(), UTC)
        return Stamp(at, UUID(int=self._chance.getrandbits(128), version=4))


def document(version: int, target: str) -> Any:
    return json.loads(get(version, target).body)


@pytest.mark.parametrize("seed", [None, 1])
def test_version_1_answers_each_request_with_the_same_bytes_each_time_that_its_stamp_is_the_same(
    seed: int | None,
) -> None:
    one, other = (Catalogue(1, stamps=None if seed is None else Stamps(seed)) for _ in range(2))
    for request in [*catalogue_requests(range(1, ITEMS + 1))] * 3:
        first = one.answer(request.method, request.target, request.body)
        noisy = seed is not None and request.endpoint in NOISE and first.status == 200
        assert ("x-request-id" in dict(first.headers)) == noisy
        assert first == other.answer(request.method, request.target, request.body)
        assert first.delay == 0


@pytest.mark.parametrize("version", [1, 2, 3])
def test_noise_is_where_it_is_said_to_be_and_nowhere_else(version: int) -> None:
    targets = {
        "GET /api/items": "/api/items?page=1",
        "GET /api/items/{id}": "/api/items/6",
        "GET /api/recommendations/{id}": "/api/recommendations/6",
        "GET /api/search": "/api/search?q=la",
        "GET /api/stock/{id}": "/api/stock/6",
        "GET /api/export": "/api/export",
    }
    for endpoint, target in targets.items():
        one, other = Catalogue(version, stamps=Stamps(1)), Catalogue(version, stamps=Stamps(2))
        seen = set()
        for _ in range(FAILS_EVERY - 1):
            seen |= differing(one.answer("GET", target), other.answer("GET", target))
        assert seen == set(NOISE.get(endpoint, ())), endpoint


def differing(one: Answer, other: Answer) -> set[str]:
    names = {name for name, value in {*one.headers} ^ {*other.headers} if name != "x-request-id"}
    if one.body == other.body:
        return {f"header:{name}" for name in names}
    left, right = json.loads(one.body), json.loads(other.body)
    assert list(left) == list(right)
    return {f"header:{name}" for name in names} | {f"$.{name}" for name in left if left[name] != right[name]}


def test_answers_are_of_the_same_length_whatever_the_noise() -> None:
    one = Catalogue(1, stamps=Stamps(3))
    lengths: dict[str, set[int]] = {}
    for request in [*catalogue_requests((1, 2, 3))] * 20:
        lengths.setdefault(request.target, set()).add(len(one.answer("GET", request.target).body))
    assert all(len(found) == 1 for found in lengths.values())


def test_the_looks_of_the_time_and_the_id_are_known_and_those_of_the_rest_are_not() -> None:
    made = Stamps(1)
    one, other = made(), made()
    kinds = {name: same_kind(one.fields[name], other.fields[name], RECOGNISED, name) for name in one.fields}
    assert kinds == {"servedAt": "clock", "requestId": "uuid", "shard": "", "took": ""}
    assert one.cost != other.cost
    assert same_kind(one.cost, other.cost, RECOGNISED, "x-cost") == ""


def test_two_of_four_recommendations_change_places_in_a_quarter_of_the_answers() -> None:
    catalogue = Catalogue(1, stamps=Stamps(1))
    orders = [
        tuple(each["id"] for each in json.loads(catalogue.answer("GET", "/api/recommendations/4").body)["recommended"])
        for _ in range(400)
    ]
    usual, turned = sorted(set(orders), key=orders.count, reverse=True)
    assert (usual[1], usual[0], *usual[2:]) == turned
    assert 60 < orders.count(turned) < 140


def test_the_price_became_a_string() -> None:
    old, new = document(1, "/api/items/7"), document(2, "/api/items/7")
    assert isinstance(old["price"], float)
    assert new["price"] == str(old["price"])
    assert {**new, "price": old["price"]} == old


def test_the_warranty_is_missing_for_some_items_only() -> None:
    without = [n for n in range(1, ITEMS + 1) if "warranty" not in document(2, f"/api/items/{n}")]
    assert without == list(range(WITHOUT_WARRANTY, ITEMS + 1, WITHOUT_WARRANTY))
    assert all("warranty" in document(1, f"/api/items/{n}") for n in range(1, ITEMS + 1))


def test_search_results_come_in_another_order_and_are_the_same_otherwise() -> None:
    old, new = document(1, "/api/search?q=la"), document(2, "/api/search?q=la")
    assert old["results"] != new["results"]
    assert sorted(old["results"], key=lambda item: item["id"]) == sorted(new["results"], key=lambda item: item["id"])


def test_recommendations_are_slow_and_right() -> None:
    old, new = get(1, "/api/recommendations/5"), get(2, "/api/recommendations/5")
    assert new.body == old.body
    assert new.delay > old.delay == 0


def test_one_stock_request_in_20_fails() -> None:
    catalogue = Catalogue(2, stamps=None)
    statuses = [catalogue.answer("GET", f"/api/stock/{1 + n % ITEMS}").status for n in range(10 * FAILS_EVERY)]
    assert statuses.count(500) == 10
    assert statuses.count(200) == 10 * FAILS_EVERY - 10


@pytest.mark.parametrize("target", ["/api/items?page=2", "/api/items/999", "/api/search?q=nothing", "/healthz", "/"])
def test_what_has_no_bug_is_the_same_in_both_versions(target: str) -> None:
    assert get(1, target) == get(2, target)


def test_the_export_is_compressed_to_other_bytes_that_mean_the_same() -> None:
    old, new = get(1, "/api/export"), get(2, "/api/export")
    assert old.body != new.body
    assert gzip.decompress(old.body) == gzip.decompress(new.body)
    assert len(json.loads(gzip.decompress(old.body))) == ITEMS


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"item": 999, "count": 1}', b'{"item": "x", "count": 1}'])
def test_an_order_that_makes_no_sense_is_refused(body: bytes) -> None:
    assert Catalogue(1).answer("POST", "/api/orders", body).status == 400


def test_each_planted_bug_is_described() -> None:
    assert len(BUGS) == 5


@pytest.mark.parametrize("seed", [None, 1])
def test_version_3_says_what_version_1_says(seed: int | None) -> None:
    one, three = (Catalogue(number, stamps=None if seed is None else Stamps(seed)) for number in (1, 3))
    targets = [
        "/api/items",
        "/api/items?page=0",
        "/api/items?page=5",
        "/api/items?page=6",
        "/api/search?q=",
        "/healthz",
    ]
    asked = [("GET", target, b"") for target in [*targets, "/api/items/999", "/api/search?q=OAK%20l"]]
    asked += [(each.method, each.target, each.body) for each in catalogue_requests(range(1, ITEMS + 1))]
    for method, target, body in asked:
        old, new = one.answer(method, target, body), three.answer(method, target, body)
        if target == "/api/export":
            assert gzip.decompress(old.body) == gzip.decompress(new.body)
            assert len(new.body) < len(old.body)
        else:
            assert old == new
