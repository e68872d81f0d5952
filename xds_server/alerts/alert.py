"""One alert: labels that say which it is, annotations that say it in words, and since when.

Guarantees: labels alone are the identity; the same condition has the same labels each time, also after a restart.
Labels and texts are valid UTF-8 and bounded; a label that had to be cut stays distinct (a hash is appended).
Not guaranteed: that the annotations of an alert stay the same; they carry the newest counts.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NEW_DIFFERENCE = "ShadowmeshNewDifference"
DIFFERENCE_RATE = "ShadowmeshDifferenceRate"
SHADOW_DEAD = "ShadowmeshShadowDead"
LOSS = "ShadowmeshLoss"
VERDICT_FAIL = "ShadowmeshVerdictFail"
HARM = "ShadowmeshHarm"
NAMES = (HARM, VERDICT_FAIL, SHADOW_DEAD, NEW_DIFFERENCE, DIFFERENCE_RATE, LOSS)
"""All alerts there are."""
SEVERITY = "warning"
"""Of nearly all of them: a shadow's trouble is nobody's outage."""
CRITICAL = "critical"
"""Of those about real users: a version of a split that failed, and mirroring that harms the original."""

LABEL = 200
"""Characters of a label's value."""
TEXT = 1000
"""Characters of an annotation."""
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fires, or with `ends_at`, that has been resolved. Times are UTC."""

    labels: Labels
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None

    @property
    def name(self) -> str:
        """Which condition it is about."""
        return self.label("alertname")

    @property
    def firing(self) -> bool:
        """Whether it is not resolved."""
        return self.ends_at is None

    def label(self, name: str) -> str:
        """Return a label's value, or an empty text."""
        return next((value for known, value in self.labels if known == name), "")

    def as_json(self) -> dict[str, Any]:
        """Return it as REST and the generic webhook show it."""
        return {
            "status": "firing" if self.firing else "resolved",
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": rfc3339(self.starts_at),
            "endsAt": None if self.ends_at is None else rfc3339(self.ends_at),
        }


def labels_of(name: str, *, severity: str = SEVERITY, **values: str) -> Labels:
    """Return the labels of an alert, always in the same order, without the empty ones."""
    given = {"alertname": name, **values, "severity": severity}
    return tuple((label, _bounded(value)) for label, value in given.items() if value)


def text(words: str) -> str:
    """Return the text of an annotation: printable, and not too long."""
    clean = "".join(c if c.isprintable() else " " for c in words.encode("utf-8", "replace").decode())
    return clean if len(clean) <= TEXT else f"{clean[: TEXT - 1]}…"


def rfc3339(moment: datetime) -> str:
    """Return a time as Alertmanager and REST write it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bounded(value: str) -> str:
    raw = value.encode("utf-8", "replace")
    clean = raw.decode()
    if len(clean) <= LABEL:
        return clean
    digest = hashlib.blake2b(raw, digest_size=6).hexdigest()
    return f"{clean[: LABEL - len(digest) - 1]}…{digest}"
