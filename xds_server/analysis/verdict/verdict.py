"""What a verdict says: frozen values, and their JSON as REST shows it.

Units in JSON: shares 0.0-1.0, response times in milliseconds, memory in bytes, CPU in core-milliseconds a request,
moments as ISO 8601 in UTC; evidence is an e-value: under the opposite claim it exceeds 1/alpha with a chance of at
most alpha, however often one looks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from xds_server.analysis.clock import moment

Interval = tuple[float, float]
LOG_MOST = 690.0
"""Evidence beyond it is cut there: what a float can hold."""


class Decision(StrEnum):
    """Of a check, a variant, and the whole."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class HarmDecision(StrEnum):
    """Does mirroring hurt the original?"""

    HARM = "HARM"
    NONE = "NONE"
    UNDECIDED = "UNDECIDED"
    NOT_MEASURED = "NOT_MEASURED"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check at one place. `endpoint` is empty for all traffic.

    `judged`: whether a PASS of the check rests on it. `interval`: each end is right with a chance of 1 - alpha, with
    the missing copies counted as the best at its lower end and as the worst at its upper one. `limit`: on the scale of
    effect and interval; with an `allowance` (seconds that the shadow's time may be longer, beside the ratio) it is not
    the profile's `threshold`.
    """

    metric: str
    name: str
    variant: str
    endpoint: str
    decision: Decision
    reason: str
    threshold: float
    limit: float
    unit: str
    original: float | None = None
    shadow: float | None = None
    effect: float | None = None
    interval: Interval | None = None
    pairs: int = 0
    needed: int | None = None
    """About so many more pairs of this place until it is decided; None: decided, or nobody can tell."""
    blocks: int = 0
    """Time blocks that a FAIL waits for meanwhile; the reason says so."""
    critical: bool = False
    muted: bool = False
    weight: float = 0.0
    reference: str = "original"
    judged: bool = True
    allowance: float = 0.0
    log_fail: float = 0.0
    log_pass: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "metric": self.metric,
            "name": self.name,
            "variant": self.variant,
            "endpoint": self.endpoint,
            "decision": str(self.decision),
            "original": number(self.original),
            "shadow": number(self.shadow),
            "effect": number(self.effect),
            "interval": _pair(self.interval),
            "threshold": self.threshold,
            "limit": number(self.limit),
            **_allowed(self.allowance),
            "unit": self.unit,
            "pairs": self.pairs,
            "pairsNeeded": self.needed,
            "critical": self.critical,
            "muted": self.muted,
            "weight": number(self.weight),
            "reference": self.reference,
            "judged": self.judged,
            "reason": self.reason,
            "evidence": {"fail": e_value(self.log_fail), "pass": e_value(self.log_pass)},
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is found to differ more often than the limit allows."""

    variant: str
    endpoint: str
    field: str
    kind: str
    rate: float
    log_evidence: float

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "endpoint": self.endpoint,
            "field": self.field,
            "class": self.kind,
            "variant": self.variant,
            "rate": number(self.rate),
            "evidence": e_value(self.log_evidence),
        }


