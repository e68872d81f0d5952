"""What is said while it runs: a moving line on a terminal, plain lines anywhere else (a pipe, CI).

Guarantees: no thread, no cursor movement unless the output is a terminal, text that an ASCII-only output can take too.
Not guaranteed: the layout.
"""

import asyncio
import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

PLAIN_WIDTH = 120
"""Columns when nobody says how wide the output is."""
TICK = 0.2
PLAIN_EVERY = 3.0
"""Seconds between two lines of progress where lines cannot be redrawn."""


def make_console() -> Console:
    """Return a console for standard output; wide enough for the tables when it is not a terminal."""
    console = Console(highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


class Show:
    """The voice.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()

    def say(self, text: str, *, style: str = "") -> None:
        """Print one line, with the seconds since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._started:5.1f} s[/dim]  ", end="")
        self.console.print(Text(text, style=style))

    def print(self, *what: RenderableType) -> None:
        """Print as it is."""
        self.console.print(*what)

    def lines(self, title: str, lines: list[str]) -> None:
        """Print the lines of somebody's log."""
        self.console.print(f"\n[bold]{escape(title)}[/bold]")
        for line in lines:
            self.console.print(Text(f"  {line}", style="dim"))

    async def watch(self, tell: Callable[[], str], *, until: Callable[[], bool]) -> None:
        """Show what `tell` says, again and again, until `until` is true."""
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as live:
                while not until():
                    live.update(Text(f"         {tell()}", style="cyan"), refresh=True)
                    await asyncio.sleep(TICK)
            return
        next_line = time.monotonic() + PLAIN_EVERY
        while not until():
            if time.monotonic() >= next_line:
                self.say(f"  {tell()}")
                next_line += PLAIN_EVERY
            await asyncio.sleep(TICK)
