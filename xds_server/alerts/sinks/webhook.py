"""Any receiver of JSON by POST, in the shape of a template: Slack's, a generic one, or a user's own."""

from collections.abc import Sequence

from xds_server.alerts.alert import Alert
from xds_server.alerts.sinks.http import Poster
from xds_server.alerts.sinks.template import Shape


class WebhookSink:
    """Posts when an alert begins and when it ends, several in one post where they come together."""

    name = "webhook"
    resend: float | None = None

    def __init__(self, poster: Poster, shape: Shape, *, batch: int) -> None:
        self.target = poster.target
        self.batch = batch
        self._poster = poster
        self._shape = shape

    async def send(self, alerts: Sequence[Alert]) -> None:
        """Post them."""
        await self._poster.post(self._shape.body(alerts))

    async def close(self) -> None:
        """Close its connections."""
        await self._poster.close()
