"""Turns a burst of changes into one call.

Guarantees: the action runs `quiet` seconds after the last change, and at most `longest` after the first that it covers.
"""

import asyncio
from collections.abc import Callable


class Debouncer:
    """Waits for quiet, then acts. Times are seconds of the running loop's clock."""

    def __init__(self, action: Callable[[], None], *, quiet: float, longest: float) -> None:
        """Call `action` after a burst."""
        self._action = action
        self._quiet = quiet
        self._longest = longest
        self._first: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def trigger(self) -> None:
        """Take note of a change."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._first is None:
            self._first = now
        if self._handle is not None:
            self._handle.cancel()
        self._handle = loop.call_at(min(now + self._quiet, self._first + self._longest), self._act)

    def cancel(self) -> None:
        """Forget what was noted."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._first = None, None

    def _act(self) -> None:
        self._handle, self._first = None, None
        self._action()
