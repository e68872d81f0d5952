"""Who may reach the API, and with how much."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from api import create_app, examples
from api.guard import is_loopback
from tests.unit.api.fake import FakeController
from xds_server.config import HttpSettings

JSON = {"Content-Type": "application/json"}


def client_of(settings: HttpSettings, *, desk: FakeController | None = None) -> httpx.AsyncClient:
    app = create_app(desk or FakeController(), settings)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.0.2.1", ""])
async def test_an_unknown_host_is_refused(host: str) -> None:
    async with client_of(HttpSettings()) as client:
        answer = await client.get("/networks", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["field"] == "Host"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
async def test_a_known_host_is_answered(host: str) -> None:
    async with client_of(HttpSettings()) as client:
        assert (await client.get("/networks", headers={"Host": host})).status_code == 200


async def test_a_manager_that_listens_everywhere_is_reached_by_any_address_but_not_by_any_name() -> None:
    async with client_of(HttpSettings(address="0.0.0.0", allowed_hosts=("shadow.example",))) as client:
        for host, status in (("192.0.2.1:80", 200), ("shadow.example", 200), ("evil.example", 403)):
            assert (await client.get("/networks", headers={"Host": host})).status_code == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
async def test_another_origin_may_not_write(origin: str) -> None:
    desk = FakeController()
    async with client_of(HttpSettings(), desk=desk) as client:
        answer = await client.post("/networks", json=examples.NETWORK, headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["field"] == "Origin"
    assert desk.kept == {}


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "https://ok.example"])
async def test_the_apis_own_origin_and_an_allowed_one_may_write(origin: str) -> None:
    async with client_of(HttpSettings(allowed_origins=("https://ok.example",))) as client:
        answer = await client.post("/networks", json=examples.NETWORK, headers={"Origin": origin})
    assert answer.status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_a_body_that_a_form_could_send_is_refused(kind: str | None) -> None:
    desk = FakeController()
    async with client_of(HttpSettings(), desk=desk) as client:
        answer = await client.post("/networks", content=b"{}", headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["hint"]


async def test_writes_need_the_token_and_reads_do_not() -> None:
    async with client_of(HttpSettings(token=SecretStr("sésame"))) as client:
        assert (await client.get("/networks")).status_code == 200
        answer = await client.post("/networks", json=examples.NETWORK)
        assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer")
        for value in ("Bearer other", "Basic sésame", "sésame", "Bearer"):
            headers = {"Authorization": value.encode()}
            assert (await client.post("/networks", json=examples.NETWORK, headers=headers)).status_code == 401
        headers = {"Authorization": "Bearer sésame".encode()}
        assert (await client.post("/networks", json=examples.NETWORK, headers=headers)).status_code == 201


async def test_processes_are_refused_beyond_loopback_until_a_token_is_set() -> None:
    url = "/networks/shop/shadowing/create"
    desk = FakeController()
    async with client_of(HttpSettings(address="0.0.0.0"), desk=desk) as client:
        await client.post("/networks", json=examples.NETWORK)
        answer = await client.post(url, json=examples.PROFILE)
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["field"] == "variants[0].process"
        assert desk.views == {}
        assert (await client.post(url, json=examples.PROFILE_OF_WHAT_RUNS)).status_code == 201
        control = {"control": {"process": {"command": ["x", "{port}"]}}}
        answer = await client.post(url, json=examples.PROFILE_OF_WHAT_RUNS | control | {"name": "other"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "control.process")
    guarded = HttpSettings(address="0.0.0.0", token=SecretStr("t"))
    async with client_of(guarded, desk=desk) as client:
        answer = await client.post(url, json=examples.PROFILE, headers={"Authorization": "Bearer t"})
        assert answer.status_code == 201


async def test_a_components_version_is_no_way_around_that() -> None:
    desk = FakeController()
    version = {"process": {"command": ["x", "{port}"]}}
    network = {**examples.NETWORK, "components": [examples.NETWORK["components"][0] | {"version": version}]}
    profile = examples.PROFILE_OF_WHAT_RUNS
    url = "/networks/shop/shadowing/create"
    async with client_of(HttpSettings(address="0.0.0.0"), desk=desk) as client:
        answer = await client.post("/networks", json=network)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "components[0].version.process")
    async with client_of(HttpSettings(), desk=desk) as client:
        assert (await client.post("/networks", json=network)).status_code == 201
    async with client_of(HttpSettings(address="0.0.0.0"), desk=desk) as client:
        answer = await client.post(url, json=profile)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "control")
        assert (await client.post(url, json=profile | {"control": {"enabled": False}})).status_code == 201


@pytest.mark.parametrize(("address", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True)])
def test_loopback_is_known(address: str, *, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_everything_else_is_not_loopback(address: str) -> None:
    assert not is_loopback(address)


async def test_probes_are_answered_whatever_they_call_the_manager() -> None:
    async with client_of(HttpSettings()) as client:
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path, headers={"Host": "pod-7"})).status_code == 200


async def test_a_large_body_is_refused_before_it_is_read() -> None:
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(200):
            read += 1
            yield b" " * 65536

    async with client_of(HttpSettings()) as client:
        answer = await client.post("/networks", content=b" " * 10_000_000, headers=JSON)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        assert "at most 1048576 bytes" in answer.json()["hint"]
        answer = await client.post("/networks", content=chunks(), headers=JSON)
        assert answer.status_code == 413


@asynccontextmanager
async def over_a_socket(settings: HttpSettings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(FakeController(), settings)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        await task


async def test_the_client_of_a_large_body_reads_the_answer_over_a_real_socket() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65536

    async with over_a_socket(HttpSettings()) as client:
        for _ in range(3):
            answer = await client.post("/networks", content=b" " * 10_000_000, headers=JSON)
            assert answer.status_code == 413
            answer = await client.post("/networks", content=chunks(), headers=JSON)
            assert answer.status_code == 413
        assert (await client.get("/healthz")).json() == {"status": "ok"}
