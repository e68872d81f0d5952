"""What a verdict rests on: the checks of a profile, and how sure it has to be.

Frozen values; `judging_to` and `judging_from` are their JSON form, shared by the store and the link to the engines.
Units: durations are seconds, rates and shares 0.0-1.0, ratios shadow over original.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Metric(StrEnum):
    """What a check looks at."""

    ERROR_RATE = "error_rate"
    DIFFERENCE_RATE = "difference_rate"
    RESPONSE_TIME = "response_time"
    CPU = "cpu"
    MEMORY = "memory"
    PROMETHEUS = "prometheus"


LIMITS: Mapping[Metric, str] = {
    Metric.ERROR_RATE: "maxIncrease",
    Metric.DIFFERENCE_RATE: "maxRate",
    Metric.RESPONSE_TIME: "maxRatio",
    Metric.CPU: "maxRatio",
    Metric.MEMORY: "maxRatio",
    Metric.PROMETHEUS: "maxRatio",
}
"""The one limit of each metric, as documents call it."""
MOST_RATIO = 9.9
"""A ratio from which on nothing can be decided: evidence is kept for a grid of ratios that ends just above it."""
PLACEHOLDERS = ("network", "component", "variant", "window")
"""What a query may have in braces."""


class OnFail(StrEnum):
    """What a FAIL does."""

    ALERT = "alert"
    """An alert is raised, and the mirroring goes on."""
    STOP = "stop"
    """An alert is raised, and the mirroring ends; in a split, the weights become 0."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. Of the limits, the one that belongs to the metric is set.

    `max_increase`: of the error rate, shadow less original. `max_rate`: of differences that nothing explains.
    `max_ratio`: shadow over original (or control). `critical`: its FAIL fails the whole. `muted`: shown, never counted.
    """

    metric: Metric
    max_increase: float | None = None
    max_rate: float | None = None
    max_ratio: float | None = None
    quantile: float | None = None
    """Of the response time, between 0 and 1."""
    name: str = ""
    """Of a metric of the user's own."""
    query: str = ""
    """PromQL with `{network}`, `{component}`, `{variant}` and `{window}`."""
    weight: float = 1.0
    critical: bool = False
    muted: bool = False

    @property
    def label(self) -> str:
        """How it is called: `error_rate`, `response_time p99`, or the user's name for it."""
        if self.metric is Metric.RESPONSE_TIME and self.quantile is not None:
            return f"{self.metric} p{self.quantile * 100:g}"
        return self.name or str(self.metric)

    @property
    def limit(self) -> float:
        """The limit that is set."""
        return next(v for v in (self.max_increase, self.max_rate, self.max_ratio, 0.0) if v is not None)


@dataclass(frozen=True, slots=True)
class Judging:
    """How a verdict is reached. `checks` empty: those of the profile's performance metrics."""

    alpha: float = 0.01
    """The most likely that an equally good version is ever called FAIL, and one beyond a limit PASS."""
    warm_up: float = 30.0
    """Seconds after a shadow was created in which its answers are no evidence."""
    min_pairs: int = 100
    min_share: float = 0.01
    """Share of the traffic from which an endpoint is judged for itself."""
    block: float = 2.0
    """Seconds of a time block; longer than what one slow or bad moment lasts."""
    on_fail: OnFail = OnFail.ALERT
    checks: tuple[Check, ...] = ()


DEFAULT_JUDGING = Judging()

_DEFAULTS: Mapping[str, tuple[Check, ...]] = {
    Metric.ERROR_RATE: (Check(Metric.ERROR_RATE, max_increase=0.01, critical=True),),
    Metric.DIFFERENCE_RATE: (Check(Metric.DIFFERENCE_RATE, max_rate=0.01, critical=True),),
    Metric.RESPONSE_TIME: (
        Check(Metric.RESPONSE_TIME, quantile=0.5, max_ratio=1.25, critical=True),
        Check(Metric.RESPONSE_TIME, quantile=0.99, max_ratio=1.5),
    ),
    Metric.CPU: (Check(Metric.CPU, max_ratio=1.5),),
    Metric.MEMORY: (Check(Metric.MEMORY, max_ratio=1.5),),
}


def checks_of(judging: Judging, metrics: Iterable[str]) -> tuple[Check, ...]:
    """Return the checks in force; without any of one's own, those made for the profile's performance metrics."""
    return judging.checks or tuple(check for metric in metrics for check in _DEFAULTS.get(metric, ()))


def judging_to(judging: Judging) -> dict[str, Any]:
    """Return the JSON value."""
    return {
        "alpha": judging.alpha,
        "warm_up": judging.warm_up,
        "min_pairs": judging.min_pairs,
        "min_share": judging.min_share,
        "block": judging.block,
        "on_fail": str(judging.on_fail),
        "checks": [
            {
                "metric": str(c.metric),
                "max_increase": c.max_increase,
                "max_rate": c.max_rate,
                "max_ratio": c.max_ratio,
                "quantile": c.quantile,
                "name": c.name,
                "query": c.query,
                "weight": c.weight,
                "critical": c.critical,
                "muted": c.muted,
            }
            for c in judging.checks
        ],
    }


def judging_from(d: Mapping[str, Any]) -> Judging:
    """Return what a JSON value describes. Raises: KeyError, TypeError, ValueError."""
    return Judging(
        alpha=d["alpha"],
        warm_up=d["warm_up"],
        min_pairs=d["min_pairs"],
        min_share=d["min_share"],
        block=d["block"],
        on_fail=OnFail(d["on_fail"]),
        checks=tuple(
            replace(
                Check(Metric(c["metric"])),
                max_increase=c["max_increase"],
                max_rate=c["max_rate"],
                max_ratio=c["max_ratio"],
                quantile=c["quantile"],
                name=c["name"],
                query=c["query"],
                weight=c["weight"],
                critical=c["critical"],
                muted=c["muted"],
            )
            for c in d["checks"]
        ),
    )
