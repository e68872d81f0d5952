"""Children are started in groups of their own and ended for certain."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from random import Random

import psutil
import pytest

from xds_server.envoy_binary import find_envoy
from xds_server.stage.children import MARK, ChildError, Household, port_is_free

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path, chance=Random(1))


async def test_a_child_gets_a_log_a_mark_and_none_of_the_users_settings(
    household: Household, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHADOWMESH_HTTP_PORT", "1")
    child = household.start("env", [sys.executable, "-c", "import os; print(sorted(os.environ))"])
    child.process.wait(30)
    assert MARK in child.tail()[0]
    assert "SHADOWMESH_HTTP_PORT" not in child.tail()[0]
    assert child.log.parent == tmp_path
    with pytest.raises(ChildError, match="env ended by itself \\(exit code 0\\)"):
        child.check()
    assert await household.close() == []


async def test_closing_ends_each_child_also_a_stubborn_one(household: Household) -> None:
    soft, hard = household.start("soft", SLEEPER), household.start("hard", STUBBORN)
    while not (soft.tail() and hard.tail()):
        assert soft.alive
        assert hard.alive
    await household.end(hard, grace=0.1)
    await household.close()
    assert not soft.alive
    assert not hard.alive
    assert hard.process.returncode == -9


async def test_a_process_that_a_child_left_behind_is_found_by_its_mark_and_ended(household: Household) -> None:
    code = f"import subprocess; print(subprocess.Popen({SLEEPER!r}, start_new_session=True).pid)"
    child = household.start("parent", [sys.executable, "-c", code])
    child.process.wait(30)
    pid = int(child.tail()[0])
    assert psutil.pid_exists(pid)
    left = await household.close()
    assert [text.split()[0] for text in left] == [str(pid)]
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_command_that_does_not_exist_is_one_clear_line(household: Household) -> None:
    with pytest.raises(ChildError, match="nothing could not be started"):
        household.start("nothing", ["/no/such/binary"])


def test_ports_are_free_and_given_once(household: Household) -> None:
    ports = [household.free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        assert not port_is_free(ports[0])
        assert household.taken_ports() == [ports[0]]
    assert household.taken_ports() == []


def test_the_envoy_found_is_the_binary() -> None:
    path = find_envoy()
    assert os.access(path, os.X_OK)
    assert "1.40" in subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
