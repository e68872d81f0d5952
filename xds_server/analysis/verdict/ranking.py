"""Several versions: which is best, and how each two compare.

Each version's own verdict holds at alpha; with several, the chance that *one of them* is wrong adds up.
`between` rests on the versions' intervals against the same original: an interval of the difference is made of their
ends, so it is right whenever both are. In a split, groups are compared directly.

Guarantees: pure, bounded (`PAIRS` rows). Not guaranteed: that the rank of undecided versions means anything.
"""

from collections.abc import Sequence
from itertools import combinations

from xds_server.analysis.statistics import paired
from xds_server.analysis.verdict.case import Case
from xds_server.analysis.verdict.ruling import Ruling
from xds_server.analysis.verdict.verdict import Better, Between, CheckResult, Decision, Interval, VariantVerdict
from xds_server.analysis.verdict.words import SHARE
from xds_server.model.judging import Metric
from xds_server.model.rollout import Mode

PAIRS = 100
_RANK = {Decision.PASS: 0, Decision.INCONCLUSIVE: 1, Decision.FAIL: 2}


def ranked(rulings: Sequence[Ruling]) -> list[Ruling]:
    """Return the best first: by decision, by the weight of what passes, by how far below the limits."""
    return sorted(rulings, key=lambda r: (_RANK[r.decision], -r.passing, -r.headroom, r.variant))


def table(order: Sequence[Ruling]) -> tuple[VariantVerdict, ...]:
    """Return the ranks."""
    return tuple(VariantVerdict(r.variant, r.decision, rank, r.passing, r.reasons) for rank, r in enumerate(order, 1))


def decision_of(order: Sequence[Ruling]) -> Decision:
    """Return the profile's: PASS if any version passes, FAIL if every one fails."""
    if not order:
        return Decision.INCONCLUSIVE
    if order[0].decision is Decision.PASS:
        return Decision.PASS
    return Decision.FAIL if all(r.decision is Decision.FAIL for r in order) else Decision.INCONCLUSIVE


def between(case: Case, order: Sequence[Ruling]) -> tuple[Between, ...]:
    """Return how each two versions compare over all traffic, by each metric."""
    found = []
    for a, b in combinations(sorted(order, key=lambda r: r.variant), 2):
        for row, other in zip(_wholes(a), _wholes(b), strict=True):
            direct = _direct(case, a.variant, b.variant, row) if case.mode is Mode.SPLIT else None
            found.append(direct or _compared(row, other))
    return tuple(found[:PAIRS])


def _wholes(ruling: Ruling) -> list[CheckResult]:
    return [row for row in ruling.rows if not row.endpoint]


def _compared(a: CheckResult, b: CheckResult) -> Between:
    effect = interval = None
    if a.unit == SHARE:
        if a.effect is not None and b.effect is not None:
            effect = a.effect - b.effect
        if a.interval and b.interval:
            interval = a.interval[0] - b.interval[1], a.interval[1] - b.interval[0]
    else:
        # Each as a share of its limit: an allowance scales both, by what the original took beside either.
        scale = b.limit / a.limit
        if a.effect is not None and b.effect:
            effect = a.effect * scale / b.effect
        if a.interval and b.interval:
            interval = _over(a.interval[0] * scale, b.interval[1]), _over(a.interval[1] * scale, b.interval[0])
    return Between(a.variant, b.variant, a.name, "", effect, interval, _better(interval, a.unit))


def _direct(case: Case, a: str, b: str, row: CheckResult) -> Between | None:
    pair = case.evidence.arm_pairs.get((a, b))
    if pair is None:
        return None
    alpha = case.judging.alpha
    if row.metric == Metric.ERROR_RATE and pair.errors.pairs:
        low, high = paired.interval(pair.errors, alpha)
        interval = -high, -low
        return Between(a, b, row.name, "", -pair.errors.effect, interval, _better(interval, row.unit))
    if row.metric == Metric.RESPONSE_TIME:
        quantile = next((c.quantile for c in case.checks if c.label == row.name), None)
        blocks = pair.times.get(quantile or 0.5)
        if blocks is None:
            return None
        low, high = blocks.interval(alpha)
        interval = _over(1.0, high), _over(1.0, low)
        effect = blocks.estimate()
        return Between(a, b, row.name, "", 1 / effect if effect else None, interval, _better(interval, row.unit))
    return None


def _over(a: float, b: float) -> float:
    """Return a / b where either end may be open."""
    if b == 0:
        return float("inf")
    return a / b


def _better(interval: Interval | None, unit: str) -> Better:
    if interval is None:
        return Better.UNDECIDED
    even = 0.0 if unit == SHARE else 1.0
    low, high = interval
    if high < even:
        return Better.A
    return Better.B if low > even else Better.UNDECIDED
