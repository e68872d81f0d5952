"""Numbers and places as a reason says them.

Guarantees: pure; two significant digits, so an interval does not read as more certain than it is.
"""

from math import isfinite

from xds_server.analysis.kinds import OTHER
from xds_server.analysis.verdict.measured import Need

ALL = ""
"""The place of all traffic together."""


def share(value: float) -> str:
    """Return `4.1 %` for 0.041."""
    return f"{_short(100 * value)} %"


def points(value: float) -> str:
    """Return `2.8 percentage points`, by how much two rates differ."""
    said = _short(100 * value)
    return f"{said} percentage point{'' if said == '1' else 's'}"


def times(value: float) -> str:
    """Return `1.42` for a ratio of 1.4213: a hundredth, since the sketches are that accurate."""
    return f"{round(value, 2):g}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004 - hundreds have no decimals


def count(value: float) -> str:
    """Return `4,810`."""
    return f"{round(value):,}"


def about(value: float) -> str:
    """Return `about 1,200` for 1,180; an estimate is not exact."""
    whole = max(1, round(value))
    digits = len(str(whole))
    rounded = whole if digits <= 2 else round(whole, 2 - digits)  # noqa: PLR2004 - two digits are kept
    return f"about {rounded:,}"


def plural(value: int, noun: str) -> str:
    """Return `1 copy` or `12 copies`."""
    if value == 1:
        return f"1 {noun}"
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count(value)} {many}"


def blocks_needed(need: Need, length: float) -> str:
    """Return how many more blocks of so many seconds a FAIL waits for; empty when it waits for none."""
    if not need.blocks:
        return ""
    return f"FAIL needs {about(need.blocks)} more block{'s' if need.blocks > 1 else ''} of {length:g} s"


def place(endpoint: str) -> str:
    """Return how a place is called."""
    if endpoint == OTHER:
        return "all other endpoints"
    return endpoint or "all traffic"


def span(interval: tuple[float, float], *, unit: str) -> str:
    """Return `[2.9 %, 5.5 %]` or `[1.31, 1.55]`; `(at least 1.31)` where one end is not known."""
    say = share if unit == SHARE else times
    low, high = interval
    known = isfinite(low) and (unit == SHARE or low > 0)
    if not isfinite(high):
        return f"(at least {say(low)})" if known else "(how sure that is, is not known yet)"
    if not isfinite(low):
        return f"(at most {say(high)})"
    return f"[{say(low)}, {say(high)}]"


SHARE, RATIO = "share", "ratio"
"""Units of an effect: a share of the pairs, or a ratio of the new version to what it is judged against."""


def _short(value: float) -> str:
    if abs(value) >= 10:  # noqa: PLR2004 - two digits before the point are enough
        return f"{value:.0f}"
    return f"{float(f'{value:.2g}'):.10g}" if abs(value) >= 0.001 else "0"  # noqa: PLR2004 - as good as nothing
