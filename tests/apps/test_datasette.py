"""Datasette publishes SQLite databases with a JSON API; reads only. Its 1.0a36 made that API consistent, and said how.

Each difference is checked against the release notes (docs/changelog.rst of github.com/simonw/datasette, "1.0a36
(2026-07-07)"), told here in our words. Its answers say how long a query took (`query_ms`): noise of every answer.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from deepdiff import DeepDiff

from tests.apps.judging import Application, Ask, Difference, Judged, conversation, judge, mesh, original, tell_version
from tests.apps.venvs import program_of
from tests.envoy.stack import Stack, bits
from xds_server.stage.client import Reply

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

OLD, NEW = "1.0a35", "1.0a36"
ROUNDS = 3
SCHEMA = """
create table genres (id integer primary key, name text);
create table books (id integer primary key, title text, price real, genre integer references genres (id), cover blob);
create table shelves (room text, place integer, label text, primary key (room, place));
create view cheap as select id, title, price from books where price < 10;
"""
GENRES = ("novel", "poetry", "science", "travel")
COVERS = (b"bytes that are text", bytes.fromhex("fffe00"))

TARGETS = (
    "/",
    "/.json",
    "/-/actor.json",
    "/-/databases.json",
    "/-/jump.json",
    "/-/plugins.json",
    "/-/settings.json",
    "/-/versions.json",
    "/library.json",
    "/library/-/query.json",
    "/library/-/query.json?sql=selec",
    "/library/-/query.json?sql=select+count(*)+as+n+from+books",
    "/library/-/schema.json",
    "/library/books.csv?_size=3",
    "/library/books.json?_size=2",
    "/library/books.json?_size=5&_next=5",
    "/library/books.json?_size=2&_facet=genre&_extra=count",
    "/library/books.json?_sort=nope",
    "/library/books/3.json",
    "/library/books/4.json",
    "/library/books/9999.json",
    "/library/cheap.json?_size=1",
    "/library/genres",
    "/library/genres.json",
    "/library/genres.json?_shape=array",
    "/library/genres.json?_extra=unknown",
    "/library/nothing.json",
    "/library/shelves/a,1.json",
    "/library/shelves/a.json",
    "/nowhere.json",
)
THREADS = "/-/threads.json"
"""In 1.0a35 it lists tasks in an order that each process chooses once: a single control may choose as the original did
while the shadow does not, so it is asked only where the new version answers with another status."""

NOISE = {
    ("GET /library/books/{id}.json", "$.query_ms", "value"),
    ("GET /library/shelves/a,1.json", "$.query_ms", "value"),
}

OK = "every object that is an answer of success says ok: true"
ERRORS = "errors have one form: the list `errors` is new in it, `title` is gone"
ENVELOPE = "the lists of databases and of plugins are within an object"
HOME = "the home page as JSON has its databases as a list; unstable answers say so by `unstable`"
NEXT = "answers of tables have next_url beside next"
BLOB = "each BLOB is told as base64, those that could be text too"
COUNT = "count_truncated comes with each count"
POST_LIMIT = "new setting max_post_body_bytes"
SQL = "a query without sql is a 400"
EXTRA = "a name in _extra that is not known is a 400"
COMPOUND = "a row's page with too few values for its compound key is a 400, not a 500"
PRIVATE = "/-/threads wants the permission permissions-debug"
RELEASE = "the release itself: its number, and the hash of its script and style in their addresses (since 1.0a35)"

EXPECTED: dict[Difference, str] = {
    ("GET /", "body:html/body/footer/a/@title", "text"): RELEASE,
    ("GET /", "body:html/head/link/@href", "text"): RELEASE,
    ("GET /", "body:html/head/script", "text"): RELEASE,
    ("GET /-/actor.json", "$.ok", "extra"): OK,
    ("GET /-/databases.json", "$", "type"): ENVELOPE,
    ("GET /-/jump.json", "$.ok", "extra"): OK,
    ("GET /-/plugins.json", "$", "type"): ENVELOPE,
    ("GET /-/settings.json", "$.max_post_body_bytes", "extra"): POST_LIMIT,
    ("GET /-/settings.json", "$.ok", "extra"): OK,
    ("GET /-/threads.json", "status", "status"): PRIVATE,
    ("GET /-/versions.json", "$.datasette.version", "value"): RELEASE,
    ("GET /-/versions.json", "$.ok", "extra"): OK,
    ("GET /.json", "$.databases", "type"): HOME,
    ("GET /.json", "$.ok", "extra"): OK,
    ("GET /.json", "$.unstable", "extra"): HOME,
    ("GET /library/-/query.json", "$.errors", "extra"): ERRORS,
    ("GET /library/-/query.json", "$.title", "missing"): ERRORS,
    ("GET /library/-/query.json", "status", "status"): SQL,
    ("GET /library/-/schema.json", "$.ok", "extra"): OK,
    ("GET /library/books.json", "$.count_truncated", "extra"): COUNT,
    ("GET /library/books.json", "$.errors", "extra"): ERRORS,
    ("GET /library/books.json", "$.next_url", "extra"): NEXT,
    ("GET /library/books.json", "$.rows[*].cover", "type"): BLOB,
    ("GET /library/books.json", "$.title", "missing"): ERRORS,
    ("GET /library/books/{id}.json", "$.errors", "extra"): ERRORS,
    ("GET /library/books/{id}.json", "$.rows[*].cover", "type"): BLOB,
    ("GET /library/books/{id}.json", "$.title", "missing"): ERRORS,
    ("GET /library/cheap.json", "$.next_url", "extra"): NEXT,
    ("GET /library/genres", "body:html/body/footer/a/@title", "text"): RELEASE,
    ("GET /library/genres", "body:html/head/link/@href", "text"): RELEASE,
    ("GET /library/genres", "body:html/head/script", "text"): RELEASE,
    ("GET /library/genres", "body:html/head/script/@src", "text"): RELEASE,
    ("GET /library/genres.json", "$.next_url", "extra"): NEXT,
    ("GET /library/genres.json", "status", "status"): EXTRA,
    ("GET /library/nothing.json", "$.errors", "extra"): ERRORS,
    ("GET /library/nothing.json", "$.title", "missing"): ERRORS,
    ("GET /library/shelves/a.json", "status", "status"): COMPOUND,
    ("GET /nowhere.json", "$.errors", "extra"): ERRORS,
    ("GET /nowhere.json", "$.title", "missing"): ERRORS,
}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    file = tmp_path_factory.mktemp("database") / "library.db"
    make_library(file)
    arguments = ["serve", str(file), "--host", "127.0.0.1", "--port", "{port}"]
    commands = {version: [program_of("datasette", version), *arguments] for version in (OLD, NEW)}
    return Application("datasette", commands, ready="/-/versions.json")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Stack]:
    with mesh(tmp_path_factory.mktemp("datasette"), application) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack, application: Application) -> Iterator[None]:
    with original(stack, application, OLD):
        yield


def make_library(file: Path) -> None:
    books = [(n, f"Book {n}", round(5 + n * 0.37 % 20, 2), 1 + n % 4, COVERS[n % 2]) for n in range(1, 251)]
    shelves = [(room, place, f"{room}{place}") for room in "ab" for place in range(5)]
    with closing(sqlite3.connect(file)) as database:
        database.executescript(SCHEMA)
        database.executemany("insert into genres values (?, ?)", enumerate(GENRES, 1))
        database.executemany("insert into books values (?, ?, ?, ?, ?)", books)
        database.executemany("insert into shelves values (?, ?, ?)", shelves)
        database.commit()


async def read(ask: Ask) -> None:
    for _ in range(ROUNDS):
        for target in TARGETS:
            await ask("GET", target)


async def read_all(ask: Ask) -> None:
    await read(ask)
    for _ in range(ROUNDS):
        await ask("GET", THREADS)


def steady(reply: Reply) -> object:
    """Return all of an answer that the same version says each time."""
    status, headers, body = bits(reply)
    headers = tuple(header for header in headers if header[0] != "content-length")
    return status, headers, re.sub(rb'"query_ms": [0-9.e-]+', b"", body)


async def said_without_shadow(stack: Stack, application: Application) -> dict[str, object]:
    return {each.target: steady(reply) for each, reply in await conversation(stack, application, read)}


def check_clients(judged: Judged, before: dict[str, object]) -> None:
    for request, reply in judged.said:
        if request.target == THREADS:
            assert reply.status == 200  # the new version says 403
        else:
            assert steady(reply) == before[request.target], request.target


def differing(stack: Stack, application: Application, judged: Judged) -> int:
    """Return how many of the targets the two versions answer differently, by deepdiff and without Envoy."""
    (address,) = [each["address"] for each in judged.profile["instances"] if not each["control"]]
    ports = (stack.originals[application.name], address["port"])
    host = {"host": f"127.0.0.1:{stack.proxy.ports[application.name]}"}

    def answer(port: int, target: str) -> tuple[int, object]:
        got = httpx.get(f"http://127.0.0.1:{port}{target}", headers=host, trust_env=False, timeout=10)
        return got.status_code, json.loads(got.content) if ".json" in target else got.content

    count = 0
    for target in (*TARGETS, THREADS):
        old, new = (answer(port, target) for port in ports)
        count += bool(DeepDiff(old, new, exclude_regex_paths=[r"\['query_ms'\]$"]))
    return count


async def test_the_same_version_twice_is_silent_with_the_components_version_as_control(
    stack: Stack, application: Application
) -> None:
    before = await said_without_shadow(stack, application)
    tell_version(stack, application, OLD)
    judged = await judge(stack, application, read, version=OLD)
    assert judged.profile["control"]["process"]["command"] == application.commands[OLD]
    assert (judged.found("difference"), judged.found("recognised")) == (set(), set())
    assert judged.found("noise") == NOISE
    assert judged.comparison["discrepancies"] == 0
    assert judged.comparison["pairs"] == ROUNDS * len(TARGETS)
    check_clients(judged, before)


async def test_what_the_release_notes_say_is_found_and_nothing_else(stack: Stack, application: Application) -> None:
    before = await said_without_shadow(stack, application)
    control = application.process(OLD, stack.folder)
    judged = await judge(stack, application, read_all, version=NEW, control=control)
    assert judged.found("difference") == set(EXPECTED)
    assert (judged.found("noise"), judged.found("recognised")) == (NOISE, set())
    assert judged.comparison["discrepancies"] == ROUNDS * differing(stack, application, judged)
    check_clients(judged, before)
