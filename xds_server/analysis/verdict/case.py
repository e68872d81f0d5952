"""What a verdict is reached from, and what it remembers from one time to the next.

Guarantees: frozen; `State` survives its JSON form unchanged. Its size is bounded (`LATCHES` rows a variant).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xds_server.analysis.verdict.readings import Readings
from xds_server.analysis.windows.profile_evidence import ProfileEvidence
from xds_server.model.judging import Check, Judging
from xds_server.model.rollout import Cohort, Mode

LATCHES = 200
"""Rows of a variant whose FAIL is remembered one by one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One profile at one moment. Times are seconds since the epoch."""

    judging: Judging
    checks: tuple[Check, ...]
    """Those in force: `model.judging.checks_of`."""
    variants: tuple[str, ...]
    """By name, without the control."""
    evidence: ProfileEvidence
    now: float
    started: float = 0.0
    """When the youngest shadow was created, from which the warm-up counts."""
    mode: Mode = Mode.SHADOW
    controlled: bool = False
    """The profile has a control: times and differences are judged against it, from the first to the last."""
    percentage: float = 1.0
    """Share of the requests that is mirrored."""
    faulted: bool = False
    """Faults are being injected."""
    settle: float = 0.0
    """Seconds in which it becomes known that a copy is missing; so long a version has to pass before it is a PASS."""
    cohort: Cohort | None = None
    """Of a split."""
    alone: tuple[str, ...] = ()
    """Of a split: versions that all users are sent to by now, so that the original has none."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """Why versions do not run, of which no instance does or is about to."""
    failed: frozenset[str] = frozenset()
    """Those of them that ended by themselves, and not since their time was over: no PASS is for them."""
    readings: Readings = field(default_factory=dict)
    envoy: Mapping[str, Any] = field(default_factory=dict)
    """Envoy's own counters; passed through."""


@dataclass(frozen=True, slots=True)
class Latched:
    """A FAIL that stays: since when, and why."""

    since: float
    reasons: tuple[str, ...]

    def as_json(self) -> list[Any]:
        """Return it for the store."""
        return [self.since, list(self.reasons)]

    @classmethod
    def from_json(cls, packed: list[Any]) -> "Latched":
        """Return what `as_json` described. Raises: TypeError, ValueError."""
        since, reasons = packed
        return cls(since, tuple(reasons))


Row = tuple[str, str]
"""Check (label and limit) and endpoint."""


@dataclass(frozen=True, slots=True)
class VariantState:
    """What is latched of one variant: its whole FAIL, and those of its checks by place; and since when it passes."""

    whole: Latched | None = None
    rows: Mapping[Row, Latched] = field(default_factory=dict)
    passing: float | None = None
    """Since when every critical check passes without a break; None: not all do."""


@dataclass(frozen=True, slots=True)
class State:
    """What was decided so far. A new one (`State()`) belongs to new evidence: nothing of the old is kept then."""

    decision: str = ""
    since: float = 0.0
    variants: Mapping[str, VariantState] = field(default_factory=dict)
    harm: Latched | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for the store."""
        return {
            "decision": self.decision,
            "since": self.since,
            "variants": {
                name: {
                    "whole": variant.whole.as_json() if variant.whole else None,
                    "rows": [[*row, latched.as_json()] for row, latched in variant.rows.items()],
                    "passing": variant.passing,
                }
                for name, variant in self.variants.items()
            },
            "harm": self.harm.as_json() if self.harm else None,
        }

    @classmethod
    def from_json(cls, packed: Mapping[str, Any]) -> "State":
        """Return what `as_json` described. Raises: KeyError, TypeError, ValueError."""
        return cls(
            packed["decision"],
            packed["since"],
            {
                name: VariantState(
                    Latched.from_json(variant["whole"]) if variant["whole"] else None,
                    {(check, endpoint): Latched.from_json(found) for check, endpoint, found in variant["rows"]},
                    variant.get("passing"),
                )
                for name, variant in packed["variants"].items()
            },
            Latched.from_json(packed["harm"]) if packed["harm"] else None,
        )
