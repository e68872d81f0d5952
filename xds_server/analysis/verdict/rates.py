"""Error and difference rates of one place, from counts of pairs, and of blocks of time.

A FAIL of a shadow needs both: pairs (at the limit), and whole blocks (that there is an excess at all), in which one bad
moment of one leg counts once. Either alone is evidence where its assumption holds: that a pair's outcome is due to
chance whatever came before it, or a block's. The lesser of the two is evidence where either does. A PASS rests on
pairs, and so does all that is said of arms, whose FAIL must be quick; a split's needs users too, where they are told
apart: what one user meets, who may meet it at either version, counts once.

Missing copies are counted per place, with the original at hand: as the worst, each failed too where its original did,
and alone where it did not (or differs); as the best, each did not fail where its original did (or does not differ).

Guarantees: pure; from counts alone. Not guaranteed: a FAIL for differences without a control, when answers differ in
bursts: nothing says how often a version like the original would; nor one of arms, when the version's errors come in
outages of its own. Nor that what a control leaves unexplained is the new version's doing when the control is not of the
original's version. Pairs without their control's answer are in no trio, and so neither worst nor best: the control's
losses are taken to be independent of the new version.
"""

from functools import partial
from math import ceil, inf, log

from xds_server.analysis.statistics import paired as pairs_statistics
from xds_server.analysis.statistics import proportion as proportions
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.statistics.proportion import Proportion
from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.verdict.measured import Measured, Need
from xds_server.analysis.verdict.verdict import Interval
from xds_server.analysis.verdict.words import SHARE

CONTROL = "control"
ORIGINAL = "original"


def error_rate(
    seen: Paired,
    blocks: Symmetric,
    *,
    margin: float,
    alpha: float,
    missing: float = 0,
    missing_errors: float = 0,
    both: float = 0,
) -> Measured:
    """Return what the pairs say of server errors: the shadow's rate less the original's, against a margin.

    Args:
        seen: up: the shadow failed alone; down: the original did.
        blocks: the same of each block of time, up less down; each missing copy whose original failed is in `down`.
        margin: the limit of the increase.
        alpha: of each end of the interval.
        missing: copies of which nothing is known.
        missing_errors: how many of their originals failed.
        both: pairs in which both failed.
    """
    best = Paired(seen.pairs + missing, seen.up, seen.down + missing_errors)
    # Where both fail, nothing shows that the version would have done as well as its original: no evidence for a PASS.
    alike = both + missing_errors
    worst = Paired(seen.pairs + missing - alike, seen.up + missing - missing_errors, seen.down)
    rates = _per(seen.down + both, seen.pairs), _per(seen.up + both, seen.pairs)
    return _of_pairs(seen, best, worst, blocks, margin=margin, alpha=alpha, rates=rates)


def error_rate_of_arms(
    asked: Paired,
    worst: Paired,
    *,
    margin: float,
    alpha: float,
    rates: tuple[float | None, float | None],
    users: float = inf,
    said: str = "",
) -> Measured:
    """Return the same of two arms of an experiment, by pairs, and by users where they are known.

    Args:
        asked: requests that each was asked itself, matched.
        worst: all of both, those that the candidate was not asked being its errors.
        margin: the limit of the increase.
        alpha: of each end of the interval.
        rates: the error rates of reference and candidate.
        users: log evidence that the candidate's fare worse at all.
        said: what else there is to say.
    """
    return _of_pairs(asked, asked, worst, None, margin=margin, alpha=alpha, rates=rates, users=users, said=said)


def difference_rate(
    differing: Proportion, *, margin: float, alpha: float, missing: float = 0, failed: float = 0
) -> Measured:
    """Return what the pairs say of differences when no control tells noise from change.

    `failed`: pairs of which a leg did; they are no difference, and no evidence for a PASS.
    """
    best = Proportion(differing.pairs + missing, differing.hits)
    worst = Proportion(max(0, differing.misses - failed) + differing.hits + missing, differing.hits + missing)
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
        needed=partial(_share_needed, worst, margin, alpha),
        said="no control tells noise from change",
    )


