"""What was seen of one profile and one shadow instance in a stretch of time: counts, sketches, a few examples.

Guarantees: merging is associative and commutative, so it matters neither where nor in which order tallies are merged
(property-tested); a tally survives its JSON form unchanged. Sizes are bounded where tallies are filled (`Endpoints`,
`Names`); merging adds nothing that was in neither side.
Units: seconds; times are seconds since the epoch.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from xds_server.analysis.example import Example, unpack_example
from xds_server.analysis.sketch import Sketch

Field = tuple[str, str]
"""Field and class of a difference."""


class FieldTally:
    """Pairs that differ in one field in one way, with the newest few as examples."""

    __slots__ = ("count", "examples", "first", "last")

    def __init__(
        self, count: int = 0, examples: Iterable[Example] = (), *, first: float = 0.0, last: float = 0.0
    ) -> None:
        self.count = count
        self.examples = list(examples)
        self.first = first
        self.last = last

    def merge(self, other: "FieldTally", keep: int) -> None:
        """Add the other's; of the examples, keep the newest."""
        if other.count:
            self.first = min(self.first, other.first) if self.count else other.first
            self.last = max(self.last, other.last)
        self.count += other.count
        if other.examples:
            both = {example.id: example for example in (*self.examples, *other.examples)}
            self.examples = sorted(both.values(), key=_age, reverse=True)[:keep]


def _age(example: Example) -> tuple[float, str]:
    return example.time, example.id


class LegTally:
    """One leg of the judged pairs: statuses, errors, response times."""

    __slots__ = ("count", "errors", "last_byte", "response", "statuses")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.statuses: Counter[str] = Counter()
        self.response = Sketch()
        self.last_byte = Sketch()

    def merge(self, other: "LegTally") -> None:
        """Add the other's."""
        self.count += other.count
        self.errors += other.errors
        self.statuses.update(other.statuses)
        self.response.merge(other.response)
        self.last_byte.merge(other.last_byte)

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        return [self.count, self.errors, _plain(self.statuses), self.response.as_json(), self.last_byte.as_json()]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "LegTally":
        """Return what `pack` described."""
        leg = cls()
        leg.count, leg.errors, statuses, response, last_byte = packed
        leg.statuses = Counter(statuses)
        leg.response, leg.last_byte = Sketch.from_json(response), Sketch.from_json(last_byte)
        return leg


class EndpointTally:
    """The pairs of one endpoint."""

    __slots__ = ("discrepancies", "fields", "not_judged", "original", "pairs", "shadow")

    def __init__(self) -> None:
        self.pairs = 0
        """Judged pairs."""
        self.discrepancies = 0
        self.not_judged: Counter[str] = Counter()
        self.original = LegTally()
        self.shadow = LegTally()
        self.fields: dict[Field, FieldTally] = {}

    def merge(self, other: "EndpointTally", keep: int) -> None:
        """Add the other's."""
        self.pairs += other.pairs
        self.discrepancies += other.discrepancies
        self.not_judged.update(other.not_judged)
        self.original.merge(other.original)
        self.shadow.merge(other.shadow)
        for name, tally in other.fields.items():
            self.fields.setdefault(name, FieldTally()).merge(tally, keep)


