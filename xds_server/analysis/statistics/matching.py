"""Two unpaired groups of one window, made comparable: matched in expectation, or thinned to the same size.

Assumes: in a window, who falls into which group is chance (a randomised split), and the outcomes of the two groups are
independent of each other given the past. A window is short, so a drift of the load meets both.
Not guaranteed: anything when the groups are chosen otherwise (a cohort by country): then the groups differ, not the
versions.
"""

from collections.abc import Mapping

import numpy as np

from xds_server.analysis.statistics.paired import Paired


def matched(n_a: float, bad_a: float, n_b: float, bad_b: float) -> Paired:
    """Return the mean counts over all ways to pair the smaller group with members of the other.

    Args:
        n_a: size of the reference group.
        bad_a: how many of it are bad.
        n_b: size of the candidate group.
        bad_b: how many of it are bad.
    """
    pairs = min(n_a, n_b)
    if pairs <= 0:
        return Paired()
    a, b = bad_a / n_a, bad_b / n_b
    return Paired(pairs, pairs * b * (1 - a), pairs * a * (1 - b))


def thinned(counts: Mapping[int, int], size: int, generator: np.random.Generator) -> dict[int, int]:
    """Return a histogram of `size` of the values, drawn without replacement; all of them when there are no more.

    Args:
        counts: how many values each bucket holds.
        size: how many to keep.
        generator: of the caller; its draws must not depend on the values.
    """
    buckets = sorted(counts)
    numbers = [counts[bucket] for bucket in buckets]
    if size >= sum(numbers):
        return dict(counts)
    kept = generator.multivariate_hypergeometric(numbers, max(0, size))
    return {bucket: int(n) for bucket, n in zip(buckets, kept, strict=True) if n}
