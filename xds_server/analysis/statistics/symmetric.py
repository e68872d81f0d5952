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
from typing import Final

import numpy as np

from xds_server.analysis.statistics.bets import Floats, capped, growth_until

MOST: Final = 30.0
"""Larger values are taken for this (either sign, so they stay symmetric): a sixth power stays exact enough."""
LAMBDAS: Final[Floats] = 2.8 / np.sqrt(2.0) ** np.arange(15)
"""Effects from two units down to a fiftieth of one."""
_WEIGHTS = 1 / (1 + np.log(LAMBDAS / 0.7) ** 2)
LOG_WEIGHTS: Final[Floats] = np.log(_WEIGHTS / _WEIGHTS.sum())
"""Most for what a dozen values show, falling slowly (as a Cauchy density in log lambda) on either side."""
_SAME = 1e-9


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

    def add(self, x: float) -> None:
        """Count one value."""
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

    def log_evidence_above(self) -> float:
        """Return the log e-value against "the values are symmetric, or smaller than that"."""
        return capped(float(log_mixture(self._wealth(1.0))))

    def log_evidence_below(self) -> float:
        """Return the log e-value against "the values are symmetric, or larger than that"."""
        return capped(float(log_mixture(self._wealth(-1.0))))

    def more(self, target: float) -> float:
        """Return how many times as many values reach the log evidence, either way; inf if they never do."""
        return min(growth_until(LOG_WEIGHTS, self._wealth(sign), target) for sign in (1.0, -1.0))

    def as_json(self) -> list[float]:
        """Return the sums."""
        return [self.count, self.total, self.squares, self.fourths, self.sixths]

    @classmethod
    def from_json(cls, flat: Sequence[float]) -> "Symmetric":
        """Return what `as_json` described."""
        return cls(int(flat[0]), *map(float, flat[1:]))

    def _wealth(self, sign: float) -> Floats:
        sums = np.array([[self.count], [self.squares], [self.fourths], [self.sixths]], dtype=np.float64)
        return (sign * self.total * LAMBDAS - log_price(*sums)).ravel()
