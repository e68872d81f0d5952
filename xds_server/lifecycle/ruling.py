"""What a verdict means for a profile's life: who failed, who passed, whether clients are harmed. Pure.

Guarantees: reads only the JSON form of a verdict, as the status shows it, so what is done can be checked against what
was said. Where a profile has no critical check, each of its checks counts as one.
Not guaranteed: anything about how the verdict came about.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from xds_server.errors import cut

REASONS = 3
"""Reasons of a verdict that are repeated where something was done about it."""


class Decision(StrEnum):
    """What a verdict says."""

    PASS = "PASS"  # noqa: S105 - a decision
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


HARM = "HARM"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, as far as anything is done about it."""

    decision: Decision = Decision.INCONCLUSIVE
    reasons: tuple[str, ...] = ()
    failed: frozenset[str] = frozenset()
    """Variants whose own verdict is FAIL."""
    critical: frozenset[str] = frozenset()
    """Those of them that fail a critical check."""
    passed: frozenset[str] = frozenset()
    """Variants whose own verdict is PASS."""
    harm: str = ""
    """How the mirroring harms the original's clients; empty: nothing says that it does."""

    def why(self) -> str:
        """Return its first reasons in one line."""
        return cut("; ".join(self.reasons[:REASONS]) or "the verdict gives no reason")


def ruling_of(verdict: Mapping[str, Any] | None, variants: Collection[str]) -> Ruling:
    """Return what a verdict on a profile of these variants means; without a verdict, nothing."""
    if verdict is None:
        return Ruling()
    decision = Decision(verdict["decision"])
    said = {each["variant"]: Decision(each["decision"]) for each in verdict.get("variants", ())}
    if not said:
        said = dict.fromkeys(variants, decision)
    failed = frozenset(v for v, its in said.items() if its is Decision.FAIL)
    harm = verdict.get("harm") or {}
    return Ruling(
        decision=decision,
        reasons=tuple(str(reason) for reason in verdict.get("reasons", ())),
        failed=failed,
        critical=failed & _failing(verdict.get("checks", ()), only=next(iter(variants)) if len(variants) == 1 else ""),
        passed=frozenset(v for v, its in said.items() if its is Decision.PASS),
        harm=str(harm.get("reason") or "clients are harmed") if harm.get("decision") == HARM else "",
    )


def _failing(checks: Iterable[Mapping[str, Any]], *, only: str) -> frozenset[str]:
    """Return the variants of critical checks that FAIL; a check without a variant is about the `only` one."""
    counted = [check for check in checks if not check.get("muted")]
    critical = [check for check in counted if check.get("critical")] or counted
    return frozenset(
        str(check.get("variant") or only) for check in critical if check.get("decision") == Decision.FAIL.value
    )


def nothing_judged(reason: str, *, alpha: float, now: datetime) -> dict[str, Any]:
    """Return the verdict on a profile that was not judged, or could not be."""
    return {
        "decision": Decision.INCONCLUSIVE.value,
        "since": now.isoformat().replace("+00:00", "Z"),
        "pairs": 0,
        "alpha": alpha,
        "reasons": [reason],
        "missing": {"copies": 0, "share": 0.0, "kinds": {}},
        "latched": False,
        "checks": [],
        "omitted": 0,
        "differences": [],
        "harm": {"decision": "NOT_MEASURED", "reason": reason, "metrics": []},
        "resilience": None,
        "variants": [],
        "between": [],
        "envoy": {"original": {}, "variants": {}, "reason": ""},
    }
