"""The demo, as a user starts it: a short run on the real Envoy."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

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
def folder() -> Iterator[Path]:
    # Short, since sockets may be made in it.
    made = Path(tempfile.mkdtemp(prefix="demo-"))
    yield made
    shutil.rmtree(made)


def test_bugs_are_found_noise_is_cancelled_versions_are_judged_and_nothing_is_left(folder: Path) -> None:
    reports = folder.parent / f"{folder.name}-reports"
    demo = started("--seconds", "8", "--reports", str(reports), folder=folder)
    output, _ = demo.communicate(timeout=280)
    assert demo.returncode == 0, output
    end = "5 of 5 planted bugs found, 7 of 7 noisy fields cancelled, false alarms: 0, clients hurt: 0 of "
    assert end in output
    assert "version 2: FAIL, version 3: PASS" in output
    assert re.search(r"version 2 +FAIL +\d+ +\S.*", output) is not None
    assert "under the injected faults v2 answers" in " ".join(output.split())
    for number, decision in ((2, "FAIL"), (3, "PASS")):
        page = reports / f"demo-version-{number}.html"
        assert f"The whole report: {page}" in output
        assert f"<title>{decision}: " in page.read_text()
    shutil.rmtree(reports)
    assert "NOT FOUND" not in output
    assert "not planted" not in output
    differs, noise = output.split("Response times side by side")[0].split("Cancelled as noise")
    assert "servedAt" not in differs
    assert re.search(r"\$\.requestId +another uuid +\d+% +\d+% +control, looks", noise) is not None
    assert re.search(r"\$\.shard +another value +\d+% +\d+% +control *$", noise, re.MULTILINE) is not None
    assert re.search(r"noise +measured by a control, in \d+ requests", output) is not None
    assert "POST /api/orders" not in output
    injected = re.search(r"faults injected +(\d+) copies aborted and (\d+) delayed", output)
    assert injected is not None
    assert int(injected[1]) > 0
    assert int(injected[2]) > 0
    assert "folder removed" in output
    assert "left behind" not in output
    assert "demo --keep leaves it running" in output
    assert "\x1b" not in output
    assert left_of(folder) == []
    assert list(folder.iterdir()) == []


def test_kept_running_it_says_where_and_a_signal_ends_it_cleanly(folder: Path) -> None:
    demo = started("--seconds", "4", "--keep", folder=folder)
    assert demo.stdout is not None
    lines = []
    deadline = time.monotonic() + 250
    for line in demo.stdout:
        lines.append(line)
        assert time.monotonic() < deadline
        if "ends it and cleans up" in line:
            break
    address = re.search(r"http://127\.0\.0\.1:\d+/networks/shop/shadowing/status", "".join(lines))
    assert address is not None, "".join(lines)
    assert f"export PATH={Path(sys.executable).parent}:$PATH" in "".join(lines)
    assert f"curl -s '{address[0]}'" in "".join(lines)
    shown = subprocess.run(
        [*COMMAND[:-1], "diffs", "shop", "--server", address[0].split("/networks")[0]],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "$.price" in shown
    assert "$.shard" not in shown
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, rest
    assert "folder removed" in rest
    assert left_of(folder) == []
    assert list(folder.iterdir()) == []
