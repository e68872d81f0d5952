"""The comparison as a person reads it: a picture of tallies at one moment.

Units in JSON: response times in milliseconds, rates 0.0-1.0, counts in pairs; before it, `since` and `until` are
seconds since the epoch (0: none).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xds_server.analysis.clock import moment
from xds_server.analysis.examples.example import Example
from xds_server.analysis.kinds import Reason
from xds_server.analysis.windows.noise import Judgement, Nature, judgements
from xds_server.analysis.windows.sketch import Sketch
from xds_server.analysis.windows.tally import KEPT, EndpointTally, Field, FieldTally, LegTally, Tally

QUANTILES = (0.5, 0.9, 0.99)
FAILING = 0.01
"""Share of failures of the control from which it is said."""
_WEIGHT = {Nature.REAL: 3, Nature.UNDECIDED: 2, Nature.NOISE: 1, Nature.RECOGNISED: 0}


@dataclass(frozen=True, slots=True)
class Measured:
    """The control that noise was measured by: the newest one, since and until when, with how many judged pairs."""

    instance: str
    pairs: int
    since: float
    until: float
    failed: int = 0
    """Of the pairs, those in which the control failed and the original did not (at least)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of a profile, or of one of its instances.

    `pairs` are the judged ones: identical, noise (they differ in nothing but noise), undecided (in nothing worse than
    what may be noise), and discrepancies. `not_judged` are pairs that arrived and are no evidence, by reason. `lost` is
    by kind; the kinds overlap (see `Lost`).
    """

    pairs: int
    noise: int
    undecided: int
    discrepancies: int
    not_judged: Mapping[str, int]
    by_class: Mapping[str, int]
    lost: Mapping[str, int]
    delayed: int
    """Judged pairs whose copy an injected fault held back; their response times are left out."""
    head_only: int
    """Identical pairs whose bodies could not be compared to their end."""
    endpoints: tuple["EndpointComparison", ...]
    since: float
    until: float
    control: Measured | None = None
    """None: no control has answered anything so far."""

    @property
    def identical(self) -> int:
        """Judged pairs without a difference."""
        return self.pairs - self.noise - self.undecided - self.discrepancies

    @property
    def trios(self) -> int:
        """Requests that a control answered too, once for each shadow."""
        return sum(endpoint.tally.trios for endpoint in self.endpoints)

    @property
    def noise_measured(self) -> dict[str, Any]:
        """Whether noise was measured, by what, until when, with how many requests."""
        control = self.control
        return {
            "byControl": self.trios > 0,
            "requests": self.trios,
            "instanceID": control.instance if control else None,
            "since": _moment(control.since) if control else None,
            "until": _moment(control.until) if control else None,
            "controlFailed": control.failed if control else 0,
            "summary": self._how_noise_was_measured(),
        }

    def _how_noise_was_measured(self) -> str:
        if self.trios:
            measured = f"noise was measured by a control, in {self.trios} requests that it answered too"
            control = self.control
            if control is None or control.failed <= FAILING * control.pairs:
                return measured
            return f"{measured}; the control itself failed in {control.failed} of its {control.pairs} pairs"
        if self.control is not None:
            return "noise is not measured yet: the control has answered no request that a shadow answered too"
        return (
            "noise was not measured: no control has answered; what is known by its looks, and rules, are all that "
            "tells noise from change"
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "pairs": self.pairs,
            "identical": self.identical,
            "noise": self.noise,
            "undecided": self.undecided,
            "discrepancies": self.discrepancies,
            "noiseMeasured": self.noise_measured,
            "notJudged": dict(self.not_judged),
            "byClass": dict(self.by_class),
            "lost": dict(self.lost),
            "injected": {"aborted": self.not_judged.get(Reason.INJECTED, 0), "delayed": self.delayed},
            "guard": self.not_judged.get(Reason.GUARD, 0),
            "cancelled": self.not_judged.get(Reason.CANCELLED, 0),
            "headOnly": self.head_only,
            "hint": self.hint,
            "endpoints": [endpoint.as_json() for endpoint in self.endpoints],
            "since": _moment(self.since),
            "until": _moment(self.until),
        }

    @property
    def hint(self) -> str:
        """What a user could change so that more can be judged; empty when nothing."""
        refused = self.not_judged.get(Reason.CREDENTIALS_DROPPED, 0)
        cut = self.not_judged.get(Reason.TIMEOUT, 0)
        said = []
        if refused:
            said.append(
                f"{refused} copies were turned away (401, 403 or a redirect) after their credentials were removed; "
                "set keepCredentials in the profile to send them along"
            )
        if cut:
            said.append(
                f"{cut} copies were cut at their timeout while the original took as long; raise shadowTimeout in the "
                "profile to judge them"
            )
        return "; ".join(said)


@dataclass(frozen=True, slots=True)
class EndpointComparison:
    """One endpoint; `tally` is a copy, so it does not change. `undecided` and `discrepancies`: see `Comparison`."""

    name: str
    tally: EndpointTally
    judgements: Mapping[Field, Judgement]
    undecided: int
    discrepancies: int

    @property
    def noise(self) -> int:
        """Pairs that differ in nothing but noise."""
        return self.tally.differing - self.undecided - self.discrepancies

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it; the most frequent differences first, noise last."""
        found = ((field, tally) for field, tally in self.tally.fields.items() if tally.count)
        weight = {field: -_WEIGHT[judgement.nature] for field, judgement in self.judgements.items()}
        fields = sorted(found, key=lambda item: (weight[item[0]], -item[1].count, item[0]))
        return {
            "endpoint": self.name,
            "pairs": self.tally.pairs,
            "noise": self.noise,
            "undecided": self.undecided,
            "discrepancies": self.discrepancies,
            "notJudged": dict(self.tally.not_judged),
            "original": _leg(self.tally.original),
            "shadow": _leg(self.tally.shadow),
            "differences": [_difference(field, found, self.judgements[field]) for field, found in fields],
        }


