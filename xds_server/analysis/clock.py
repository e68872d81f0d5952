"""Time, as the analysis sees it: passed in, so that tests turn it; and as REST shows it.

Not guaranteed: that `now` never goes back; `monotonic` does not.
"""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the analysis needs to know of time."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds from a fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


def moment(seconds: float) -> str:
    """Return seconds since the epoch as REST shows them: RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
