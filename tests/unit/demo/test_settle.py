"""Noise is taken out of an answer only where it is what version 1 could have said; a bit elsewhere stays."""

import re
import time

import pytest

from xds_server.demo.catalogue import Answer, Catalogue
from xds_server.demo.load import catalogue_requests, harm
from xds_server.demo.settle import UntrueError, settle
from xds_server.stage.client import Reply

REQUESTS = list(catalogue_requests((3, 6)))


def reply(answer: Answer) -> Reply:
    headers = (*answer.headers, ("content-length", str(len(answer.body))))
    return Reply(answer.status, headers, answer.body)


def asked(target: str, version: int = 1) -> Reply:
    return reply(Catalogue(version).answer("GET", target))


def changed(found: Reply, what: str, by: str) -> Reply:
    body = re.sub(what.encode(), by.encode(), found.body, count=1)
    headers = tuple((name, re.sub(what, by, value, count=1)) for name, value in found.headers)
    assert (body, headers) != (found.body, found.headers)
    return Reply(found.status, headers, body)


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_without_its_noise_each_answer_of_version_1_is_the_same(number: int) -> None:
    asking = REQUESTS[number]
    one, other = Catalogue(1), Catalogue(1)
    for _ in range(20):
        replies = [reply(each.answer(asking.method, asking.target, asking.body)) for each in (one, other)]
        assert settle(replies[0]) == settle(replies[1])
        assert harm(settle(replies[0]), replies[1], within=(time.time(), time.time())) == ""


@pytest.mark.parametrize("target", ["/api/items/6", "/api/items/3", "/api/search?q=la"])
def test_a_bug_of_version_2_is_harm_in_spite_of_the_noise(target: str) -> None:
    assert harm(settle(asked(target)), asked(target, 2)).startswith("another body")


@pytest.mark.parametrize(
    ("target", "what", "by", "words"),
    [
        ("/api/items/3", r'"shard": \d', '"shard": 9', "shard 9 with the id"),
        ("/api/items/3", r'"shard": \d', '"shard": true', "shard True with the id"),
        ("/api/items/3", '"requestId": "....', '"requestId": "0000', "requestId '0000"),
        ("/api/items/3", r'"servedAt": "20\d\d', '"servedAt": "2001', "not when it was asked for"),
        ("/api/items/3", '"servedAt": "....-', '"servedAt": "soon-', "which is no time"),
        ("/api/items/3", '"servedAt": "([^"]*)Z"', r'"servedAt": "\1+00:00"', "servedAt"),
        ("/api/items/3", '"servedAt": "[^"]*"', '"servedAt": 5', "which is no time"),
        ("/api/items/3", ': "EUR"', ': "EUS"', "another body"),
        ("/api/items/3", ': "EUR"', ':  "EUR"', "not as version 1 writes it"),
        ("/api/items/3", '"currency"', '"id": 3, "currency"', "not as version 1 writes it"),
        ("/api/items/3", '^{"id".*', "not json", "no JSON"),
        ("/api/items/3", ', "shard": .', "", "another body"),
        ("/api/search?q=la", r'"took": \d\d', '"took": 9', "took 9 with the id"),
        ("/api/stock/3", r"^\d{3}$", "999", "x-cost '999'"),
    ],
)
def test_noise_that_is_none_and_a_bit_elsewhere_are_harm(target: str, what: str, by: str, words: str) -> None:
    found = asked(target)
    assert words in harm(settle(found), changed(found, what, by), within=(time.time(), time.time()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no UUID"),
        ("7a1fe5d9-7a4c-1d4c-9d38-5f0d64b5f0a1", "no random UUID"),
        ("7A1FE5D9-7A4C-4D4C-9D38-5F0D64B5F0A1", "no random UUID"),
    ],
)
def test_an_id_has_the_form_of_one(text: str, words: str) -> None:
    with pytest.raises(UntrueError, match=words):
        settle(Reply(200, (("x-request-id", text),), b"{}"))


@pytest.mark.parametrize("name", ["x-request-id", "x-cost"])
def test_a_header_that_is_lost_is_harm(name: str) -> None:
    found = asked("/api/stock/3")
    without = Reply(found.status, tuple(each for each in found.headers if each[0] != name), found.body)
    assert harm(settle(found), without) == f"{name} None instead of '*'"


def test_another_order_than_the_one_its_id_makes_is_harm() -> None:
    found = asked("/api/recommendations/3")
    first, second = re.findall(rb'{"id": \d+, [^}]*}', found.body)[:2]
    turned = found.body.replace(b", ".join((first, second)), b", ".join((second, first)))
    assert turned != found.body
    assert harm(settle(found), Reply(found.status, found.headers, turned)).startswith("another body")
