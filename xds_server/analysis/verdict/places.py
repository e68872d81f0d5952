"""What the checks of a mirrored version measure: over all traffic, at each endpoint, in each field.

Missing copies: those whose original came are counted at its endpoint; those that only Envoy's counters know of
(and copies without an original) can be at any, so they are counted in all traffic. Losses overlap in the books, and
where it is not known how much, they are taken for different ones: that makes PASS and FAIL later, never wrong.

Guarantees: pure. Not guaranteed: that counters tell in which endpoint a copy was lost.
"""

from collections.abc import Mapping
from functools import partial
from math import log

from xds_server.analysis.counting import COUNTED_MISSING
from xds_server.analysis.diff.looks import CLOCK
from xds_server.analysis.kinds import Kind, Lost, Reason
from xds_server.analysis.statistics.paired import Paired, log_evidence_above
from xds_server.analysis.statistics.proportion import Proportion
from xds_server.analysis.verdict.case import Case
from xds_server.analysis.verdict.hypotheses import FIELDS, Found, Place
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.rates import (
    CONTROL,
    ORIGINAL,
    difference_rate,
    error_rate,
    field_evidence,
    unexplained_rate,
)
from xds_server.analysis.verdict.readings import ELSEWHERE, reading
from xds_server.analysis.verdict.times import response_time
from xds_server.analysis.verdict.verdict import Difference, Missing
from xds_server.analysis.verdict.words import ALL, RATIO, SHARE, count, plural, share
from xds_server.analysis.windows.profile_evidence import ALLOWANCE, CONTROL_ALLOWANCE, EndpointEvidence, VersionEvidence
from xds_server.analysis.windows.tally import FieldTally
from xds_server.model.judging import Check, Metric

DOUBT = log(10)
"""Evidence from which a field is no longer called noise."""
BROKEN = 0.5
"""Share of the pairs in which the original may fail itself for a PASS."""
PRESENT = 0.9
"""Share of the pairs that the control has to answer too for a PASS beside it."""
JUDGED = 0.5
"""Share of the pairs that has to be judged for a PASS, at an endpoint and over all traffic."""
HINTS = 3
"""Fields, or reasons for which pairs are not judged, that a reason names."""
_NOTHING: Mapping[str, int] = {}


def missing_of(version: VersionEvidence | None) -> Missing:
    """Return the copies of a version of which nothing is known."""
    if version is None:
        return Missing()
    lost = {str(kind): max(0, number) for kind, number in version.lost.items()}
    counters = lost.get(Lost.ALS_GAP, 0) + lost.get(Lost.OVERFLOW, 0)
    unseen = max(0, counters - lost.get(Lost.UNPAIRED_ORIGINAL, 0))
    alone = lost.get(Lost.UNPAIRED_SHADOW, 0) + lost.get(Lost.DROPPED_WAITING, 0)
    seen = version.whole.evidence.missing
    kinds = {kind: number for kind, number in sorted(lost.items()) if number}
    return Missing(seen + unseen + alone, version.whole.pairs, kinds)


def places_of(case: Case, variant: str) -> list[Place]:
    """Return every check of a version at every place it has."""
    version = case.evidence.versions.get(variant)
    whole = missing_of(version).copies
    places = []
    for check in case.checks:
        if check.metric in ELSEWHERE:
            places.append(read(case, check, variant))
            continue
        if version is None:
            places.append(Place(check, ALL, 0, Measured(check.limit, SHARE if check.max_ratio is None else RATIO, 0)))
            continue
        all_traffic = version.whole
        places.append(_place(case, check, variant, ALL, all_traffic, missing=whole))
        due = all_traffic.pairs + all_traffic.evidence.missing
        every = due + _left_out(all_traffic)
        for name, endpoint in version.endpoints.items():
            here = endpoint.pairs + endpoint.evidence.missing
            came = here + _left_out(endpoint)
            if not came:
                continue
            judged = here >= case.judging.min_share * due if here else False
            judged = judged or came >= case.judging.min_share * every
            place = _place(
                case, check, variant, name, endpoint, missing=endpoint.evidence.missing, judged=judged, due=due
            )
            places.append(place)
    return places


