"""Scores for `ratio` from the two histograms of a block of time: which leg exceeds the quantile more often?

At a threshold that was chosen before the block, the score of a ratio is the number of the candidate's values above
(threshold x ratio) less the number of the reference's above the threshold. If the two legs of a block are exchangeable
after division by the ratio, the score is symmetric given its size, whatever the dependence *within* the block: a burst
hits both.

Sources: Howard and Ramdas, arXiv 1906.09712 (exceedances as bounded values); the sign test (Arbuthnot 1710).
Assumes: equal numbers of values of both legs in a block (pairs, or `matching.thinned`); a threshold from before it.
Guarantees: the threshold need not be the true quantile; a wrong one costs evidence, never validity.
Not guaranteed: that a ratio holds for other quantiles; resolution below a bucket (2 %).

In simulation (lognormal, sigma 0.3 to 0.5, +10 %, blocks of 20 to 25 pairs, estimated threshold) the median to a FAIL
at ratio 1 was 1.0 to 1.6 times Wald's bound for a test that knows how often each leg exceeds the true quantile. With
blocks of 50 pairs it was up to 2.2 times: no fewer than seven blocks can be proof at alpha 0.01.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from xds_server.analysis.statistics.ratio import GRID


def exceedance_scores(
    reference: Mapping[int, int], candidate: Mapping[int, int], threshold_bucket: int, q: float, shift: int = 0
) -> list[float]:
    """Return the score at each ratio of `ratio.GRID`.

    Args:
        reference: how many values each bucket holds; bucket i of (gamma^(i-1), gamma^i], as in the sketches.
        candidate: the same of the candidate.
        threshold_bucket: values above this bucket exceed the threshold; from earlier blocks.
        q: the quantile that the threshold stands for; it scales the score to unit size.
        shift: buckets that the candidate is allowed beyond the ratio (an allowance in seconds, by the caller).
    """
    size = max(sum(reference.values()), sum(candidate.values()))
    scale = math.sqrt(max(1.0, size * 2 * q * (1 - q)))
    exceeding = sum(count for bucket, count in reference.items() if bucket > threshold_bucket)
    buckets = sorted(candidate)
    up_to = [0, *accumulate(candidate[bucket] for bucket in buckets)]
    base = threshold_bucket + shift
    return [(up_to[-1] - up_to[bisect_right(buckets, base + j)] - exceeding) / scale for j in GRID]