class Tally:
    """Everything of one profile and one instance. `instance` is empty for what cannot be told to belong to one."""

    __slots__ = ("classes", "counts", "endpoints", "instance", "keep", "lost", "profile", "since", "until")

    def __init__(self, profile: str, instance: str, *, keep: int = 5) -> None:
        """Keep `keep` examples of each field and class."""
        self.profile = profile
        self.instance = instance
        self.keep = keep
        self.since = 0.0
        self.until = 0.0
        self.classes: Counter[str] = Counter()
        """Judged pairs with at least one difference of a class."""
        self.lost: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        """`delayed`, `head_only`, and what else is worth knowing of the judged pairs."""
        self.endpoints: dict[str, EndpointTally] = {}

    def __bool__(self) -> bool:
        return bool(self.endpoints or +self.lost or -self.lost or self.counts)

    def seen(self, moment: float) -> None:
        """Stretch since and until to `moment`."""
        self.since = min(self.since, moment) if self.since else moment
        self.until = max(self.until, moment)

    def merge(self, other: "Tally") -> None:
        """Add the other's (of the same profile; the instance may be another)."""
        if other.since:
            self.seen(other.since)
            self.seen(other.until)
        self.classes.update(other.classes)
        self.lost.update(other.lost)
        self.counts.update(other.counts)
        for name, endpoint in other.endpoints.items():
            self.endpoints.setdefault(name, EndpointTally()).merge(endpoint, self.keep)

    def split(self) -> "Tally | None":
        """Hand over half of what makes it large; merged, both are what it was. None when it cannot be made smaller."""
        rest = Tally(self.profile, self.instance, keep=self.keep)
        rest.since, rest.until = self.since, self.until
        names = list(self.endpoints)
        for name in names[len(names) // 2 :] if len(names) > 1 else ():
            rest.endpoints[name] = self.endpoints.pop(name)
        if len(names) == 1:
            (endpoint,) = self.endpoints.values()
            fields = list(endpoint.fields)
            half = rest.endpoints[names[0]] = EndpointTally()
            for field in fields[len(fields) // 2 :] if len(fields) > 1 else ():
                half.fields[field] = endpoint.fields.pop(field)
            return rest if half.fields else None
        return rest if rest.endpoints else None

    def pack(self) -> dict[str, Any]:
        """Return it for the link and the disk; examples stand once, however many fields they show."""
        examples: dict[str, list[Any]] = {}
        endpoints = {name: _pack_endpoint(endpoint, examples) for name, endpoint in self.endpoints.items()}
        return {
            "profile": self.profile,
            "instance": self.instance,
            "keep": self.keep,
            "since": self.since,
            "until": self.until,
            "classes": _plain(self.classes),
            "lost": _plain(self.lost),
            "counts": _plain(self.counts),
            "endpoints": endpoints,
            "examples": examples,
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "Tally":
        """Return what `pack` described. Raises: KeyError, TypeError, ValueError when it is something else."""
        tally = cls(packed["profile"], packed["instance"], keep=packed["keep"])
        tally.since, tally.until = packed["since"], packed["until"]
        tally.classes, tally.lost = Counter(packed["classes"]), Counter(packed["lost"])
        tally.counts = Counter(packed["counts"])
        examples = {name: unpack_example(example) for name, example in packed["examples"].items()}
        tally.endpoints = {name: _unpack_endpoint(e, examples) for name, e in packed["endpoints"].items()}
        return tally


def _plain(counts: Counter[str]) -> dict[str, int]:
    # orjson takes members of a StrEnum for keys only on request, and slower.
    return {str(name): count for name, count in counts.items()}


def _pack_endpoint(endpoint: EndpointTally, examples: dict[str, list[Any]]) -> list[Any]:
    fields = []
    for (name, kind), tally in endpoint.fields.items():
        for example in tally.examples:
            examples[example.id] = example.pack()
        ids = [example.id for example in tally.examples]
        fields.append([name, kind, tally.count, tally.first, tally.last, ids])
    return [
        endpoint.pairs,
        endpoint.discrepancies,
        _plain(endpoint.not_judged),
        endpoint.original.pack(),
        endpoint.shadow.pack(),
        fields,
    ]


def _unpack_endpoint(packed: list[Any], examples: Mapping[str, Example]) -> EndpointTally:
    endpoint = EndpointTally()
    endpoint.pairs, endpoint.discrepancies, not_judged, original, shadow, fields = packed
    endpoint.not_judged = Counter(not_judged)
    endpoint.original, endpoint.shadow = LegTally.unpack(original), LegTally.unpack(shadow)
    for name, kind, count, first, last, ids in fields:
        endpoint.fields[name, kind] = FieldTally(count, [examples[i] for i in ids], first=first, last=last)
    return endpoint