def _left_out(endpoint: EndpointEvidence) -> int:
    """Return how many pairs are neither judged nor counted as missing."""
    return sum(number for reason, number in endpoint.not_judged.items() if reason not in COUNTED_MISSING)


def _unjudged(endpoint: EndpointEvidence) -> str:
    """Return that not enough of what came was judged, and why; empty when it was. What a fault answered is left out."""
    judged = endpoint.pairs
    left = {reason: number for reason, number in endpoint.not_judged.items() if reason != Reason.INJECTED}
    came = judged + endpoint.evidence.missing + sum(n for reason, n in left.items() if reason not in COUNTED_MISSING)
    if not left or judged >= JUDGED * came:
        return ""
    how = (
        f"only {count(judged)} of {plural(came, 'pair')} were judged"
        if judged
        else f"none of {count(came)} pairs was judged"
    )
    most = sorted(left.items(), key=lambda item: (-item[1], item[0]))[:HINTS]
    return f"{how}: {', '.join(f'{reason} {count(number)}' for reason, number in most)}"


def read(case: Case, check: Check, variant: str) -> Place:
    """Return a check on a metric that is read elsewhere."""
    found = case.readings.get((check.label, variant))
    measured = reading(found, margin=check.limit, alpha=case.judging.alpha, name=check.label)
    return Place(check, ALL, 0, measured, part=1.0)


def _place(
    case: Case,
    check: Check,
    variant: str,
    name: str,
    endpoint: EndpointEvidence,
    *,
    missing: int,
    judged: bool = True,
    due: int = 0,
) -> Place:
    by_field = check.metric is Metric.DIFFERENCE_RATE and case.controlled
    fields = _fields(check, variant, name, endpoint, missing=missing) if by_field else ()
    hints = _hints(endpoint, controlled=case.controlled) if check.metric is Metric.DIFFERENCE_RATE else ()
    unjudged = _unjudged(endpoint)
    doubt = unjudged or _broken(endpoint)
    if not doubt and case.controlled and check.metric is not Metric.ERROR_RATE:
        doubt = _absent(endpoint) or (_hidden(check, endpoint) if by_field else "")
    return Place(
        check,
        name,
        endpoint.appeared if name else 0,
        _measured(case, check, endpoint, missing=missing, judged=judged),
        part=(1 - FIELDS) / 2 if by_field else 0.5,
        judged=judged,
        not_judged=unjudged
        or ("" if judged else f"not judged for itself, {count(endpoint.pairs)} of {count(due)} pairs"),
        doubt=doubt,
        fields=fields,
        hints=hints,
    )


def _measured(case: Case, check: Check, endpoint: EndpointEvidence, *, missing: int, judged: bool) -> Measured:
    seen, alpha, margin = endpoint.evidence, case.judging.alpha, check.limit
    if check.metric is Metric.ERROR_RATE:
        pairs = Paired(seen.pairs, seen.error_up, seen.error_down)
        errors = min(missing, seen.missing_errors)
        return error_rate(
            pairs,
            endpoint.error_blocks,
            margin=margin,
            alpha=alpha,
            missing=missing,
            missing_errors=errors,
            both=seen.error_both,
        )
    if check.metric is Metric.DIFFERENCE_RATE:
        rate = partial(unexplained_rate, Paired(seen.trios, seen.quiet_up, seen.quiet_down), endpoint.quiet_blocks)
        if not case.controlled:
            rate = partial(difference_rate, Proportion(seen.pairs, seen.differing))
        # A trio whose original or control failed is none; of the others, the shadow may have.
        failed = seen.error_up if case.controlled else seen.error_up + seen.error_down + seen.error_both
        return rate(margin=margin, alpha=alpha, missing=missing, failed=failed)
    quantile = check.quantile or 0.5
    times = partial(response_time, quantile=quantile, margin=margin, alpha=alpha, missing=missing, passable=judged)
    if case.controlled:
        known = seen.control_times
        return times(
            endpoint.control_times.get(quantile),
            pairs=known.candidate.count,
            original=known.reference.quantile(quantile),
            shadow=known.candidate.quantile(quantile),
            reference=CONTROL,
            allowance=CONTROL_ALLOWANCE,
        )
    return times(
        endpoint.times.get(quantile),
        pairs=seen.times.candidate.count,
        original=seen.times.reference.quantile(quantile),
        shadow=seen.times.candidate.quantile(quantile),
        reference=ORIGINAL,
        said=_load(case),
        allowance=ALLOWANCE,
    )


