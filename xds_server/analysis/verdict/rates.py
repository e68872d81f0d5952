"""Error and difference rates of one place, from counts of pairs.

Missing copies are counted per place, with the original at hand: as the worst, each failed where its original did not
(or differs); as the best, each did not fail where its original did (or does not differ).

Guarantees: pure; from counts alone. Not guaranteed: that what a control leaves unexplained is the new version's doing
when the control is not of the original's version. Pairs without their control's answer are in no trio, and so neither
worst nor best: the control's losses are taken to be independent of the new version.
"""

from functools import partial

from xds_server.analysis.statistics import paired as pairs_statistics
from xds_server.analysis.statistics import proportion as proportions
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.statistics.proportion import Proportion
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.verdict import Interval
from xds_server.analysis.verdict.words import SHARE

CONTROL = "control"
ORIGINAL = "original"


def error_rate(
    seen: Paired,
    *,
    margin: float,
    alpha: float,
    missing: float = 0,
    missing_errors: float = 0,
    original: float | None = None,
) -> Measured:
    """Return what the pairs say of server errors: the shadow's rate less the original's, against a margin.

    Args:
        seen: up: the shadow failed alone; down: the original did.
        margin: the limit of the increase.
        alpha: of each end of the interval.
        missing: copies of which nothing is known.
        missing_errors: how many of their originals failed.
        original: the original's error rate, as far as it is known.
    """
    best = Paired(seen.pairs + missing, seen.up, seen.down + missing_errors)
    worst = Paired(seen.pairs + missing, seen.up + missing - missing_errors, seen.down)
    base = original if original is not None else _per(seen.down, seen.pairs)
    return _of_pairs(seen, best, worst, margin=margin, alpha=alpha, base=base, reference=ORIGINAL)


def difference_rate(differing: Proportion, *, margin: float, alpha: float, missing: float = 0) -> Measured:
    """Return what the pairs say of differences when no control tells noise from change."""
    best = Proportion(differing.pairs + missing, differing.hits)
    worst = Proportion(differing.pairs + missing, differing.hits + missing)
    rate = _per(differing.hits, differing.pairs)
    return Measured(
        threshold=margin,
        unit=SHARE,
        pairs=round(differing.pairs),
        log_fail=proportions.log_evidence_above(best, margin),
        log_pass=proportions.log_evidence_below(worst, margin),
        original=None if rate is None else 0.0,
        shadow=rate,
        effect=rate,
        interval=partial(_share_between, best, worst, alpha),
        needed=partial(proportions.more_pairs, worst, margin, alpha),
        said="no control tells noise from change",
    )


def unexplained_rate(quiet: Paired, *, margin: float, alpha: float, missing: float = 0) -> Measured:
    """Return what the trios say of differences that the control does not explain.

    Args:
        quiet: up: the shadow alone differs in a field in which the control never did; down: the control alone.
        margin: the limit of the excess.
        alpha: of each end of the interval.
        missing: copies of the shadow of which nothing is known.
    """
    best = Paired(quiet.pairs + missing, quiet.up, quiet.down)
    worst = Paired(quiet.pairs + missing, quiet.up + missing, quiet.down)
    base = _per(quiet.down, quiet.pairs)
    return _of_pairs(quiet, best, worst, margin=margin, alpha=alpha, base=base, reference=CONTROL)


def field_evidence(trios: float, alone: float, control: float, margin: float) -> float:
    """Return the evidence that a field differs more often than the control explains and the limit allows."""
    return pairs_statistics.log_evidence_above(Paired(trios, alone, control), margin)


def _of_pairs(
    seen: Paired, best: Paired, worst: Paired, *, margin: float, alpha: float, base: float | None, reference: str
) -> Measured:
    effect = seen.effect if seen.pairs else None
    return Measured(
        threshold=margin,
        unit=SHARE,
        pairs=round(seen.pairs),
        log_fail=pairs_statistics.log_evidence_above(best, margin),
        log_pass=pairs_statistics.log_evidence_below(worst, margin),
        original=base,
        shadow=None if effect is None or base is None else base + effect,
        effect=effect,
        reference=reference,
        interval=partial(_paired_between, best, worst, alpha),
        needed=partial(pairs_statistics.more_pairs, worst, margin, alpha),
    )


def _paired_between(best: Paired, worst: Paired, alpha: float) -> Interval:
    low, high = pairs_statistics.interval(best, alpha)
    return low, high if worst == best else pairs_statistics.interval(worst, alpha)[1]


def _share_between(best: Proportion, worst: Proportion, alpha: float) -> Interval:
    low, high = proportions.interval(best, alpha)
    return low, high if worst == best else proportions.interval(worst, alpha)[1]


def _per(part: float, whole: float) -> float | None:
    return part / whole if whole else None
