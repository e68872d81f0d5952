"""Where things lie in the pictures of a page: intervals against their limit, distributions of response times.

Guarantees: pure numbers within the picture; no picture (None) rather than a wrong one when a number is not there. An
interval that goes beyond the picture is marked as such. All checks of one metric have one scale.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xds_server.report.subject import listed
from xds_server.report.words import JSON, milliseconds, real, scaled

WIDTH, MARGIN = 320.0, 6.0
"""Of the picture of a check."""
PLOT, HEIGHT = 400.0, 150.0
"""Of the picture of a distribution, without its axis."""
BINS = 56
"""Steps of a distribution, about."""
_ROOM = 0.75
"""How far an interval may reach beyond effects and limit, as a share of what they span, before it is cut."""
_CLOSE, _MIDDLE = 1.5, 3.0
"""Decades up to which an axis also has 2 and 5, or 3."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The picture of a check, in `WIDTH`: interval, effect, limit, and where nothing would differ."""

    left: float
    right: float
    left_open: bool
    right_open: bool
    effect: float
    limit: float
    none: float
    anchor: str
    """On which side of the limit its label has room: `start` or `end`."""


def bars(checks: Sequence[JSON]) -> list[Bar | None]:
    """Return the pictures of checks of one metric, on one scale."""
    known = [_numbers(check) for check in checks]
    drawn = [each for each in known if each is not None]
    if not drawn:
        return [None for _ in known]
    nothing = 0.0
    values = [nothing, *(v for each in drawn for v in (each[0], each[3]))]
    low, high = min(values), max(values)
    span = high - low or max(abs(high), 1.0)
    most = max(each[3] for each in drawn)
    left = max(min([low, *(each[1] for each in drawn)]), low - _ROOM * span) - 0.06 * span
    right = max(min(max([high, *(each[2] for each in drawn)]), high + _ROOM * span), most + 0.3 * span) + 0.06 * span

    def at(value: float) -> float:
        inside = min(max((value - left) / (right - left), 0.0), 1.0)
        return round(MARGIN + inside * (WIDTH - 2 * MARGIN), 1)

    made: list[Bar | None] = []
    for each in known:
        if each is None:
            made.append(None)
            continue
        effect, lower, upper, limit = each
        anchor = "start" if at(limit) < WIDTH / 2 else "end"
        made.append(Bar(at(lower), at(upper), lower < left, upper > right, at(effect), at(limit), at(nothing), anchor))
    return made


def _numbers(check: JSON) -> tuple[float, float, float, float] | None:
    """Return effect, both ends and limit; ratios as logarithms. An end that is not there is an infinity."""
    effect, limit = real(check.get("effect")), real(scaled(check))
    ends = check.get("interval")
    if effect is None or limit is None or not isinstance(ends, (list, tuple)) or len(ends) != 2:  # noqa: PLR2004
        return None
    lower, upper = real(ends[0]), real(ends[1])
    if check.get("unit") != "ratio":
        return effect, -math.inf if lower is None else lower, math.inf if upper is None else upper, limit
    if effect <= 0 or limit <= 0:
        return None
    low = -math.inf if lower is None or lower <= 0 else math.log(lower)
    high = math.inf if upper is None or upper <= 0 else math.log(upper)
    return math.log(effect), low, high, math.log(limit)


@dataclass(frozen=True, slots=True)
class Curve:
    """One leg of a distribution: a path along its top, and one that is closed below."""

    leg: str
    variant: str
    count: int
    line: str
    area: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """The response times of an endpoint on a logarithmic axis; the height is the share of the requests."""

    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]
    low: float
    high: float

    def at(self, value: float | None) -> float | None:
        """Return where a time (in ms) lies; None when outside."""
        if value is None or not self.low <= value <= self.high:
            return None
        return round(PLOT * math.log(value / self.low) / math.log(self.high / self.low), 1)


def distribution(endpoint: JSON) -> Distribution | None:
    """Return the picture of an endpoint's histograms; None when there is nothing to draw."""
    bounds = [real(each) for each in endpoint.get("bounds") or ()]
    edges = [each for each in bounds if each is not None and each > 0]
    legs = listed(endpoint.get("legs"))
    if len(edges) < 2 or len(edges) != len(bounds) or sorted(set(edges)) != edges or not legs:  # noqa: PLR2004
        return None
    wide = -(-(len(edges) - 1) // BINS)
    shares = [(leg, _shares(leg, len(edges) - 1, wide)) for leg in legs]
    drawn = [(leg, found) for leg, found in shares if found]
    if not drawn:
        return None
    edges = edges[:-1:wide] + edges[-1:]
    top = max(max(found) for _, found in drawn)
    low, high = edges[0], edges[-1]
    xs = [round(PLOT * math.log(edge / low) / math.log(high / low), 1) for edge in edges]
    curves = tuple(_curve(leg, [round(HEIGHT * (1 - share / top), 1) for share in found], xs) for leg, found in drawn)
    return Distribution(curves, tuple(_ticks(low, high)), low, high)


def _shares(leg: JSON, size: int, wide: int) -> list[float]:
    counts = [max(real(each) or 0.0, 0.0) for each in leg.get("counts") or ()]
    total = sum(counts)
    if len(counts) != size or not total:
        return []
    # The last step may be of fewer buckets; it is drawn as high as if it were of all.
    steps = [counts[at : at + wide] for at in range(0, size, wide)]
    return [sum(step) / len(step) / total for step in steps]


def _curve(leg: JSON, ys: Sequence[float], xs: Sequence[float]) -> Curve:
    points = [f"{x:g},{y:g}" for y, left, right in zip(ys, xs, xs[1:], strict=False) for x in (left, right)]
    line = "M" + "L".join([f"{xs[0]:g},{HEIGHT:g}", *points, f"{xs[-1]:g},{HEIGHT:g}"])
    count = int(sum(real(each) or 0 for each in leg.get("counts") or ()))
    return Curve(str(leg.get("leg")), str(leg.get("variant") or ""), count, line, line + "Z")


def _ticks(low: float, high: float) -> Iterable[tuple[float, str]]:
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades <= _CLOSE else (1, 3) if decades <= _MIDDLE else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in steps:
            value = step * 10.0**power
            if low <= value <= high:
                yield round(PLOT * math.log(value / low) / math.log(high / low), 1), milliseconds(value)
