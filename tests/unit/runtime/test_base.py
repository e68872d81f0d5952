"""What is said of a shadow, and the parts that its supervisor is made of."""

import os
from pathlib import Path

import pytest

from xds_server.model.ids import InstanceID
from xds_server.runtime.base import LOG_LINE_LIMIT, Condition, Ending, Life
from xds_server.runtime.folder import Folder
from xds_server.runtime.processes import Identity, Table
from xds_server.runtime.supervisor import Log, descendants, start_time


@pytest.mark.parametrize(
    ("condition", "text", "failed"),
    [
        (Condition(Life.ALIVE), "running", False),
        (Condition(Life.UNKNOWN), "not found", True),
        (Condition(Life.EXITED, Ending.OWN, exit_code=0), "exited with code 0", True),
        (Condition(Life.EXITED, Ending.OWN, signal=9), "killed by SIGKILL", True),
        (Condition(Life.EXITED, Ending.OWN, signal=99), "killed by signal 99", True),
        (
            Condition(Life.EXITED, Ending.OWN, exit_code=1, detail="out of memory"),
            "exited with code 1: out of memory",
            True,
        ),
        (Condition(Life.EXITED, Ending.STOPPED, signal=15), "stopped", False),
        (Condition(Life.EXITED, Ending.DEADLINE, signal=15), "its time to live was over", False),
        (Condition(Life.EXITED, Ending.LOST, detail="the machine was restarted"), "the machine was restarted", True),
        (Condition(Life.EXITED, Ending.LOST), "ended", True),
    ],
)
def test_a_condition_is_said_in_a_few_words(condition: Condition, text: str, *, failed: bool) -> None:
    assert condition.describe() == text
    assert condition.failed is failed


def test_the_tail_is_cut_and_clean(tmp_path: Path) -> None:
    folder = Folder(tmp_path, InstanceID("i"))
    folder.create({})
    (folder.path / "log.1").write_text("".join(f"old {number}\n" for number in range(30)))
    (folder.path / "log").write_bytes(b"\x1b]0;title\x07\x1b[2Jplain \xff\x00\r\n\n" + b"y" * 1000 + b"\nunfinished")
    tail = folder.tail()
    assert tail[:2] == ("old 13", "old 14")
    assert tail[-3:] == ("plain \ufffd", "y" * LOG_LINE_LIMIT + "…", "unfinished")
    assert len(tail) == 20


def test_a_log_keeps_the_newest_within_its_limit(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", 200)
    for number in range(100):
        log.write(f"line {number}\n".encode())
    log.write(b"z" * 500)
    written = (tmp_path / "log.1").read_bytes() + (tmp_path / "log").read_bytes()
    assert len(written) <= 200
    assert written.endswith(b"line 99\n" + b"z" * 100)


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    log = Log(tmp_path / "log", 200)
    log.write(b"lost")
    assert (tmp_path / "log").is_symlink()


def test_a_process_is_its_pid_and_its_start() -> None:
    start = start_time(os.getpid())
    assert start is not None
    assert Identity(os.getpid(), start).alive
    assert not Identity(os.getpid(), start + 1).alive
    assert not Identity(2**22 + 1, 1).alive


def test_a_tree_is_found_with_its_use() -> None:
    assert os.getpid() in descendants(os.getppid())
    table = Table.read()
    assert os.getpid() in table.below(os.getppid())
    assert table.usage(os.getppid()).rss_bytes > 1_000_000
    assert table.usage(2**22 + 1).rss_bytes == 0
