"""Trios: a request that original, shadow and control answered, and what differs in which of the two copies.

The notes of what differs lie with the original's record, which waits for its copies anyway: so they go with it,
whatever is lost, and their weight counts among the bytes that wait (`Pairing.grow`).

Guarantees: each trio is booked once, in the shadow's tally and the endpoint of its pair, whichever pair comes first.
Only what was compared in both copies is booked: a control that fails does not make the shadow's noise look real.
If shadow and control are exchangeable, so is what a trio adds to the evidence, given all trios before: what is asked of
it (is the field quiet, is it known) was settled by those, and both copies are treated alike.
Not guaranteed: a trio of which one pair came after its original was given up; it is a loss, counted as such.
"""

from collections.abc import Collection, Mapping

from xds_server.analysis.diff.looks import CLOCK
from xds_server.analysis.kinds import Kind
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally

MAX_CONTROLS = 64
"""Controls of a profile remembered: one at a time, one after the other."""

MAX_KNOWN = 64
"""Shadows of a profile of which it is remembered in what trios of theirs have differed."""

Seen = tuple[str, Mapping[Field, str], float | None, bool, bool, bool]
"""Of one judged pair: endpoint, differing fields with what was recognised in each, the copy's response time (None: it
tells nothing), whether it is evidence, whether it would be but for a fault of ours that held it back, whether either
leg failed."""
Note = tuple[str, Collection[Field], float | None, bool, bool, bool]
"""The same, as it is kept."""
Notes = dict[str, Note]
"""By the instance of the copy."""
_NOTHING: tuple[Field, ...] = ()
_HALTS = frozenset({Kind.STATUS, Kind.GRPC_STATUS, Kind.INCOMPLETE})
"""Classes of difference after which nothing more is compared."""
_BODY_HALTS = frozenset({Kind.INVALID, Kind.TOO_LARGE, Kind.TOO_COMPLEX})
"""Those after which nothing more of the body is."""
_WHOLE = frozenset({Kind.TEXT, Kind.BYTES})
"""Those of a body that was compared as a whole."""
_TORN = frozenset({Kind.MISSING, Kind.EXTRA, Kind.TYPE, Kind.ARRAY_LENGTH})
"""Those after which nothing more is compared at that place and below it."""
_BELOW = frozenset({"", ".", "["})
MOST_TORN = 50
"""Places looked at, of one copy; with more, nothing is said of the body."""
NOTE_BYTES = 200
"""Bytes that a note is taken to need besides its fields; a field is a pointer, since equal ones are one object."""
FIELD_BYTES = 8


class Known:
    """What the trios of one shadow at one endpoint have shown so far."""

    __slots__ = ("noisy", "seen")

    def __init__(self) -> None:
        self.noisy: set[Field] = set()
        """Fields in which the control has differed: those that are not quiet any more."""
        self.seen: set[Field] = set()
        """Fields in which either has differed."""

    def merge(self, other: "Known") -> None:
        """Add the other's."""
        self.noisy |= other.noisy
        self.seen |= other.seen


