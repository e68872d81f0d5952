"""What a check says at one place, as a sentence to act on.

Guarantees: pure; names the place, the metric, what was seen and how sure that is, the limit, and when it is not
decided, what is missing.
"""

from xds_server.analysis.verdict.hypotheses import Place
from xds_server.analysis.verdict.measured import Measured, Need
from xds_server.analysis.verdict.rates import CONTROL
from xds_server.analysis.verdict.readings import ELSEWHERE
from xds_server.analysis.verdict.verdict import Decision, Difference, Interval
from xds_server.analysis.verdict.words import SHARE, about, blocks_needed, place, points, share, span, times
from xds_server.model.judging import Metric

EVEN = 5e-5
"""An effect smaller than that is called none."""


def reason_of(
    where: Place,
    decision: Decision,
    *,
    interval: Interval | None,
    needed: Need | None,
    length: float,
    fields: tuple[Difference, ...] = (),
) -> str:
    """Return the sentence.

    Args:
        where: the check and its place.
        decision: what came of it.
        interval: of the effect.
        needed: what would tell.
        length: of a block, in seconds.
        fields: those discovered here.
    """
    seen, metric = where.measured, where.check.metric
    if not seen.possible:
        return seen.said
    lead = _lead(where)
    if where.not_judged and decision is not Decision.FAIL:
        return f"{place(where.endpoint)}: {where.not_judged}"
    if seen.effect is None:
        in_blocks = metric is Metric.RESPONSE_TIME and seen.original is not None and seen.shadow is not None
        missing = "no block of time is complete yet" if in_blocks else "nothing was measured so far"
        return f"{lead}: {missing}{_also(seen)}"
    effect = _effect(seen, metric)
    within = f" {span(interval, unit=seen.unit)}" if interval else ""
    said = f"{lead} is {effect}{within}, the limit is {limit_of(seen)}{_also(seen)}"
    if decision is Decision.FAIL and fields:
        said += f": {_found(fields)}"
    elif metric is Metric.DIFFERENCE_RATE and where.hints and decision is not Decision.PASS:
        said += f": mostly {', '.join(where.hints)}"
    if decision is Decision.INCONCLUSIVE and where.doubt:
        return f"{said}; {where.doubt}"
    if decision is Decision.INCONCLUSIVE and needed and needed.pairs:
        said += f"; {blocks_needed(needed, length) or f'{about(needed.pairs)} more {noun(metric)} would tell'}"
    return said


def limit_of(seen: Measured) -> str:
    """Return a limit as the profile has it, and what is allowed beside it: `1.25 times and 1 ms`."""
    if seen.unit == SHARE:
        return share(seen.threshold)
    return f"{times(seen.threshold)} times" + (f" and {seen.allowance * 1000:g} ms" if seen.allowance else "")


def noun(metric: Metric) -> str:
    """Return what a metric is counted in."""
    return "readings" if metric in ELSEWHERE else "pairs"


def _lead(where: Place) -> str:
    label = where.check.label
    if where.check.metric in ELSEWHERE:
        return label
    return f"{place(where.endpoint)}: {label}"


def _effect(seen: Measured, metric: Metric) -> str:
    effect = seen.effect or 0.0
    whose = f"the {seen.reference}'s"
    if seen.unit != SHARE:
        return f"{times(effect)} times {whose}"
    if metric is Metric.DIFFERENCE_RATE and seen.reference != CONTROL:
        return share(effect)
    if abs(effect) < EVEN:
        return f"even with {whose}"
    return f"{points(abs(effect))} {'above' if effect > 0 else 'below'} {whose}"


def _also(seen: Measured) -> str:
    return f" ({seen.said})" if seen.said else ""


def _found(fields: tuple[Difference, ...]) -> str:
    worst = sorted(fields, key=lambda d: -d.rate)
    said = ", ".join(f"{d.field} ({d.kind}) differs in {share(d.rate)} of the answers" for d in worst[:2])
    return said if len(worst) <= 2 else f"{said}, and {len(worst) - 2} more fields"  # noqa: PLR2004 - two are named
