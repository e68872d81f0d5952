"""Evidence along whole paths at once, for simulations that look after every pair."""

import numpy as np

from xds_server.analysis.statistics.bets import Bets, Floats, log_mixture
from xds_server.analysis.statistics.symmetric import LAMBDAS, log_price
from xds_server.analysis.statistics.symmetric import log_mixture as mixture


def along(bets: Bets, values: Floats, mean: float) -> Floats:
    """Log evidence against "at most `mean`" after each of the values."""
    wealth = np.log1p(np.multiply.outer(values / mean - 1, np.minimum(bets.shares, 1 - 1e-12))).cumsum(axis=0)
    logs = wealth + bets.log_weights
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))


def at_the_end(bets: Bets, values: Floats, mean: float) -> float:
    kinds, counts = np.unique(values, return_counts=True)
    return log_mixture(bets, tuple(map(float, counts)), tuple(map(float, kinds)), mean)


def symmetric_along(values: Floats) -> Floats:
    """Log evidence that sums of `values` are too large, after each."""
    counts = np.arange(1.0, len(values) + 1)
    price = log_price(counts, *(np.cumsum(values**power) for power in (2, 4, 6)))
    return mixture(np.cumsum(values)[:, None] * LAMBDAS - price)


def too_many(alarms: int, runs: int, alpha: float) -> bool:
    """Whether so many false alarms are more than alpha explains, with four standard errors to spare."""
    return alarms > runs * alpha + 4 * (runs * alpha * (1 - alpha)) ** 0.5
