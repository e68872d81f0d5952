"""Response times as histograms, for pictures: original, each version, control; all endpoints together and each.

Guarantees: pure; the histograms of an endpoint share their bounds, so that one can be laid over the other. Bounded: at
most `MOST` endpoints, those with the most pairs, and some 350 buckets each.
Not guaranteed: that the original is counted once: with several versions it is there once for each of them, which leaves
its shape as it is.
Units: milliseconds; a bucket holds the values above its lower and up to its upper bound.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from xds_server.analysis.windows.comparison import quantiles
from xds_server.analysis.windows.sketch import ACCURACY, Sketch
from xds_server.analysis.windows.tally import Tally

MOST = 40
"""Endpoints."""
TOGETHER = 4
"""Buckets of a sketch that make one of a picture: each is 8 % wide."""
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)

_Leg = tuple[str, str]
"""Which leg (`original`, `shadow`, `control`), and of which version."""


def histograms_of(tallies: Iterable[Tally], variants: Mapping[str, str]) -> dict[str, Any]:
    """Return the histograms as REST shows them.

    Args:
        tallies: of a profile's instances; they are not changed.
        variants: the version of each instance.
    """
    pairs: dict[str, int] = {}
    found: dict[str, dict[_Leg, Sketch]] = {"": {}}
    for tally in tallies:
        if not tally.instance:
            continue
        version = ("control", "") if tally.control else ("shadow", variants.get(tally.instance, ""))
        for name, endpoint in tally.endpoints.items():
            pairs[name] = pairs.get(name, 0) + endpoint.pairs
            legs = {version: endpoint.shadow.response}
            if not tally.control:
                legs["original", ""] = endpoint.original.response
            for leg, sketch in legs.items():
                for home in ("", name):
                    found.setdefault(home, {}).setdefault(leg, Sketch()).merge(sketch)
    most = sorted(pairs, key=lambda name: (-pairs[name], name))[:MOST]
    return {
        "unit": "ms",
        "endpoints": [shown for name in ("", *most) if (shown := _endpoint(name, found[name])) is not None],
        "leftOut": max(0, len(pairs) - MOST),
    }


def _endpoint(name: str, legs: Mapping[_Leg, Sketch]) -> dict[str, Any] | None:
    counted = {leg: counts for leg, sketch in legs.items() if (counts := _counts(sketch))}
    if not counted:
        return None
    first = min(min(counts) for counts in counted.values())
    last = max(max(counts) for counts in counted.values())
    return {
        "endpoint": name,
        "bounds": [float(f"{1000 * _GAMMA ** (group * TOGETHER):.4g}") for group in range(first, last + 2)],
        "legs": [
            {
                "leg": leg,
                "variant": variant,
                "count": sum(counts.values()),
                **quantiles(legs[leg, variant]),
                "counts": [counts.get(group, 0) for group in range(first, last + 1)],
            }
            for (leg, variant), counts in sorted(counted.items(), key=_order)
        ],
    }


def _order(item: tuple[_Leg, Any]) -> tuple[int, str]:
    leg, variant = item[0]
    return ("original", "shadow", "control").index(leg), variant


def _counts(sketch: Sketch) -> dict[int, int]:
    flat = sketch.as_json()
    counts: dict[int, int] = {}
    for bucket, count in zip(flat[::2], flat[1::2], strict=True):
        group = (bucket - 1) // TOGETHER
        counts[group] = counts.get(group, 0) + count
    return counts
