"""Many hypotheses at once: which are discovered, and is any of them false at all?

Sources: Wang and Ramdas, "False discovery rate control with e-values" (e-BH), arXiv 2009.02824; its weighted form
follows by giving hypothesis i the e-value w_i E_i / w with weights that sum to at most 1. The weighted mean of
e-processes in one filtration is an e-process (Vovk and Wang, arXiv 1912.06116), so Ville's inequality holds for it.

Assumes: each E_i is an e-value under its hypothesis; the weights are given before the evidence (an order of appearance
may depend on the data if a hypothesis' evidence starts after it appeared). No assumption on dependence.
Guarantees: the expected share of false discoveries is at most alpha at the moment of looking; the weighted mean
ever reaches 1/alpha with probability alpha at most when all hypotheses are true.
Not guaranteed: that FDR holds for the union of what was discovered at many moments (so a latch rests on the mean).
"""

import math
from collections.abc import Sequence

from xds_server.analysis.statistics.bets import capped


def order_weight(i: int) -> float:
    """Return the weight of the i-th hypothesis to appear, from 1: 6 / (pi^2 i^2), which sum to 1 over all i."""
    return 6 / (math.pi * i) ** 2


def weighted_mean(logs: Sequence[float], weights: Sequence[float]) -> float:
    """Return the log of the weighted mean of e-values given in logs; what the weights leave of 1 counts as 1."""
    rest = max(0.0, 1 - sum(weights))
    parts = [log_e + math.log(w) for log_e, w in zip(logs, weights, strict=True) if w > 0]
    if rest > 0:
        parts.append(math.log(rest))
    if not parts:
        return 0.0
    top = max(parts)
    return capped(top + math.log(math.fsum(math.exp(part - top) for part in parts)))


def e_bh(log_es: Sequence[float], weights: Sequence[float], alpha: float) -> set[int]:
    """Return the indices of the hypotheses that weighted e-BH discovers.

    They are the k with the largest w_i E_i, for the largest k of which each has w_i E_i >= 1 / (alpha k).
    """
    weighted = sorted(
        ((log_e + math.log(w), i) for i, (log_e, w) in enumerate(zip(log_es, weights, strict=True)) if w > 0),
        reverse=True,
    )
    found = 0
    for k, (value, _) in enumerate(weighted, 1):
        if value >= -math.log(alpha * k):
            found = k
    return {i for _, i in weighted[:found]}
