"""Version 1 is the same each time; version 2 differs in the planted bugs and in nothing else."""

import gzip
import json
from typing import Any

import pytest

from xds_server.demo.catalogue import BUGS, FAILS_EVERY, ITEMS, WITHOUT_WARRANTY, Answer, Catalogue
from xds_server.demo.load import catalogue_requests


def get(version: int, target: str) -> Answer:
    return Catalogue(version).answer("GET", target)


def document(version: int, target: str) -> Any:
    return json.loads(get(version, target).body)


def test_version_1_answers_each_request_with_the_same_bytes_each_time() -> None:
    one, other = Catalogue(1), Catalogue(1)
    for request in [*catalogue_requests(range(1, ITEMS + 1))] * 3:
        first = one.answer(request.method, request.target, request.body)
        assert first == other.answer(request.method, request.target, request.body)
        assert first.delay == 0


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
    catalogue = Catalogue(2)
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
