"""What of an endpoint's pairs is evidence about a version: counts of paired outcomes, and times that belong together.

Evidence are judged pairs whose copy no fault held back, and whose original began after the warm-up of the copy's
shadow. Their original is the reference; in a trio (see `ingest.trios`) the control is.

Guarantees: merging is associative and commutative; what is merged, packed or split is what was counted. Whether a pair
is evidence depends on its time and on faults of ours, never on how it came out.
Not guaranteed: that copies that never came are like the others; they are counted as missing.
Units: seconds.
"""

from collections.abc import Sequence
from typing import Any

from xds_server.analysis.windows.sketch import Sketch

_TOGETHER = 128
"""Times that wait before they are put into their buckets."""


class Times:
    """Response times of two legs, of requests in which both are known; so both sketches count as many.

    They wait in one short list: this is called for each pair, and twice the call would be twice the time.
    """

    __slots__ = ("_candidate", "_reference", "_waiting")

    def __init__(self) -> None:
        self._reference = Sketch()
        self._candidate = Sketch()
        self._waiting: list[float] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self._reference)

    @property
    def reference(self) -> Sketch:
        """What is compared with."""
        if self._waiting:
            self._sort_in()
        return self._reference

    @property
    def candidate(self) -> Sketch:
        """What is compared."""
        if self._waiting:
            self._sort_in()
        return self._candidate

    def add(self, reference: float, candidate: float) -> None:
        """Count one request."""
        waiting = self._waiting
        waiting += (reference, candidate)
        if len(waiting) >= _TOGETHER:
            self._sort_in()

    def _sort_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._reference.add_all(waiting[::2])
        self._candidate.add_all(waiting[1::2])

    def merge(self, other: "Times") -> None:
        """Add the other's."""
        if other:
            self._reference.merge(other.reference)
            self._candidate.merge(other.candidate)

    def pack(self) -> list[list[int]]:
        """Return it for the link and the disk."""
        return [self.reference.as_json(), self.candidate.as_json()]

    @classmethod
    def of(cls, reference: Sketch, candidate: Sketch) -> "Times":
        """Return the times of two sketches, which are its own from now on."""
        times = cls()
        times._reference, times._candidate = reference, candidate
        return times

    @classmethod
    def unpack(cls, packed: Sequence[Sequence[int]]) -> "Times":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        reference, candidate = packed
        return cls.of(Sketch.from_json(reference), Sketch.from_json(candidate))


class Faulted:
    """What was seen under faults of ours: how a version degrades, not how good it is.

    `pairs`: judged ones whose copy was held back; of them, `errors`: the shadow alone failed, `differing`: see
    `Evidence`. `trios`: those that the control answered too, without a fault; of them, `quiet`: `Evidence.quiet_up`.
    Here those that failed are among those that differ.
    `aborted`: copies that a fault answered. `times`: of the shadow, from when it was asked at last.
    """

    __slots__ = ("aborted", "differing", "errors", "pairs", "quiet", "times", "trios")

    def __init__(self) -> None:
        self.pairs = 0
        self.errors = 0
        self.differing = 0
        self.trios = 0
        self.quiet = 0
        self.aborted = 0
        self.times = Sketch()

    def merge(self, other: "Faulted") -> None:
        """Add the other's."""
        self.pairs += other.pairs
        self.errors += other.errors
        self.differing += other.differing
        self.trios += other.trios
        self.quiet += other.quiet
        self.aborted += other.aborted
        self.times.merge(other.times)

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        counts = self.pairs, self.errors, self.differing, self.trios, self.quiet, self.aborted
        return [*counts, self.times.as_json()]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Faulted":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        faulted = cls()
        faulted.pairs, faulted.errors, faulted.differing, faulted.trios, faulted.quiet, faulted.aborted, times = packed
        faulted.times = Sketch.from_json(times)
        return faulted


class Evidence:
    """What of one endpoint's pairs is evidence.

    An error is a server's: a status from 500, none at all, a failed gRPC call, an answer that broke off.
    """

    __slots__ = (
        "control_times",
        "differing",
        "error_both",
        "error_down",
        "error_up",
        "faulted",
        "missing",
        "missing_errors",
        "not_judged",
        "pairs",
        "quiet_down",
        "quiet_up",
        "times",
        "trios",
    )

    def __init__(self) -> None:
        self.pairs = 0
        self.error_up = 0
        """Pairs in which the shadow alone failed."""
        self.error_down = 0
        """Pairs in which the original alone failed."""
        self.error_both = 0
        """Pairs in which both did."""
        self.differing = 0
        """Pairs of which neither leg failed that differ in something that is not told to be another value each time by
        its looks alone."""
        self.trios = 0
        """Requests that shadow and control answered, both of them evidence."""
        self.quiet_up = 0
        """Trios in which the shadow differs alone, and the control does not, in a field that was quiet until then: in
        no trio before did the control differ in it. Not those of which a copy or the original failed."""
        self.quiet_down = 0
        """The same with shadow and control exchanged. Under noise the two are equally likely."""
        self.times = Times()
        """Original (reference) against shadow."""
        self.control_times = Times()
        """Control (reference) against shadow, of the same trio."""
        self.missing = 0
        """Originals that have no judged pair, and it may be the copy's doing: its record did not come, or it was cut
        at its timeout, or our comparison failed on it."""
        self.missing_errors = 0
        """Of those, the ones of which the original failed."""
        self.not_judged: dict[str, int] = {}
        """Pairs that would be evidence if they were judged, by `Reason`."""
        self.faulted = Faulted()

    def merge(self, other: "Evidence") -> None:
        """Add the other's."""
        self.pairs += other.pairs
        self.error_up += other.error_up
        self.error_down += other.error_down
        self.error_both += other.error_both
        self.differing += other.differing
        self.trios += other.trios
        self.quiet_up += other.quiet_up
        self.quiet_down += other.quiet_down
        self.times.merge(other.times)
        self.control_times.merge(other.control_times)
        self.missing += other.missing
        self.missing_errors += other.missing_errors
        for reason, count in other.not_judged.items():
            self.not_judged[reason] = self.not_judged.get(reason, 0) + count
        self.faulted.merge(other.faulted)

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        return [
            [self.pairs, self.error_up, self.error_down, self.error_both, self.differing],
            [self.trios, self.quiet_up, self.quiet_down],
            [self.missing, self.missing_errors],
            {str(reason): count for reason, count in sorted(self.not_judged.items())},
            self.times.pack(),
            self.control_times.pack(),
            self.faulted.pack(),
        ]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Evidence":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        found = cls()
        pairs, trios, missing, not_judged, times, control_times, faulted = packed
        found.not_judged = {str(reason): int(count) for reason, count in not_judged.items()}
        found.pairs, found.error_up, found.error_down, found.error_both, found.differing = pairs
        found.trios, found.quiet_up, found.quiet_down = trios
        found.missing, found.missing_errors = missing
        found.times, found.control_times = Times.unpack(times), Times.unpack(control_times)
        found.faulted = Faulted.unpack(faulted)
        return found
