"""One version against the original: its checks decided, and what follows for the whole of it.

FAIL: a critical check is discovered to exceed its limit anywhere, or so are checks with more than half of the weight;
it stays until the evidence begins anew. PASS: every critical check passes over all traffic and at each endpoint with
enough of it, with every missing copy counted as the worst, and has done so for as long as it takes until a copy is
known to be missing (`Case.settle`). Else INCONCLUSIVE. A PASS is not latched.

`held`: nothing new is decided, for what there is is not yet, or not at all, evidence about the version (too few pairs,
the warm-up, copies turned away without the credentials that we removed, a cohort that nobody is in). `unripe` and
`mismatch`: it may fail, and cannot pass (a split with too few pairs or in its warm-up; groups that are not alike). Nor
can a version that has all users of a split (`alone`).

Guarantees: pure. A version that exceeds no limit gets a whole FAIL by a critical check, ever, with a chance of at most
alpha; one that exceeds a critical limit, over all traffic or at a judged endpoint, a PASS, ever, with at most alpha.
Not guaranteed: that a version at a limit is ever decided; anything at endpoints that are not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

from xds_server.analysis.verdict import places, split
from xds_server.analysis.verdict.case import LATCHES, Case, Latched, Row, VariantState
from xds_server.analysis.verdict.held import held_by, settling, unripe
from xds_server.analysis.verdict.hypotheses import Place, Refuted, refute, shares
from xds_server.analysis.verdict.rows import Decided, by_check, shown_of
from xds_server.analysis.verdict.stuck import stuck
from xds_server.analysis.verdict.summary import beside_fail, bounded, failing, reasons_of
from xds_server.analysis.verdict.verdict import CheckResult, Decision, Difference, Missing
from xds_server.model.judging import Check, Metric
from xds_server.model.rollout import Mode


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided of one version."""

    variant: str
    decision: Decision
    reasons: tuple[str, ...]
    rows: tuple[CheckResult, ...]
    omitted: int
    differences: tuple[Difference, ...]
    pairs: int
    missing: Missing
    state: VariantState
    passing: float
    """Weight of the checks that pass, and half of the undecided."""
    headroom: float
    """By how much of its limit each check stays below it, by weight; it only breaks ties."""


def in_force(checks: Sequence[Check], mode: Mode = Mode.SHADOW) -> tuple[Check, ...]:
    """Return the checks; when no unmuted one is critical, all of these are. In a split, differences never are."""
    if mode is Mode.SPLIT:
        checks = [replace(c, critical=False) if c.metric is Metric.DIFFERENCE_RATE else c for c in checks]
    if any(check.critical and not check.muted for check in checks):
        return tuple(checks)
    return tuple(check if check.muted else replace(check, critical=True) for check in checks)


def rule(case: Case, variant: str, before: VariantState) -> Ruling:
    """Return what is decided of a version now; the checks of the case are those `in_force`."""
    splitting = case.mode is Mode.SPLIT
    version = case.evidence.versions.get(variant)
    pairs = split.pairs_of(case, variant) if splitting else (version.whole.pairs if version else 0)
    missing = Missing(pairs=pairs) if splitting else places.missing_of(version)
    every = split.places_of(case, variant) if splitting else places.places_of(case, variant)
    held, early = held_by(case, variant, pairs), unripe(case, variant, pairs)
    target = log(1 / case.judging.alpha)
    mismatch = split.mismatch(case, variant, target) if splitting else ""
    weight = shares(case.checks)
    refuted = Refuted(frozenset(), {}) if held else refute(every, weight, case.judging.alpha)
    decided = [
        _decide(
            p,
            target,
            before.rows.get(p.key),
            found=i in refuted.places,
            fields=refuted.fields.get(i, ()),
            held=held or early,
        )
        for i, p in enumerate(every)
    ]
    passable = not (held or early or mismatch or case.alone or variant in case.failed)
    counting = by_check(decided)
    whole = Decision.FAIL if before.whole is not None else _whole(counting, weight, passable=passable)
    passing, wait = None, ""
    if whole is Decision.PASS:
        passing = case.now if before.passing is None else before.passing
        if (left := passing + case.settle - case.now) > 0:
            whole = Decision.INCONCLUSIVE
            wait = settling(left)
    shown, omitted = shown_of(case, variant, decided, weight=weight, pairs=pairs)
    state = replace(_remember(case, before, decided, shown, whole, held=bool(held)), passing=passing)
    if state.whole is not None:
        reasons = bounded((*state.whole.reasons, *beside_fail(missing)))
    else:
        stop = stuck(case, variant) if whole is Decision.INCONCLUSIVE else ""
        first = [reason for reason in (stop, *held, *early, mismatch, wait) if reason]
        reasons = bounded(reasons_of(case, whole, decided=decided, shown=shown, first=first, missing=missing))
    score, headroom = _score(decided, counting, weight)
    return Ruling(
        variant,
        whole,
        reasons,
        tuple(shown.values()),
        omitted,
        refuted.differences,
        pairs,
        missing,
        state,
        score,
        headroom,
    )


def _decide(
    where: Place,
    target: float,
    latched: Latched | None,
    *,
    found: bool,
    fields: tuple[Difference, ...],
    held: tuple[str, ...],
) -> Decided:
    if found or latched is not None:
        return Decided(where, Decision.FAIL, fields, latched)
    passable = where.judged and where.measured.possible and not where.doubt and not held
    passes = passable and where.measured.log_pass >= target
    return Decided(where, Decision.PASS if passes else Decision.INCONCLUSIVE)


def _whole(checks: Mapping[Check, Decision], weight: Mapping[Check, float], *, passable: bool) -> Decision:
    if any(check.critical and found is Decision.FAIL for check, found in checks.items()):
        return Decision.FAIL
    if sum(weight[check] for check, found in checks.items() if found is Decision.FAIL) > 0.5:  # noqa: PLR2004 - half
        return Decision.FAIL
    critical = [found for check, found in checks.items() if check.critical]
    if passable and critical and all(found is Decision.PASS for found in critical):
        return Decision.PASS
    return Decision.INCONCLUSIVE


def _remember(
    case: Case,
    before: VariantState,
    decided: Sequence[Decided],
    shown: Mapping[Row, CheckResult],
    whole: Decision,
    *,
    held: bool,
) -> VariantState:
    rows = dict(before.rows)
    for each in decided if not held else ():
        key = each.place.key
        if each.decision is Decision.FAIL and each.counts and key not in rows and key in shown and len(rows) < LATCHES:
            rows[key] = Latched(case.now, (shown[key].reason,))
    latched = before.whole
    if whole is Decision.FAIL and latched is None:
        latched = Latched(case.now, bounded(failing(decided, shown)))
    return VariantState(latched, rows)


def _score(
    decided: Sequence[Decided], checks: Mapping[Check, Decision], weight: Mapping[Check, float]
) -> tuple[float, float]:
    worth = {Decision.PASS: 1.0, Decision.INCONCLUSIVE: 0.5, Decision.FAIL: 0.0}
    whole = sum(weight[check] for check in checks)
    passing = sum(weight[check] * worth[found] for check, found in checks.items()) / whole if whole else 0.0
    headroom = sum(
        weight[each.place.check]
        * (each.place.measured.threshold - (each.place.measured.effect or 0.0) / each.place.measured.scale)
        for each in decided
        if each.counts and not each.place.endpoint and each.place.measured.effect is not None
    )
    return passing, headroom
