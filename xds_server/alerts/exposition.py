"""What was compared, for Prometheus: counted anew from the tallies at each scrape.

Guarantees: at most `MOST` sets of the labels network, component, profile and variant at a time; those that come when
all are taken are summed under `other` for as long as they are there, and how many they are is a metric of its own. A
counter never falls while its profile lives, whatever the tallies do; a new profile of an old name begins anew. The
tallies are on disk, so after an orderly stop counters go on from where they were. Raw counts: noise is not taken off,
but in `shadowmesh_discrepancies`, which is a gauge since a field may turn out to be noise later.
Not guaranteed: `_sum` of a histogram is within 1 %, as are the bounds of its buckets (both come from a sketch). After a
crash counters may begin up to five seconds lower, which Prometheus takes for a reset.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from xds_server.alerts.watched import Watched, by_variant
from xds_server.analysis.kinds import OTHER
from xds_server.analysis.windows.comparison import endpoint_of
from xds_server.analysis.windows.sketch import Sketch
from xds_server.analysis.windows.tally import Tally
from xds_server.model.shadow import InstanceStatus

MOST = 500
DECISIONS = ("PASS", "FAIL", "INCONCLUSIVE")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
"""Upper bounds, in seconds."""
_LABELS = ("network", "component", "profile", "variant")
_Series = tuple[str, str, str, str]
_OTHER: _Series = (OTHER, OTHER, OTHER, OTHER)


@dataclass(slots=True)
class _Sums:
    """Everything of one set of labels."""

    pairs: int = 0
    differing: int = 0
    discrepancies: int = 0
    delayed: int = 0
    share: float = 0.0
    classes: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    judged: int = 0
    """Pairs that verdicts rest on."""
    response: dict[str, Sketch] = field(default_factory=lambda: {"original": Sketch(), "shadow": Sketch()})

    def add(self, tally: Tally) -> None:
        self.classes.update(tally.classes)
        self.lost.update(tally.lost)
        self.delayed += tally.counts["delayed"]
        for name, endpoint in tally.endpoints.items():
            self.pairs += endpoint.pairs
            self.differing += endpoint.differing
            self.discrepancies += endpoint_of(name, endpoint).discrepancies
            self.not_judged.update(endpoint.not_judged)
            for leg, counted in (("original", endpoint.original), ("shadow", endpoint.shadow)):
                self.errors[leg] += counted.errors
                self.response[leg].merge(counted.response)


class Exposition(Collector):
    """A collector for a Prometheus registry.

    Args:
        watched: the profiles.
        most: bound of the sets of labels.
    """

    def __init__(self, watched: Callable[[], Iterable[Watched]], *, most: int = MOST) -> None:
        self._watched = watched
        self._most = most
        self._own: dict[_Series, str] = {}
        self._folded: set[_Series] = set()
        self._highest: dict[_Series, dict[tuple[str, ...], float]] = {}

    def describe(self) -> Iterable[Metric]:
        """Return nothing: a registry would scrape us to know the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return all metrics, as of now."""
        found = self._sums()
        yield from self._counters(found)
        yield self._histogram(found)
        yield from _gauges(found)
        folded = GaugeMetricFamily("shadowmesh_series_folded", f"Sets of labels that are counted as {OTHER}.")
        folded.add_metric([], len(self._folded))
        yield folded

    def _sums(self) -> dict[_Series, _Sums]:
        found: dict[_Series, _Sums] = {}
        present: set[_Series] = set()
        for watched in self._watched():
            tallies = by_variant(watched)
            instances = {instance.variant for instance in watched.instances}
            for variant in dict.fromkeys((*watched.variants, *sorted(instances), *tallies)):
                series = (watched.network, watched.component, watched.profile, variant)
                present.add(series)
                home = self._home(series, watched.profile_id)
                sums = found.setdefault(home, _Sums())
                statuses = [i.status for i in watched.instances if i.variant == variant]
                sums.statuses.update(str(status) for status in statuses)
                if InstanceStatus.RUNNING in statuses:
                    sums.share = max(sums.share, watched.share)
                if variant in tallies:
                    sums.add(tallies[variant])
                if variant in watched.variants and watched.verdict is not None:
                    sums.decisions[_decision(watched.verdict, variant)] += 1
                    sums.judged += _judged(watched.verdict, variant)
        self._forget_all_but(present)
        if _OTHER in self._highest:
            found.setdefault(_OTHER, _Sums())
        return found

    def _home(self, series: _Series, profile_id: str) -> _Series:
        if series in self._folded or (series not in self._own and len(self._own) >= self._most):
            self._folded.add(series)
            return _OTHER
        if self._own.get(series) != profile_id:
            self._own[series] = profile_id
            self._highest.pop(series, None)
        return series

    def _forget_all_but(self, present: set[_Series]) -> None:
        for series in self._own.keys() - present:
            del self._own[series]
            self._highest.pop(series, None)
        self._folded &= present

    def _counters(self, found: dict[_Series, _Sums]) -> Iterator[Metric]:
        plain: tuple[tuple[str, str, Callable[[_Sums], int]], ...] = (
            ("pairs", "Pairs of answers that were judged.", lambda s: s.pairs),
            ("identical_pairs", "Judged pairs without any difference.", lambda s: s.pairs - s.differing),
            ("injected", "Copies that a fault of ours aborted or delayed.", _injected),
        )
        for name, words, count in plain:
            family = CounterMetricFamily(f"shadowmesh_{name}", words, labels=_LABELS)
            for series, sums in found.items():
                family.add_metric(series, self._never_lower(series, (name,), count(sums)))
            yield family
        by_word: tuple[tuple[str, str, str, Callable[[_Sums], Counter[str]]], ...] = (
            ("differences", "Judged pairs with a difference of a class.", "class", lambda s: s.classes),
            ("not_judged", "Pairs that arrived and are no evidence.", "reason", lambda s: s.not_judged),
            ("lost", "Records and copies that were lost; the kinds overlap.", "kind", lambda s: s.lost),
            ("errors", "Judged answers that were errors.", "leg", lambda s: s.errors),
        )
        for name, words, label, counts in by_word:
            family = CounterMetricFamily(f"shadowmesh_{name}", words, labels=(*_LABELS, label))
            for series, sums in found.items():
                for word, number in sorted(counts(sums).items()):
                    family.add_metric((*series, word), self._never_lower(series, (name, word), number))
            yield family

    def _histogram(self, found: dict[_Series, _Sums]) -> Metric:
        family = HistogramMetricFamily(
            "shadowmesh_response_time_seconds",
            "From the last byte sent to a version to the first one it answered; judged pairs without injected delay. "
            "Bounds and sum are within 1 %.",
            labels=(*_LABELS, "leg"),
        )
        for series, sums in found.items():
            for leg, sketch in sums.response.items():
                counts = [*zip(map(str, BUCKETS), sketch.cumulative(BUCKETS), strict=True), ("+Inf", sketch.count)]
                buckets = [(bound, self._never_lower(series, (leg, bound), count)) for bound, count in counts]
                family.add_metric((*series, leg), buckets, self._never_lower(series, (leg, "sum"), sketch.total()))
        return family

    def _never_lower(self, series: _Series, key: tuple[str, ...], value: float) -> float:
        # A loss may turn out to be less, and what is counted as `other` may be deleted.
        known = self._highest.setdefault(series, {})
        highest = known[key] = max(value, known.get(key, 0.0))
        return highest


def _gauges(found: dict[_Series, _Sums]) -> Iterator[Metric]:
    discrepancies = GaugeMetricFamily(
        "shadowmesh_discrepancies", "Judged pairs that differ in more than noise.", labels=_LABELS
    )
    share = GaugeMetricFamily(
        "shadowmesh_mirrored_share", "Share of the traffic that is mirrored to a running shadow, 0-1.", labels=_LABELS
    )
    shadows = GaugeMetricFamily("shadowmesh_shadows", "Shadow instances by status.", labels=(*_LABELS, "status"))
    verdict = GaugeMetricFamily(
        "shadowmesh_verdict", "1 for what the verdict on a version is, 0 for the rest.", labels=(*_LABELS, "decision")
    )
    judged = GaugeMetricFamily(
        "shadowmesh_verdict_pairs", "Pairs that the verdict on a version rests on.", labels=_LABELS
    )
    for series, sums in found.items():
        if sums.decisions:
            for decision in DECISIONS:
                verdict.add_metric((*series, decision), sums.decisions[decision])
            judged.add_metric(series, sums.judged)
        discrepancies.add_metric(series, sums.discrepancies)
        share.add_metric(series, sums.share)
        for status in InstanceStatus:
            shadows.add_metric((*series, str(status)), sums.statuses[str(status)])
    yield from (discrepancies, share, shadows, verdict, judged)


def _decision(verdict: Mapping[str, Any], variant: str) -> str:
    own = (each["decision"] for each in verdict.get("variants", ()) if each["variant"] == variant)
    return str(next(own, verdict["decision"]))


def _judged(verdict: Mapping[str, Any], variant: str) -> int:
    """Return how many pairs a version was judged by: those of its check with the most of them."""
    checks = [check for check in verdict.get("checks", ()) if check.get("variant", variant) == variant]
    return max((int(check["pairs"]) for check in checks), default=int(verdict["pairs"]))


def _injected(sums: _Sums) -> int:
    return sums.not_judged["injected"] + sums.delayed
