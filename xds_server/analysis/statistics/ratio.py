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

    __slots__ = ("_known", "_owed", "_sums", "count")

    def __init__(self) -> None:
        self.count = 0
        """Blocks."""
        self._sums: Floats = np.zeros((4, len(GRID)))
        self._owed = 0.0
        """What the scores of all blocks together may be wrong by, see `less_known`."""
        self._known: dict[tuple[float, int], Floats] = {}
        """Evidence above (sign 1) from a place of the grid on, and below (-1) up to one; of these sums."""

    def add(self, scores: Sequence[float] | Floats) -> None:
        """Count one block: its score at each ratio of the grid."""
        x = np.clip(np.asarray(scores, dtype=np.float64), -MOST, MOST)
        if x.shape != (len(GRID),):
            raise ValueError(f"{x.size} scores for {len(GRID)} ratios")
        square = x * x
        self._sums += (x, square, square**2, square**3)
        self.count += 1
        self._known = {}

    def merge(self, other: "Ratios") -> None:
        """Add the other one's blocks."""
        self._sums += other._sums  # noqa: SLF001 - the same class
        self.count += other.count
        self._owed += other._owed  # noqa: SLF001 - the same class
        self._known = {}

    def copy(self) -> "Ratios":
        """Return one that goes its own way."""
        copied = Ratios()
        copied._sums, copied.count, copied._owed = self._sums.copy(), self.count, self._owed
        return copied

    def less_known(self, most: float) -> "Ratios":
        """Return what is left of these blocks if their scores at every ratio may be wrong by so much, taken together.

        Args:
            most: above 0: they were higher than they look (for evidence below); below 0: lower (for evidence above).
                In which blocks need not be known, and may depend on what they came to: a bet's log wealth changes by
                at most `2 lambda` with a score, half of which is in the sum, and half owed.
        """
        less = self.copy()
        less._sums[0] += most  # noqa: SLF001 - the same class
        less._owed += abs(most)  # noqa: SLF001 - the same class
        return less

    def log_evidence_above(self, ratio: float) -> float:
        """Return the log e-value against "the candidate is at most `ratio` times the reference"."""
        index = _at_least(ratio)
        return float(self._evidence(1.0, index)[0]) if index < len(GRID) else 0.0

    def log_evidence_below(self, ratio: float) -> float:
        """Return the log e-value against "the candidate is at least `ratio` times the reference"."""
        index = _at_most(ratio)
        return float(self._evidence(-1.0, index + 1)[-1]) if index >= 0 else 0.0

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the confidence sequence of the ratio; each end is wrong, ever, with probability alpha at most.

        The ends themselves are refuted. Returns: 0 and inf where the grid ends first.
        """
        return self.lower(alpha), self.upper(alpha)

    def lower(self, alpha: float) -> float:
        """Return the lower end alone."""
        refuted = np.flatnonzero(self._evidence(1.0, 0) >= math.log(1 / alpha))
        return _RATIOS[int(refuted[-1])] if refuted.size else 0.0

    def upper(self, alpha: float) -> float:
        """Return the upper end alone."""
        refuted = np.flatnonzero(self._evidence(-1.0, len(GRID)) >= math.log(1 / alpha))
        return _RATIOS[int(refuted[0])] if refuted.size else math.inf

    def estimate(self) -> float | None:
        """Return the ratio at which scores balance; None without blocks, or when it is outside the grid."""
        signs = self._sums[0]
        if not self.count or signs[0] <= 0 or signs[-1] >= 0:
            return None
        first = int(np.flatnonzero(signs < 0)[0])
        last = int(np.flatnonzero(signs > 0)[-1])
        return math.sqrt(_RATIOS[first] * _RATIOS[last])

    def more_above(self, ratio: float, target: float) -> int | None:
        """Return how many more blocks bring so much log evidence above the ratio, if they go on as up to now.

        Returns: 0 when it is there already; None when it would not come, or nothing was seen.
        """
        index = _at_least(ratio)
        return self._more(1.0, index, target, self.log_evidence_above(ratio)) if index < len(GRID) else None

    def more_below(self, ratio: float, target: float) -> int | None:
        """Return the same for log evidence below the ratio."""
        index = _at_most(ratio)
        return self._more(-1.0, index, target, self.log_evidence_below(ratio)) if index >= 0 else None

    def _more(self, sign: float, index: int, target: float, known: float) -> int | None:
        if not self.count:
            return None
        if known >= target:
            return 0
        factor = growth_until(LOG_WEIGHTS, self._wealth(sign, slice(index, index + 1))[0], target)
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

    def _wealth(self, sign: float, part: slice) -> Floats:
        """Return the log wealth of each bet (last axis) at each ratio of a part of the grid: above, or below."""
        total, squares, fourths, sixths = self._sums[:, part]
        gain: Floats = (sign * total)[:, None] * LAMBDAS
        price = log_price(np.full(total.size, float(self.count)), squares, fourths, sixths)
        return gain - price - self._owed * LAMBDAS

    def _evidence(self, sign: float, end: int) -> Floats:
        """Return the evidence above at each ratio from place `end` on (sign 1), or below at each before it (-1).

        What refutes a larger ratio refutes a smaller one. That maximum is evidence still: at every ratio the exact
        wealth (with cosh) is at least what the power sums give, and it falls as the ratio rises.
        """
        found = self._known.get((sign, end))
        if found is None:
            part = slice(end, None) if sign > 0 else slice(0, end)
            logs = np.clip(log_mixture(self._wealth(sign, part)), -LOG_MOST, LOG_MOST)
            found = np.maximum.accumulate(logs[::-1])[::-1] if sign > 0 else np.maximum.accumulate(logs)
            self._known[sign, end] = found
        return found


def _at_least(ratio: float) -> int:
    """Return the place of the least ratio of the grid that is not smaller; its length when there is none."""
    return bisect_left(_RATIOS, ratio * (1 - _ROUNDING))


def _at_most(ratio: float) -> int:
    """Return the place of the largest ratio of the grid that is not larger; -1 when there is none."""
    return bisect_right(_RATIOS, ratio * (1 + _ROUNDING)) - 1
