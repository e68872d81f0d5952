"""Time, as the analysis sees it: passed in, so that tests turn it.

Not guaranteed: that `now` never goes back; `monotonic` does not.
"""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What the analysis needs to know of time."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds from a fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
