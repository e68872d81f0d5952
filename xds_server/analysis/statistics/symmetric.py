"""Evidence from values whose sign is a fair coin, given the past and their size: no scale, no tails to assume.

If x is symmetric given the past and |x|, then exp(lambda x) / cosh(lambda x) has the mean 1, and so has any product of
them: de la Pena, "A general class of exponential inequalities for martingales and ratios" (1999), with
cosh(y) <= exp(y^2 / 2); Howard et al., arXiv 1808.03204. The sum of log cosh is bounded here by power sums, the smaller
of y^2/2 and y^2/2 - y^4/12 + y^6/45 (both are at least log cosh y), so it merges in any order. Averaged over a fixed
grid of lambda > 0.

It holds too where x is smaller than a symmetric value (exp(y)/cosh(y) rises in y): the hypothesis is one-sided.

Assumes: the above. Not guaranteed: anything about the mean of a skewed x.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from xds_server.analysis.statistics.bets import Floats, capped, growth_until

LAMBDAS: Final[Floats] = 2.8 / np.sqrt(2.0) ** np.arange(15)
"""For values of about unit size: effects from 2 down to a fiftieth of it."""
LOG_WEIGHTS: Final[Floats] = np.full(LAMBDAS.size, -np.log(LAMBDAS.size))
_POWERS = (LAMBDAS, LAMBDAS**2 / 2, LAMBDAS**4 / 12, LAMBDAS**6 / 45)


def log_wealth(total: Floats, squares: Floats, fourths: Floats, sixths: Floats) -> Floats:
    """Return the log wealth of each lambda (last axis) from power sums; the lambdas bet on a positive sum."""
    one, two, four, six = _POWERS
    return (
        total[..., None] * one
        - squares[..., None] * two
        + np.maximum(0.0, fourths[..., None] * four - sixths[..., None] * six)
    )


def log_mixture(wealth: Floats) -> Floats:
    """Return the log of the mixture over the last axis."""
    logs = wealth + LOG_WEIGHTS
    top = logs.max(axis=-1)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).sum(axis=-1)))


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
        sums = np.array([sign * self.total, self.squares, self.fourths, self.sixths])
        return log_wealth(*sums[:, None]).ravel()
