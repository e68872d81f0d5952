"""Trios: a request that original, shadow and control answered, and what differs in which of the two copies.

The notes of what differs lie with the original's record, which waits for its copies anyway: so they go with it,
whatever is lost, and their weight counts among the bytes that wait (`Pairing.grow`).

Guarantees: each trio is booked once, in the shadow's tally and the endpoint of its pair, whichever pair comes first.
Only what was compared in both copies is booked: a control that fails does not make the shadow's noise look real.
Not guaranteed: a trio of which one pair came after its original was given up; it is a loss, counted as such.
"""

from collections.abc import Collection, Mapping

from xds_server.analysis.kinds import Kind
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally

MAX_CONTROLS = 64
"""Controls of a profile remembered: one at a time, one after the other."""

Note = tuple[str, Collection[Field]]
"""Endpoint and differing fields of one judged pair."""
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


class Controls:
    """Which instances of a profile are or were its control; false when it never had one."""

    __slots__ = ("_known", "_same", "now")

    def __init__(self) -> None:
        self.now = ""
        """The control that copies are sent to; empty when there is none."""
        self._known: dict[str, None] = {}
        # As many as the profile has names of fields, and those are bounded where they are admitted.
        self._same: dict[Field, Field] = {}

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

    def meet(
        self, notes: Notes | None, instance: str, endpoint: str, fields: Mapping[Field, str]
    ) -> tuple[Notes | None, list[tuple[str, Note, Collection[Field]]]]:
        """Note a judged pair; return the notes, and the trios that it completes.

        Args:
            notes: those of its original so far; None when there are none.
            instance: the copy's.
            endpoint: the pair's.
            fields: in what it differs.

        Returns:
            Notes to keep (None: nobody will come), and of each trio the shadow's instance, its note, and in what the
            control differs.
        """
        is_control = instance in self._known
        if notes is None:
            if not (is_control or self.now):
                return None, []
            notes = {}
        same = self._same.setdefault
        differing = tuple([same(field, field) for field in fields]) if fields else _NOTHING
        notes[instance] = note = endpoint, differing
        if is_control:
            return notes, [(other, of, differing) for other, of in notes.items() if other not in self._known]
        theirs = [of[1] for other, of in notes.items() if other in self._known]
        return notes, [(instance, note, theirs[0])] if theirs else []


def weight_of(fields: Collection[Field]) -> int:
    """Return the bytes that a note of so many fields needs, about."""
    return NOTE_BYTES + FIELD_BYTES * len(fields)


def book(endpoint: EndpointTally, shadow: Collection[Field], control: Collection[Field]) -> None:
    """Count a trio in the shadow's tally: `shadow` and `control` are the fields in which each of the two differs."""
    endpoint.trios += 1
    if not (shadow or control):
        return
    by_control, by_shadow = _Hidden(control), _Hidden(shadow)
    for field in shadow:
        if field in control:
            _of(endpoint, field).both += 1
        elif field not in by_control:
            _of(endpoint, field).alone += 1
    for field in control:
        if field not in shadow and field not in by_shadow:
            _of(endpoint, field).control += 1


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


def _of(endpoint: EndpointTally, field: Field) -> FieldTally:
    found = endpoint.fields.get(field)
    if found is None:
        found = endpoint.fields[field] = FieldTally()
    return found
