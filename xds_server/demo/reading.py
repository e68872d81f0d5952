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
REAL = "difference"
"""The nature of a difference that nothing explains but the new version."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of an endpoint that differs: in `share` of its pairs; the two values of an example."""

    field: str
    kind: str
    count: int
    share: float
    original: str = ""
    shadow: str = ""
    nature: str = REAL
    """What it is taken for; all but `REAL` is cancelled."""
    what: str = ""
    """The kind of value that was recognised by its looks (`timestamp`)."""
    shadow_rate: float | None = None
    """Share of the requests that a control answered too in which shadow and original differ here."""
    control_rate: float | None = None
    """In which control and original differ here."""


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
    cancelled: tuple[Difference, ...] = ()
    """What was taken for noise; it is in no other figure here."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the version may be shipped, and why; nothing was judged while `decision` is empty."""

    decision: str = ""
    pairs: int = 0
    needed: int = 0
    """How many more pairs the most demanding open critical check takes, as far as it is known."""
    reasons: tuple[str, ...] = ()
    under_faults: str = ""
    """How the version degrades under the injected faults, in the manager's words."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One profile with one shadow and one control, at one moment."""

    shadow_id: str = ""
    shadow_status: str = "Pending"
    shadow_reason: str = ""
    control_status: str = "Pending"
    control_reason: str = ""
    pairs: int = 0
    identical: int = 0
    noisy: int = 0
    """Pairs that differ in nothing but noise."""
    differing: int = 0
    measured: int = 0
    """Requests that the control answered too."""
    how_measured: str = ""
    """How noise was measured, in the manager's words."""
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
    verdict: Verdict = Verdict()


def read(status: JSON, profile_id: str) -> Reading:
    """Return what the status says of a profile, its newest shadow and its newest control."""
    profile: JSON = next((p for p in status.get("profiles", []) if p.get("profileID") == profile_id), {})
    instance, control = _newest(profile, control=False), _newest(profile, control=True)
    comparison = profile.get("comparison") or {}
    measured, noise = instance.get("performanceData") or {}, comparison.get("noiseMeasured") or {}
    return Reading(
        shadow_id=str(instance.get("instanceID", "")),
        shadow_status=str(instance.get("status", "Pending")),
        shadow_reason=str(instance.get("reason", "")),
        control_status=str(control.get("status", "Pending")),
        control_reason=str(control.get("reason", "")),
        pairs=int(comparison.get("pairs", 0)),
        identical=int(comparison.get("identical", 0)),
        noisy=int(comparison.get("noise", 0)),
        differing=int(comparison.get("discrepancies", 0)),
        measured=int(noise.get("requests", 0)),
        how_measured=str(noise.get("summary", "")),
        not_judged=_counts(comparison.get("notJudged")),
        aborted=int((comparison.get("injected") or {}).get("aborted", 0)),
        delayed=int((comparison.get("injected") or {}).get("delayed", 0)),
        lost=_counts(comparison.get("lost")),
        until=datetime.fromisoformat(comparison["until"]) if comparison.get("until") else None,
        cpu=_number((measured.get("cpu") or {}).get("mean")),
        memory=_number((measured.get("memory") or {}).get("max")),
        endpoints=tuple(_endpoint(item) for item in comparison.get("endpoints") or []),
        verdict=_verdict(profile.get("verdict") or {}),
    )


def _verdict(item: JSON) -> Verdict:
    critical = [each for each in item.get("checks") or [] if each.get("critical") and each.get("judged")]
    return Verdict(
        decision=str(item.get("decision", "")),
        pairs=int(item.get("pairs", 0)),
        needed=max((int(each.get("pairsNeeded") or 0) for each in critical), default=0),
        reasons=tuple(str(reason) for reason in item.get("reasons") or ()),
        under_faults=str((item.get("resilience") or {}).get("summary") or ""),
    )


def _newest(profile: JSON, *, control: bool) -> JSON:
    found = [each for each in profile.get("instances") or [] if bool(each.get("control")) == control]
    return found[-1] if found else {}


def _endpoint(item: JSON) -> Endpoint:
    pairs = int(item.get("pairs", 0))
    found = [_difference(difference, pairs) for difference in item.get("differences") or []]
    return Endpoint(
        name=str(item.get("endpoint", "")),
        pairs=pairs,
        differing=int(item.get("discrepancies", 0)),
        original=_times(item.get("original")),
        shadow=_times(item.get("shadow")),
        differences=tuple(each for each in found if each.nature == REAL),
        cancelled=tuple(each for each in found if each.nature != REAL),
    )


def _difference(item: JSON, pairs: int) -> Difference:
    count = int(item.get("count", 0))
    example, noise = item.get("example") or {}, item.get("noise") or {}
    return Difference(
        field=str(item.get("field", "")),
        kind=str(item.get("class", "")),
        count=count,
        share=count / pairs if pairs else 0.0,
        original=_shown(example.get("original")),
        shadow=_shown(example.get("shadow")),
        nature=str(item.get("nature", REAL)),
        what=str(item.get("what", "")),
        shadow_rate=_number(noise.get("shadowRate")),
        control_rate=_number(noise.get("controlRate")),
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
