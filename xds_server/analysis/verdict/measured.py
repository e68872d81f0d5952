"""What one check measures at one place, as evidence both ways: the common form of all metrics.

Guarantees: frozen; `interval` and `needed` cost most and are worked out only where they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass

from xds_server.analysis.verdict.verdict import Interval


def _no_interval() -> Interval | None:
    return None


def _no_need() -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Measured:
    """Values, effect, evidence.

    `log_fail`: evidence (natural log of an e-value) that the limit is exceeded, were each missing copy the best.
    `log_pass`: that it is not, were each the worst.
    """

    threshold: float
    unit: str
    pairs: int
    log_fail: float = 0.0
    log_pass: float = 0.0
    original: float | None = None
    shadow: float | None = None
    effect: float | None = None
    reference: str = "original"
    interval: Callable[[], Interval | None] = _no_interval
    needed: Callable[[], int | None] = _no_need
    said: str = ""
    """What else a reason has to say; alone the reason when nothing was measured."""
    possible: bool = True
    """Whether it can be measured at all."""
