"""Does the new version fail (or differ) in more pairs than the old one? Counts of pairs, always valid.

Each pair gives D = +1 (only the shadow is bad), -1 (only the original is) or 0 (alike). FAIL is evidence that the mean
of D is above a margin, PASS that it is below. Both are wealth processes of `bets` on X = 1 + D and X = 1 - D.

Sources: arXiv 2010.09686 (betting), 1810.08240 (inversion); at margin 0 the bets are on the discordant pairs alone:
McNemar's test (1947), in the sequential form.

Assumes: given all pairs before, the mean of D of the next pair is at most (FAIL) or at least (PASS) the margin, under
the hypothesis that is tested. Rates may drift, and pairs may depend on each other, as long as that holds; in an outage
of one leg alone it does not, and whole blocks are to be looked at too (`symmetric`).
Guarantees: P(the evidence of a true hypothesis ever reaches 1/alpha) <= alpha; counts may be added in any order.
Not guaranteed: anything about a rate that is below the margin now and above it then: over such a time only the mean of
what each pair was due is compared, and bets that lost early do not come back quickly.

In simulation (alpha 0.01, independent pairs) the median number of pairs to a FAIL was 1.0 to 1.3 times Wald's bound for
a test that knows the rates, 1.65 times when an excess of 0.1 % hides in noise of 5 %; to a PASS without any bad pair at
a margin of 1 % it takes 551 pairs, where the bound is 458.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, isinf, log

from xds_server.analysis.statistics.bets import BOLD, FOREVER, capped, least_mean, log_mixture, more_values

_VALUES = (2.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Paired:
    """Counts of pairs: all, those in which only the shadow is bad, those in which only the original is.

    Fractions are allowed: averaged over ways to pair, the evidence is a geometric mean of that of each way, which is at
    most their arithmetic mean, so it still is evidence.
    """

    pairs: float = 0
    up: float = 0
    down: float = 0

    def __add__(self, other: "Paired") -> "Paired":
        return Paired(self.pairs + other.pairs, self.up + other.up, self.down + other.down)

    @property
    def effect(self) -> float:
        """Return the mean of D as seen; 0 without pairs."""
        return (self.up - self.down) / self.pairs if self.pairs > 0 else 0.0

    @property
    def mirrored(self) -> "Paired":
        """Return the pairs seen from the other side."""
        return Paired(self.pairs, self.down, self.up)

    @property
    def _counts(self) -> tuple[float, float, float]:
        """Return how often X = 1 + D was 2, 1 and 0."""
        return self.up, max(0.0, self.pairs - self.up - self.down), self.down


@lru_cache(maxsize=65_536)
def log_evidence_above(paired: Paired, margin: float) -> float:
    """Return the log e-value against "the mean of D is at most the margin" (-1 to 1)."""
    return capped(log_mixture(BOLD, paired._counts, _VALUES, 1 + margin))  # noqa: SLF001 - the same module


def log_evidence_below(paired: Paired, margin: float) -> float:
    """Return the log e-value against "the mean of D is at least the margin" (-1 to 1)."""
    return log_evidence_above(paired.mirrored, -margin)


@lru_cache(maxsize=65_536)
def interval(paired: Paired, alpha: float) -> tuple[float, float]:
    """Return the confidence sequence of the mean of D; each end is wrong, ever, with probability alpha at most.

    It is the inversion of the two tests: the lower end exceeds a margin when `log_evidence_above` reaches log(1/alpha).
    """
    return _lower(paired, alpha), -_lower(paired.mirrored, alpha)


def more_pairs(paired: Paired, margin: float, alpha: float) -> int | None:
    """Return how many more pairs bring a decision, one way or the other, if they go on as up to now.

    Returns: 0 when it is there already; None when it would not come, or nothing was seen.
    """
    target = log(1 / alpha)
    ways = more_pairs_above(paired, margin, target), more_pairs_below(paired, margin, target)
    return min((more for more in ways if more is not None), default=None)


def more_pairs_above(paired: Paired, margin: float, target: float) -> int | None:
    """Return how many more pairs bring so much log evidence above the margin, if they go on as up to now.

    Returns: 0 when it is there already; None when it would not come, or nothing was seen.
    """
    factor = more_values(BOLD, paired._counts, _VALUES, 1 + margin, target)  # noqa: SLF001 - the same module
    return _whole(paired.pairs, factor)


def more_pairs_below(paired: Paired, margin: float, target: float) -> int | None:
    """Return the same for log evidence below the margin."""
    return more_pairs_above(paired.mirrored, -margin, target)


def _lower(paired: Paired, alpha: float) -> float:
    return least_mean(BOLD, paired._counts, _VALUES, log(1 / alpha)) - 1  # noqa: SLF001 - the same module


def _whole(seen: float, factor: float) -> int | None:
    if isinf(factor) or factor * seen > FOREVER:
        return None
    return max(0, ceil(seen * (factor - 1) - 1e-6))
