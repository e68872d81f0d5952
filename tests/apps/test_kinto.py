"""Kinto stores JSON documents behind a REST API; clients write too. Each instance keeps its own memory.

Copies of writes reach the shadow and the control, so all three hold the same documents, but for what each chose itself:
ids and times. A document that is asked for by an id which the original made is unknown to both others: noise as well.

Each difference is checked against the notes of the release that brought it (github.com/Kinto/kinto, releases; its
pull requests are named), told here in our words.
"""

import json
from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest

from tests.apps.judging import Application, Ask, Difference, Judged, Said, judge, mesh, original
from tests.apps.venvs import program_of
from tests.envoy.stack import Stack

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

OLD, NEW = "21.0.0", "26.3.1"
ROUNDS = 4
SETTINGS = """
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = %(http_port)s

[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.history
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = of a test
kinto.bucket_create_principals = system.Everyone
multiauth.policies =

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = ERROR
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""

BOOKS = "/v1/buckets/shop/collections/books/records"
BROKEN = b64encode(json.dumps({"last_object": ["no", "object"], "offset": 0, "nonce": "n"}).encode()).decode()
BAD_TOKEN = f"{BOOKS}?_limit=2&_token={BROKEN}"
NULL_FILTER = f"{BOOKS}?in_id=%00a,b"
BAD_BUCKET = "/v1/buckets/a(b/collections"

RELEASE = "the release itself: its number, the number of its API (1.23)"
CONFIG = "21.1.0 (#3530): the root tells which configuration runs, by `config`"
SNAPSHOT = "23.3.0 (#3601): a new view of the history plugin, snapshot"
WORDS = "23.0.3 (#3552): spelling in the API's description, here of the answer 304 of everything that can be read"
TOKEN = "26.3.1 (#3740): a page's token that holds no object is a 400, not a 500"
NULL = "26.3.1 (#3741): a null character in a list of a filter is a 400"
NOT_AN_OBJECT = "24.1.0 (#3636): data that is no object is a 400, not a 500"
REGEX = "26.0.1 (#3697): characters in a bucket's name that mean something in expressions are no 500"
READABLE = (
    "/buckets",
    "/buckets/{id}",
    "/buckets/{bucket_id}/groups",
    "/buckets/{bucket_id}/groups/{id}",
    "/buckets/{bucket_id}/collections",
    "/buckets/{bucket_id}/collections/{id}",
    "/buckets/{bucket_id}/collections/{collection_id}/records",
    "/buckets/{bucket_id}/collections/{collection_id}/records/{id}",
    "/buckets/{bucket_id}/history",
)
DIFFERING = 6
"""Requests of a round that are answered differently: the root, the description, and the four mistakes."""
NEW_PATH = "/buckets/{bucket_id}/snapshot/collections/{collection_id}@{timestamp}"

EXPECTED: dict[Difference, str] = {
    ("GET /v1/", "$.config", "extra"): CONFIG,
    ("GET /v1/", "$.http_api_version", "value"): RELEASE,
    ("GET /v1/", "$.project_version", "value"): RELEASE,
    ("GET /v1/__api__", "$.info.version", "value"): RELEASE,
    ("GET /v1/__api__", "$.tags", "array_length"): SNAPSHOT,
    ("GET /v1/__api__", f"$.paths['{NEW_PATH}']", "extra"): SNAPSHOT,
    **{("GET /v1/__api__", f"$.paths['{path}'].get.responses.*.description", "value"): WORDS for path in READABLE},
    (f"GET {BOOKS}", "status", "status"): f"{TOKEN}; {NULL}",
    (f"POST {BOOKS}", "status", "status"): NOT_AN_OBJECT,
    (f"GET {BAD_BUCKET}", "status", "status"): REGEX,
}

BY_CHANCE = {
    "$.data.id": "the id that each instance makes for a document",
    "$.data[*]": "documents are told apart in lists by those ids",
    "$.data[*].id": "ids of entries of the history",
    "$.data[*].record_id": "the id of a document in the history",
    "$.data[*].target.data.id": "the same",
    "$.data[*].uri": "the same",
    "$.responses[*].headers['Access-Control-Expose-Headers']": "a set, in another order in each process",
    "header:next-page": "the token of a page has a number in it that is used once",
    "status": "a document asked for by the id that the original made is unknown to both others",
}
BY_TIME = {
    "$.data.last_modified": "when it was written, in milliseconds",
    "$.data[*].date": "the same",
    "$.data[*].last_modified": "the same",
    "$.data[*].target.data.last_modified": "the same",
    "$.responses[*].body.data.last_modified": "the same",
    "$.responses[*].headers.ETag": "the same",
    "header:etag": "the same",
    "header:last-modified": "the same, in seconds",
}
"""Two instances may write in the same millisecond: each of these can be missing."""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    settings = tmp_path_factory.mktemp("settings") / "kinto.ini"
    settings.write_text(SETTINGS)
    arguments = ["start", "--ini", str(settings), "--port", "{port}"]
    commands = {version: [program_of("kinto", version), *arguments] for version in (OLD, NEW)}
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    return Application("kinto", commands, ready="/v1/", methods=methods)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Stack]:
    with mesh(tmp_path_factory.mktemp("kinto"), application) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack, application: Application) -> Iterator[None]:
    with original(stack, application, OLD):
        yield


def document(**data: object) -> bytes:
    return json.dumps({"data": data, "permissions": {"write": ["system.Everyone"]}}).encode()


async def keep_books(ask: Ask) -> None:
    """Write, read, change, list, delete; and the mistakes that clients make."""
    await ask("PUT", "/v1/buckets/shop", document())
    await ask("PUT", "/v1/buckets/shop/collections/books", document())
    for n in range(ROUNDS):
        own = f"{BOOKS}/book-{n}"
        await ask("GET", "/v1/")
        await ask("GET", "/v1/__api__")
        await ask("GET", "/v1/buckets/shop")
        await ask("PUT", own, document(title=f"Book {n}", price=n))
        await ask("GET", own)
        await ask("PATCH", own, json.dumps({"data": {"price": n + 1}}).encode())
        made = await ask("POST", BOOKS, document(title=f"Other {n}", price=n))
        await ask("GET", f"{BOOKS}/{json.loads(made.body)['data']['id']}")
        await ask("GET", f"{BOOKS}?_sort=title&_limit=2")
        await ask("GET", f"{BOOKS}?min_price=2")
        await ask("HEAD", BOOKS)
        await ask("GET", "/v1/buckets/shop/history?_limit=2")
        await ask("POST", "/v1/batch", json.dumps({"requests": [{"path": own}]}).encode())
        await ask("DELETE", own)
        await ask("GET", own)
        await ask("POST", BOOKS, b"no JSON")
        await ask("POST", BOOKS, b'{"data": ""}')
        await ask("GET", f"{BOOKS}?_since=nonsense")
        await ask("GET", BAD_TOKEN)
        await ask("GET", NULL_FILTER)
        await ask("GET", BAD_BUCKET)
        await ask("GET", "/v1/nowhere")


def check_clients(stack: Stack, said: Said) -> None:
    """Clients got what the original says: its version, its mistakes, the ids that it made."""
    by_target = {request.target: reply for request, reply in said if request.method == "GET"}
    assert json.loads(by_target["/v1/"].body)["project_version"] == OLD
    assert [by_target[each].status for each in (BAD_TOKEN, NULL_FILTER, BAD_BUCKET)] == [500, 200, 500]
    made = [reply for request, reply in said if (request.method, reply.status) == ("POST", 201)]
    told = {json.loads(reply.body)["data"]["id"] for reply in made}
    port = stack.originals["kinto"]
    held = httpx.get(f"http://127.0.0.1:{port}{BOOKS}", trust_env=False, timeout=10).json()["data"]
    assert len(told) == ROUNDS
    assert {each["id"] for each in held} == told


async def judged_with(stack: Stack, application: Application, version: str) -> Judged:
    control = application.process(OLD, stack.folder)
    capture = {"headBytes": 256 * 1024}  # /v1/__api__ is that large
    return await judge(stack, application, keep_books, version=version, control=control, capture=capture)


def check_noise(judged: Judged) -> None:
    by_control = {field for _, field, _ in judged.found("noise")}
    by_looks = {field for _, field, _ in judged.found("recognised")}
    assert set(BY_CHANCE) <= by_control <= set(BY_CHANCE) | set(BY_TIME)
    assert by_looks <= set(BY_TIME)


async def test_the_same_version_twice_is_silent_while_clients_write(stack: Stack, application: Application) -> None:
    judged = await judged_with(stack, application, OLD)
    assert judged.found("difference") == set()
    assert judged.comparison["discrepancies"] == 0
    check_noise(judged)
    check_clients(stack, judged.said)


async def test_what_the_release_notes_say_is_found_and_nothing_else(stack: Stack, application: Application) -> None:
    judged = await judged_with(stack, application, NEW)
    assert judged.found("difference") == set(EXPECTED)
    assert judged.comparison["discrepancies"] == ROUNDS * DIFFERING
    check_noise(judged)
    check_clients(stack, judged.said)
