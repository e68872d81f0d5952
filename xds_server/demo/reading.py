"""What the demo reads from the status of a network: the only place that knows the names in that JSON.

Guarantees: pure; a field that is missing reads as nothing (0, "", empty), never as an error, since the status of a
profile that has not compared anything is short.
Units: seconds, shares 0.0-1.0, bytes, cores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of an endpoint that differs and is no noise: `share` of its pairs, the two values of an example."""

    field: str
    kind: str
    count: int
    share: float
    original: str = ""
    shadow: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """Response times of one leg; None where nothing was measured."""

    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: method and path template."""

    name: str
    pairs: int = 0
    differing: int = 0
    original: Times = Times()
    shadow: Times = Times()
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One profile with one shadow, at one moment."""

    shadow_id: str = ""
    shadow_status: str = "Pending"
    shadow_reason: str = ""
    pairs: int = 0
    identical: int = 0
    differing: int = 0
    not_judged: dict[str, int] = field(default_factory=dict)
    """Pairs that are no evidence, by why: the copy was aborted by a fault (`injected`), its client went away, ..."""
    aborted: int = 0
    """Copies answered by an injected abort."""
    delayed: int = 0
    """Copies held back by an injected delay, and compared all the same."""
    lost: dict[str, int] = field(default_factory=dict)
    until: datetime | None = None
    """The newest moment that is counted in."""
    cpu: float | None = None
    memory: float | None = None
    endpoints: tuple[Endpoint, ...] = ()


def read(status: JSON, profile_id: str) -> Reading:
    """Return what the status says of a profile and its newest instance that is no control."""
    profile: JSON = next((p for p in status.get("profiles", []) if p.get("profileID") == profile_id), {})
    instances = [each for each in profile.get("instances") or [] if not each.get("control")]
    instance = (instances or [{}])[-1]
    comparison = profile.get("comparison") or {}
    measured = instance.get("performanceData") or {}
    return Reading(
        shadow_id=str(instance.get("instanceID", "")),
        shadow_status=str(instance.get("status", "Pending")),
        shadow_reason=str(instance.get("reason", "")),
        pairs=int(comparison.get("pairs", 0)),
        identical=int(comparison.get("identical", 0)),
        differing=int(comparison.get("discrepancies", 0)),
        not_judged=_counts(comparison.get("notJudged")),
        aborted=int((comparison.get("injected") or {}).get("aborted", 0)),
        delayed=int((comparison.get("injected") or {}).get("delayed", 0)),
        lost=_counts(comparison.get("lost")),
        until=datetime.fromisoformat(comparison["until"]) if comparison.get("until") else None,
        cpu=_number((measured.get("cpu") or {}).get("mean")),
        memory=_number((measured.get("memory") or {}).get("max")),
        endpoints=tuple(_endpoint(item) for item in comparison.get("endpoints") or []),
    )


def _endpoint(item: JSON) -> Endpoint:
    pairs = int(item.get("pairs", 0))
    return Endpoint(
        name=str(item.get("endpoint", "")),
        pairs=pairs,
        differing=int(item.get("discrepancies", 0)),
        original=_times(item.get("original")),
        shadow=_times(item.get("shadow")),
        differences=tuple(
            _difference(difference, pairs)
            for difference in item.get("differences") or []
            if difference.get("nature", "difference") == "difference"
        ),
    )


def _difference(item: JSON, pairs: int) -> Difference:
    count = int(item.get("count", 0))
    example = item.get("example") or {}
    return Difference(
        field=str(item.get("field", "")),
        kind=str(item.get("class", "")),
        count=count,
        share=count / pairs if pairs else 0.0,
        original=_shown(example.get("original")),
        shadow=_shown(example.get("shadow")),
    )


def _times(item: JSON | None) -> Times:
    """Read milliseconds as seconds."""
    p50, p99 = (_number((item or {}).get(name)) for name in ("p50", "p99"))
    return Times(p50=None if p50 is None else p50 / 1000, p99=None if p99 is None else p99 / 1000)


def _counts(item: JSON | None) -> dict[str, int]:
    return {str(name): int(count) for name, count in (item or {}).items() if count}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
