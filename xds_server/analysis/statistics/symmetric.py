"""Evidence from values whose sign is a fair coin, given the past and their size: no scale, no tails to assume.

If x is symmetric given the past and |x|, then exp(lambda x) / cosh(lambda x) has the mean 1, so the product over values
is a wealth process; averaged over a fixed grid of lambda > 0 it stays one. Source: de la Pena, "A general class of
exponential inequalities for martingales and ratios" (1999), which bounds cosh(y) by exp(y^2 / 2); Howard et al., arXiv
1808.03204.

So that engines can merge, only power sums are kept, and the sum of log cosh is bounded from above by them: sharper than
y^2 / 2 by far, since log cosh(sqrt(v)) has a completely monotone derivative (a sum of 1 / (v + c)), for which Gauss'
quadrature, with the two nodes that the sums of v^0 to v^3 determine, errs upwards (Gautschi, "Orthogonal Polynomials",
2004, 1.4). With count and squares alone it is the one node of Jensen's inequality.

It holds too where x is smaller than a symmetric value, as exp(y) / cosh(y) rises with y: the hypothesis is one-sided.

Assumes: the above. Values are best scaled to about unit size, by a scale that does not depend on their sign.
Not guaranteed: anything about the mean of a skewed x.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from xds_server.analysis.statistics.bets import FOREVER, Floats, capped, growth_until

MOST: Final = 30.0
"""Larger values are taken for this (either sign, so they stay symmetric): a sixth power stays exact enough."""
LAMBDAS: Final[Floats] = 2.8 / np.sqrt(2.0) ** np.arange(15)
"""Effects from two units down to a fiftieth of one."""
_WEIGHTS = 1 / (1 + np.log(LAMBDAS / 0.7) ** 2)
LOG_WEIGHTS: Final[Floats] = np.log(_WEIGHTS / _WEIGHTS.sum())
"""Most for what a dozen values show, falling slowly (as a Cauchy density in log lambda) on either side."""
_SAME = 1e-9
Sums = tuple[int, float, float, float, float]
"""Count, and the sums of the first, second, fourth and sixth powers."""


def log_price(count: Floats, squares: Floats, fourths: Floats, sixths: Floats) -> Floats:
    """Return an upper bound of the sum of log cosh(lambda x) for each lambda (last axis), from power sums."""
    determinant = count * fourths - squares * squares
    two = (determinant > _SAME * count * fourths) & (sixths > 0)
    divisor = np.where(two, determinant, 1.0)
    # The nodes are the roots of the polynomial v^2 + a v + b that is orthogonal to 1 and v under the values' squares.
    a = (squares * fourths - count * sixths) / divisor
    b = (squares * sixths - fourths * fourths) / divisor
    root = np.sqrt(np.maximum(0.0, a * a - 4 * b))
    # Values of nearly one size: rounding has the two in one place, and one in the mean bounds it too (Jensen).
    two &= root > 0
    mean = squares / np.maximum(count, 1.0)
    low = np.where(two, np.maximum(0.0, -a - root) / 2, mean)
    high = np.where(two, (root - a) / 2, 0.0)
    # Between zero and all: rounding must not make a price of less than nothing.
    share = np.clip(np.where(two, (squares - count * low) / np.where(two, high - low, 1.0), 0.0), 0.0, count)
    return np.asarray((count - share)[..., None] * _log_cosh(low) + share[..., None] * _log_cosh(high))


def log_mixture(wealth: Floats) -> Floats:
    """Return the log of the mixture over the last axis."""
    logs = wealth + LOG_WEIGHTS
    top = logs.max(axis=-1)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).sum(axis=-1)))


def _log_cosh(squares: Floats) -> Floats:
    y = np.sqrt(squares)[..., None] * LAMBDAS
    return np.asarray(y + np.log1p(np.exp(-2 * y)) - math.log(2))


@dataclass(slots=True)
class Symmetric:
    """Power sums of the values. Without the higher ones the evidence is valid, and somewhat weaker."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    fourths: float = 0.0
    sixths: float = 0.0
    idle: int = 0
    """Values of zero: no evidence at all (exp(0) / cosh(0) = 1), so they are in no sum: that keeps the price sharp."""

    @property
    def seen(self) -> int:
        """Return how many values there were, zeros too."""
        return self.count + self.idle

    def add(self, x: float) -> None:
        """Count one value."""
        if not x:
            self.idle += 1
            return
        x = min(MOST, max(-MOST, x))
        square = x * x
        self.count += 1
        self.total += x
        self.squares += square
        self.fourths += square * square
        self.sixths += square * square * square

    def merge(self, other: "Symmetric") -> None:
        """Add what the other one counted."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.fourths += other.fourths
        self.sixths += other.sixths
        self.idle += other.idle

    def copy(self) -> "Symmetric":
        """Return one that goes its own way."""
        return Symmetric(self.count, self.total, self.squares, self.fourths, self.sixths, self.idle)

    def log_evidence_above(self) -> float:
        """Return the log e-value against "the values are symmetric, or smaller than that"."""
        return _log_evidence(1.0, self._sums)

    def log_evidence_below(self) -> float:
        """Return the log e-value against "the values are symmetric, or larger than that"."""
        return _log_evidence(-1.0, self._sums)

    def more(self, target: float) -> float:
        """Return how many times as many values reach the log evidence, either way; inf if they never do."""
        return min(growth_until(LOG_WEIGHTS, self._wealth(sign), target) for sign in (1.0, -1.0))

    def more_above(self, target: float) -> int | None:
        """Return how many more values, zeros too, bring that log evidence above, if they go on as up to now.

        Returns: 0 when it is there already; None when it would not come.
        """
        factor = growth_until(LOG_WEIGHTS, self._wealth(1.0), target)
        if math.isinf(factor) or factor * self.seen > FOREVER:
            return None
        return max(0, math.ceil(self.seen * (factor - 1) - 1e-6))

    def as_json(self) -> list[float]:
        """Return the sums."""
        return [self.count, self.total, self.squares, self.fourths, self.sixths, self.idle]

    @classmethod
    def from_json(cls, flat: Sequence[float]) -> "Symmetric":
        """Return what `as_json` described."""
        count, total, squares, fourths, sixths, idle = flat
        return cls(int(count), float(total), float(squares), float(fourths), float(sixths), int(idle))

    @property
    def _sums(self) -> Sums:
        return self.count, self.total, self.squares, self.fourths, self.sixths

    def _wealth(self, sign: float) -> Floats:
        return _wealth(sign, self._sums)


@lru_cache(maxsize=65_536)
def _log_evidence(sign: float, sums: Sums) -> float:
    return capped(float(log_mixture(_wealth(sign, sums))))


def _wealth(sign: float, sums: Sums) -> Floats:
    count, total, squares, fourths, sixths = sums
    price = log_price(*(np.array([each], dtype=np.float64) for each in (count, squares, fourths, sixths)))
    return (sign * total * LAMBDAS - price).ravel()
