"""Response times of one place at a quantile: candidate over reference, from time blocks.

A missing copy has no time. Its block is off by the weight that a copy has in a block of the usual size: as the worst,
it took longer than any limit; as the best, it was quick, and its original as slow as others. Which block it was is not
asked: copies may be lost just where that matters most.

With an allowance the ratio that is judged is that to the reference and the allowance together. What is shown is the
plain ratio: the quotient of both times as its effect, and interval and limit on its scale, so that the decision can be
read off them.

Guarantees: pure; one that has no evidence yet passes nothing. Not guaranteed: that a version which fails quickly is
called slow: errors are the other check. The originals of missing copies are taken to be like the others.
With an allowance, that the effect is within the interval: it is of all times together, the interval of their blocks
(`Measured.shown` brings them together).
"""

import math
from functools import partial

from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.verdict.measured import Measured, Need
from xds_server.analysis.verdict.rates import ORIGINAL
from xds_server.analysis.verdict.verdict import Interval
from xds_server.analysis.verdict.words import RATIO

_MS = 1000


def response_time(
    blocks: Ratios | None,
    *,
    quantile: float,
    margin: float,
    alpha: float,
    pairs: int,
    missing: int = 0,
    original: float | None = None,
    shadow: float | None = None,
    reference: str = ORIGINAL,
    said: str = "",
    passable: bool = True,
    allowance: float = 0.0,
) -> Measured:
    """Return what time blocks say of a response time, candidate over reference, against a limit of the ratio.

    Args:
        blocks: None: none is complete.
        quantile: whose.
        margin: the limit.
        alpha: of each end of the interval.
        pairs: how many have a time on both sides.
        missing: copies of which nothing is known.
        original: seconds, of the reference.
        shadow: seconds, of the candidate.
        reference: what it is judged against.
        said: what else there is to say.
        passable: whether a PASS is asked for; finding out costs as much again.
        allowance: seconds that the blocks give to the reference.
    """
    scale = (original + allowance) / original if original else 1.0
    if blocks is None or not blocks.count:
        return Measured(
            margin,
            RATIO,
            pairs,
            original=_ms(original),
            shadow=_ms(shadow),
            reference=reference,
            said=said,
            allowance=allowance,
            scale=scale,
        )
    usual = max(1.0, pairs / blocks.count)
    weight = 1 / math.sqrt(max(1.0, usual * 2 * quantile * (1 - quantile)))
    best = blocks.less_known(-weight * math.ceil(missing * (1 - quantile))) if missing else blocks
    worst = blocks.less_known(weight * missing) if missing else blocks
    effect = None if allowance and original and shadow else blocks.estimate()
    if effect is None and original and shadow:
        effect = shadow / original
    return Measured(
        threshold=margin,
        unit=RATIO,
        pairs=pairs,
        log_fail=best.log_evidence_above(margin),
        log_pass=worst.log_evidence_below(margin) if passable else 0.0,
        original=_ms(original),
        shadow=_ms(shadow),
        effect=effect,
        reference=reference,
        interval=partial(_between, best, worst, alpha, scale),
        needed=partial(_needed, (best, worst), margin, alpha, usual),
        said=said,
        allowance=allowance,
        scale=scale,
    )


def _between(best: Ratios, worst: Ratios, alpha: float, scale: float) -> Interval:
    return best.lower(alpha) * scale, worst.upper(alpha) * scale


def _needed(known: tuple[Ratios, Ratios], margin: float, alpha: float, usual: float, log_fail: float) -> Need | None:
    best, worst = known
    failing, passing = best.more_above(margin, log_fail), worst.more_below(margin, math.log(1 / alpha))
    if failing is not None and (passing is None or failing <= passing):
        return Need(math.ceil(failing * usual), failing)
    return None if passing is None else Need(math.ceil(passing * usual))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * _MS
