"""Was each planted bug found, each noise cancelled? And was anything reported that nobody planted?

Guarantees: pure; a bug counts as found only when the comparison names the right endpoint, field and kind of difference;
whatever else it takes for a difference is a false alarm, the noise too.
Not guaranteed: that the words fit another service than the demo's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from xds_server.demo.catalogue import BUGS, NOISE, SLOW_SECONDS
from xds_server.demo.reading import Difference, Endpoint, Reading

ITEM, SEARCH, RECOMMENDATIONS, STOCK = (
    "GET /api/items/{id}",
    "GET /api/search",
    "GET /api/recommendations/{id}",
    "GET /api/stock/{id}",
)
SLOWER_BY = SLOW_SECONDS / 2
SLOWER = 2.0
"""Difference of the medians (seconds) and their ratio; beyond both, an endpoint counts as slower."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One planted bug: what it is, whether it was found, and by what."""

    bug: str
    found: bool
    evidence: str = ""


def check_list(reading: Reading) -> list[Finding]:
    """Return one line for each planted bug."""
    seen = {
        "price-is-a-string": _by_difference(reading, ITEM, _is_price),
        "field-missing": _by_difference(reading, ITEM, _is_warranty),
        "other-order": _by_difference(reading, SEARCH, _is_order),
        "slow": _slower(reading),
        "occasional-500": _by_difference(reading, STOCK, _is_500),
    }
    return [Finding(text, found=bool(seen[name]), evidence=seen[name]) for name, text in BUGS.items()]


def noise_list(reading: Reading) -> list[Finding]:
    """Return one line for each field that is noisy: whether it was cancelled."""
    seen = {
        (
            template(endpoint.name),
            difference.field,
        ): f"{difference.nature}, {difference.count} of {endpoint.pairs} pairs"
        for endpoint in reading.endpoints
        for difference in endpoint.cancelled
    }
    return [
        Finding(f"{endpoint}: {field}", found=(endpoint, field) in seen, evidence=seen.get((endpoint, field), ""))
        for endpoint, fields in NOISE.items()
        for field in fields
    ]


def is_slower(old: float | None, new: float | None) -> bool:
    """Tell whether a median (or another quantile, in seconds) grew so much that it is a difference."""
    return old is not None and new is not None and new > old * SLOWER and new - old > SLOWER_BY


def false_alarms(reading: Reading, *, planted: bool = True) -> list[str]:
    """Return what was reported as a difference and not planted, in words; in a version without bugs nothing is."""
    found = [
        f"{endpoint.name} {difference.field} {difference.kind} ({difference.count})"
        for endpoint, difference in (unexpected(reading) if planted else _all_of(reading))
    ]
    slow = [
        f"{endpoint.name} slower"
        for endpoint in reading.endpoints
        if not (planted and template(endpoint.name) == RECOMMENDATIONS)
        and is_slower(endpoint.original.p50, endpoint.shadow.p50)
    ]
    return [*found, *slow]


def unexpected(reading: Reading) -> Iterator[tuple[Endpoint, Difference]]:
    """Yield differences between answers that were reported and not planted."""
    planted = {ITEM: (_is_price, _is_warranty), SEARCH: (_is_order,), STOCK: (_is_500,)}
    for endpoint, difference in _all_of(reading):
        if not any(fits(difference) for fits in planted.get(template(endpoint.name), ())):
            yield endpoint, difference


def _all_of(reading: Reading) -> Iterator[tuple[Endpoint, Difference]]:
    for endpoint in reading.endpoints:
        for difference in endpoint.differences:
            yield endpoint, difference


def template(name: str) -> str:
    """Return an endpoint's name with any placeholder written `{id}`."""
    method, _, path = name.partition(" ")
    parts = ("{id}" if part.startswith(("{", ":", "*")) else part for part in path.split("/"))
    return f"{method} {'/'.join(parts)}"


def _by_difference(reading: Reading, endpoint: str, fits: Callable[[Difference], bool]) -> str:
    for item in reading.endpoints:
        for difference in item.differences if template(item.name) == endpoint else ():
            if fits(difference):
                return f"{difference.field} {difference.kind}, {difference.count} of {item.pairs} pairs"
    return ""


def _slower(reading: Reading) -> str:
    for item in reading.endpoints:
        old, new = item.original.p50, item.shadow.p50
        if old is not None and new is not None and template(item.name) == RECOMMENDATIONS and is_slower(old, new):
            return f"p50 {old * 1000:.1f} ms -> {new * 1000:.1f} ms over {item.pairs} pairs"
    return ""


def _is_price(difference: Difference) -> bool:
    return difference.field.endswith("price") and difference.kind == "type"


def _is_warranty(difference: Difference) -> bool:
    return "warranty" in difference.field and difference.kind == "missing"


def _is_order(difference: Difference) -> bool:
    return "results" in difference.field and difference.kind == "array_order"


def _is_500(difference: Difference) -> bool:
    return difference.kind == "status"
