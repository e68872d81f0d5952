"""Secrets planted in live traffic are in no output, log or file of the whole stack.

Every secret has the word "geheim" (German for secret) in it, so one search finds any of them, and any half; the second
test leaves redaction out and shows that the search finds them then.
"""

import asyncio
import base64
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.envoy.backend import Asked, Backend
from tests.envoy.stack import NETWORK, Stack, at, running, until
from xds_server.stage.mesh import shadowmesh

WORD = b"geheim"
CARD = "4012 8888 8888 1881"
CARDS = re.compile(rb"4012.?8888.?8888.?1881")
ENCODED = [base64.b64encode(WORD)[:8], base64.b64encode(b"_" + WORD)[2:9], base64.b64encode(b"__" + WORD)[3:10]]
"""The word in base64, however it lies in the bytes."""
JWT = "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(b'{"sub":"geheim-jwt"}').decode() + ".Z2VoZWlt"

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

Answer = tuple[dict[str, str], str]
_JSON = {"content-type": "application/json"}
REDACT = ["x-tenant", "$.customer.name"]


def answers(turn: str) -> Mapping[str, Answer]:
    """Return what the original (`1`) and the shadow (`2`) say: other prices, and other secrets."""
    account = {
        "price": turn,
        "accessToken": f"geheim-token-{turn}",
        "session": {"user": {"nick": f"geheim-nick-{turn}"}},
        "note": f"ask geheim-{turn}@example.com, paid by {CARD}",
        "customer": {"name": f"geheim-name-{turn}"},
        "by": {"geheim-key@example.com": {"n": turn}},
        "jwt": JWT,
        "reset": f"https://shop.example/reset?token=geheim-reset-{turn}",
    }
    cookie = {"set-cookie": f"sid=geheim-cookie-{turn}; Path=/", "location": f"/x?token=geheim-location-{turn}"}
    form = f'<input type="hidden" name="csrf_token" value="geheim-csrf-{turn}"><p>{turn}</p>'
    return {
        "/account": (_JSON | cookie | {"x-tenant": f"geheim-tenant-{turn}"}, json.dumps(account)),
        "/page": ({"content-type": "text/html"}, form),
        "/error": (
            {"content-type": "text/plain"},
            f"{turn}: Bearer geheim1234567890{turn} is not geheim@example.com's",
        ),
    }


def serving(backend: Backend, turn: str) -> Backend:
    said = answers(turn)

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> bool:
        headers, body = said.get(asked.path.partition("?")[0], (_JSON, json.dumps({"price": turn})))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        data = body.encode()
        writer.write(f"HTTP/1.1 200 OK\r\n{lines}content-length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        return True

    backend._answer = answer  # type: ignore[method-assign]
    return backend


async def send(port: int) -> int:
    """Send the requests; return how many."""
    secret = {
        "authorization": "Bearer geheim-bearer-1234",
        "cookie": "a=geheim-cookie-a",
        "x-api-key": "geheim-api-key",
        "x-tenant": "geheim-tenant",
        "referer": "https://shop.example/x?token=geheim-referer",
        "from": "geheim@example.com",
    }
    base = f"http://127.0.0.1:{port}"
    body = {"user": {"password": "geheim-password", "card": CARD}, "customer": {"name": "geheim-customer"}}
    async with httpx.AsyncClient(trust_env=False, headers=secret) as client:
        got = [await client.get(base + path) for path in answers("1")]
        got += [
            await client.get(f"{base}/users/geheim%40example.com/reset/geheim0123456789?api_key=geheim-query"),
            await client.get(f"{base}/users/geheim@example.com"),
            await client.post(f"{base}/login", json=body),
            await client.post(f"{base}/form", data={"pwd": "geheim-form", "mail": "geheim@example.com"}),
            await client.post(f"{base}/upload", files={"password": (None, "geheim-part"), "n": (None, "1")}),
        ]
    assert all(each.status_code == 200 for each in got)
    return len(got)


def leaks(name: str, data: bytes) -> list[str]:
    found = [match.start() for match in re.finditer(WORD, data, re.IGNORECASE)]
    found += [match.start() for each in (*ENCODED, CARDS.pattern) for match in re.finditer(each, data)]
    return [f"{name}: …{data[max(0, at - 60) : at + 40]!r}…" for at in found]


async def everything(stack: Stack, profile: str) -> dict[str, bytes]:
    """Return all that the stack shows and keeps, by name."""
    status = f"/networks/{NETWORK}/shadowing/status"
    pages = [status, f"/networks/{NETWORK}/shadowing/diffs?limit=1000", "/metrics", f"/networks/{NETWORK}"]
    found: dict[str, bytes] = {}
    for page in pages:
        found[page] = (await asyncio.to_thread(stack.ask, "GET", page)).content
    for words in (["diffs", NETWORK], ["diffs", NETWORK, "-o", "json"], ["status", NETWORK]):
        command = shadowmesh(*words, "--server", stack.url)
        done = await asyncio.to_thread(
            subprocess.run, command, env=stack.household.environment(), capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        found[" ".join(words)] = done.stdout + done.stderr
    for path in stack.folder.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(stack.folder))] = path.read_bytes()
    assert profile in str(found)
    assert any(name.endswith("-wal") or ".db" in name or "sqlite" in name for name in found), list(found)
    return found


async def run(stack: Stack) -> list[str]:
    """Mirror the requests; return where a secret shows."""
    async with (
        serving(Backend("original", port=stack.originals["echo"]), "1"),
        serving(Backend("shadow"), "2") as shadow,
    ):
        await stack.attached()
        made = await stack.create(
            componentName="echo",
            variants=at(shadow.port),
            match={"methods": ["GET", "POST"]},
            keepCredentials=True,
            analysis={"redact": REDACT},
        )
        count = await send(stack.listens["echo"])

        async def compared() -> bool:
            return int((await stack.comparison(made)).get("discrepancies", 0)) == count

        await until(compared, "all pairs are compared, and differ")
        found = await everything(stack, made["profileID"])
        diffs = json.loads(found[f"/networks/{NETWORK}/shadowing/diffs?limit=1000"])
        assert len(diffs["items"]) == count
        assert all(item["curl"] for item in diffs["items"])
        stack.end(stack.manager)
        for path in stack.folder.rglob("*"):
            if path.is_file():
                found[f"{path.relative_to(stack.folder)} at the end"] = path.read_bytes()
        stack.start_manager()
        await stack.delete(made)
    assert found["envoy.yaml"]
    return [leak for name, data in found.items() for leak in leaks(name, data)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path) as made:
        yield made


async def test_no_planted_secret_shows_anywhere(stack: Stack) -> None:
    assert await run(stack) == []


@pytest.fixture
def without_redaction(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every Python process of the stack leave redaction out."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "sitecustomize.py").write_text(
        "from xds_server.analysis.examples.redact import Redactor\nRedactor.mark = lambda self, what, secret: secret\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("without_redaction")
async def test_without_redaction_the_same_search_finds_them(stack: Stack) -> None:
    found = await run(stack)
    names = {leak.partition(":")[0] for leak in found}
    assert f"/networks/{NETWORK}/shadowing/status" in names
    assert f"diffs {NETWORK}" in names
    assert any("state" in name for name in names)
    for secret in ("token", "nick", "csrf", "cookie", "tenant", "query", "password", "form", "part", "referer"):
        assert any(f"geheim-{secret}" in leak for leak in found), secret
