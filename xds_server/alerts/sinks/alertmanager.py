"""Alertmanager, by its API v2.

Guarantees: an alert that fires is sent with an end in the future, so that it expires by itself when nobody repeats it
(a manager that is gone leaves nothing that fires for ever); one that is resolved, with the end it had.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import orjson

from xds_server.alerts.alert import Alert, rfc3339
from xds_server.alerts.sinks.http import Poster

EXPIRES = 4
"""An alert expires after so many intervals of resending, as Prometheus' own do."""


class AlertmanagerSink:
    """One Alertmanager."""

    batch = 64

    def __init__(self, poster: Poster, *, name: str, resend: float, now: Callable[[], datetime]) -> None:
        self.name = name
        self.target = poster.target
        self.resend: float | None = resend
        self._life = timedelta(seconds=EXPIRES * resend)
        self._poster = poster
        self._now = now

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Post them."""
        expires = self._now() + self._life
        await self._poster.post(
            orjson.dumps(
                [
                    {
                        "labels": dict(alert.labels),
                        "annotations": dict(alert.annotations),
                        "startsAt": rfc3339(alert.starts_at),
                        "endsAt": rfc3339(alert.ends_at or expires),
                    }
                    for alert in alerts
                ]
            )
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._poster.close()
