"""The decision at each place, and the rows that are shown of them.

Guarantees: pure; bounded: of each check, all traffic and `SHOWN` endpoints, what fails first, then what has most pairs.
The places that are not shown are summed up in the row of all traffic; they count for the decision as the others do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log

from xds_server.analysis.verdict.case import Case, Latched, Row
from xds_server.analysis.verdict.hypotheses import Place, weight_of
from xds_server.analysis.verdict.measured import Need
from xds_server.analysis.verdict.readings import ELSEWHERE
from xds_server.analysis.verdict.reasons import reason_of
from xds_server.analysis.verdict.stuck import stuck
from xds_server.analysis.verdict.verdict import CheckResult, Decision, Difference
from xds_server.analysis.verdict.words import plural
from xds_server.model.judging import Check

SHOWN = 50
"""Endpoints shown of a check."""
_SEVERITY = {Decision.FAIL: 0, Decision.INCONCLUSIVE: 1, Decision.PASS: 2}


@dataclass(slots=True)
class Decided:
    """One place with its decision; the sentence comes later, for those that are shown."""

    place: Place
    decision: Decision
    fields: tuple[Difference, ...] = ()
    latched: Latched | None = None

    @property
    def counts(self) -> bool:
        """Return whether it counts for the whole."""
        return not self.place.check.muted

    @property
    def critical(self) -> bool:
        """Return whether its FAIL fails the whole."""
        return self.place.check.critical and not self.place.check.muted


def by_check(decided: Sequence[Decided]) -> dict[Check, Decision]:
    """Return what each check that counts comes to: it fails at any place, and passes at all that are judged."""
    found: dict[Check, Decision] = {}
    for each in decided:
        if each.counts and (each.decision is Decision.FAIL or each.place.judged):
            check = each.place.check
            found[check] = min(found.get(check, Decision.PASS), each.decision, key=_SEVERITY.__getitem__)
    return found


def shown_of(
    case: Case, variant: str, decided: Sequence[Decided], *, weight: Mapping[Check, float], pairs: int
) -> tuple[dict[Row, CheckResult], int]:
    """Return the rows that are shown, the whole of each check first, then its endpoints: what fails, what has most."""
    shown: dict[Row, CheckResult] = {}
    omitted = 0
    for check in case.checks:
        rows = [each for each in decided if each.place.check is check]
        rows.sort(
            key=lambda d: (
                d.place.endpoint != "",
                d.decision is not Decision.FAIL,
                not (d.place.judged and d.place.not_judged),
                -d.place.measured.pairs,
                d.place.endpoint,
            )
        )
        kept, rest = rows[: SHOWN + 1], rows[SHOWN + 1 :]
        omitted += len(rest)
        for each in kept:
            row = _result(case, variant, each, weight[check], pairs)
            if not each.place.endpoint and rest:
                row = replace(row, reason=f"{row.reason}; {_summary(rest)}")
            shown[each.place.key] = row
    return shown, omitted


def _summary(rest: Sequence[Decided]) -> str:
    numbers = {d: sum(each.decision is d for each in rest) for d in Decision}
    said = ", ".join(f"{n} {d}" for d, n in numbers.items() if n)
    return f"{plural(len(rest), 'more endpoint')} not shown: {said}"


def _result(case: Case, variant: str, each: Decided, weight: float, pairs: int) -> CheckResult:
    seen, interval = each.place.measured.shown()
    where, check = replace(each.place, measured=seen), each.place.check
    needed = None
    if each.decision is Decision.INCONCLUSIVE and where.judged and seen.possible and not stuck(case, variant):
        own = weight_of(where, weight)
        needed = seen.needed(log(1 / (case.judging.alpha * own)) if own else inf)
        if not where.endpoint and check.metric not in ELSEWHERE:
            least = case.judging.min_pairs - pairs
            if least > (needed.pairs if needed else 0):
                needed = Need(least, needed.blocks if needed else 0)
    if each.latched is not None:
        reason = each.latched.reasons[0]
    else:
        length = case.judging.block
        reason = reason_of(where, each.decision, interval=interval, needed=needed, length=length, fields=each.fields)
    return CheckResult(
        metric=str(check.metric),
        name=check.label,
        variant=variant,
        endpoint=where.endpoint,
        decision=each.decision,
        reason=reason,
        threshold=seen.threshold,
        limit=seen.limit,
        allowance=seen.allowance,
        unit=seen.unit,
        original=seen.original,
        shadow=seen.shadow,
        effect=seen.effect,
        interval=interval,
        pairs=seen.pairs,
        needed=(needed.pairs or None) if needed else None,
        blocks=needed.blocks if needed else 0,
        critical=each.critical,
        muted=check.muted,
        weight=weight,
        reference=seen.reference,
        judged=where.judged and seen.possible,
        log_fail=seen.log_fail,
        log_pass=seen.log_pass,
    )
