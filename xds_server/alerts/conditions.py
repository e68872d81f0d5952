"""Which alerts a profile has at a moment: the six conditions.

- `ShadowmeshVerdictFail`: the verdict on a variant is FAIL. Critical in a split, where real users met it.
- `ShadowmeshHarm`: mirrored requests fail more often, or take longer, than plain ones do. Critical.
- `ShadowmeshNewDifference`: an endpoint has a class of difference that is neither noise nor recognised; from when it
  was first seen until the endpoint's traffic went on for `quiet` seconds without it.
- `ShadowmeshDifferenceRate`: more than a share of an endpoint's pairs in the last `window` seconds were discrepancies.
- `ShadowmeshShadowDead`: the newest instance of a variant failed.
- `ShadowmeshLoss`: more than a share of a variant's pairs in the window was lost.

The verdict's two last as long as it says so. `NewDifference`, `DifferenceRate` and `Loss` are about variants that are
live: they end with their last instance.

Guarantees: a function of what is given (tallies, history, time): no I/O, no clock. A rate is not judged on fewer than
`min_pairs` pairs; what fired before is then held, neither raised nor resolved.
Not guaranteed: which pairs were discrepancies before this process was started; until its history has enough pairs, the
most frequent difference alone, by its timeline, stands for all of them (a lower bound).
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from xds_server.alerts.alert import (
    CRITICAL,
    DIFFERENCE_RATE,
    HARM,
    LOSS,
    NEW_DIFFERENCE,
    SEVERITY,
    SHADOW_DEAD,
    VERDICT_FAIL,
    Alert,
    labels_of,
    text,
)
from xds_server.alerts.history import History
from xds_server.alerts.watched import Watched, by_variant, lost_pairs
from xds_server.analysis.windows.comparison import EndpointComparison, endpoint_of
from xds_server.analysis.windows.tally import Field, FieldTally, Tally
from xds_server.config import AlertSettings
from xds_server.model.shadow import InstanceStatus, ShadowInstance

FAILED, HARMED = "FAIL", "HARM"
"""What a verdict says, in its JSON form."""
REASONS = 3
"""Reasons of a verdict that an alert repeats."""
HOLD = 10.0
"""Seconds that a difference of a profile with a control waits for what the control says to it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An alert that should fire; or, when not `sure`, that should go on if it fires already."""

    alert: Alert
    sure: bool = True
    weight: float = 0.0
    """How important it is, among those of its name."""


def _same(when: datetime) -> datetime:
    return when


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is."""

    now: float
    """By the wall clock, in seconds since the epoch."""
    steady: float
    """In seconds since whenever, by a clock that nobody sets."""
    wall: Callable[[datetime], datetime] = _same
    """Turns a moment of the life cycle into what the wall clock has for it now."""

    def began(self, when: datetime | None) -> float:
        """Return when something began by the wall clock, never in the future; now when nobody knows."""
        return self.now if when is None else min(self.wall(when).timestamp(), self.now)


@dataclass(slots=True)
class Look:
    """One look at one variant of a profile."""

    watched: Watched
    variant: str
    tally: Tally
    history: History
    settings: AlertSettings
    now: float
    steady: float
    """Seconds that nobody sets."""

    @property
    def since(self) -> float:
        """Where the window begins."""
        return self.now - self.settings.window

    def key(self, *more: str) -> tuple[str, ...]:
        """Return the key of a series."""
        watched = self.watched
        return (watched.network, watched.component, watched.profile, self.variant, *more)

    def alert(self, name: str, *, summary: str, started: float, endpoint: str = "", **more: str) -> Alert:
        """Return an alert about this variant; keys of `more` that are labels are told by `_LABELS`."""
        return _alert(self.watched, self.variant, name, started, {"endpoint": endpoint, "summary": summary, **more})


_LABELS = ("endpoint", "class", "field")


