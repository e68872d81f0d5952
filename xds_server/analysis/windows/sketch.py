"""A mergeable quantile sketch with a stated relative accuracy.

The buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): bucket i holds the values in (gamma^(i-1), gamma^i].

Guarantees: a quantile is within `ACCURACY` (relative) of the value at that rank, for values within [LEAST, MOST];
merging is exact, associative and commutative, and the size is bounded (about 1,300 buckets) because values outside
are taken for the nearest bound.
Not guaranteed: exact sums or means; they are as accurate as the quantiles.
"""

import bisect
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

ACCURACY = 0.01
LEAST = 1e-6
"""One microsecond, when the values are seconds."""
MOST = 1e5

_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (1 + _GAMMA)
_TOGETHER = 64
_log = math.log
_ceil = math.ceil


def bucket_of(value: float) -> int:
    """Return the bucket that a value falls into."""
    return math.ceil(math.log(min(max(value, LEAST), MOST)) * _SCALE)


def value_of(bucket: int) -> float:
    """Return the value in the middle of a bucket."""
    return _MIDDLE * _GAMMA**bucket


class Sketch:
    """Counts of values by logarithmic bucket.

    Values wait in a short list and are put into their buckets together, which takes a third of the time.
    """

    __slots__ = ("_counts", "_waiting")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._counts: dict[int, int] = {}
        self._waiting: list[float] = []
        for value in values:
            self.add(value)

    def add(self, value: float) -> None:
        """Count one value; seconds by convention."""
        waiting = self._waiting
        waiting.append(value)
        if len(waiting) >= _TOGETHER:
            self._sort_in()

    def add_all(self, values: Sequence[float]) -> None:
        """Count several values."""
        if values:
            self._put(values)

    def _sort_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._put(waiting)

    def _put(self, waiting: Sequence[float]) -> None:
        if min(waiting) < LEAST or max(waiting) > MOST:
            waiting = [min(max(value, LEAST), MOST) for value in waiting]
        counts = self._counts
        for bucket in [_ceil(logarithm * _SCALE) for logarithm in map(_log, waiting)]:
            if bucket in counts:
                counts[bucket] += 1
            else:
                counts[bucket] = 1

    @property
    def _buckets(self) -> dict[int, int]:
        if self._waiting:
            self._sort_in()
        return self._counts

    def __bool__(self) -> bool:
        return bool(self._waiting or self._counts)

    def counts(self) -> Mapping[int, int]:
        """Return the values by bucket; to be read, not changed."""
        return self._buckets

    @property
    def count(self) -> int:
        """How many values were added."""
        return sum(self._buckets.values())

    def merge(self, other: "Sketch") -> None:
        """Add what the other sketch holds."""
        if not other:
            return
        buckets = self._buckets
        for bucket, count in other._buckets.items():  # noqa: SLF001 - the same class
            buckets[bucket] = buckets.get(bucket, 0) + count

    def quantile(self, q: float) -> float | None:
        """Return the value that a share of `q` (0-1) does not exceed (nearest rank); None while empty."""
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Sequence[float]) -> list[float | None]:
        """Return the values at several ranks, in the order asked."""
        if not self._buckets:
            return [None] * len(qs)
        ordered = sorted(self._buckets.items())
        total = self.count
        found = []
        for q in qs:
            rank, seen = max(0, math.ceil(q * total) - 1), 0
            for bucket, count in ordered:
                seen += count
                if seen > rank:
                    found.append(_MIDDLE * _GAMMA**bucket)
                    break
        return list(found)

    def cumulative(self, bounds: Sequence[float]) -> list[int]:
        """Return how many values are at most each bound; a value within `ACCURACY` of a bound may count on either side.

        Args:
            bounds: in rising order.
        """
        counts = [0] * (len(bounds) + 1)
        for bucket, count in self._buckets.items():
            counts[bisect.bisect_left(bounds, _MIDDLE * _GAMMA**bucket)] += count
        return list(itertools.accumulate(counts))[: len(bounds)]

    def total(self) -> float:
        """Return the sum of the values, within `ACCURACY`."""
        return math.fsum(_MIDDLE * _GAMMA**bucket * count for bucket, count in self._buckets.items())

    def as_json(self) -> list[int]:
        """Return buckets and counts in turn, in order of bucket."""
        return [number for pair in sorted(self._buckets.items()) for number in pair]

    @classmethod
    def from_json(cls, flat: Sequence[int]) -> "Sketch":
        """Return the sketch that `as_json` described."""
        sketch = cls()
        sketch._counts = {int(b): int(c) for b, c in zip(flat[::2], flat[1::2], strict=True)}
        return sketch

    @classmethod
    def from_counts(cls, counts: Mapping[int, int]) -> "Sketch":
        """Return a sketch of so many values in each bucket."""
        sketch = cls()
        sketch._counts = dict(counts)
        return sketch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self._buckets == other._buckets

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Sketch(count={self.count}, p50={self.quantile(0.5)})"
