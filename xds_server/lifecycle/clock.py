"""Time, as the life cycle sees it: passed in, so that a test can turn a ten-minute TTL into a microsecond.

Guarantees: `now` is an aware UTC datetime (TTLs are absolute, so that they survive a restart); `sleep_until` looks at
`now` again at least every `SLICE` seconds, so a clock that is set, or a machine that slept, is noticed. The lives of
shadows are counted by `steady_clock.py`, which nobody sets.
Not guaranteed: that `now` never goes back; use `monotonic` for differences.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

SLICE = 1.0
"""Longest sleep (seconds) without a look at the wall clock."""


class Clock(Protocol):
    """What the life cycle needs to know of time."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds from a fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""

    async def sleep_until(self, when: datetime) -> None:
        """Return as soon as the wall clock says `when` or later."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from a fixed moment; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, when: datetime) -> None:
        """Return as soon as the wall clock says `when` or later."""
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is no event to wait for
            await asyncio.sleep(min(left, SLICE))
