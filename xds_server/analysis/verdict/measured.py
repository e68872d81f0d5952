"""What one check measures at one place, as evidence both ways: the common form of all metrics.

Guarantees: frozen; `interval` and `needed` cost most and are worked out only where they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from xds_server.analysis.verdict.verdict import Interval


def _no_interval() -> Interval | None:
    return None


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes until a decision, one way or the other, if all goes on as up to now."""

    pairs: int
    blocks: int = 0
    """Time blocks that a FAIL waits for meanwhile; 0: it waits for pairs."""


def _no_need(_log_fail: float) -> Need | None:
    return None


@dataclass(frozen=True, slots=True)
class Measured:
    """Values, effect, evidence.

    `log_fail`: evidence (natural log of an e-value) that the limit is exceeded, were each missing copy the best.
    `log_pass`: that it is not, were each the worst.
    """

    threshold: float
    """The limit as the profile has it."""
    unit: str
    pairs: int
    log_fail: float = 0.0
    log_pass: float = 0.0
    original: float | None = None
    shadow: float | None = None
    effect: float | None = None
    reference: str = "original"
    interval: Callable[[], Interval | None] = _no_interval
    needed: Callable[[float], Need | None] = _no_need
    """By the log evidence that is enough for a FAIL."""
    said: str = ""
    """What else a reason has to say; alone the reason when nothing was measured."""
    allowance: float = 0.0
    """Seconds that the shadow's time may be longer, beside the ratio."""
    scale: float = 1.0
    """Of the limit, as plain ratios are shown: by how much the reference is longer with the allowance."""
    possible: bool = True
    """Whether it can be measured at all."""

    @property
    def limit(self) -> float:
        """Return the limit on the scale of effect and interval."""
        return self.threshold * self.scale

    def shown(self) -> tuple["Measured", Interval | None]:
        """Return it as it is shown, and its interval.

        An effect that is worked out another way than the interval can lie just beside it (times with an allowance: the
        quotient of both quantiles, and ratios of blocks on a grid): then the interval's nearer end is the effect.
        """
        interval = self.interval() if self.possible and self.effect is not None else None
        if interval is None or self.effect is None:
            return self, None
        low, high = interval
        return replace(self, effect=min(max(self.effect, low), high)), interval
