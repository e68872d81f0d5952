"""What a webhook is sent: a text in which each `$name` becomes a JSON value (`string.Template`: no code, no loops).

Guarantees: whatever stands in an alert, the result is the JSON that the template's author wrote, since values are put
in as JSON, quotes included. A template that names something unknown, or does not make JSON, is refused at the start.
`$slack_title` and `$slack_text` have `&`, `<` and `>` escaped, so that no answer of a service can call a channel.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import orjson

from xds_server.alerts.alert import NEW_DIFFERENCE, Alert, labels_of
from xds_server.errors import InvalidError

BUILT_IN = {
    "slack": '{"attachments": [{"color": $color, "title": $slack_title, "text": $slack_text, "mrkdwn_in": []}]}',
    "generic": '{"version": 1, "status": $status, "title": $title, "alerts": $alerts}',
}
_LABELS = ("alertname", "network", "component", "profile", "variant", "endpoint", "class", "field", "severity")
_WORDS = ("summary", "description", "example", "look")
_FIELD = "alerts.webhook_template"
_MOST = 100_000
"""Characters of a template."""


class Shape:
    """A template that has been checked. Raises: InvalidError."""

    def __init__(self, text: str, *, name: str) -> None:
        self._template = Template(text)
        if not self._template.is_valid():
            raise InvalidError(f"{name}: a $ that begins no name", field=_FIELD, hint="write $$ for a dollar sign")
        known = values([_SAMPLE])
        unknown = sorted(set(self._template.get_identifiers()) - set(known))
        if unknown:
            hint = f"known: {', '.join('$' + each for each in known)}"
            raise InvalidError(f"{name}: ${unknown[0]} is not known", field=_FIELD, hint=hint)
        try:
            orjson.loads(self.body([_SAMPLE]))
        except orjson.JSONDecodeError as error:
            hint = 'values come with their quotes: write $text, not "$text"'
            raise InvalidError(f"{name}: it does not make JSON: {error}", field=_FIELD, hint=hint) from error

    def body(self, alerts: Sequence[Alert]) -> bytes:
        """Return what is posted for these alerts."""
        encoded = {name: orjson.dumps(value).decode() for name, value in values(alerts).items()}
        return self._template.substitute(encoded).encode()


def shape_of(choice: str) -> Shape:
    """Return the shape that a setting names: one of `BUILT_IN`, or a file. Raises: InvalidError."""
    if choice in BUILT_IN:
        return Shape(BUILT_IN[choice], name=choice)
    try:
        with Path(choice).open(encoding="utf-8") as file:
            text = file.read(_MOST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not text"
        hint = f"{', '.join(BUILT_IN)}, or a file"
        raise InvalidError(f"{choice}: {why}", field=_FIELD, hint=hint) from error
    if len(text) > _MOST:
        raise InvalidError(f"{choice}: longer than {_MOST} characters", field=_FIELD)
    return Shape(text, name=choice)


def values(alerts: Sequence[Alert]) -> dict[str, Any]:
    """Return everything that a template may name. A label or an annotation is empty where alerts do not share it."""
    firing = sum(alert.firing for alert in alerts)
    status = "firing" if firing else "resolved"
    title = f"{len(alerts)} alerts: {firing} firing, {len(alerts) - firing} resolved"
    if len(alerts) == 1:
        title = f"[{status}] {alerts[0].annotations.get('summary', alerts[0].name)}"
    text = "\n".join(map(_line, alerts))
    return {
        "status": status,
        "color": "danger" if firing else "good",
        "title": title,
        "text": text,
        "slack_title": _for_slack(title),
        "slack_text": _for_slack(text),
        "count": len(alerts),
        "firing": firing,
        "resolved": len(alerts) - firing,
        "alerts": [alert.as_json() for alert in alerts],
        **{label: _common([alert.label(label) for alert in alerts]) for label in _LABELS},
        **{word: _common([alert.annotations.get(word, "") for alert in alerts]) for word in _WORDS},
    }


def _line(alert: Alert) -> str:
    state = "firing" if alert.firing else "resolved"
    words = alert.annotations
    parts = (f"[{state}] {words.get('summary', alert.name)}", words.get("description"), words.get("look"))
    return " | ".join(filter(None, parts))


def _common(found: Sequence[str]) -> str:
    return found[0] if len(set(found)) == 1 else ""


def _for_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_SAMPLE = Alert(
    labels=labels_of(NEW_DIFFERENCE, network="n", component="c", profile="p", variant="v", endpoint="GET /"),
    annotations={"summary": 'a "quoted"\nsample', "description": "\\ $ \u2028"},
    starts_at=datetime(2026, 1, 1, tzinfo=UTC),
)
