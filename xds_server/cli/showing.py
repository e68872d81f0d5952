"""How one is shown that something is waited for: a picture on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live

from xds_server.cli import verdict_views
from xds_server.cli.gating import Look

EVERY = 15.0
"""Seconds between two lines in a log, when nothing changes."""


@contextmanager
def shower(*, quiet: bool) -> Iterator[Callable[[Look], None]]:
    """Yield what is told of each look: a picture on a terminal, else a line now and then; on standard error."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        out = Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
        with Live(console=out, auto_refresh=False, transient=True) as live:
            yield lambda look: live.update(Group(*verdict_views.progress(look, width=out.width)), refresh=True)
    else:
        yield _Log().show


class _Log:
    """Lines for a log: one when something has changed, and else every `EVERY` seconds."""

    def __init__(self) -> None:
        self._last = (float("-inf"), "")

    def show(self, look: Look) -> None:
        """Write a line, or not."""
        now = time.monotonic()
        state = f"{look.subject.decision if look.subject else ''} {bool(look.away)} {look.hint}"
        if state != self._last[1] or now - self._last[0] >= EVERY:
            self._last = (now, state)
            sys.stderr.write(verdict_views.line(look) + "\n")
            sys.stderr.flush()