def findings(watched: Watched, history: History, settings: AlertSettings, moment: Moment) -> Iterator[Finding]:
    """Return what a profile has at this moment."""
    alerting = watched.alerting
    yield from _verdict(watched, moment)
    if alerting.dead_shadow:
        yield from _dead(watched, moment)
    for variant, tally in by_variant(watched).items():
        if not watched.live(variant):
            continue
        look = Look(watched, variant, tally, history, settings, moment.now, moment.steady)
        for name, endpoint in tally.endpoints.items():
            if endpoint.pairs and (alerting.new_differences or alerting.difference_rate is not None):
                compared = endpoint_of(name, endpoint)
                if alerting.new_differences:
                    yield from _new(look, compared)
                if alerting.difference_rate is not None:
                    yield from _rate(look, compared, alerting.difference_rate)
        if alerting.loss_rate is not None:
            yield from _loss(look, alerting.loss_rate)


def _verdict(watched: Watched, moment: Moment) -> Iterator[Finding]:
    verdict = watched.verdict
    if verdict is None:
        return
    since = moment.began(_read(verdict.get("since")))
    look = f"shadowmesh status {shlex.quote(watched.network)}"
    failed = [v for v in verdict.get("variants", ()) if v["decision"] == FAILED]
    if not failed and verdict["decision"] == FAILED:
        failed = [{"variant": v, "reasons": ()} for v in watched.variants]
    for each in failed:
        variant = str(each["variant"])
        words = {
            "summary": f"{watched.component} {variant}: the verdict is FAIL",
            "description": _reasons(each.get("reasons") or verdict["reasons"]),
            "look": look,
        }
        severity = CRITICAL if watched.users else SEVERITY
        yield Finding(_alert(watched, variant, VERDICT_FAIL, since, words, severity=severity))
    harm = verdict.get("harm") or {}
    if harm.get("decision") == HARMED:
        words = {
            "summary": f"{watched.component}: mirroring harms the original's clients",
            "description": str(harm.get("reason", "")),
            "look": look,
        }
        yield Finding(_alert(watched, "", HARM, since, words, severity=CRITICAL))


def _reasons(reasons: Sequence[object]) -> str:
    return "; ".join(str(reason) for reason in reasons[:REASONS]) or "no reason is given"


def _read(written: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(written))
    except ValueError:
        return None


def _dead(watched: Watched, moment: Moment) -> Iterator[Finding]:
    settled: set[str] = set()
    for instance in sorted(watched.instances, key=_created, reverse=True):
        variant = instance.variant
        # One that is only about to run has not proved the failed one before it wrong.
        if variant in settled or instance.status is InstanceStatus.PENDING:
            continue
        settled.add(variant)
        if instance.status is InstanceStatus.FAILED:
            ended = moment.began(instance.stopped_at)
            words = {
                "summary": f"{watched.component} {variant}: the shadow failed",
                "description": instance.reason or "no reason is known",
                "look": f"shadowmesh status {shlex.quote(watched.network)}",
            }
            yield Finding(_alert(watched, variant, SHADOW_DEAD, ended, words))


def _created(instance: ShadowInstance) -> datetime:
    return instance.created_at


def _new(look: Look, compared: EndpointComparison) -> Iterator[Finding]:
    line = compared.tally.timeline
    begin = line.between()[-1][0] if line else 0
    # Until when the endpoint had traffic, at most: what its timeline says, in whole buckets, but not the future.
    traffic = min(begin + line.width, look.tally.until)
    hold = HOLD if look.watched.controlled else 0.0
    for (name, kind), found in compared.tally.fields.items():
        judgement = compared.judgements[name, kind]
        if not found.count or judgement.explained:
            continue
        if traffic - found.last >= look.settings.quiet or 0.0 <= look.now - found.first < hold:
            continue
        path, values = _example((name, kind), found)
        alert = look.alert(
            NEW_DIFFERENCE,
            started=found.first,
            endpoint=compared.name,
            summary=f"{look.watched.component} {look.variant}: {compared.name} differs in {name} ({kind})",
            description=f"{found.count} of {compared.tally.pairs} pairs{values}",
            example=path,
            look=f"{_diffs(look.watched, compared.name)} --field {shlex.quote(name)} --class {kind}",
            **{"class": kind, "field": name},
        )
        # What may be noise after all raises no alert, and takes none back.
        yield Finding(alert, sure=judgement.counts, weight=found.count / max(1, compared.tally.pairs))


