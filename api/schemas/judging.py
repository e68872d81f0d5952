"""The part of `analysis` that a verdict rests on: how sure it has to be, and the checks.

Guarantees: a check has exactly the limit that belongs to its metric; no two of them contradict each other; at least one
counts. Not guaranteed: that a PromQL query is one, or returns a single series; Prometheus is asked when it is judged.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from api.schemas.base import OMITTED, Document, refuse, shown
from api.schemas.values import HOUR, Duration, Number, Share, Text
from xds_server.model.judging import DEFAULT_JUDGING, LIMITS, MOST_RATIO, PLACEHOLDERS, Check, Judging, Metric, OnFail

MOST_CHECKS = 50
DEFAULT_QUANTILE = 0.99
_PLACEHOLDER = re.compile(r"\{\s*[A-Za-z_]\w*\s*\}", re.ASCII)
"""What looks like one. In PromQL braces hold matchers (`{job="x"}`), never a bare word."""
_KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
_LIMIT_HINTS = {
    "maxIncrease": "how far the shadow's error rate may be above the original's, like 0.005",
    "maxRate": "the share of answers that may differ, like 0.001",
    "maxRatio": "how many times the original's the shadow's may be, like 1.1",
}
_OWN: Mapping[str, Metric] = {
    "quantile": Metric.RESPONSE_TIME,
    "name": Metric.PROMETHEUS,
    "query": Metric.PROMETHEUS,
}
"""Fields that belong to one metric alone."""

MetricName = Annotated[
    str, Text("[A-Za-z_][-A-Za-z0-9_.]*", 'letters, digits, "_", "-" and ".", like "orders"', most=63)
]
Query = Annotated[str, Text(r".*\S.*", "a PromQL query", most=4096)]
Increase = Annotated[float, Number(0.0, 1.0, "a share; 0.005 is half a percent", share=True)]
Ratio = Annotated[
    float,
    Number(
        0.0,
        MOST_RATIO,
        "shadow over original, 1.1 is ten per cent more; a larger one cannot be decided",
        exclusive=True,
    ),
]
Quantile = Annotated[float, Number(0.0, 1.0, "0.99 is the 99th percentile", exclusive=True)]


class CheckBody(Document):
    """One check: a metric, and the limit that belongs to it."""

    metric: str
    """What it looks at: `error_rate`, `difference_rate`, `response_time`, `cpu`, `memory` or `prometheus`."""
    max_increase: Increase | None = OMITTED
    """For `error_rate`: the shadow's error rate may be this much above the original's."""
    max_rate: Increase | None = OMITTED
    """For `difference_rate`: the share of answers that may differ with nothing to explain it."""
    max_ratio: Ratio | None = OMITTED
    """For `response_time`, `cpu`, `memory` and `prometheus`: shadow over original."""
    quantile: Quantile | None = OMITTED
    """For `response_time`: which quantile; 0.99 when left out."""
    name: MetricName | None = OMITTED
    """For `prometheus`: what to call the metric."""
    query: Query | None = OMITTED
    """For `prometheus`: PromQL of one series, higher is worse; `{network}`, `{component}`, `{variant}` and `{window}`
    are filled in."""
    weight: Annotated[
        float,
        Number(
            0.0,
            1000.0,
            "how much it counts beside the others; muted: true for a check that shall not count",
            exclusive=True,
        ),
    ] = 1.0
    """How much it counts when the checks that are not critical fail."""
    critical: bool = False
    """Whether its FAIL fails the whole; when no check is critical, all are."""
    muted: bool = False
    """Whether it is only shown."""

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in LIMITS:
            refuse(f"{shown(metric)} is not a metric", f"known are {', '.join(LIMITS)}")
        return metric

    @field_validator("query")
    @classmethod
    def _placeholders(cls, query: str | None) -> str | None:
        for found in _PLACEHOLDER.findall(query or ""):
            if found[1:-1] not in PLACEHOLDERS:
                refuse(f"{shown(found)} is not a placeholder", f"known are {_KNOWN}; selectors have matchers in braces")
        return query

    @model_validator(mode="after")
    def _its_limit(self) -> "CheckBody":
        limit = LIMITS[Metric(self.metric)]
        for other, hint in _LIMIT_HINTS.items():
            given = getattr(self, _python(other)) is not None
            if given and other != limit:
                refuse(f"is not for {self.metric}", f"{limit}: {_LIMIT_HINTS[limit]}", at=other)
            if other == limit and not given:
                refuse(f"is required for {self.metric}", hint, at=other)
        for field, metric in _OWN.items():
            if getattr(self, field) is not None and self.metric != metric:
                refuse(f"is not for {self.metric}", f"leave it out; it is for {metric}", at=field)
        if self.metric == Metric.PROMETHEUS:
            self._refuse_unasked()
        return self

    def _refuse_unasked(self) -> None:
        if self.name is None:
            refuse("is required for prometheus", 'what to call the metric, like "checkout_errors"', at="name")
        if self.name in LIMITS:
            refuse(f"{shown(self.name)} is the name of a metric that is there already", "another name", at="name")
        if self.query is None:
            refuse("is required for prometheus", "PromQL that returns one series", at="query")
        if "{variant}" not in self.query:
            hint = '{variant} where they differ, like orders{version="{variant}"}; of the original it is "original"'
            refuse("has no {variant}, so it asks the same of all versions", hint, at="query")

    def to_model(self) -> Check:
        """Return the check."""
        metric = Metric(self.metric)
        timed = metric is Metric.RESPONSE_TIME and self.quantile is None
        return Check(
            metric=metric,
            max_increase=self.max_increase,
            max_rate=self.max_rate,
            max_ratio=self.max_ratio,
            quantile=DEFAULT_QUANTILE if timed else self.quantile,
            name=self.name or "",
            query=self.query or "",
            weight=float(self.weight),
            critical=self.critical,
            muted=self.muted,
        )

    @classmethod
    def of(cls, check: Check) -> "CheckBody":
        """Return the document of a check."""
        return cls.model_construct(
            metric=str(check.metric),
            max_increase=check.max_increase,
            max_rate=check.max_rate,
            max_ratio=check.max_ratio,
            quantile=check.quantile,
            name=check.name or None,
            query=check.query or None,
            weight=check.weight,
            critical=check.critical,
            muted=check.muted,
        )


class JudgingBody(Document):
    """What a verdict rests on; the fields stand in `analysis` beside the rules of the comparison."""

    alpha: Annotated[
        float, Number(0.0, 0.5, "the risk of a wrong verdict; 0.01 is one in a hundred", exclusive=True)
    ] = DEFAULT_JUDGING.alpha
    """The most likely that an equally good version is ever called FAIL, however often one looks."""
    warm_up: Annotated[float, Duration(0.0, HOUR)] = DEFAULT_JUDGING.warm_up
    """Time after a shadow was created in which its answers are no evidence."""
    min_pairs: Annotated[int, Number(1, 1_000_000_000, "pairs", whole=True)] = DEFAULT_JUDGING.min_pairs
    """Pairs before which the verdict is INCONCLUSIVE."""
    min_share: Share = DEFAULT_JUDGING.min_share
    """Share of the traffic from which an endpoint must pass for itself."""
    block: Annotated[float, Duration(1.0, 600.0)] = DEFAULT_JUDGING.block
    """Stretch of time that counts as one; longer than a slow or bad moment lasts."""
    on_fail: Literal["alert", "stop"] = DEFAULT_JUDGING.on_fail.value
    """What a FAIL does: raise an alert, or also end the mirroring (of a split: weights 0)."""
    checks: Annotated[list[CheckBody], Field(max_length=MOST_CHECKS)] = Field(default_factory=list)
    """The checks; those made for `performanceMetrics` when left out."""

    @field_validator("checks")
    @classmethod
    def _each_its_own(cls, checks: list[CheckBody]) -> list[CheckBody]:
        for index, check in enumerate(checks):
            for before, other in enumerate(checks[:index]):
                _not_both(check, other, f"[{index}]", before)
        if checks and all(check.muted for check in checks):
            refuse("are all muted: nothing would be judged", "at least one that counts, or leave checks out")
        return checks

    def judging(self) -> Judging:
        """Return what the verdict rests on."""
        return Judging(
            alpha=self.alpha,
            warm_up=self.warm_up,
            min_pairs=self.min_pairs,
            min_share=float(self.min_share),
            block=self.block,
            on_fail=OnFail(self.on_fail),
            checks=tuple(check.to_model() for check in self.checks),
        )


def judging_fields(judging: Judging) -> dict[str, Any]:
    """Return the fields of `JudgingBody`, by their Python names."""
    return {
        "alpha": judging.alpha,
        "warm_up": judging.warm_up,
        "min_pairs": judging.min_pairs,
        "min_share": judging.min_share,
        "block": judging.block,
        "on_fail": judging.on_fail.value,
        "checks": [CheckBody.of(check) for check in judging.checks],
    }


def check_measured(checks: Sequence[CheckBody], metrics: Sequence[str]) -> None:
    """Refuse a check on what the profile does not measure. Raises: PydanticCustomError."""
    for index, check in enumerate(checks):
        if check.metric != Metric.PROMETHEUS and check.metric not in metrics:
            there = f"performanceMetrics are {', '.join(metrics) or 'none'}"
            hint = f"one of them, or {check.metric} among performanceMetrics"
            refuse(f"{shown(check.metric)} is not measured: {there}", hint, at=f"analysis.checks[{index}].metric")


def _not_both(check: CheckBody, other: CheckBody, at: str, before: int) -> None:
    mine, theirs = check.to_model(), other.to_model()
    if mine.metric is not theirs.metric:
        return
    same = f"is the same check as checks[{before}]"
    if mine.metric is Metric.PROMETHEUS:
        if mine.name == theirs.name:
            refuse(f"{shown(mine.name)} is there twice", "a name of its own", at=f"{at}.name")
        if mine.query != theirs.query:
            return
        at, same = f"{at}.query", f"is the same query as that of checks[{before}]"
    elif mine.label != theirs.label:
        return
    apart = "" if mine.limit == theirs.limit else f" with another limit, {mine.limit:g} and {theirs.limit:g}"
    refuse(f"{same}{apart}", "each once, with one limit", at=at)


def _python(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
