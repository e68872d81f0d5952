"""A real server over a controller that starts nothing, and the command line as a function."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api import create_app
from tests.unit.api.fake import FakeController
from xds_server.cli.entry import run
from xds_server.config import HttpSettings

SHOP = (Path(__file__).parents[3] / "manifests" / "examples" / "shop.yaml").read_text()


@dataclass(frozen=True)
class Done:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Shell = Callable[..., Done]


@pytest.fixture
def desk() -> FakeController:
    return FakeController()


@pytest.fixture
def http() -> HttpSettings:
    """Whom the manager answers; a test module may have its own."""
    return HttpSettings()


@pytest.fixture
def server(desk: FakeController, http: HttpSettings) -> Iterator[str]:
    app = create_app(desk, http)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def offline(capfd: pytest.CaptureFixture[str]) -> Shell:
    """The command line without a manager."""

    def shell(*arguments: str) -> Done:
        capfd.readouterr()
        code = run(arguments)
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return shell


@pytest.fixture
def shell(server: str, offline: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command line with a manager."""
    monkeypatch.setenv("SHADOWMESH_SERVER", server)
    return offline


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A file with a network and a profile."""
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path
