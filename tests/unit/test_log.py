"""Logging: one line an event, for people or for machines."""

import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from xds_server import log
from xds_server.config import LogSettings


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_our_events_and_those_of_libraries_are_json_lines_alike(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(LogSettings(format="json"))
    structlog.get_logger().info("shadow running", instance="i-1")
    logging.getLogger("somebody").warning("foreign %s", "words")
    ours, theirs = (orjson.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["instance"], ours["level"]) == ("shadow running", "i-1", "info")
    assert (theirs["event"], theirs["level"]) == ("foreign words", "warning")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(LogSettings(level="warning", format="json"))
    structlog.get_logger().info("quiet")
    assert capsys.readouterr().err == ""
