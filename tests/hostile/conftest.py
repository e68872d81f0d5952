"""The trials of the session, and their table."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile.ground import Trial
from tests.hostile.table import FOLDER, write


@pytest.fixture(scope="session")
def trials() -> Iterator[list[Trial]]:
    """What was tried; the table of all of it is written at the end."""
    made: list[Trial] = []
    yield made
    write(made)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table that the run has written."""
    table = FOLDER / "table.md"
    if table.exists():
        terminalreporter.section("a hostile shadow")
        terminalreporter.write_line(table.read_text())
