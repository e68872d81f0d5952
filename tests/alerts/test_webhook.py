"""A webhook over a real socket: receivers that fail, are slow, are dead, or are not who they say."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api import examples
from tests.alerts.running import free_port
from tests.unit.alerts.made import START, seen, until, watched
from tests.unit.test_app import settings
from xds_server.alerts import courier
from xds_server.alerts.courier import SinkStatus
from xds_server.alerts.service import Alerts
from xds_server.alerts.sinks.factory import make_sinks
from xds_server.analysis.windows.tally import Tally
from xds_server.app import manager
from xds_server.config import AlertSettings
from xds_server.errors import InvalidError

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """Answers each post with the next of `answers`, and with 200 when there are none left."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[bytes | Answer] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = orjson.loads(await reader.readexactly(int(headers["content-length"])))
            self.posts.append((head[0], headers, body))
            answer = self.answers.pop(0) if self.answers else OK
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


@asynccontextmanager
async def alerting(folder: Path, url: str, **given: Any) -> AsyncIterator[Callable[[], SinkStatus]]:
    """Run alerts with one difference that fires and a webhook; yields how the webhook does."""
    given = {"log": False, "interval": 0.01, "timeout": 0.3, "webhook_template": "generic", **given}
    settings = AlertSettings(webhook=url, **given)

    def now() -> datetime:
        return datetime.fromtimestamp(START + 1, UTC)

    alerts = Alerts(settings, make_sinks(settings, now=now), now=now, path=folder / "alerts.json")
    profile = watched({"i1": seen(Tally("p", "i1"), START, differ=1)})
    alerts.start(lambda: [profile])
    yield lambda: alerts.sinks()[0]
    await alerts.stop()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(courier, "LONGEST_WAIT", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_an_alert_is_posted_once_with_the_token(tmp_path: Path) -> None:
    async with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/hooks?room=7"
        async with alerting(tmp_path, url, webhook_token="planted") as status:
            await until(lambda: status().delivered)
            await asyncio.sleep(0.1)  # a few looks more
    ((line, headers, body),) = receiver.posts
    assert line == "POST /hooks?room=7 HTTP/1.1"
    assert (headers["authorization"], headers["content-type"]) == ("Bearer planted", "application/json")
    assert body["alerts"][0]["labels"]["field"] == "$.price"


async def test_a_receiver_that_fails_is_asked_again_until_it_takes_it(tmp_path: Path) -> None:
    async def hangs_up(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with receiving() as receiver:
        receiver.answers = [answer("503 Busy", body=b"try\nlater"), hangs_up, b"no HTTP at all\r\n\r\n"]
        async with alerting(tmp_path, f"http://127.0.0.1:{receiver.port}/secret") as status:
            await until(lambda: not status().ok)
            assert status().error == "answered 503: try later"
            assert "secret" not in str(status())
            await until(lambda: status().delivered)
            assert (status().ok, status().failures) == (True, 3)
    assert len(receiver.posts) == 4


async def test_a_receiver_that_asks_for_time_is_given_it(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answers = [answer("429 Too Many Requests", "retry-after: 3600")]
        async with alerting(tmp_path, f"http://127.0.0.1:{receiver.port}/") as status:
            await until(lambda: not status().ok)
            await asyncio.sleep(0.2)
            assert len(receiver.posts) == 1


async def test_slow_receivers_and_endless_answers_are_cut_off(tmp_path: Path) -> None:
    async def drips(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100):
            writer.write(f"x-{number}: y\r\n".encode())
            await writer.drain()
            await asyncio.sleep(0.05)

    async def floods(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()

    async with receiving() as receiver:
        receiver.answers = [drips, floods]
        async with alerting(tmp_path, f"http://127.0.0.1:{receiver.port}/") as status:
            await until(lambda: status().failures == 1)
            assert status().error == "no answer within 0.3 s"
            await until(lambda: status().failures == 2)
            assert status().error.startswith("answered 500: xxx")
            assert len(status().error) < 400
            await until(lambda: status().delivered)


async def test_a_dead_receiver_is_shown_and_a_stop_does_not_wait_for_it(tmp_path: Path) -> None:
    async with alerting(tmp_path, f"http://127.0.0.1:{free_port()}/") as status:
        await until(lambda: status().failures > 2)
        assert (status().ok, status().pending) == (False, 1)
        assert status().error.startswith("not reached: ")
        assert status().failing_since is not None


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with receiving() as elsewhere, receiving() as receiver:
        receiver.answers = [answer("307 There", f"location: http://127.0.0.1:{elsewhere.port}/")]
        async with alerting(tmp_path, f"http://127.0.0.1:{receiver.port}/", webhook_token="planted") as status:
            await until(lambda: status().delivered)
    assert elsewhere.posts == []


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_that_is_given_is_not(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, *words]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    async with receiving(tls) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/"
        async with alerting(tmp_path / "one", url) as status:
            await until(lambda: not status().ok)
            assert "certificate verify failed" in status().error
        assert receiver.posts == []
        async with alerting(tmp_path / "two", url, ca_file=cert) as status:
            await until(lambda: status().delivered)


async def test_a_real_manager_is_not_held_up_by_dead_receivers_and_shows_them(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    alerts = AlertSettings(alertmanager=(dead,), webhook=dead, interval=0.05)
    endpoint = {"address": "127.0.0.1", "port": free_port(), "readiness": {"timeout": "100ms"}}
    profile = {"componentName": "catalog", "trafficShadowingPercentage": 0.1, "shadowInstanceTTL": "1h"}
    async with (
        manager(settings(tmp_path, alerts=alerts)) as ports,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['http']}") as client,
    ):
        (await client.post("/networks", json=examples.NETWORK)).raise_for_status()
        variants = [{"name": "v2", "endpoint": endpoint}]
        made = await client.post("/networks/shop/shadowing/create", json={**profile, "variants": variants})
        made.raise_for_status()
        async with asyncio.timeout(20):
            while True:
                status = (await client.get("/networks/shop/shadowing/status")).json()
                sinks = {sink["name"]: sink for sink in status["alertSinks"]}
                if not sinks["webhook"]["ok"] and not sinks["alertmanager"]["ok"]:
                    break
                await asyncio.sleep(0.05)
        printed = (await client.get("/metrics")).text
    (alert,) = status["alerts"]
    assert alert["labels"]["alertname"] == "ShadowmeshShadowDead"
    assert sinks["webhook"]["pending"] == 1
    assert sinks["webhook"]["error"].startswith("not reached")
    assert sinks["log"]["ok"]
    assert 'shadowmesh_alert_sink_up{sink="webhook"} 0.0' in printed
    assert 'shadowmesh_alerts_firing{alertname="ShadowmeshShadowDead"} 1.0' in printed


async def test_a_receiver_that_cannot_be_right_keeps_a_manager_from_starting(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"^alerts\.webhook: is not an http or https URL with a host"):
        async with manager(settings(tmp_path, alerts=AlertSettings(webhook="nonsense"))):
            pass
