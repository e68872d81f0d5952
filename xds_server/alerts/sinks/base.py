"""What a receiver of alerts has to be.

Guarantees to a sink: it is called by one task (its courier), which waits for a bounded time, tries again when it fails,
and never hands over the same alert twice at once. A sink need not remember anything.
"""

from collections.abc import Sequence
from typing import Protocol

from xds_server.alerts.alert import Alert


class SinkFailedError(Exception):
    """A receiver was not told.

    Args:
        detail: why, without secrets.
        useless: whether the same again would fail the same way (the receiver says that it is malformed).
        wait: seconds that the receiver asked to be left alone.
    """

    def __init__(self, detail: str, *, useless: bool = False, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.useless = useless
        self.wait = wait


class Sink(Protocol):
    """A receiver."""

    name: str
    """Stable, and unique among the sinks: `webhook`."""
    target: str
    """Where it is, fit to be shown (no path, no token)."""
    batch: int
    """Alerts that it takes at once."""
    resend: float | None
    """Seconds after which it wants to hear again of an alert that still fires; None: once is enough."""

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Tell it of alerts, firing and resolved. Raises: SinkFailedError, OSError."""

    async def close(self) -> None:
        """Let go of connections."""
