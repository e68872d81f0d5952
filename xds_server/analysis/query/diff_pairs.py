"""Single pairs: the end of the way from the whole to the request.

A pair is as surprising as its most surprising difference, and noise when all it differs in is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from xds_server.analysis.examples.example import Example
from xds_server.analysis.query.diff_found import Found
from xds_server.analysis.query.diff_groups import pair_id
from xds_server.analysis.query.diff_query import DiffQuery, Sort, Source
from xds_server.analysis.windows.noise import Nature
from xds_server.analysis.windows.tally import Field


@dataclass(slots=True)
class Pair:
    """One example, with what is known of each of its differences."""

    example: Example
    source: Source
    found: dict[Field, Found] = field(default_factory=dict)

    @property
    def lead(self) -> Found:
        """Its most surprising difference."""
        return min(self.found.values(), key=lambda f: (f.judgement.explained, -f.bits, f.count / f.pairs, f.field))

    @property
    def nature(self) -> Nature:
        """What the pair as a whole is taken for."""
        return self.lead.judgement.nature

    @property
    def name(self) -> str:
        """What it is told apart by."""
        return f"{self.source.profile_id}/{self.example.id}"


def pairs_of(found: Iterable[Found], query: DiffQuery) -> list[Pair]:
    """Return the pairs among what was found that a query takes, in order.

    Args:
        found: everything of the endpoints that are asked about, so that each pair is judged by all its differences.
        query: which of them; of any nature.
    """
    known = {(one.source.profile_id, *one.key): one for one in found}
    pairs: dict[tuple[str, str], Pair] = {}
    for one in known.values():
        for example in one.tally.examples:
            pair = pairs.setdefault((one.source.profile_id, example.id), Pair(example, one.source))
            pair.found[one.field] = one
    for pair in pairs.values():
        # A difference of an example that others have crowded out of its field still shows it.
        for name in pair.example.fields:
            other = known.get((pair.source.profile_id, pair.source.variant, pair.example.data["endpoint"], *name))
            if other is not None:
                pair.found[name] = other
    taken = [p for p in pairs.values() if query.at(p.example.time) and any(map(query.takes, p.found))]
    orders: dict[Sort, Any] = {
        Sort.SURPRISE: lambda p: (p.lead.judgement.explained, -p.lead.bits, -p.example.time, p.name),
        Sort.RAREST: lambda p: (p.lead.judgement.explained, _rarest(p), -p.example.time, p.name),
        Sort.COUNT: lambda p: (-max(one.count for one in p.found.values()), -p.example.time, p.name),
    }
    if query.order is Sort.NEWEST:
        return sorted(taken, key=place, reverse=True)
    return sorted(taken, key=orders[query.order])


def place(pair: Pair) -> tuple[float, str]:
    """Return the place of a pair in time, which never changes."""
    return pair.example.time, pair.name


def _rarest(pair: Pair) -> float:
    shares = [f.count / f.pairs for f in pair.found.values() if f.judgement.explained == pair.lead.judgement.explained]
    return min(shares)


def pair_json(pair: Pair) -> dict[str, Any]:
    """Return a pair as REST shows it: the example, with what each difference is taken for."""
    shown = pair.example.as_json()
    source = pair.source
    differences = []
    for difference in shown.get("differences", ()):
        one = pair.found.get((difference["field"], difference["class"]))
        known = {"nature": str(one.judgement.nature), "surprise": one.bits, "count": one.count} if one else {}
        differences.append({**difference, **known})
    return {
        **shown,
        "pairID": pair_id(pair.example),
        "profileID": source.profile_id,
        "profile": source.profile,
        "componentName": source.component,
        "variant": source.variant,
        "archived": source.archived,
        "nature": str(pair.nature),
        "surprise": pair.lead.bits,
        "differences": differences,
    }
