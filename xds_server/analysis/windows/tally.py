"""What was seen of one profile and one shadow instance in a stretch of time: counts, sketches, a few examples.

Guarantees: merging is associative and commutative, so it matters neither where nor in which order tallies are merged
(property-tested); a tally survives its JSON form unchanged. Sizes are bounded where tallies are filled (`Endpoints`,
`Names`); merging adds nothing that was in neither side.
Units: seconds; times are seconds since the epoch.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from xds_server.analysis.examples.example import Example, unpack_example
from xds_server.analysis.kinds import OTHER
from xds_server.analysis.windows.arms import ArmTally
from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.sketch import Sketch
from xds_server.analysis.windows.timeline import Timeline

Field = tuple[str, str]
"""Field and class of a difference."""
Signature = tuple[Field, ...]
"""All the fields in which a pair differs, sorted."""
MAX_SIGNATURES = 256
"""Signatures of an endpoint; pairs with another one beyond them are counted under `UNSIGNED`."""
UNSIGNED: Signature = ((OTHER, OTHER),)
Trios = tuple[int, int, int]
"""Trios in which a field differs in both copies, in the shadow's alone, in the control's alone."""
_NO_TRIOS: Trios = (0, 0, 0)
KEPT = 5
"""Examples of each field and class, unless said otherwise."""


class FieldTally:
    """Pairs that differ in one field in one way, with the newest few as examples.

    `both`, `alone` and `control` count, of the trios that are evidence (see `Evidence`), those in which this field
    differs in both copies, in the shadow's alone, in the control's alone, from the second one of the field on. `what`
    is the kind of value that was recognised on both sides (`timestamp`); empty when none was, or not always the same.
    """

    __slots__ = (
        "alone",
        "apart",
        "appeared",
        "both",
        "control",
        "count",
        "examples",
        "first",
        "found",
        "last",
        "timeline",
        "what",
    )

    def __init__(
        self, count: int = 0, examples: Iterable[Example] = (), *, first: float = 0.0, last: float = 0.0
    ) -> None:
        self.count = count
        self.examples = list(examples)
        self.first = first
        self.last = last
        self.both = 0
        self.alone = 0
        self.control = 0
        self.found = _NO_TRIOS
        """The same three of its first trio, at each engine: that the field is known at all rests on it."""
        self.apart = _NO_TRIOS
        """The same three of trios that are no evidence, in the warm-up and under faults."""
        self.appeared = 0
        """Order of its appearance in the profile, from 1; 0 while no number was given."""
        self.what = ""
        self.timeline = Timeline()

    def add(self, moment: float, what: str) -> None:
        """Count a pair of a moment; `what` is the kind of value that was recognised."""
        if not self.count:  # a trio may have come first
            self.first = self.last = moment
            self.what = what
        elif self.what != what:
            self.what = "*"
        self.count += 1
        self.timeline.add(moment)
        # Called for each difference of each pair; `min` and `max` cost more than all the rest of it.
        if moment < self.first:  # noqa: PLR1730 - see above
            self.first = moment
        if moment > self.last:  # noqa: PLR1730 - see above
            self.last = moment

    def merge(self, other: "FieldTally", keep: int) -> None:
        """Add the other's; of the examples, keep the newest."""
        if other.count:
            self.first = min(self.first, other.first) if self.count else other.first
            self.last = max(self.last, other.last)
        if other.what != self.what and other.count:
            # "*": several; it absorbs all others, so that the order of merging does not matter.
            self.what = "*" if self.count or self.what else other.what
        self.count += other.count
        self.both += other.both
        self.alone += other.alone
        self.control += other.control
        self.found = _sum(self.found, other.found)
        self.apart = _sum(self.apart, other.apart)
        self.appeared = _earlier(self.appeared, other.appeared)
        self.timeline.merge(other.timeline)
        if other.examples:
            both = {example.id: example for example in (*self.examples, *other.examples)}
            self.examples = sorted(both.values(), key=_age, reverse=True)[:keep]

    def met(self, trio: Trios, *, first: bool, sound: bool) -> None:
        """Count a trio.

        Args:
            trio: which of the two copies differed.
            first: it is the field's first.
            sound: it is evidence, but for that.
        """
        if first:
            self.found = _sum(self.found, trio)
        elif sound:
            self.both += trio[0]
            self.alone += trio[1]
            self.control += trio[2]
        else:
            self.apart = _sum(self.apart, trio)

    @property
    def trios(self) -> Trios:
        """All trios in which the field differs, evidence or not."""
        return _sum(_sum((self.both, self.alone, self.control), self.apart), self.found)

    @property
    def recognised(self) -> str:
        """The kind of value that was recognised on both sides; empty when none was, or several."""
        return "" if self.what == "*" else self.what

    def restart_evidence(self) -> None:
        """Let what was evidence be none from now on; what the field is taken for does not change."""
        self.apart = _sum(self.apart, (self.both, self.alone, self.control))
        self.both = self.alone = self.control = 0