def endpoint_of(name: str, tally: EndpointTally) -> EndpointComparison:
    """Return the picture of one endpoint."""
    found = judgements(tally)
    real = tally.discrepancies({field for field, judgement in found.items() if not judgement.counts})
    unexplained = tally.discrepancies({field for field, judgement in found.items() if judgement.explained})
    return EndpointComparison(name, tally, found, unexplained - real, real)


def _together(parts: Sequence[EndpointComparison]) -> EndpointComparison:
    """Return the picture of one endpoint at several versions.

    Each version is judged for itself: they share a control, and what that differs in by itself, counted once for each
    of them, would be taken for as many observations.
    """
    if len(parts) == 1:
        return parts[0]
    whole, worst = EndpointTally(), dict[Field, Judgement]()
    for part in parts:
        whole.merge(part.tally, KEPT)
        for field, judgement in part.judgements.items():
            known = worst.get(field)
            if known is None or _WEIGHT[judgement.nature] > _WEIGHT[known.nature]:
                worst[field] = judgement
    undecided, real = sum(part.undecided for part in parts), sum(part.discrepancies for part in parts)
    return EndpointComparison(parts[0].name, whole, worst, undecided, real)


def measured_by(tallies: Iterable[Tally]) -> Measured | None:
    """Return the newest control among the tallies of a profile's instances; None when none of them is one."""
    found = max((t for t in tallies if t.control), key=lambda t: (t.until, t.instance), default=None)
    if found is None:
        return None
    endpoints = found.endpoints.values()
    pairs = sum(endpoint.pairs for endpoint in endpoints)
    failed = sum(max(0, endpoint.shadow.errors - endpoint.original.errors) for endpoint in endpoints)
    return Measured(found.instance, pairs, found.since, found.until, failed)


def comparison_of(*versions: Tally, control: Measured | None = None) -> Comparison:
    """Return the picture of a profile's versions, a merged tally each; endpoints that differ most come first."""
    tally = Tally("", "")
    by_name: dict[str, list[EndpointComparison]] = {}
    for version in versions:
        tally.add_counts(version)
        for name, endpoint in version.endpoints.items():
            by_name.setdefault(name, []).append(endpoint_of(name, endpoint))
    found = [_together(parts) for parts in by_name.values()]
    found.sort(key=lambda each: (-each.discrepancies, -each.undecided, -each.tally.pairs, each.name))
    not_judged: Counter[str] = Counter()
    for each in found:
        not_judged.update(each.tally.not_judged)
    return Comparison(
        pairs=sum(each.tally.pairs for each in found),
        noise=sum(endpoint.noise for endpoint in found),
        undecided=sum(endpoint.undecided for endpoint in found),
        discrepancies=sum(endpoint.discrepancies for endpoint in found),
        not_judged=_positive(not_judged),
        by_class=_positive(tally.classes),
        lost=_positive(tally.lost),
        delayed=tally.counts["delayed"],
        head_only=tally.counts["head_only"],
        endpoints=tuple(found),
        since=tally.since,
        until=tally.until,
        control=control,
    )


def _moment(seconds: float) -> str | None:
    return moment(seconds) if seconds else None


def _positive(counts: Counter[str]) -> dict[str, int]:
    return {str(name): count for name, count in sorted(counts.items()) if count > 0}


def _leg(leg: LegTally) -> dict[str, Any]:
    return {
        "count": leg.count,
        "errorRate": leg.errors / leg.count if leg.count else 0.0,
        "statuses": dict(sorted(leg.statuses.items())),
        **quantiles(leg.response),
        "lastByte": quantiles(leg.last_byte),
    }


def quantiles(sketch: Sketch) -> dict[str, float | None]:
    """Return some quantiles as REST shows them."""
    values = sketch.quantiles(QUANTILES)
    return {
        f"p{round(q * 100)}": None if v is None else round(v * 1000, 3) for q, v in zip(QUANTILES, values, strict=True)
    }


def _difference(field: Field, tally: FieldTally, judgement: Judgement) -> dict[str, Any]:
    name, kind = field
    return {
        "field": name,
        "class": kind,
        "what": tally.recognised,
        "count": tally.count,
        "nature": str(judgement.nature),
        "noise": judgement.as_json(),
        "since": moment(tally.first),
        "until": moment(tally.last),
        "example": _excerpt(field, tally.examples[0]) if tally.examples else None,
    }


def _excerpt(field: Field, example: Example) -> dict[str, Any] | None:
    """Return the difference of an example that a field is about, and where to find the rest; None if it shows none."""
    found = example.difference(field)
    if found is None:
        return None
    return {
        "id": example.id,
        "path": example.data["path"],
        "at": found["at"],
        "original": found["original"],
        "shadow": found["shadow"],
    }
