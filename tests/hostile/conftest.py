from typing import Any

from tests.hostile.table import FOLDER


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table that the run has written."""
    table = FOLDER / "table.md"
    if table.exists():
        terminalreporter.section("a hostile shadow")
        terminalreporter.write_line(table.read_text())
