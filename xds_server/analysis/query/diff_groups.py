"""Differences put together: by endpoint, by field, or each class by itself, as REST shows them.

A group is as surprising as the most surprising of its classes, and what it says of noise, time and example is that
one's. Its count are the pairs that differ in any of its classes (of those that are no noise, when there are such): told
exactly by the signatures of the pairs, and from below (`countIs: atLeast`) where these do not tell.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xds_server.analysis.clock import moment
from xds_server.analysis.examples.example import Example
from xds_server.analysis.query.diff_found import Found
from xds_server.analysis.query.diff_query import DiffQuery, Group, Sort
from xds_server.analysis.windows.noise import Nature
from xds_server.analysis.windows.tally import UNSIGNED, Field
from xds_server.analysis.windows.timeline import Timeline

BARS = 30
"""Buckets of the small timeline of an item."""
EXAMPLES = 5
"""Values that a class shows."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the answer; `lead` is the most surprising of `parts`."""

    group: Group
    lead: Found
    parts: tuple[Found, ...]
    count: int
    exact: bool

    @property
    def counts(self) -> bool:
        """Whether it is a difference at all, and no noise."""
        return not self.lead.judgement.explained

    @property
    def name(self) -> str:
        """What it is told apart by from all others, for good."""
        source, (field, kind) = self.lead.source, self.lead.field
        parts = [source.profile_id, source.variant, self.lead.endpoint]
        parts += [field] if self.group is not Group.ENDPOINT else []
        parts += [kind] if self.group is Group.CLASS else []
        return "\0".join(parts)

    @property
    def share(self) -> float:
        """Share of the pairs."""
        return self.count / self.lead.pairs


def items_of(found: Iterable[Found], query: DiffQuery) -> list[Item]:
    """Return the items of a group, in order; equal ones by name, so the order is the same each time."""
    grouped: dict[tuple[str, ...], list[Found]] = {}
    for one in found:
        key = (one.source.profile_id, *one.key)
        grouped.setdefault(key[: {Group.ENDPOINT: 3, Group.FIELD: 4}.get(query.group, 5)], []).append(one)
    items = [_item(query, parts) for parts in grouped.values()]
    orders: Mapping[Sort, Any] = {
        Sort.SURPRISE: lambda i: (not i.counts, -i.lead.bits, _natures(i), -i.count, i.name),
        Sort.NEWEST: lambda i: (-max(part.tally.first for part in i.parts), i.name),
        Sort.RAREST: lambda i: (not i.counts, i.share, i.name),
        Sort.COUNT: lambda i: (-i.count, i.name),
    }
    return sorted(items, key=orders[query.order])


def _natures(item: Item) -> bool:
    return item.lead.judgement.nature is Nature.NOISE


def _item(query: DiffQuery, parts: Sequence[Found]) -> Item:
    order = sorted(parts, key=lambda p: (p.judgement.explained, -p.bits, -p.count, p.field))
    lead = order[0]
    meant = [part for part in order if part.judgement.explained == lead.judgement.explained]
    if len(meant) == 1:
        return Item(query.group, lead, tuple(order), lead.count, exact=True)
    least = max(part.count for part in meant)
    if query.timed:
        return Item(query.group, lead, tuple(order), least, exact=False)
    fields = {part.field for part in meant}
    signatures = lead.of.signatures
    known = sum(count for signature, count in signatures.items() if not fields.isdisjoint(signature))
    count = min(max(least, known), lead.pairs)
    return Item(query.group, lead, tuple(order), count, exact=UNSIGNED not in signatures)


def item_json(item: Item, query: DiffQuery) -> dict[str, Any]:
    """Return an item as REST shows it."""
    lead, source = item.lead, item.lead.source
    field, kind = lead.field
    example = next((e for e in lead.examples if query.at(e.time)), None)
    shown: dict[str, Any] = {
        "endpoint": lead.endpoint,
        "field": field if item.group is not Group.ENDPOINT else None,
        "class": kind if item.group is Group.CLASS else None,
        "what": lead.tally.recognised if item.group is Group.CLASS else "",
        "count": item.count,
        "countIs": "exact" if item.exact else "atLeast",
        "pairs": lead.pairs,
        "rate": item.share,
        "nature": str(lead.judgement.nature),
        "noise": lead.judgement.as_json(),
        "surprise": lead.bits,
        "firstSeen": moment(min(part.tally.first for part in item.parts)),
        "lastSeen": moment(max(part.tally.last for part in item.parts)),
        "profileID": source.profile_id,
        "profile": source.profile,
        "componentName": source.component,
        "variant": source.variant,
        "instanceIDs": list(source.instances),
        "archived": source.archived,
        "timeline": small(lead.tally.timeline, query),
        "example": excerpt(lead.field, example) if example else None,
    }
    if item.group is not Group.CLASS:
        shown["classes"] = dict(Counter(part.field[1] for part in item.parts))
    if item.group is Group.ENDPOINT:
        shown["fields"] = len({part.field[0] for part in item.parts})
    if item.group is Group.CLASS:
        shown["values"] = [excerpt(lead.field, e) for e in lead.examples[:EXAMPLES]]
    return shown


def small(timeline: Timeline, query: DiffQuery) -> dict[str, Any]:
    """Return at most `BARS` counts in a row, the time of the first, and how long each is."""
    buckets = timeline.between(query.since, query.until)
    if not buckets:
        return {"from": None, "bucketSeconds": timeline.width, "counts": []}
    first, last = buckets[0][0], buckets[-1][0]
    width = timeline.width * -(-((last - first) // timeline.width + 1) // BARS)
    counts = [0] * ((last - first) // width + 1)
    for begin, count in buckets:
        counts[(begin - first) // width] += count
    return {"from": moment(first), "bucketSeconds": width, "counts": counts}


def excerpt(field: Field, example: Example) -> dict[str, Any]:
    """Return the one difference of an example that a field is about, and where to find the rest."""
    found = example.difference(field) or {}
    return {
        "pairID": pair_id(example),
        "time": moment(example.time),
        "method": example.data["method"],
        "path": example.data["path"],
        "at": found.get("at", ""),
        "original": found.get("original"),
        "shadow": found.get("shadow"),
    }


def pair_id(example: Example) -> str:
    """Return the id of a pair in a form that stands in a URL as it is: `<unique>~<instance>`."""
    return example.id.replace("/", "~")
