"""Alerts in the log: one line each."""

from collections.abc import Sequence

import structlog

from xds_server.alerts.alert import Alert

log = structlog.get_logger("alerts")


class LogSink:
    """Writes when an alert begins and when it ends."""

    name = "log"
    target = "standard error"
    batch = 1000
    resend: float | None = None

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Write a line for each."""
        for alert in alerts:
            # `class` and the like are keys, not Python names.
            words = {**dict(alert.labels), **alert.annotations}
            if alert.firing:
                log.warning("alert", **words)
            else:
                log.info("alert resolved", **words)

    async def close(self) -> None:
        """Do nothing."""
