"""Numbers and foreign text as a reader sees them.

Guarantees: whatever stands in a document of the API (null, a text where a number was meant, an infinity) becomes some
text, never an error; foreign text is cut and has no control characters.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

JSON = dict[str, Any]

NOTHING = "\N{EN DASH}"
"""Stands for a value that is not there."""
TIMES = "\N{MULTIPLICATION SIGN}"
PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
_MISSING = {
    "overflow": "refused by the circuit breaker",
    "unpaired_shadow": "without the record of the original",
    "dropped_waiting": "dropped while waiting for the original",
}
_PLAIN = {"als_gap": "records that never came"}
"""Identifiers whose own words would tell nobody anything."""
DECISIONS = (FAIL, INCONCLUSIVE, PASS)
"""From the one that wants the most attention."""
METRICS = {
    "error_rate": "Errors",
    "difference_rate": "Different answers",
    "response_time": "Response time",
    "cpu": "CPU",
    "memory": "Memory",
    "prometheus": "Metric",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def real(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def figure(value: Any, digits: int = 3) -> str:
    """Return a number with so many digits: `4,810`, `0.0025`."""
    number = real(value)
    if number is None:
        return NOTHING
    if number == int(number) and abs(number) < 1e15:  # noqa: PLR2004 - what a double holds exactly
        return f"{int(number):,}"
    if abs(number) >= 10**digits:
        return f"{number:,.0f}"
    return f"{number:.{digits}g}"


def share(value: Any) -> str:
    """Return a share as per cent."""
    number = real(value)
    return NOTHING if number is None else f"{figure(number * 100)} %"


def milliseconds(value: Any) -> str:
    """Return a time that is given in milliseconds."""
    number = real(value)
    if number is None:
        return NOTHING
    return f"{figure(number)} ms" if number < 1000 else f"{figure(number / 1000)} s"  # noqa: PLR2004 - a second


def size(value: Any) -> str:
    """Return a number of bytes."""
    number = real(value)
    if number is None:
        return NOTHING
    for name in _SIZES[:-1]:
        if abs(number) < _STEP:
            return f"{figure(number)} {name}"
        number /= _STEP
    return f"{figure(number)} {_SIZES[-1]}"


def times(value: Any) -> str:
    """Return a ratio."""
    number = real(value)
    return NOTHING if number is None else f"{figure(number)}{TIMES}"


def measured(check: JSON, value: Any) -> str:
    """Return a value of the metric of a check, with its unit."""
    metric = check.get("metric")
    if metric in {"error_rate", "difference_rate"}:
        return share(value)
    if metric == "response_time":
        return milliseconds(value)
    if metric == "memory":
        return size(value)
    if metric == "cpu":
        return NOTHING if real(value) is None else f"{figure(value)} core-ms"
    return figure(value)


def effect(check: JSON, value: Any) -> str:
    """Return an effect, or an end of its interval, in the unit of its limit."""
    if check.get("unit") == "ratio":
        return times(value)
    number = real(value)
    sign = "+" if number is not None and number > 0 and check.get("metric") == "error_rate" else ""
    return sign + share(value)


def interval(check: JSON) -> str:
    """Return the interval of a check: `+1.51 to +3.07 %`; empty when there is none."""
    ends = check.get("interval")
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:  # noqa: PLR2004 - two ends
        return ""
    if real(ends[1]) is None:
        nothing = real(ends[0]) is None or (check.get("unit") == "ratio" and ends[0] <= 0)
        return "not known yet" if nothing else f"at least {effect(check, ends[0])}"
    if real(ends[0]) is None:
        return f"at most {effect(check, ends[1])}"
    low, high = (effect(check, end) for end in ends)
    unit = TIMES if check.get("unit") == "ratio" else " %"
    return f"{low.removesuffix(unit) if high.endswith(unit) else low} to {high}"


def missing(found: Any) -> str:
    """Return what is missing in a verdict, by causes that do not overlap; empty when nothing is.

    Args:
        found: `missing` of the verdict.
    """
    copies = real(found.get("copies")) if isinstance(found, Mapping) else None
    if not copies:
        return ""
    kinds = found.get("kinds")
    counts = {said: real(kinds.get(kind)) or 0 if isinstance(kinds, Mapping) else 0 for kind, said in _MISSING.items()}
    counts["whose answer, or the record of it, never came"] = copies - sum(counts.values())
    told = ", ".join(f"{figure(count)} {said}" for said, count in counts.items() if count > 0)
    copy = "copy is" if copies == 1 else "copies are"
    return f"{figure(copies)} {copy} missing ({share(found.get('share'))}): {told}"


def limit(check: JSON) -> str:
    """Return the limit of a check; with an allowance, also what it is made of."""
    if scaled(check) is None:
        return NOTHING
    allowance = real(check.get("allowance"))
    made = f" ({effect(check, check.get('threshold'))} and {milliseconds(1000 * allowance)})" if allowance else ""
    return f"at most {bound(check)}{made}"


def bound(check: JSON) -> str:
    """Return the limit of a check as a number alone, on the scale of its interval."""
    return effect(check, scaled(check))


def scaled(check: JSON) -> Any:
    """Return the limit of a check on the scale of its interval."""
    limit = check.get("limit")
    return check.get("threshold") if limit is None else limit


def title(check: JSON) -> str:
    """Return what a check looks at, in words: `Response time p99`."""
    metric, name = str(check.get("metric") or ""), str(check.get("name") or "")
    if metric == "prometheus":
        return clip(name or metric, 120)
    told = METRICS.get(metric, metric)
    return clip(f"{told} {name.removeprefix(metric).strip()}".strip(), 120)


def place(check: JSON) -> str:
    """Return where a check looks: an endpoint, or all traffic."""
    return clip(check.get("endpoint") or "all traffic", 200)


def clip(value: Any, most: int = 500) -> str:
    """Return foreign text: at most so much of it, control characters made visible."""
    text = value if isinstance(value, str) else str(value)
    left = len(text) - most
    shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text[:most])
    return shown if left <= 0 else f"{shown}… ({left:,} more characters)"


def plain(identifier: Any) -> str:
    """Return an identifier of ours as words: `unpaired_original` is `unpaired original`."""
    return clip(_PLAIN.get(str(identifier)) or str(identifier).replace("_", " "), 120)


def moment(value: Any) -> str:
    """Return a time as `2026-05-04 09:31:12 UTC`."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    try:
        return f"{datetime.fromisoformat(str(value)):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return NOTHING if value is None else clip(value, 40)
