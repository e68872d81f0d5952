"""The family of a version's hypotheses: each says "this limit is not exceeded here". Which are refuted?

The checks share the weight 1 as the profile weighs them. Of a check's share, half belongs to all traffic and half to
its endpoints; with fields, a quarter each, and half to the fields; of a check without places, all of it to the one
hypothesis. Endpoints and fields come in order of appearance, the i-th with 6/(pi^2 i^2). Muted checks are a family of
their own.

Two stages of weighted e-BH: first the critical checks alone, then what that found together with the rest. So no number
of uncritical discoveries lowers the bar for a critical one, and whenever a critical check fails, the weighted mean of
the critical e-processes is at least 1/alpha: a whole FAIL latched on it is wrong with a chance of at most alpha, ever.
Each set found has w_i E_i >= 1/(alpha k) for all its k members, which is all that the proof of e-BH needs.

Guarantees: pure; the share of false discoveries is at most alpha at any one moment. Not guaranteed: that for all
discoveries that were latched at many moments together (a whole FAIL by a critical check does not rest on it; one by the
weight of uncritical checks does).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xds_server.analysis.statistics.family import e_bh, order_weight
from xds_server.analysis.verdict.case import Row
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.verdict import Difference
from xds_server.model.judging import Check

FIELDS = 0.5
"""Of a check's weight: for all fields together, when they are hypotheses."""


@dataclass(frozen=True, slots=True)
class Found:
    """A field of an endpoint: how often it differs more than explained, and the evidence that this is too often."""

    difference: Difference
    order: int
    """Of appearance, from 1; 0: it has none yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """One check at one place, and its fields there."""

    check: Check
    endpoint: str
    order: int
    """Of appearance, from 1; 0: all traffic, or it has none yet."""
    measured: Measured
    part: float = 0.5
    """Of the check's weight: for all traffic, for all endpoints together."""
    judged: bool = True
    """Whether a PASS rests on it."""
    not_judged: str = ""
    """Why not."""
    doubt: str = ""
    """Why it cannot pass, whatever the evidence; it can fail."""
    fields: tuple[Found, ...] = ()
    hints: tuple[str, ...] = ()
    """Fields that a reason may name when none is discovered."""

    @property
    def key(self) -> Row:
        """Return what it is latched under."""
        return f"{self.check.label}>{self.check.limit:g}", self.endpoint


@dataclass(frozen=True, slots=True)
class Refuted:
    """What the family discovers: places by their position, and fields."""

    places: frozenset[int]
    fields: Mapping[int, tuple[Difference, ...]]
    """By position of the place."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Return all fields, the strongest evidence first."""
        found = (difference for fields in self.fields.values() for difference in fields)
        return tuple(sorted(found, key=lambda d: (-d.log_evidence, d.endpoint, d.field)))


def shares(checks: Sequence[Check]) -> dict[Check, float]:
    """Return each check's share of its family's weight; the muted ones are a family of their own."""
    found: dict[Check, float] = {}
    for muted in (False, True):
        family = [check for check in checks if check.muted is muted]
        whole = sum(check.weight for check in family)
        for check in family:
            found[check] = check.weight / whole if whole else 1 / len(family)
    return found


def weight_of(place: Place, weight: float) -> float:
    """Return the weight of a place's own hypothesis, of its check's `weight`; 0 when it has none yet."""
    own = weight * place.part
    if place.endpoint:
        own *= order_weight(place.order) if place.order else 0.0
    return own


def refute(places: Sequence[Place], weight: Mapping[Check, float], alpha: float) -> Refuted:
    """Return what is discovered at this level.

    Args:
        places: of one version.
        weight: of each of its checks: `shares`.
        alpha: the share of false discoveries at most.
    """
    hypotheses: list[_Hypothesis] = []
    for index, place in enumerate(places):
        hypotheses.extend(_hypotheses(index, place, weight[place.check]))
    found: list[_Hypothesis] = []
    for muted in (False, True):
        family = [h for h in hypotheses if places[h.place].check.muted is muted]
        first = _discovered([h for h in family if places[h.place].check.critical], alpha)
        rest = [h for h in family if not places[h.place].check.critical]
        found += _discovered(first + rest, alpha)
    fields: dict[int, list[Difference]] = {}
    for each in found:
        if each.difference is not None:
            fields.setdefault(each.place, []).append(each.difference)
    return Refuted(frozenset(h.place for h in found), {place: tuple(each) for place, each in fields.items()})


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    place: int
    log_e: float
    weight: float
    difference: Difference | None = None


def _hypotheses(index: int, place: Place, weight: float) -> list[_Hypothesis]:
    if not place.measured.possible:
        return []
    own = weight_of(place, weight)
    found = [_Hypothesis(index, place.measured.log_fail, own)] if own else []
    found.extend(
        _Hypothesis(index, f.difference.log_evidence, weight * FIELDS * order_weight(f.order), f.difference)
        for f in place.fields
        if f.order
    )
    return found


def _discovered(family: Sequence[_Hypothesis], alpha: float) -> list[_Hypothesis]:
    found = e_bh([h.log_e for h in family], [h.weight for h in family], alpha)
    return [family[i] for i in sorted(found)]