def _load(case: Case) -> str:
    """Return what is to know of times that are judged against an original with another load; empty: it has the same."""
    if not 0 < case.percentage < 1:
        return ""
    return f"judged against the original, which has {1 / case.percentage:.3g} times the load"


def _fields(check: Check, variant: str, name: str, endpoint: EndpointEvidence, *, missing: int) -> tuple[Found, ...]:
    """Return the fields that may be discovered; in a missing copy, none differed."""
    trios, limit = endpoint.evidence.trios, check.limit
    found = []
    for (field, kind), tally in endpoint.fields.items():
        if tally.alone and trios and not _clock(kind, tally):
            blocks = endpoint.field_blocks.get((field, kind))
            log_e = field_evidence(Paired(trios + missing, tally.alone, tally.control), blocks, limit)
            rate = (tally.alone - tally.control) / trios
            found.append(Found(Difference(variant, name, field, str(kind), rate, log_e), tally.appeared))
    return tuple(found)


def _clock(kind: str, tally: FieldTally) -> bool:
    """Return whether it is a clock by its looks: who answers later differs in it the more often, whatever changed."""
    return kind == Kind.SAME_KIND and tally.what == CLOCK


def _absent(endpoint: EndpointEvidence) -> str:
    """Return that the control answered too little of what the original answered; empty when it did enough."""
    seen = endpoint.evidence
    trios, pairs = seen.trios, seen.pairs - seen.error_down - seen.error_both
    if trios >= PRESENT * pairs:
        return ""
    return f"the control answered only {count(trios)} of {count(pairs)} pairs, a PASS needs {share(PRESENT)} of them"


def _broken(endpoint: EndpointEvidence) -> str:
    """Return that the original fails too often to compare with; empty when it does not."""
    failed, pairs = endpoint.evidence.error_down + endpoint.evidence.error_both, endpoint.pairs
    return f"the original itself failed in {count(failed)} of {count(pairs)} pairs" if failed > BROKEN * pairs else ""


def _hidden(check: Check, endpoint: EndpointEvidence) -> str:
    """Return which field may differ too often although the control differs in it as well; empty when none does.

    Differences in such fields are in no rate of unexplained ones. When it is certain, the field fails.
    """
    trios = endpoint.evidence.trios
    most = check.limit * trios
    for (field, kind), tally in endpoint.fields.items():
        if _clock(kind, tally):
            continue
        excess = tally.alone - tally.control
        if tally.control and excess > most and log_evidence_above(Paired(trios, tally.alone, tally.control), 0) > DOUBT:
            return f"{field} ({kind}) differs in {share(excess / trios)} more answers than the control explains so far"
    return ""


def _hints(endpoint: EndpointEvidence, *, controlled: bool) -> tuple[str, ...]:
    """Return the fields that differ most often, for a reason to name."""
    if controlled:
        often = {f: t.alone - t.control for f, t in endpoint.fields.items() if not _clock(f[1], t)}
    else:
        often = {f: tally.count for f, tally in endpoint.fields.items() if f[1] != Kind.SAME_KIND}
    worst = sorted((f for f, n in often.items() if n > 0), key=lambda f: (-often[f], f))[:HINTS]
    return tuple(f"{field} ({kind})" for field, kind in worst)
