"""The one place that chooses sinks."""

from collections.abc import Callable
from datetime import datetime

from xds_server.alerts.sinks.alertmanager import AlertmanagerSink
from xds_server.alerts.sinks.base import Sink
from xds_server.alerts.sinks.http import Poster
from xds_server.alerts.sinks.log import LogSink
from xds_server.alerts.sinks.template import shape_of
from xds_server.alerts.sinks.webhook import WebhookSink
from xds_server.config import AlertSettings


def make_sinks(settings: AlertSettings, *, now: Callable[[], datetime]) -> list[Sink]:
    """Return the sinks that the settings ask for; nothing is contacted.

    Args:
        settings: which, and where.
        now: the wall clock.

    Raises:
        InvalidError: a URL, a template or a file cannot be right.
    """
    sinks: list[Sink] = [LogSink()] if settings.log else []
    for number, url in enumerate(dict.fromkeys(settings.alertmanager), start=1):
        poster = Poster(
            f"{url.rstrip('/')}/api/v2/alerts",
            setting="alerts.alertmanager",
            token=settings.alertmanager_token,
            ca_file=settings.ca_file,
        )
        name = "alertmanager" if number == 1 else f"alertmanager-{number}"
        sinks.append(AlertmanagerSink(poster, name=name, resend=settings.resend, now=now))
    # A template without a receiver is checked too: it is meant for one that comes.
    shape = shape_of(settings.webhook_template)
    if settings.webhook is not None:
        url = settings.webhook.get_secret_value()
        poster = Poster(url, setting="alerts.webhook", token=settings.webhook_token, ca_file=settings.ca_file)
        sinks.append(WebhookSink(poster, shape, batch=settings.webhook_batch))
    return sinks
