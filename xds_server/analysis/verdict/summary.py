"""Why a version passes, fails, or is undecided: a short list of sentences, the worst first.

Guarantees: pure; at most `REASONS` sentences. Not guaranteed: that all that fails is named; the rows show it.
"""

from collections.abc import Mapping, Sequence

from xds_server.analysis.kinds import Lost
from xds_server.analysis.verdict.case import Case, Row
from xds_server.analysis.verdict.reasons import noun
from xds_server.analysis.verdict.rows import Decided, by_check
from xds_server.analysis.verdict.verdict import CheckResult, Decision, Missing
from xds_server.analysis.verdict.words import about, count, place, plural, share
from xds_server.model.judging import Check, Metric

NAMED = 3
"""Places of a check that are named."""
REASONS = 10
_ORDER = list(Metric)


def failing(decided: Sequence[Decided], shown: Mapping[Row, CheckResult]) -> list[str]:
    """Return why it fails: the worst place of each check, then the next of each; critical ones and errors first."""
    rows = [
        (each, shown[each.place.key])
        for each in decided
        if each.decision is Decision.FAIL and each.counts and each.place.key in shown
    ]
    rows.sort(key=lambda row: (-_excess(row[1]), not row[1].endpoint))
    named = {each.place.check for each, row in rows if row.endpoint}
    number: dict[Check, int] = {}
    ordered = []
    for each, row in rows:
        check = each.place.check
        number[check] = number.get(check, 0) + 1
        most = "" if check in named else _most(check, decided, shown)
        if number[check] <= NAMED:
            ordered.append((number[check], not each.critical, _ORDER.index(check.metric), row.reason + most))
    said = [reason for *_, reason in sorted(ordered)][: REASONS - 1]
    if len(rows) > len(said):
        said.append(f"{plural(len(rows) - len(said), 'more failure')} among the checks")
    return said


def _most(check: Check, decided: Sequence[Decided], shown: Mapping[Row, CheckResult]) -> str:
    """Return where a check that fails over all traffic, and is not proved to at one endpoint, is exceeded by most."""
    keys = [each.place.key for each in decided if each.place.check == check and each.place.endpoint]
    seen = [row for key in keys if (row := shown.get(key)) is not None and (row.effect or 0) > row.limit]
    worst = max(seen, key=lambda row: row.effect or 0, default=None)
    return "" if worst is None else f"; most at {worst.endpoint}"


def _excess(row: CheckResult) -> float:
    low = row.interval[0] if row.interval else row.limit
    return low - row.limit if row.unit == "share" else low / row.limit - 1


def reasons_of(
    case: Case,
    whole: Decision,
    *,
    decided: Sequence[Decided],
    shown: Mapping[Row, CheckResult],
    first: Sequence[str],
    missing: Missing,
) -> list[str]:
    """Return why a version passes or is undecided; `first`: what holds it up."""
    said = list(first)
    if whole is Decision.PASS:
        said.append(_passes(decided))
    elif not said:
        said.extend(_undecided(decided, shown))
    if not said:
        said.append(_nothing(case.checks))
    said.extend(f"not critical: {reason}" for reason in failing(decided, shown))
    if whole is Decision.INCONCLUSIVE and missing.copies:
        said.append(_missing(missing))
    if whole is Decision.PASS:
        said.extend(_beside(decided))
    if case.faulted:
        said.append("faults are injected: the copies under them are no evidence here, see resilience")
    return said


def _nothing(checks: Sequence[Check]) -> str:
    if checks and all(check.muted for check in checks):
        return "all checks are muted, so nothing is judged: unmute one"
    return "no check can be judged: name metrics in performanceMetrics, or checks in analysis"


def _passes(decided: Sequence[Decided]) -> str:
    critical = [each for each in decided if each.critical and each.place.judged]
    endpoints = len({each.place.endpoint for each in critical if each.place.endpoint})
    at = f" and at {'each of ' if endpoints > 1 else ''}{plural(endpoints, 'endpoint')}" if endpoints else ""
    return f"every critical check passes over all traffic{at}"


def _beside(decided: Sequence[Decided]) -> list[str]:
    """Return what a PASS does not speak of."""
    said = []
    undecided = [c.label for c, found in by_check(decided).items() if found is Decision.INCONCLUSIVE]
    if undecided:
        said.append(f"not critical and undecided: {', '.join(undecided)}")
    left = {each.place.endpoint for each in decided if each.critical and each.place.endpoint and not each.place.judged}
    if left:
        named = ", ".join(place(name) for name in sorted(left)[:NAMED])
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        said.append(f"too little traffic to be judged for themselves: {named}{more}")
    return said


def _undecided(decided: Sequence[Decided], shown: Mapping[Row, CheckResult]) -> list[str]:
    """Return what each critical check still lacks, at the place that lacks most."""
    said = []
    open_places: dict[Check, list[CheckResult]] = {}
    for each in decided:
        if each.critical and each.place.judged and each.decision is Decision.INCONCLUSIVE and each.place.key in shown:
            if each.place.not_judged:  # more pairs would not help
                said.append(shown[each.place.key].reason)
            else:
                open_places.setdefault(each.place.check, []).append(shown[each.place.key])
    for check, rows in open_places.items():
        needy = [row for row in rows if row.needed]
        if not needy:
            said.append(rows[0].reason)
            continue
        failing_soon = [row for row in needy if row.blocks]
        if failing_soon:
            said.append(min(failing_soon, key=lambda row: (row.blocks, row.endpoint)).reason)
            continue
        worst = max(needy, key=lambda row: (row.needed or 0) * (row.pairs and 1))
        others = f" (and less at {plural(len(rows) - 1, 'more place')})" if len(rows) > 1 else ""
        more = f"{about(worst.needed or 0)} more {noun(check.metric)}"
        said.append(f"{check.label} is undecided: {more} at {place(worst.endpoint)} would tell{others}")
    return said


def beside_fail(missing: Missing) -> list[str]:
    """Return what else there is to say of a version that fails."""
    return [_missing(missing)] if missing.kinds.get(Lost.OVERFLOW) else []


def _missing(missing: Missing) -> str:
    counts = {said: missing.kinds.get(kind, 0) for kind, said in _KINDS.items()}
    counts["whose answer, or the record of it, never came"] = missing.copies - sum(counts.values())
    kinds = ", ".join(f"{count(n)} {said}" for said, n in counts.items() if n > 0)
    are = "is missing," if missing.copies == 1 else "are missing, each"
    return f"{plural(missing.copies, 'copy')} ({share(missing.share)}) {are} counted as the worst for a PASS: {kinds}"


_KINDS = {
    Lost.OVERFLOW: "refused by the circuit breaker (the shadow is too slow for its share)",
    Lost.UNPAIRED_SHADOW: "without the record of the original",
    Lost.DROPPED_WAITING: "dropped while waiting for the original",
}
"""Kinds that do not overlap; all the rest of what is missing never came."""


def bounded(reasons: Sequence[str]) -> tuple[str, ...]:
    """Return the first few, each once."""
    return tuple(dict.fromkeys(reasons))[:REASONS]