def _sum(one: Trios, other: Trios) -> Trios:
    if other is _NO_TRIOS:
        return one
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _earlier(one: int, other: int) -> int:
    """Return the lower of two orders of appearance, of which 0 is none."""
    return min(one, other) if one and other else one or other


def _name(item: tuple[Field, FieldTally]) -> Field:
    return item[0]


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
    """The pairs of one endpoint.

    `differing` are the judged pairs that differ in anything, noise or not; `signatures` says in what: so which of them
    are discrepancies can be told later too, when it is known which fields are noise. `trios` are the requests that the
    shadow and a control answered, both judged.
    """

    __slots__ = (
        "appeared",
        "differing",
        "evidence",
        "fields",
        "not_judged",
        "original",
        "pairs",
        "shadow",
        "signatures",
        "timeline",
        "trios",
    )

    def __init__(self) -> None:
        self.pairs = 0
        """Judged pairs."""
        self.differing = 0
        self.trios = 0
        self.evidence = Evidence()
        """What of all this a verdict may rest on."""
        self.appeared = 0
        """Order of its appearance in the profile, from 1; 0 while no number was given."""
        self.not_judged: Counter[str] = Counter()
        self.original = LegTally()
        self.shadow = LegTally()
        self.fields: dict[Field, FieldTally] = {}
        self.signatures: dict[Signature, int] = {}
        self.timeline = Timeline()
        """Judged pairs over time."""

    def sign(self, signature: Signature, count: int = 1) -> None:
        """Count pairs that differ in just these fields."""
        known = self.signatures.get(signature)
        if known is None and len(self.signatures) >= MAX_SIGNATURES:
            signature = UNSIGNED
        self.signatures[signature] = self.signatures.get(signature, 0) + count

    def discrepancies(self, noise: Collection[Field]) -> int:
        """Count the pairs that differ in something else than `noise`."""
        if not noise:
            return self.differing
        explained = sum(count for fields, count in self.signatures.items() if all(f in noise for f in fields))
        return self.differing - explained

    def merge(self, other: "EndpointTally", keep: int) -> None:
        """Add the other's."""
        self.pairs += other.pairs
        self.differing += other.differing
        self.trios += other.trios
        self.evidence.merge(other.evidence)
        self.appeared = _earlier(self.appeared, other.appeared)
        self.timeline.merge(other.timeline)
        for signature, count in other.signatures.items():
            self.sign(signature, count)
        self.not_judged.update(other.not_judged)
        self.original.merge(other.original)
        self.shadow.merge(other.shadow)
        for name, tally in other.fields.items():
            mine = self.fields.get(name)
            if mine is None:
                mine = self.fields[name] = FieldTally()
            mine.merge(tally, keep)

    def restart_evidence(self) -> None:
        """Let what was evidence be none from now on; all else stays."""
        self.evidence = Evidence()
        for tally in self.fields.values():
            tally.restart_evidence()


class Tally:
    """Everything of one profile and one instance. `instance` is empty for what cannot be told to belong to one.

    `control`: the instance is the profile's control, so its differences are the original's from itself.
    """

    __slots__ = (
        "arms",
        "classes",
        "control",
        "counts",
        "endpoints",
        "instance",
        "keep",
        "lost",
        "profile",
        "since",
        "until",
    )

    def __init__(self, profile: str, instance: str, *, keep: int = KEPT, control: bool = False) -> None:
        """Keep `keep` examples of each field and class."""
        self.control = control
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
        self.arms: dict[str, ArmTally] = {}
        """Requests that are in no pair; they belong to no instance."""

    def __bool__(self) -> bool:
        return bool(self.endpoints or +self.lost or -self.lost or self.counts or self.arms)

    def seen(self, moment: float) -> None:
        """Stretch since and until to `moment`."""
        # Called for each pair; `min` and `max` cost more than all the rest of it.
        if not self.since or moment < self.since:
            self.since = moment
        if moment > self.until:  # noqa: PLR1730 - see above
            self.until = moment

    def merge(self, other: "Tally") -> None:
        """Add the other's (of the same profile; the instance may be another)."""
        self.control = self.control or other.control
        self.add_counts(other)
        for name, endpoint in other.endpoints.items():
            mine = self.endpoints.get(name)
            if mine is None:
                mine = self.endpoints[name] = EndpointTally()
            mine.merge(endpoint, self.keep)

    def add_counts(self, other: "Tally") -> None:
        """Add the other's times and counts, but not what it has of endpoints."""
        if other.since:
            self.seen(other.since)
            self.seen(other.until)
        self.classes.update(other.classes)
        self.lost.update(other.lost)
        self.counts.update(other.counts)
        for name, arm in other.arms.items():
            self.arms.setdefault(name, ArmTally()).merge(arm)

    def split(self) -> "Tally | None":
        """Hand over half of what makes it large; merged, both are what it was. None when it cannot be made smaller."""
        rest = Tally(self.profile, self.instance, keep=self.keep, control=self.control)
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
            "control": self.control,
            "since": self.since,
            "until": self.until,
            "classes": _plain(self.classes),
            "lost": _plain(self.lost),
            "counts": _plain(self.counts),
            "endpoints": endpoints,
            "examples": examples,
            "arms": {name: arm.pack() for name, arm in sorted(self.arms.items())},
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> "Tally":
        """Return what `pack` described. Raises: KeyError, TypeError, ValueError when it is something else."""
        tally = cls(packed["profile"], packed["instance"], keep=packed["keep"], control=packed["control"])
        tally.since, tally.until = packed["since"], packed["until"]
        tally.classes, tally.lost = Counter(packed["classes"]), Counter(packed["lost"])
        tally.counts = Counter(packed["counts"])
        examples = {name: unpack_example(example) for name, example in packed["examples"].items()}
        tally.endpoints = {name: _unpack_endpoint(e, examples) for name, e in packed["endpoints"].items()}
        tally.arms = {name: ArmTally.unpack(arm) for name, arm in packed["arms"].items()}
        return tally


