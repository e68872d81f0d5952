"""`shadowmesh try`, as a user calls it, on the real Envoy: a service that runs already, and a new version of it."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.envoy.stack import wait_for
from tests.verdicts.test_demo import left_of
from xds_server.demo.stage import catalogue_command
from xds_server.stage.children import Household

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

COMMAND = [sys.executable, "-m", "xds_server.cli", "try"]
BUSY = ("--get", "/api/items/3", "--get", "/api/search?q=la", "--rate", "250", "--warm-up", "0s")


def version(number: int) -> list[str]:
    return ["--", *catalogue_command(version=number, port="{port}", plain=True)]


class Home:
    """A folder in which `try` is called, and a catalogue that runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return subprocess.Popen(
            [*COMMAND, "--original", self.url, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path.cwd())},
            start_new_session=True,
        )

    def served(self) -> bytes:
        return httpx.get(f"{self.url}/healthz", timeout=5, trust_env=False).content

    def check_nothing_left(self) -> None:
        assert left_of(self.folder / "tmp") == []
        assert list((self.folder / "tmp").iterdir()) == []
        assert self.served() == b"ok\n"


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    # Short, since sockets may be made in it.
    folder = Path(tempfile.mkdtemp(prefix="try-"))
    household = Household(folder, chance=Random())
    port = household.free_port()
    child = household.start("original", catalogue_command(version=1, port=str(port), plain=True))
    home = Home(folder, port)

    def up() -> bool:
        child.check()
        try:
            return home.served() == b"ok\n"
        except httpx.HTTPError:
            return False

    wait_for(up, "the original answers")
    yield home
    child.process.terminate()
    child.process.wait(10)


def test_a_good_version_passes_with_exit_code_0_and_a_page_about_it(home: Home) -> None:
    tried = home.start(*BUSY, "--readiness", "/healthz", "--json", "all.json", *version(3))
    output, _ = tried.communicate(timeout=220)
    assert tried.returncode == 0, output
    assert re.search(r"^PASS  new of service, [\d,]+ pairs", output, re.MULTILINE) is not None
    assert "send your requests to http://127.0.0.1:" in output
    assert "folder removed" in output
    page = (home.folder / "report.html").read_text()
    assert "<title>PASS: " in page
    assert "GET /api/search" in page
    assert json.loads((home.folder / "all.json").read_text())["decision"] == "PASS"
    home.check_nothing_left()


def test_a_bad_version_fails_with_exit_code_1_its_reasons_and_what_would_tell_noise(home: Home) -> None:
    tried = home.start(*BUSY, "--report", "bad.html", *version(2))
    output, _ = tried.communicate(timeout=220)
    assert tried.returncode == 1, output
    assert re.search(r"^FAIL  new of service", output, re.MULTILINE) is not None
    assert "difference_rate" in output
    assert "--control self asks the original twice" in output
    assert "<title>FAIL: " in (home.folder / "bad.html").read_text()
    home.check_nothing_left()


def test_ctrl_c_ends_in_the_verdict_so_far_and_nothing_is_left(home: Home) -> None:
    tried = home.start("--report", "", "--control", "self", *version(3))
    assert tried.stdout is not None
    lines = []
    for line in tried.stdout:
        lines.append(line)
        if found := re.search(r"send your requests to (http://\S+)", line):
            break
    assert found, "".join(lines)
    assert httpx.get(f"{found[1]}/api/items/3", timeout=10, trust_env=False).json()["id"] == 3
    tried.send_signal(signal.SIGINT)
    rest, _ = tried.communicate(timeout=60)
    assert tried.returncode == 2, rest
    assert "INCONCLUSIVE  new of service" in rest
    assert "it was ended before there was a decision" in rest
    assert "folder removed" in rest
    home.check_nothing_left()


def test_a_version_that_ends_at_once_is_an_error_with_its_last_words(home: Home) -> None:
    code = "import sys; sys.exit('no such table: items; {port}')"
    tried = home.start("--", sys.executable, "-c", code)
    output, _ = tried.communicate(timeout=100)
    assert tried.returncode == 7, output
    assert "error: try: new is Failed" in output
    assert "| no such table: items" in output
    home.check_nothing_left()