def _rate(look: Look, compared: EndpointComparison, limit: float) -> Iterator[Finding]:
    real = [field for field, judgement in compared.judgements.items() if judgement.counts]
    totals = (compared.tally.pairs, compared.discrepancies)
    # Another set of noise changes what earlier pairs count as: what was noted before is of no use then.
    epoch = frozenset(compared.judgements) - frozenset(real)
    pairs, differ = look.history.delta(look.key("rate", compared.name), look.steady, totals, epoch=epoch)
    if pairs < look.settings.min_pairs:
        pairs = compared.tally.timeline.count(look.since)
        differ = max((compared.tally.fields[f].timeline.count(look.since) for f in real), default=0)
    sure = pairs >= look.settings.min_pairs
    if sure and differ <= limit * pairs:
        return
    alert = look.alert(
        DIFFERENCE_RATE,
        started=look.now,
        endpoint=compared.name,
        summary=f"{look.watched.component} {look.variant}: {compared.name} differs in more than {limit:.1%} of pairs",
        description=_share(differ, pairs, look.settings.window, "differ"),
        look=_diffs(look.watched, compared.name),
    )
    yield Finding(alert, sure=sure, weight=differ / max(1, pairs))


def _loss(look: Look, limit: float) -> Iterator[Finding]:
    tally = look.tally
    arrived = sum(e.pairs + sum(e.not_judged.values()) for e in tally.endpoints.values())
    pairs, lost = look.history.delta(look.key("loss"), look.steady, (arrived, lost_pairs(tally)))
    due = pairs + lost
    sure = due >= look.settings.min_pairs
    if sure and lost <= limit * due:
        return
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.lost.items()) if count > 0)
    alert = look.alert(
        LOSS,
        started=look.now,
        summary=f"{look.watched.component} {look.variant}: more than {limit:.1%} of pairs are lost",
        description=f"{_share(lost, due, look.settings.window, 'were lost')}; so far: {kinds or 'none'}",
        look=f"shadowmesh status {shlex.quote(look.watched.network)}",
    )
    yield Finding(alert, sure=sure, weight=lost / max(1, due))


def _alert(
    watched: Watched, variant: str, name: str, started: float, words: dict[str, str], *, severity: str = SEVERITY
) -> Alert:
    where = {"network": watched.network, "component": watched.component, "profile": watched.profile}
    more = {label: words.get(label, "") for label in _LABELS}
    labels = labels_of(name, severity=severity, **where, variant=variant, **more)
    annotations = {key: text(value) for key, value in words.items() if value and key not in _LABELS}
    return Alert(labels, annotations, datetime.fromtimestamp(started, UTC))


def _share(part: int, whole: int, window: float, what: str) -> str:
    return f"{part} of {whole} pairs ({part / max(1, whole):.1%}) {what} in the last {window:g} s"


def _example(field: Field, found: FieldTally) -> tuple[str, str]:
    """Return the path of an example, and its two values in words; what engines hand over is redacted already."""
    if not found.examples:
        return "", ""
    data = found.examples[0].data
    for shown in data.get("differences", ()):
        if (shown["field"], shown["class"]) == field:
            original, shadow = (_value(shown.get(leg)) for leg in ("original", "shadow"))
            return str(data.get("path", "")), f"; for example original {original}, shadow {shadow}"
    return str(data.get("path", "")), ""


def _value(shown: object) -> str:
    return "(absent)" if shown is None else str(shown)


def _diffs(watched: Watched, endpoint: str) -> str:
    words = ["shadowmesh", "diffs", watched.network, "--profile", watched.profile, "--endpoint", endpoint]
    return shlex.join(words)