class Controls:
    """Which instances of a profile are or were its control; false when it never had one."""

    __slots__ = ("_known", "_same", "_shown", "clocks", "now")

    def __init__(self) -> None:
        self.now = ""
        """The control that copies are sent to; empty when there is none."""
        self._known: dict[str, None] = {}
        # As many as the profile has names of fields, and those are bounded where they are admitted.
        self._same: dict[Field, Field] = {}
        self.clocks: set[Field] = set()
        """Fields that are clocks by their looks: a later answer differs in them the more often, so they tell nothing of
        a shadow that is slower than the control."""
        self._shown: dict[str, dict[str, Known]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def __contains__(self, instance: str) -> bool:
        return instance in self._known

    def configure(self, instance: str) -> None:
        """Take note of the control as it is now; earlier ones stay known, since their last pairs are on the way."""
        self.now = instance
        if instance:
            self._known.pop(instance, None)
            self._known[instance] = None
            while len(self._known) > MAX_CONTROLS:
                del self._known[next(iter(self._known))]

    def meet(self, notes: Notes | None, instance: str, seen: Seen) -> tuple[Notes | None, list[tuple[str, Note, Note]]]:
        """Note a judged pair; return the notes, and the trios that it completes.

        Args:
            notes: those of its original so far; None when there are none.
            instance: the copy's.
            seen: what is to be noted.

        Returns:
            Notes to keep (None: nobody will come), and of each trio the shadow's instance, its note and the control's.
        """
        is_control = instance in self._known
        if notes is None:
            if not (is_control or self.now):
                return None, []
            notes = {}
        endpoint, fields, took, sound, held, failed = seen
        differing: Collection[Field] = _NOTHING
        if fields:
            same = self._same.setdefault
            differing = tuple([same(field, field) for field in fields])
            if CLOCK in fields.values():
                self.clocks.update(field for field in differing if fields[field] == CLOCK)
        notes[instance] = note = endpoint, differing, took, sound, held, failed
        if is_control:
            return notes, [(other, of, note) for other, of in notes.items() if other not in self._known]
        theirs = [of for other, of in notes.items() if other in self._known]
        return notes, [(instance, note, theirs[0])] if theirs else []

    def known(self, instance: str, endpoint: str) -> Known:
        """Return what the trios of a shadow at an endpoint have shown, to be used and added to."""
        shown = self._shown.get(instance)
        if shown is None:
            if len(self._shown) >= MAX_KNOWN:
                del self._shown[next(iter(self._shown))]
            shown = self._shown[instance] = {}
        known = shown.get(endpoint)
        if known is None:
            known = shown[endpoint] = Known()
        return known

    def moved(self, names: Mapping[str, str]) -> None:
        """Take note that endpoints are called otherwise now."""
        for shown in self._shown.values():
            for old in [name for name in shown if name in names]:
                known = shown.pop(old)
                shown.setdefault(names[old], Known()).merge(known)


def weight_of(fields: Collection[Field]) -> int:
    """Return the bytes that a note of so many fields needs, about."""
    return NOTE_BYTES + FIELD_BYTES * len(fields)


def book(endpoint: EndpointTally, shadow: Note, control: Note) -> bool:
    """Count a trio in the shadow's tally: what was noted of its two copies.

    Returns: whether either differs in anything, so that its fields are to be booked too.
    """
    endpoint.trios += 1
    if control[5]:  # it shows nothing: neither what is noise, nor how long an answer takes
        return bool(shadow[1] or control[1])
    if shadow[3] and control[3]:
        evidence = endpoint.evidence
        evidence.trios += 1
        mine, theirs = shadow[2], control[2]
        if mine is not None and theirs is not None:
            evidence.control_times.add(theirs, mine)
    elif shadow[4] and control[3]:
        endpoint.evidence.faulted.trios += 1
    return bool(shadow[1] or control[1])


def book_fields(
    endpoint: EndpointTally, shadow: Note, control: Note, *, known: Known, clocks: Collection[Field] = _NOTHING
) -> None:
    """Count in what the copies of a trio differ.

    Args:
        endpoint: the tally of the shadow.
        shadow: what was noted of the one copy.
        control: what was noted of the other.
        known: what the trios before have shown; this one is added.
        clocks: fields that tell nothing of the version.
    """
    mine, theirs = shadow[1], control[1]
    sound, held = shadow[3] and control[3], shadow[4] and control[3]
    failed = shadow[5] or control[5]
    by_control, by_shadow = _Hidden(theirs), _Hidden(mine)
    alone = [field for field in mine if field not in theirs and field not in by_control]
    control_alone = [field for field in theirs if field not in mine and field not in by_shadow]
    if sound or held:
        up = any(field not in known.noisy and field not in clocks for field in alone)
        down = any(field not in known.noisy and field not in clocks for field in control_alone)
        if held:
            endpoint.evidence.faulted.quiet += up and not down
        elif up is not down and not failed:
            endpoint.evidence.quiet_up += up
            endpoint.evidence.quiet_down += down
    if failed:  # of which no more is to be learned than that it did: that is the error rate's
        sound = False
    else:
        known.noisy.update(theirs)
    for field in mine:
        if field in theirs:
            _count(endpoint, field, _BOTH, known, sound=sound)
    for field in alone:
        _count(endpoint, field, _ALONE, known, sound=sound)
    for field in control_alone:
        _count(endpoint, field, _CONTROL, known, sound=sound)


class _Hidden:
    """The fields of which a copy says nothing, for all that it differs in: it was not compared there."""

    __slots__ = ("_body", "_everything", "_torn")

    def __init__(self, fields: Collection[Field]) -> None:
        self._everything = any(kind in _HALTS for _, kind in fields)
        self._torn = tuple([name for name, kind in fields if kind in _TORN])
        self._body = len(self._torn) > MOST_TORN or any(
            kind in _BODY_HALTS or (name == "body" and kind in _WHOLE) or (name == "$" and kind != Kind.ARRAY_ORDER)
            for name, kind in fields
        )

    def __contains__(self, field: Field) -> bool:
        name, kind = field
        if self._everything:
            return kind not in _HALTS
        if self._body and name.startswith(("$", "body")):
            return True
        return any(name.startswith(place) and name[len(place) : len(place) + 1] in _BELOW for place in self._torn)


_BOTH, _ALONE, _CONTROL = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def _count(endpoint: EndpointTally, field: Field, trio: tuple[int, int, int], known: Known, *, sound: bool) -> None:
    found = endpoint.fields.get(field)
    if found is None:
        found = endpoint.fields[field] = FieldTally()
    found.met(trio, first=field not in known.seen, sound=sound)
    known.seen.add(field)