def unexplained_rate(
    quiet: Paired, blocks: Symmetric, *, margin: float, alpha: float, missing: float = 0, failed: float = 0
) -> Measured:
    """Return what the trios say of differences that the control does not explain.

    Args:
        quiet: up: the shadow alone differs in a field in which the control never did; down: the control alone.
        blocks: the same of each block of time, up less down.
        margin: the limit of the excess.
        alpha: of each end of the interval.
        missing: copies of the shadow of which nothing is known.
        failed: trios of which the shadow failed; they are no difference, and no evidence for a PASS.
    """
    best = Paired(quiet.pairs + missing, quiet.up, quiet.down)
    uneven = quiet.up + quiet.down
    worst = Paired(max(0, quiet.pairs - uneven - failed) + uneven + missing, quiet.up + missing, quiet.down)
    rates = _per(quiet.down, quiet.pairs), _per(quiet.up, quiet.pairs)
    return _of_pairs(quiet, best, worst, blocks, margin=margin, alpha=alpha, rates=rates, reference=CONTROL)


def field_evidence(seen: Paired, blocks: Symmetric | None, margin: float) -> float:
    """Return the evidence that a field differs more often than the control explains and the limit allows.

    Args:
        seen: trios; up: the shadow alone differs in it; down: the control alone.
        blocks: the same of each block of time, up less down; None: it never was out of balance.
        margin: the limit of the excess.
    """
    by_pairs = pairs_statistics.log_evidence_above(seen, margin)
    return min(0.0, by_pairs) if blocks is None else _both(by_pairs, blocks)


def _both(by_pairs: float, blocks: Symmetric | None) -> float:
    """Return the evidence that pairs and blocks agree on, or of pairs alone (None).

    Where pairs have none, blocks are not looked at.
    """
    if by_pairs <= 0 or blocks is None:
        return by_pairs
    return min(by_pairs, blocks.log_evidence_above())


def _of_pairs(
    seen: Paired,
    best: Paired,
    worst: Paired,
    blocks: Symmetric | None,
    *,
    margin: float,
    alpha: float,
    rates: tuple[float | None, float | None],
    reference: str = ORIGINAL,
    users: float = inf,
    said: str = "",
) -> Measured:
    effect = seen.effect if seen.pairs else None
    return Measured(
        threshold=margin,
        unit=SHARE,
        pairs=round(seen.pairs),
        log_fail=min(users, _both(pairs_statistics.log_evidence_above(best, margin), blocks)),
        log_pass=pairs_statistics.log_evidence_below(worst, margin),
        original=rates[0],
        shadow=rates[1],
        effect=effect,
        reference=reference,
        interval=partial(_paired_between, best, worst, blocks, alpha, users=users),
        needed=partial(_needed, (best, worst), blocks, margin, alpha),
        said=said,
    )


def _needed(
    known: tuple[Paired, Paired], blocks: Symmetric | None, margin: float, alpha: float, log_fail: float
) -> Need | None:
    best, worst = known
    passing = pairs_statistics.more_pairs_below(worst, margin, log(1 / alpha))
    by_pairs = pairs_statistics.more_pairs_above(best, margin, log_fail)
    by_blocks = 0 if blocks is None else blocks.more_above(log_fail)
    if by_pairs is not None and by_blocks is not None:
        meanwhile = ceil(by_blocks * best.pairs / max(1, blocks.seen)) if blocks is not None else 0
        failing = max(by_pairs, meanwhile)
        if passing is None or failing <= passing:
            return Need(failing, by_blocks if meanwhile > by_pairs else 0)
    return None if passing is None else Need(passing)


def _paired_between(
    best: Paired, worst: Paired, blocks: Symmetric | None, alpha: float, *, users: float = inf
) -> Interval:
    low, high = pairs_statistics.interval(best, alpha)
    if low > 0 and min(users, inf if blocks is None else blocks.log_evidence_above()) < log(1 / alpha):
        low = 0.0  # nothing above it is refuted by both
    return low, high if worst == best else pairs_statistics.interval(worst, alpha)[1]


def _share_needed(seen: Proportion, margin: float, alpha: float, _log_fail: float) -> Need | None:
    more = proportions.more_pairs(seen, margin, alpha)
    return None if more is None else Need(more)


def _share_between(best: Proportion, worst: Proportion, alpha: float) -> Interval:
    low, high = proportions.interval(best, alpha)
    return low, high if worst == best else proportions.interval(worst, alpha)[1]


def _per(part: float, whole: float) -> float | None:
    return part / whole if whole else None