@dataclass(frozen=True, slots=True)
class Missing:
    """Copies of which nothing is known, by kind; the kinds overlap."""

    copies: int = 0
    pairs: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of all copies that were due."""
        return self.copies / (self.copies + self.pairs) if self.copies else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {"copies": self.copies, "share": number(self.share), "kinds": dict(self.kinds)}


@dataclass(frozen=True, slots=True)
class HarmMetric:
    """Mirrored requests against plain ones, by one metric; both are answers of the original."""

    metric: str
    plain: float | None
    mirrored: float | None
    effect: float | None
    interval: Interval | None
    threshold: float
    limit: float
    unit: str
    requests: int
    decision: HarmDecision
    reason: str
    allowance: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "metric": self.metric,
            "plain": number(self.plain),
            "mirrored": number(self.mirrored),
            "effect": number(self.effect),
            "interval": _pair(self.interval),
            "threshold": self.threshold,
            "limit": number(self.limit),
            **_allowed(self.allowance),
            "unit": self.unit,
            "requests": self.requests,
            "decision": str(self.decision),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Harm:
    """What the mirroring does to the original."""

    decision: HarmDecision
    reason: str
    metrics: tuple[HarmMetric, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "decision": str(self.decision),
            "reason": self.reason,
            "metrics": [metric.as_json() for metric in self.metrics],
        }


@dataclass(frozen=True, slots=True)
class Degraded:
    """How one endpoint of one version does under the injected faults. Shares are of `pairs`; see `resilience.py`."""

    variant: str
    endpoint: str
    pairs: int
    aborted: int
    failing: float
    differing: float
    slower: float | None
    score: float | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "variant": self.variant,
            "endpoint": self.endpoint,
            "pairs": self.pairs,
            "aborted": self.aborted,
            "failing": number(self.failing),
            "differing": number(self.differing),
            "slower": number(self.slower),
            "score": number(self.score),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Resilience:
    """How the versions do under the injected faults: of the worst version, the share that was answered as without."""

    score: float | None
    summary: str
    endpoints: tuple[Degraded, ...]
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """Of each variant."""

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "score": number(self.score),
            "summary": self.summary,
            "scores": {variant: number(score) for variant, score in self.scores.items()},
            "endpoints": [endpoint.as_json() for endpoint in self.endpoints],
        }


@dataclass(frozen=True, slots=True)
class VariantVerdict:
    """One variant against the original. `score`: the weight of the checks that pass, and half of the undecided."""

    variant: str
    decision: Decision
    rank: int
    score: float
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "variant": self.variant,
            "decision": str(self.decision),
            "rank": self.rank,
            "score": number(self.score),
            "reasons": list(self.reasons),
        }


class Better(StrEnum):
    """Which of two variants is better by a metric."""

    A = "A"
    B = "B"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True)
class Between:
    """Two variants by one metric. `effect`: a less b (shares), or a over b (ratios)."""

    a: str
    b: str
    metric: str
    endpoint: str
    effect: float | None
    interval: Interval | None
    decision: Better

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "endpoint": self.endpoint,
            "effect": number(self.effect),
            "interval": _pair(self.interval),
            "decision": str(self.decision),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """May this version be shipped? `since`: from when on it has been the decision, in seconds since the epoch."""

    decision: Decision
    since: float
    pairs: int
    alpha: float
    reasons: tuple[str, ...]
    missing: Missing
    latched: bool
    checks: tuple[CheckResult, ...]
    differences: tuple[Difference, ...]
    harm: Harm
    resilience: Resilience | None
    variants: tuple[VariantVerdict, ...]
    between: tuple[Between, ...] = ()
    envoy: Mapping[str, Any] = field(default_factory=dict)
    omitted: int = 0
    """Rows of `checks` that are not shown, because there are too many endpoints."""

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {
            "decision": str(self.decision),
            "since": moment(self.since),
            "pairs": self.pairs,
            "alpha": self.alpha,
            "reasons": list(self.reasons),
            "missing": self.missing.as_json(),
            "latched": self.latched,
            "checks": [check.as_json() for check in self.checks],
            "omitted": self.omitted,
            "differences": [difference.as_json() for difference in self.differences],
            "harm": self.harm.as_json(),
            "resilience": self.resilience.as_json() if self.resilience else None,
            "variants": [variant.as_json() for variant in self.variants],
            "between": [between.as_json() for between in self.between],
            "envoy": dict(self.envoy),
        }


def number(value: float | None) -> float | None:
    """Return it with five significant digits; None for what is no number."""
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None


def e_value(log_evidence: float) -> float:
    """Return evidence as a ratio, with three digits."""
    return float(f"{math.exp(min(log_evidence, LOG_MOST)):.3g}")


def _allowed(allowance: float) -> dict[str, float]:
    return {"allowance": allowance} if allowance else {}


def _pair(interval: Sequence[float] | None) -> list[float | None] | None:
    return None if interval is None else [number(end) for end in interval]
