"""Versions that differ, made to measure."""

from collections.abc import Mapping, Sequence
from typing import Any

from xds_server.analysis.examples.example import Example
from xds_server.analysis.query.diff_query import Source, sources_of
from xds_server.analysis.windows.tally import EndpointTally, FieldTally, Tally

START = 1_795_491_430.0
"""The beginning of a bucket."""


def seen(
    tally: Tally,
    field: str,
    kind: str = "value",
    *,
    endpoint: str = "GET /items/{id}",
    count: int = 10,
    first: float = START,
    last: float = START + 100,
    both: int = 0,
    alone: int = 0,
    control: int = 0,
    what: str = "",
    values: Sequence[tuple[Any, Any]] = (("1", "2"),),
    pair: str = "",
) -> FieldTally:
    """Add a difference that `count` pairs show, from `first` to `last`, with an example for each of `values`."""
    home = tally.endpoints.setdefault(endpoint, EndpointTally())
    found = home.fields.setdefault((field, kind), FieldTally(first=first, last=last))
    found.count += count
    found.both, found.alone, found.control, found.what = both, alone, control, what
    found.first, found.last = min(found.first, first), max(found.last, last)
    for index in range(count):
        found.timeline.add(first + (last - first) * index / max(count - 1, 1))
    for index, (original, shadow) in enumerate(values):
        name = pair or f"{field}-{kind}-{index}"
        difference = {"field": field, "class": kind, "at": field.replace("[*]", "[0]")}
        difference |= {"original": original, "shadow": shadow}
        data = {
            "endpoint": endpoint,
            "method": "GET",
            "path": f"/items/{index}",
            "instanceID": tally.instance,
            "original": {"status": 200, "responseTimeMs": 1.5, "bytes": 9, "body": f'{{"a":{original}}}'},
            "shadow": {"status": 200, "responseTimeMs": 2.5, "bytes": 9, "body": f'{{"a":{shadow}}}'},
            "differences": [difference],
        }
        found.examples.append(Example(last - index, f"{name}/{tally.instance}", data))
    home.sign(((field, kind),), count)
    home.differing += count
    home.pairs = max(home.pairs, count)
    return found


def judged(tally: Tally, pairs: int, *, endpoint: str = "GET /items/{id}", trios: int = 0) -> None:
    """Let an endpoint have so many pairs, spread over 100 s from `START`."""
    home = tally.endpoints.setdefault(endpoint, EndpointTally())
    home.pairs, home.trios = pairs, trios
    for index in range(pairs):
        home.timeline.add(START + 100 * index / pairs)


def a_tally(instance: str = "i1", *, profile: str = "p1", control: bool = False) -> Tally:
    tally = Tally(profile, instance, keep=5, control=control)
    tally.since, tally.until = START, START + 100
    return tally


def versions(*tallies: Tally, variants: Mapping[str, str] | None = None, archived: bool = False) -> list[Source]:
    """The versions of a profile `v2`; each instance is of a variant `v2` unless said otherwise."""
    names = variants or {tally.instance: "v2" for tally in tallies}
    profile = tallies[0].profile
    return sources_of(tallies, names, profile_id=profile, profile="v2", component="catalog", archived=archived)
