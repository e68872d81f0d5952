"""Whether this process stood still: stopped by a signal, paused with its container, asleep with its machine.

One that goes on finds its deadlines over and what came meanwhile unread; it reads first, and gives up afterwards.

Guarantees: pure.
"""

STILL = 1.0
"""Seconds between two looks, beyond which the process stood still."""
CATCH_UP = 2.0
"""Seconds in which it reads what came meanwhile."""


class Standstill:
    """Looks at a clock again and again.

    Args:
        now: a monotonic time in seconds.
    """

    def __init__(self, now: float) -> None:
        self._looked = now
        self._until = now

    def caught_up(self, now: float) -> bool:
        """Tell whether what came during the last standstill has had its time to be read."""
        if now - self._looked > STILL:
            self._until = now + CATCH_UP
        self._looked = now
        return now >= self._until
