"""The forms that a report has, by name."""

import enum
import json
from collections.abc import Callable

from xds_server.report.html_page import html
from xds_server.report.junit import junit
from xds_server.report.markdown import markdown
from xds_server.report.subject import Subject
from xds_server.report.words import JSON


class Form(enum.StrEnum):
    """How a report is written."""

    HTML = "html"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    JSON = "json"


SUFFIXES = {".html": Form.HTML, ".htm": Form.HTML, ".md": Form.MARKDOWN, ".xml": Form.JUNIT, ".json": Form.JSON}
NEEDS_MORE = {Form.HTML, Form.MARKDOWN, Form.JSON}
"""Forms that show more than the profile itself: differences, distributions."""


def write(subject: Subject, form: Form) -> str:
    """Return a report."""
    return _WRITERS[form](subject)


def as_json(subject: Subject) -> JSON:
    """Return everything that a report is made of, for programs; `decision` is the one that is meant."""
    profile = subject.profile
    return {
        "network": subject.network,
        "profile": profile.get("name"),
        "profileID": profile.get("profileID"),
        "componentName": profile.get("componentName"),
        "variant": subject.variant or None,
        "archived": subject.archived,
        "madeAt": subject.made_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "decision": subject.decision,
        "reasons": subject.reasons,
        "note": subject.note,
        "verdict": profile.get("verdict"),
        "comparison": profile.get("comparison"),
        "instances": profile.get("instances"),
        "differences": list(subject.differences),
        "responseTimes": subject.histograms,
    }


def _json(subject: Subject) -> str:
    # Escapes: what is no Unicode (half of a surrogate pair) comes through as it came.
    return json.dumps(as_json(subject), indent=2) + "\n"


_WRITERS: dict[Form, Callable[[Subject], str]] = {
    Form.HTML: html,
    Form.MARKDOWN: markdown,
    Form.JUNIT: junit,
    Form.JSON: _json,
}
