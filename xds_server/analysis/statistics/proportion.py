"""How often does something happen at all? A share of pairs, always valid: the sibling of `paired` for D in {0, 1}.

Assumes: given all pairs before, the chance of a hit is at most (FAIL) or at least (PASS) the margin, under the
hypothesis tested. Source: arXiv 2010.09686; each bet is the likelihood ratio of a Bernoulli rate (Wald 1945).
Guarantees and non-guarantees: those of `paired`. With the margin 0 a single hit is proof. In simulation FAIL took
1.3 to 1.5 times the pairs of a test that knows the rate.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, isinf, log

from xds_server.analysis.statistics.bets import BOLD, FOREVER, RARE, capped, least_mean, log_mixture, more_values

_VALUES = (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Proportion:
    """Counts of pairs: all, and those with a hit; fractions are allowed."""

    pairs: float = 0
    hits: float = 0

    def __add__(self, other: "Proportion") -> "Proportion":
        return Proportion(self.pairs + other.pairs, self.hits + other.hits)

    @property
    def effect(self) -> float:
        """Return the share of hits; 0 without pairs."""
        return self.hits / self.pairs if self.pairs > 0 else 0.0

    @property
    def misses(self) -> float:
        """Return how many pairs had no hit."""
        return max(0.0, self.pairs - self.hits)


@lru_cache(maxsize=65_536)
def log_evidence_above(proportion: Proportion, margin: float) -> float:
    """Return the log e-value against "the share is at most the margin" (0 to 1)."""
    return capped(log_mixture(RARE, (proportion.hits, proportion.misses), _VALUES, margin))


@lru_cache(maxsize=65_536)
def log_evidence_below(proportion: Proportion, margin: float) -> float:
    """Return the log e-value against "the share is at least the margin" (0 to 1)."""
    return capped(log_mixture(BOLD, (proportion.misses, proportion.hits), _VALUES, 1 - margin))


@lru_cache(maxsize=65_536)
def interval(proportion: Proportion, alpha: float) -> tuple[float, float]:
    """Return the confidence sequence of the share; each end is wrong, ever, with probability alpha at most."""
    target = log(1 / alpha)
    return (
        least_mean(RARE, (proportion.hits, proportion.misses), _VALUES, target),
        1 - least_mean(BOLD, (proportion.misses, proportion.hits), _VALUES, target),
    )


def more_pairs(proportion: Proportion, margin: float, alpha: float) -> int | None:
    """Return how many more pairs bring a decision, as `paired.more_pairs` does."""
    target = log(1 / alpha)
    factor = min(
        more_values(RARE, (proportion.hits, proportion.misses), _VALUES, margin, target),
        more_values(BOLD, (proportion.misses, proportion.hits), _VALUES, 1 - margin, target),
    )
    if isinf(factor) or factor * proportion.pairs > FOREVER:
        return None
    return max(0, ceil(proportion.pairs * (factor - 1) - 1e-6))
