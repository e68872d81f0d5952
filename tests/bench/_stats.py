"""Ratios and means with their intervals, from pairs of blocks measured next to each other.

Guarantees: what is drawn from the same block is compared with each other only, so a machine that is slow for a while
slows both sides of a ratio. The interval is Student's, on the logarithms of the blocks' ratios: it covers the true
ratio in 95 % of the runs when the blocks are independent and their log-ratios not far from normal.
Not guaranteed: that a difference is ours. Look at the A/A ratio (the same thing measured twice) beside it.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with the ends of its interval, over `blocks` blocks."""

    value: float
    low: float
    high: float
    blocks: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def within(self, other: "Ratio") -> bool:
        """Tell whether this value lies inside the other's interval."""
        return other.low <= self.value <= other.high

    def as_json(self) -> dict[str, float]:
        """Return the figures."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with the ends of its interval, over `blocks` blocks."""

    value: float
    low: float
    high: float
    blocks: int

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    def as_json(self) -> dict[str, float]:
        """Return the figures."""
        return asdict(self)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (linear between neighbours); NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float], *, level: float = LEVEL) -> Ratio:
    """Return the geometric mean of the blocks' ratios and its interval.

    Args:
        numerators: one positive figure a block.
        denominators: the figure of the same blocks on the other side.
        level: share of runs whose interval covers the true ratio.

    Raises:
        ValueError: fewer than two blocks, lengths that differ, or a figure that is not above 0.
    """
    logs = mean_of([math.log(a / b) for a, b in zip(numerators, denominators, strict=True)], level=level)
    return Ratio(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high), logs.blocks)


def mean_of(figures: Sequence[float], *, level: float = LEVEL) -> Mean:
    """Return the mean of one figure a block, and its interval. Raises: ValueError: fewer than two blocks."""
    count = len(figures)
    if count < 2:
        raise ValueError(f"{count} block(s): an interval needs at least two")
    mean = math.fsum(figures) / count
    variance = math.fsum((x - mean) ** 2 for x in figures) / (count - 1)
    half = student_quantile((1 + level) / 2, count - 1) * math.sqrt(variance / count)
    return Mean(mean, mean - half, mean + half, count)


@functools.cache
def student_quantile(share: float, freedom: int) -> float:
    """Return the `share` quantile (0.5 and above) of Student's distribution, to about 1e-6."""
    low, high = 0.0, 1.0
    while _student_half(high, freedom) < share - 0.5:
        high *= 2
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _student_half(middle, freedom) < share - 0.5 else (low, middle)
    return (low + high) / 2


def _student_half(x: float, freedom: int) -> float:
    """Return the probability between 0 and x, by the finite series (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = math.atan(x / math.sqrt(freedom))
    cosine, sine = math.cos(theta), math.sin(theta)
    if freedom == 1:
        return theta / math.pi
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term
    for k in range(2 + odd, freedom, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    total *= sine
    return (theta + total) / math.pi if odd else total / 2
