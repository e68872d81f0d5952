"""The real Prometheus and Alertmanager, and receivers, each on a free port of loopback.

Guarantees: what was started is ended with the `with` that started it; nothing is written outside the folder given.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.envoy.stack import wait_for
from xds_server.listening import bound

JSON = dict[str, Any]


def free_port() -> int:
    with bound("127.0.0.1", 0, flag="") as sock:
        return int(sock.getsockname()[1])


class Receiver:
    """Takes posts of JSON and keeps them, one connection after the other. What Alertmanager notifies."""

    def __init__(self) -> None:
        self.got: list[JSON] = []
        kept = self.got

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_POST(self) -> None:
                kept.append(orjson.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


def get(url: str) -> Any:
    return httpx.get(url, timeout=10, trust_env=False).raise_for_status().json()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def alertmanager(tools: Path, folder: Path, notifies: str) -> Iterator[str]:
    """Run an Alertmanager that notifies a URL of everything at once; yields its own URL."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: test, webhook_configs: [{{url: '{notifies}', send_resolved: true}}]}}]\n"
    )
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(tools / "prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with _running(command, folder / "alertmanager.log", lambda: answers(f"{url}/-/ready")):
        yield url


@contextmanager
def prometheus(tools: Path, folder: Path, target: str, rules: Path) -> Iterator[str]:
    """Run a Prometheus that scrapes a target each second and has the rules; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: shadowmesh, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(tools / "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with _running(command, folder / "prometheus.log", lambda: answers(f"{url}/-/ready")):
        yield url


@contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

        def up() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            return ready()

        try:
            wait_for(up, f"{Path(command[0]).name} is ready")
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
