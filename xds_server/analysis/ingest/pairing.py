"""Legs into pairs: an original and each of its copies meet by the pair header.

Guarantees: memory is bounded by a count and by bytes, whatever arrives; each record ends in exactly one of: paired
(an original once for each copy), unpaired, late, duplicate, dropped, stopped. What is dropped is the oldest, whatever
it says.
Not guaranteed: a duplicate that comes long after its pair was finished is told from a copy without original
(`REMEMBERED`).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from xds_server.analysis.kinds import Lost
from xds_server.analysis.record import Record

REMEMBERED = 20_000
"""Keys of finished and of given-up pairs remembered, at least (at most twice as many).

Two seconds of the most requests an engine is made for: an Envoy sends each entry once and the legs of a request within
its flush interval of each other, so a duplicate comes at once or never. A key costs 200 bytes, so more of them would be
most of what an engine grows by in its first million pairs.
"""

ANYONE: frozenset[str] = frozenset()


class _Waiting:
    __slots__ = ("copies", "deadline", "expected", "met", "original", "weight")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.original: Record | None = None
        self.copies: list[Record] = []
        self.met: set[str] = set()
        self.expected = ANYONE
        self.weight = 0


class _Remembered:
    """Keys, forgotten in whole generations: exact removal of the oldest would cost more than the keys are worth."""

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()

    def add(self, key: str) -> None:
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, set()
        self._young.add(key)

    def __contains__(self, key: str) -> bool:
        return key in self._young or key in self._old


def _nothing(_original: Record, _instance: str) -> None:
    pass


class Pairing:
    """Waits for the other legs.

    Args:
        expected: which instances' copies an original of a profile waits for; an empty set when that is not known.
        lost: told of each loss: kind, profile, instance (empty when not known).
        missed: told of each original that is given up, with the instance of the copy that did not come; not of those
            that still wait when everything ends, since that is our doing alone.
        timeout: seconds that a leg waits.
        max_waiting: records that wait at once.
        max_bytes: bytes of them.
    """

    def __init__(
        self,
        *,
        expected: Callable[[str], frozenset[str]],
        lost: Callable[[Lost, str, str], None],
        timeout: float,
        max_waiting: int,
        max_bytes: int,
        missed: Callable[[Record, str], None] = _nothing,
    ) -> None:
        self._expected = expected
        self._lost = lost
        self._missed = missed
        self.timeout = timeout
        """May be changed: legs that wait already keep their deadline, and go in the order they came."""
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._done = _Remembered()
        self._given_up = _Remembered()
        self.waiting = 0
        """Records that wait."""
        self.waiting_bytes = 0

    def add(self, record: Record, now: float) -> Sequence[tuple[Record, Record]]:
        """Take a record in; return the pairs it completes, original first.

        Args:
            record: either leg.
            now: a monotonic time in seconds.
        """
        key = record.pair
        waiting = self._waiting.get(key)
        if waiting is None:
            if key in self._given_up:
                self._lost(Lost.LATE if record.shadow else Lost.LATE_ORIGINAL, profile_of(key), record.shadow)
            elif key in self._done:
                self._lost(Lost.DUPLICATE, profile_of(key), record.shadow)
            else:
                waiting = self._waiting[key] = _Waiting(now + self.timeout)
                self._keep(waiting, record)
            return ()
        if record.shadow in waiting.met if record.shadow else waiting.original is not None:
            self._lost(Lost.DUPLICATE, profile_of(key), record.shadow)
            return ()
        return self._add_copy(key, waiting, record) if record.shadow else self._add_original(key, waiting, record)

    def _add_copy(self, key: str, waiting: _Waiting, record: Record) -> Sequence[tuple[Record, Record]]:
        if waiting.original is None:
            self._keep(waiting, record)
            return ()
        waiting.met.add(record.shadow)
        self._finish(key, waiting)
        return ((waiting.original, record),)

    def _add_original(self, key: str, waiting: _Waiting, record: Record) -> Sequence[tuple[Record, Record]]:
        copies, waiting.copies = waiting.copies, []
        self._release(waiting, len(copies))
        self._keep(waiting, record)
        self._finish(key, waiting)
        return tuple((record, copy) for copy in copies)

    def waiting_copies(self) -> Counter[str]:
        """Count the copies that wait, by instance."""
        return Counter(copy.shadow for waiting in self._waiting.values() for copy in waiting.copies)

    def expire(self, now: float) -> None:
        """Give up what has waited too long."""
        waiting = self._waiting
        while waiting:
            key, oldest = next(iter(waiting.items()))
            if oldest.deadline > now:
                return
            self._give_up(key, Lost.UNPAIRED_ORIGINAL, Lost.UNPAIRED_SHADOW)

    def stop(self) -> None:
        """Give up everything."""
        while self._waiting:
            self._give_up(next(iter(self._waiting)), Lost.ENGINE_STOPPED, Lost.ENGINE_STOPPED)

    def grow(self, key: str, weight: int) -> None:
        """Count bytes that a waiting original has got since it came; nothing when it waits no more."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.weight += weight
            self.waiting_bytes += weight
            self._bound()

    def _keep(self, waiting: _Waiting, record: Record) -> None:
        if record.shadow:
            waiting.copies.append(record)
            waiting.met.add(record.shadow)
        else:
            waiting.original = record
            waiting.expected = self._expected(profile_of(record.pair))
        weight = record.weight
        waiting.weight += weight
        self.waiting += 1
        self.waiting_bytes += weight
        self._bound()

    def _bound(self) -> None:
        while self.waiting > self._max_waiting or (self.waiting_bytes > self._max_bytes and self.waiting > 1):
            self._give_up(next(iter(self._waiting)), Lost.DROPPED_WAITING, Lost.DROPPED_WAITING)

    def _release(self, waiting: _Waiting, records: int) -> None:
        self.waiting -= records
        self.waiting_bytes -= waiting.weight
        waiting.weight = 0

    def _finish(self, key: str, waiting: _Waiting) -> None:
        """Let an original go when all its copies have come; with none known, one is enough."""
        if waiting.met and (not waiting.expected or waiting.met >= waiting.expected) and key in self._waiting:
            del self._waiting[key]
            self._done.add(key)
            self._release(waiting, 1)

    def _give_up(self, key: str, original: Lost, shadow: Lost) -> None:
        waiting = self._waiting.pop(key)
        profile = profile_of(key)
        self._given_up.add(key)
        self._release(waiting, len(waiting.copies) + (waiting.original is not None))
        if waiting.original is not None:
            missing = waiting.expected - waiting.met if waiting.expected else {""} - waiting.met
            for instance in sorted(missing):
                self._lost(original, profile, instance)
                if original is not Lost.ENGINE_STOPPED:
                    self._missed(waiting.original, instance)
        for copy in waiting.copies:
            self._lost(shadow, profile, copy.shadow)


def profile_of(pair: str) -> str:
    """Return the profile of a pair header's value."""
    return pair.partition("/")[0]
