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
WORDS = "a misspelt description of the history's answers was put right"
TOKEN = "26.3.1 (#3740): a page's token that holds no object is a 400, not a 500"
NULL = "26.3.1 (#3741): a null character in a list of a filter is a 400"
NOT_A_DICT = "24.1.0 (#3636): data that is no object is a 400, not a 500"
REGEX = "26.0.1 (#3697): special characters in a bucket's name are no 500"

EXPECTED: dict[Difference, str] = {
    ("GET /v1/", "$.config", "extra"): CONFIG,
    ("GET /v1/", "$.http_api_version", "value"): RELEASE,
    ("GET /v1/", "$.project_version", "value"): RELEASE,
    (f"GET {BOOKS}", "status", "status"): f"{TOKEN}; {NULL}",
    (f"POST {BOOKS}", "status", "status"): NOT_A_DICT,
    (f"GET {BAD_BUCKET}", "status", "status"): REGEX,
}

NOISE: dict[str, str] = {}


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
    told = {json.loads(reply.body)["data"]["id"] for request, reply in said if (request.method, reply.status) == ("POST", 201)}
    port = stack.originals["kinto"]
    held = httpx.get(f"http://127.0.0.1:{port}{BOOKS}", trust_env=False, timeout=10).json()["data"]
    assert len(told) == ROUNDS
    assert {each["id"] for each in held} == told


async def judged_with(stack: Stack, application: Application, version: str) -> Judged:
    control = application.process(OLD, stack.folder)
    capture = {"headBytes": 256 * 1024}  # /v1/__api__ is that large
    return await judge(stack, application, keep_books, version=version, control=control, capture=capture)


async def test_the_same_version_twice_is_silent(stack: Stack, application: Application) -> None:
    judged = await judged_with(stack, application, OLD)
    import pprint; pprint.pprint(judged.found("noise"), width=140); pprint.pprint(judged.comparison, width=200, depth=2)
    assert (judged.found("difference"), judged.found("recognised")) == (set(), set())
    assert judged.comparison["discrepancies"] == 0
    check_clients(stack, judged.said)


async def test_what_the_release_notes_say_is_found_and_nothing_else(stack: Stack, application: Application) -> None:
    judged = await judged_with(stack, application, NEW)
    import pprint; pprint.pprint(judged.found("noise"), width=140)
    pprint.pprint(judged.found("difference"), width=140)
    check_clients(stack, judged.said)
    assert judged.found("difference") == set(EXPECTED)
