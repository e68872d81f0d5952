"""Progress is a moving line on a terminal and plain lines anywhere else."""

import io
import itertools

import pytest
from rich.console import Console

from xds_server.stage import show as module
from xds_server.stage.show import Show, make_console


def console(*, terminal: bool, encoding: str = "utf-8") -> tuple[Console, io.BytesIO]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    return Console(file=file, force_terminal=terminal, width=100, highlight=False), raw


async def test_progress_is_redrawn_on_a_terminal_and_gone_at_the_end() -> None:
    to, raw = console(terminal=True)
    turns = itertools.count()
    await Show(to).watch(lambda: "100 requests", until=lambda: next(turns) > 2)
    assert raw.getvalue().count(b"100 requests") >= 3
    assert b"\x1b[2K" in raw.getvalue()


async def test_progress_is_a_line_now_and_then_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN_EVERY", 0.0)
    to, raw = console(terminal=False)
    turns = itertools.count()
    await Show(to).watch(lambda: "100 requests", until=lambda: next(turns) > 1)
    assert raw.getvalue().count(b"100 requests\n") == 2
    assert b"\x1b" not in raw.getvalue()


def test_what_is_said_is_not_taken_for_markup_and_fits_ascii() -> None:
    to, raw = console(terminal=False, encoding="ascii")
    Show(to).say("GET /api/items[0]: [bold]x[/bold]")
    Show(to).lines("log of [red]envoy[/red]", ["[info] all clusters initialized"])
    text = raw.getvalue().decode()
    assert "GET /api/items[0]: [bold]x[/bold]" in text
    assert "log of [red]envoy[/red]" in text
    assert "[info] all clusters" in text


def test_the_output_is_wide_enough_for_the_tables_in_a_pipe() -> None:
    assert make_console().width >= 110
