"""By which factor is the new version slower (or hungrier)? A test of symmetry at each ratio of a grid.

Each block of time gives one score for each ratio: positive when the candidate exceeds that ratio times the reference.
At the true ratio scores are symmetric, above it smaller, below it larger; so the ratios that are not refuted are a
confidence sequence (inversion, as in Howard and Ramdas, "Sequential estimation of quantiles", arXiv 1906.09712).

Assumes: in a block, the two legs are exchangeable after division by the ratio (see `quantile`); scores do not rise with
the ratio. Blocks may depend on each other in every other way.
Guarantees: each one-sided statement is wrong, ever, with probability alpha at most; a ratio between two of the grid is
rounded to the one that needs more evidence.
Not guaranteed: a finer resolution than the grid's (2 % between one half and two, coarser outside).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np

from xds_server.analysis.statistics.bets import FOREVER, LOG_MOST, Floats, growth_until
from xds_server.analysis.statistics.symmetric import LAMBDAS, LOG_WEIGHTS, MOST, log_mixture, log_price

GAMMA: Final = 1.01 / 0.99
"""Of the sketches' buckets: a ratio of the grid moves a histogram by whole buckets."""
_OUTSIDE = (40, 46, 54, 64, 76, 92, 115)
GRID: Final = (*(-j for j in reversed(_OUTSIDE)), *range(-35, 36), *_OUTSIDE)
"""Index j stands for the ratio GAMMA^j: about 0.1 to 10."""
_RATIOS = [GAMMA**j for j in GRID]
_ROUNDING = 1e-9


class Ratios:
    """The power sums of `symmetric.Symmetric` for each ratio of the grid."""

    __slots__ = ("_curves", "_sums", "count")

    def __init__(self) -> None:
        self.count = 0
        """Blocks."""
        self._sums: Floats = np.zeros((4, len(GRID)))
        self._forget()

    def add(self, scores: Sequence[float] | Floats) -> None:
        """Count one block: its score at each ratio of the grid."""
        x = np.clip(np.asarray(scores, dtype=np.float64), -MOST, MOST)
        if x.shape != (len(GRID),):
            raise ValueError(f"{x.size} scores for {len(GRID)} ratios")
        square = x * x
        self._sums += np.stack((x, square, square**2, square**3))
        self.count += 1
        self._forget()

    def merge(self, other: "Ratios") -> None:
        """Add the other one's blocks."""
        self._sums += other._sums  # noqa: SLF001 - the same class
        self.count += other.count
        self._forget()

    def copy(self) -> "Ratios":
        """Return one that goes its own way."""
        copied = Ratios()
        copied.merge(self)
        return copied

    def log_evidence_above(self, ratio: float) -> float:
        """Return the log e-value against "the candidate is at most `ratio` times the reference"."""
        index = _at_least(ratio)
        return float(self._evidence()[0][index]) if index < len(GRID) else 0.0

    def log_evidence_below(self, ratio: float) -> float:
        """Return the log e-value against "the candidate is at least `ratio` times the reference"."""
        index = _at_most(ratio)
        return float(self._evidence()[1][index]) if index >= 0 else 0.0

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the confidence sequence of the ratio; each end is wrong, ever, with probability alpha at most.

        The ends themselves are refuted. Returns: 0 and inf where the grid ends first.
        """
        target = math.log(1 / alpha)
        above, below = (np.flatnonzero(curve >= target) for curve in self._evidence())
        return (
            _RATIOS[int(above[-1])] if above.size else 0.0,
            _RATIOS[int(below[0])] if below.size else math.inf,
        )

    def estimate(self) -> float | None:
        """Return the ratio at which scores balance; None without blocks, or when it is outside the grid."""
        signs = self._sums[0]
        if not self.count or signs[0] <= 0 or signs[-1] >= 0:
            return None
        first = int(np.flatnonzero(signs < 0)[0])
        last = int(np.flatnonzero(signs > 0)[-1])
        return math.sqrt(_RATIOS[first] * _RATIOS[last])

    def more_blocks(self, ratio: float, alpha: float) -> int | None:
        """Return how many more blocks bring a decision at the ratio, if they go on as up to now.

        Returns: 0 when it is there already; None when it would not come, or nothing was seen.
        """
        if not self.count:
            return None
        target = math.log(1 / alpha)
        if self.log_evidence_above(ratio) >= target or self.log_evidence_below(ratio) >= target:
            return 0
        factors = [math.inf]
        above, below = self._wealth()
        if (index := _at_least(ratio)) < len(GRID):
            factors.append(growth_until(LOG_WEIGHTS, above[index], target))
        if (index := _at_most(ratio)) >= 0:
            factors.append(growth_until(LOG_WEIGHTS, below[index], target))
        factor = min(factors)
        if math.isinf(factor) or factor * self.count > FOREVER:
            return None
        return max(1, math.ceil(self.count * (factor - 1) - 1e-6))

    def as_json(self) -> list[float]:
        """Return the number of blocks and the sums, power by power."""
        return [self.count, *self._sums.ravel().tolist()]

    @classmethod
    def from_json(cls, flat: Sequence[float]) -> "Ratios":
        """Return what `as_json` described."""
        ratios = cls()
        ratios.count = int(flat[0])
        ratios._sums = np.array(flat[1:], dtype=np.float64).reshape(4, len(GRID))
        return ratios

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ratios) and self.count == other.count and bool(np.array_equal(self._sums, other._sums))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Ratios(count={self.count}, estimate={self.estimate()})"

    def _forget(self) -> None:
        self._curves: tuple[Floats, Floats] | None = None

    def _wealth(self) -> tuple[Floats, Floats]:
        """Return the log wealth of each bet (last axis) at each ratio: of bets that it is above, and below."""
        total, squares, fourths, sixths = self._sums
        price = log_price(np.full(len(GRID), float(self.count)), squares, fourths, sixths)
        gain = total[:, None] * LAMBDAS
        return gain - price, -gain - price

    def _evidence(self) -> tuple[Floats, Floats]:
        """Return the evidence at each ratio: that it is above, and below.

        What refutes a larger ratio refutes a smaller one. That maximum is evidence still: at every ratio the exact
        wealth (with cosh) is at least what the power sums give, and it falls as the ratio rises.
        """
        if self._curves is None:
            above, below = (np.clip(log_mixture(wealth), -LOG_MOST, LOG_MOST) for wealth in self._wealth())
            self._curves = np.maximum.accumulate(above[::-1])[::-1], np.maximum.accumulate(below)
        return self._curves


def _at_least(ratio: float) -> int:
    """Return the place of the least ratio of the grid that is not smaller; its length when there is none."""
    return bisect_left(_RATIOS, ratio * (1 - _ROUNDING))


def _at_most(ratio: float) -> int:
    """Return the place of the largest ratio of the grid that is not larger; -1 when there is none."""
    return bisect_right(_RATIOS, ratio * (1 + _ROUNDING)) - 1