def versions_of(tallies: Iterable[Tally], variants: Mapping[str, str]) -> list[Tally]:
    """Return the tallies of a profile's instances merged by version, without those of controls.

    Args:
        tallies: of the instances; they are not changed.
        variants: the version of each instance; one that is not there counts as a version of its own.
    """
    found: dict[str, list[Tally]] = {}
    for tally in tallies:
        if not tally.control:
            found.setdefault(variants.get(tally.instance, tally.instance), []).append(tally)
    return [merged(each) for each in found.values()]


def merged(tallies: Sequence[Tally]) -> Tally:
    """Return a new tally of what several (at least one) of a profile hold; they are not changed."""
    whole = Tally(tallies[0].profile, "", keep=tallies[0].keep)
    for tally in tallies:
        whole.merge(tally)
    return whole


def _plain(counts: Counter[str]) -> dict[str, int]:
    # orjson takes members of a StrEnum for keys only on request, and slower.
    return {str(name): count for name, count in counts.items()}


def _pack_endpoint(endpoint: EndpointTally, examples: dict[str, list[Any]]) -> list[Any]:
    fields, numbers = [], {}
    for number, ((name, kind), tally) in enumerate(sorted(endpoint.fields.items(), key=_name)):
        numbers[name, kind] = number
        for example in tally.examples:
            examples[example.id] = example.pack()
        ids = [example.id for example in tally.examples]
        trios = [tally.both, tally.alone, tally.control, *tally.found, *tally.apart]
        seen = [tally.count, tally.first, tally.last]
        fields.append([name, kind, seen, ids, trios, tally.what, tally.timeline.as_json(), tally.appeared])
    # A field of a signature stands by its number, or in full when a split window has it in another part.
    signed = sorted(endpoint.signatures.items())
    signatures = [[[numbers.get(field, field) for field in s], count] for s, count in signed]
    return [
        endpoint.pairs,
        endpoint.differing,
        _plain(endpoint.not_judged),
        endpoint.original.pack(),
        endpoint.shadow.pack(),
        fields,
        endpoint.trios,
        signatures,
        endpoint.timeline.as_json(),
        endpoint.evidence.pack(),
        endpoint.appeared,
    ]


def _trios(packed: list[Any]) -> Trios:
    both, alone, control = packed
    return (both, alone, control) if any(packed) else _NO_TRIOS


def _unpack_endpoint(packed: list[Any], examples: Mapping[str, Example]) -> EndpointTally:
    endpoint = EndpointTally()
    counts, rest = packed[:5], packed[5:]
    endpoint.pairs, endpoint.differing, not_judged, original, shadow = counts
    fields, endpoint.trios, signatures, line, evidence, endpoint.appeared = rest
    endpoint.evidence = Evidence.unpack(evidence)
    endpoint.not_judged = Counter(not_judged)
    endpoint.original, endpoint.shadow = LegTally.unpack(original), LegTally.unpack(shadow)
    names: list[Field] = []
    for name, kind, (count, first, last), ids, trios, what, timeline, appeared in fields:
        names.append((name, kind))
        field = FieldTally(count, [examples[i] for i in ids], first=first, last=last)
        field.both, field.alone, field.control = trios[:3]
        field.found, field.apart = _trios(trios[3:6]), _trios(trios[6:])
        field.what, field.timeline, field.appeared = what, Timeline.from_json(timeline), appeared
        endpoint.fields[name, kind] = field
    for signed, count in signatures:
        signature = tuple(names[field] if isinstance(field, int) else (field[0], field[1]) for field in signed)
        endpoint.signatures[signature] = count
    endpoint.timeline = Timeline.from_json(line)
    return endpoint
