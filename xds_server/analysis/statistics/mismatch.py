"""Did the traffic split as it should have? Sample-ratio mismatch, always valid.

Two one-sided tests of `proportion`, half of the weight each. Source: Lindon and Malek, "Anytime-valid inference for
multinomial count data", arXiv 2011.03567; the bets are those of 2010.09686.

Assumes: given the past, the next request falls to the group with a chance within the tolerance.
Not guaranteed: for cohorts by user, requests of one user are not independent: a heavy user looks like a mismatch. Count
users, or take a tolerance for it.
"""

from xds_server.analysis.statistics.family import weighted_mean
from xds_server.analysis.statistics.proportion import Proportion, log_evidence_above, log_evidence_below


def log_evidence_mismatch(counts: tuple[float, float], expected_share: float, tolerance: float) -> float:
    """Return the log e-value against "the group's share is within `tolerance` (relative) of the expected one".

    Args:
        counts: of the group, and of all others.
        expected_share: of the group, 0 to 1.
        tolerance: relative, so 0.05 around a share of 0.1 is 0.095 to 0.105.
    """
    inside, outside = counts
    seen = Proportion(inside + outside, inside)
    slack = tolerance * expected_share
    return weighted_mean(
        [
            log_evidence_above(seen, min(1.0, expected_share + slack)),
            log_evidence_below(seen, max(0.0, expected_share - slack)),
        ],
        [0.5, 0.5],
    )
