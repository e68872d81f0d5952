"""The demo, as a user starts it: a short run on the real Envoy."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

COMMAND = [sys.executable, "-m", "xds_server.cli", "demo"]


def started(*arguments: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    )


def left_of(folder: Path) -> list[str]:
    """Return the command lines of processes that have anything to do with a demo in this folder."""
    lines = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(line) for line in lines if any(str(folder) in part for part in line)]


@pytest.fixture
def folder() -> Path:
    # Short, since sockets may be made in it.
    return Path(tempfile.mkdtemp(prefix="demo-"))


def test_every_planted_bug_is_found_no_client_is_hurt_and_nothing_is_left(folder: Path) -> None:
    demo = started("--seconds", "8", folder=folder)
    output, _ = demo.communicate(timeout=220)
    assert demo.returncode == 0, output
    assert "5 of 5 planted bugs found, clients hurt: 0 of" in output
    assert "NOT FOUND" not in output
    assert "not planted" not in output
    assert "POST /api/orders" not in output
    injected = re.search(r"faults injected +(\d+) copies aborted and (\d+) delayed", output)
    assert injected is not None
    assert int(injected[1]) > 0
    assert int(injected[2]) > 0
    assert "folder removed" in output
    assert "left behind" not in output
    assert "\x1b" not in output
    assert left_of(folder) == []
    assert list(folder.iterdir()) == []


def test_kept_running_it_says_where_and_a_signal_ends_it_cleanly(folder: Path) -> None:
    demo = started("--seconds", "4", "--keep", folder=folder)
    assert demo.stdout is not None
    lines = []
    deadline = time.monotonic() + 200
    for line in demo.stdout:
        lines.append(line)
        assert time.monotonic() < deadline
        if "ends it and cleans up" in line:
            break
    address = re.search(r"http://127\.0\.0\.1:\d+/networks/shop/shadowing/status", "".join(lines))
    assert address is not None, "".join(lines)
    assert f"export PATH={Path(sys.executable).parent}:$PATH" in "".join(lines)
    assert f"curl -s '{address[0]}'" in "".join(lines)
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, rest
    assert "folder removed" in rest
    assert left_of(folder) == []
    assert list(folder.iterdir()) == []
