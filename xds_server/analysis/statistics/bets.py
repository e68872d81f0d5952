"""Mixtures of bets against a mean: the e-process under every verdict about counts.

For values X >= 0 with E[X | past] <= mean, and any share r in [0, 1] of the wealth, the product of (1 - r + r X / mean)
is a nonnegative supermartingale that starts at 1: the wealth of one who bets against the hypothesis. It stays one when
averaged over fixed shares r, and P(it ever reaches 1/alpha) <= alpha (Ville 1939): one may look as often as one likes.
Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", arXiv 2010.09686;
Robbins, "Statistical methods related to the law of the iterated logarithm" (1970), for the mixture; Howard, Ramdas,
McAuliffe and Sekhon, arXiv 1810.08240, for the inversion to confidence sequences.

With few distinct X the product depends on how often each occurred only: it merges over engines, in any order. Since the
share is relative to the largest bet that cannot ruin, the logarithm of the mixture is convex and falling in log(mean),
which makes the inversion exact and quick (Newton from the left never oversteps).

Assumes: the mean of each value *given all that was seen before* keeps the bound; not: independence, equal rates, a
distribution. Shares and weights are fixed before the data.
Not guaranteed: that the evidence is the largest possible (the best share is not known; the mixture pays for that with
at most the logarithm of a weight).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOG_MOST: Final = 690.0
"""Evidence is capped here, either way: exp of it is still a float."""
FOREVER: Final = 10**12
"""More values than this are not waited for."""
_RUIN = -1e290
"""In place of log(0): times zero it is zero."""
_NOTHING = 1e-12
"""Of a value: a fraction of it that small does not count."""
_STEPS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """Shares of the wealth, in (0, 1], and the logarithms of their weights, which sum to 1."""

    shares: Floats
    log_weights: Floats

    @classmethod
    def of(cls, weighted: dict[float, float]) -> "Bets":
        """Return the mixture of these shares; the weights need not sum to 1."""
        shares = np.array(sorted(weighted))
        weights = np.array([weighted[share] for share in sorted(weighted)])
        return cls(shares, np.log(weights / weights.sum()))


def falling(start: float, *, least: float, step: float, power: float) -> dict[float, float]:
    """Return shares from `start` down to `least`, each `step` times smaller, with weights falling as k^-power."""
    count = 1 + math.ceil(math.log(start / least) / math.log(step))
    return {start / step**k: (k + 1.0) ** -power for k in range(count)}


def _scaled(weighted: dict[float, float], total: float) -> dict[float, float]:
    whole = sum(weighted.values())
    return {share: total * weight / whole for share, weight in weighted.items()}


BOLD: Final = Bets.of(
    {
        1.0: 0.25,
        **_scaled({0.98: 1, 0.94: 1, 0.86: 1}, 0.15),
        **_scaled(falling(0.72, least=1e-4, step=1.5, power=1.0), 0.6),
    }
)
"""For values around the mean: the largest bet is the best one when nothing, or only the worst, happens."""
RARE: Final = Bets.of(falling(0.9, least=1e-7, step=1.5, power=0.0))
"""For values far above a small mean: the best share is about the rate itself, which may be small."""


def log_mixture(bets: Bets, counts: tuple[float, ...], values: tuple[float, ...], mean: float) -> float:
    """Return the log wealth against "mean at most `mean`" after so many of each value.

    Args:
        bets: the mixture.
        counts: how often each value occurred; fractions are allowed (see `matching`).
        values: the distinct values, >= 0.
        mean: of the hypothesis, >= 0. At 0 a single value above it is proof.
    """
    if mean <= 0:
        return LOG_MOST if any(n > 0 and x > 0 for n, x in zip(counts, values, strict=True)) else 0.0
    return _log_sum(bets.log_weights + _log_wealth(bets, counts, values, mean))


def capped(log_e: float) -> float:
    """Return the evidence within what is shown."""
    return min(LOG_MOST, max(-LOG_MOST, log_e))


def least_mean(bets: Bets, counts: tuple[float, ...], values: tuple[float, ...], target: float) -> float:
    """Return the mean up to which (but for rounding) the hypothesis "at most" has log evidence of at least `target`."""
    whole = sum(counts)
    total = sum(n * x for n, x in zip(counts, values, strict=True))
    if total < _NOTHING or target <= 0:
        return 0.0
    average = total / whole
    spread = sum(n * (x - average) ** 2 for n, x in zip(counts, values, strict=True)) / whole
    guess = average - math.sqrt(2 * target * spread / whole) - target * max(values) / whole
    s = max(-LOG_MOST, math.log(max(guess, average * 1e-3)))
    shares = bets.shares
    with np.errstate(divide="ignore"):
        ruined = _finite(np.log1p(-shares))
    fixed = bets.log_weights + sum(
        (n * ruined for n, x in zip(counts, values, strict=True) if n > 0 and x == 0), np.zeros_like(shares)
    )
    moving = [(n, x) for n, x in zip(counts, values, strict=True) if n > 0 and x > 0]
    n = np.array([n for n, _ in moving])[:, None]
    won = np.outer([x for _, x in moving], shares)
    for _ in range(_STEPS):
        gain = won * math.exp(-s)
        factor = (1 - shares) + gain
        logs = fixed + (n * np.log(factor)).sum(axis=0)
        top = logs.max()
        parts = np.exp(logs - top)
        mass = parts.sum()
        slope = -float((parts * (n * gain / factor).sum(axis=0)).sum() / mass)
        step = (target - top - math.log(mass)) / slope
        # A flat start must not throw s out of a float's range; at the far left every hypothesis is refuted.
        s += max(step, -20.0)
        if s < -LOG_MOST:
            return 0.0
        if abs(step) < 1e-13 * max(1.0, abs(s)):
            break
    return math.exp(s)


def more_values(bets: Bets, counts: tuple[float, ...], values: tuple[float, ...], mean: float, target: float) -> float:
    """Return how many times as many values reach `target` if each goes on occurring as often; inf if they never do."""
    if mean <= 0:
        return 1.0 if log_mixture(bets, counts, values, mean) >= target else math.inf
    return growth_until(bets.log_weights, _log_wealth(bets, counts, values, mean), target)


def growth_until(log_weights: Floats, log_wealth: Floats, target: float) -> float:
    """Return the factor f at which the mixture of f * log_wealth reaches the target; inf if none does."""
    winning = log_wealth > 0
    if not winning.any() or math.isinf(target):
        return math.inf
    # Where one bet alone is enough, the mixture is, too; from there Newton comes down to the root of a convex function.
    f = float(((target - log_weights[winning]) / log_wealth[winning]).min())
    for _ in range(_STEPS):
        logs = log_weights + f * log_wealth
        top = logs.max()
        parts = np.exp(logs - top)
        mass = parts.sum()
        step = (float(top) + math.log(mass) - target) / float((parts * log_wealth).sum() / mass)
        f -= step
        if step < 1e-9 * f:
            break
    return f


def _log_wealth(bets: Bets, counts: tuple[float, ...], values: tuple[float, ...], mean: float) -> Floats:
    wealth = np.zeros_like(bets.shares)
    for count, factor in zip(counts, _log_factors(bets, values, mean), strict=True):
        if count > 0:
            wealth += count * factor
    return wealth


@lru_cache(maxsize=1024)
def _log_factors(bets: Bets, values: tuple[float, ...], mean: float) -> tuple[Floats, ...]:
    with np.errstate(divide="ignore"):
        return tuple(_finite(np.log1p(bets.shares * (x / mean - 1))) for x in values)


def _finite(logs: Floats) -> Floats:
    return np.maximum(logs, _RUIN)


def _log_sum(logs: Floats) -> float:
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).sum()))
