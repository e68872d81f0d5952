"""From findings to alerts that begin and end: at most so many a profile, the most important ones, each told once.

Guarantees: an alert that goes on keeps its beginning; one that is over is given once, with its end. Of a profile and a
condition at most `max_alerts` are told apart: those that fire already first, then by weight; the rest are one alert
whose endpoint (and class, and field) is `other`. Pure but for what it remembers; the time is passed in.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from xds_server.alerts.alert import NEW_DIFFERENCE, Alert, Labels, labels_of
from xds_server.alerts.conditions import Finding, Moment, findings
from xds_server.alerts.history import History
from xds_server.alerts.watched import Watched
from xds_server.analysis.kinds import OTHER
from xds_server.config import AlertSettings

Profile = tuple[str, str, str]
"""Names of network and component, and the profile."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What fires now, by labels, and what was resolved since the look before."""

    firing: dict[Labels, Alert]
    resolved: tuple[Alert, ...]


class Evaluator:
    """Looks at profiles, again and again."""

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._history = History(settings.window)
        self._firing: dict[Labels, Alert] = {}
        self._looked: dict[Labels, Alert] = {}

    def resume(self, firing: Iterable[Alert]) -> None:
        """Take up what fired in an earlier life: it goes on, or is resolved at the next `done`."""
        self._firing = {alert.labels: alert for alert in firing}

    def look(self, watched: Watched, moment: Moment) -> None:
        """Take in one profile, as it is now."""
        by_name: dict[str, list[Finding]] = {}
        for finding in findings(watched, self._history, self._settings, moment):
            if finding.sure or finding.alert.labels in self._firing:
                by_name.setdefault(finding.alert.name, []).append(finding)
        for name, found in by_name.items():
            for alert in self._most_important(watched, name, found):
                before = self._firing.get(alert.labels)
                # Not in the future, also after the clock was set back: receivers take its end for still to come then.
                start = min(before.starts_at, datetime.fromtimestamp(moment.now, UTC)) if before else alert.starts_at
                self._looked[alert.labels] = replace(alert, starts_at=start)

    def hold(self, watched: Watched) -> None:
        """Let a profile's alerts go on: it is there, and could not be looked at."""
        where = {"network": watched.network, "component": watched.component, "profile": watched.profile}
        of_it = set(labels_of("", **where)) - set(labels_of(""))
        self._looked.update({labels: alert for labels, alert in self._firing.items() if of_it <= set(labels)})

    def give_up(self) -> None:
        """Forget the looks since the last `done`: they were not all."""
        self._looked = {}

    def done(self, now: float) -> Evaluation:
        """Return what came of the looks since the last call; a profile that was not looked at is gone."""
        end = datetime.fromtimestamp(now, UTC)
        resolved = tuple(
            replace(alert, starts_at=min(alert.starts_at, end), ends_at=end)
            for labels, alert in self._firing.items()
            if labels not in self._looked
        )
        self._firing, self._looked = self._looked, {}
        self._history.prune()
        return Evaluation(self._firing, resolved)

    def _most_important(self, watched: Watched, name: str, found: list[Finding]) -> Iterable[Alert]:
        most = self._settings.max_alerts
        if len(found) <= most:
            return [finding.alert for finding in found]
        found.sort(key=lambda f: (f.alert.labels not in self._firing, -f.weight, f.alert.labels))
        rest = [finding.alert for finding in found[most:]]
        return [*(finding.alert for finding in found[:most]), _summed(watched, name, rest)]


def _summed(watched: Watched, name: str, rest: list[Alert]) -> Alert:
    where = {"network": watched.network, "component": watched.component, "profile": watched.profile}
    field = {"class": OTHER, "field": OTHER} if name == NEW_DIFFERENCE else {}
    first = min(rest, key=lambda alert: alert.starts_at)
    words = {
        "summary": f"{watched.component}: {len(rest)} more of these, beyond those that are told apart",
        "description": f"the first of them: {first.annotations.get('summary', '')}",
        "look": first.annotations.get("look", ""),
    }
    return Alert(labels_of(name, **where, endpoint=OTHER, **field), words, first.starts_at)
