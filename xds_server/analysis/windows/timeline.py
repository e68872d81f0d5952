"""Counts over time, in few buckets: since when, and when most.

Guarantees: at most `BUCKETS` buckets, whatever the length; merging is associative and commutative, since the widths of
buckets are one base times powers of two, and buckets begin at multiples of their width. Units: seconds since the epoch.
Not guaranteed: times finer than the width, which doubles as the time goes on: 10 s for 20 minutes, then 20 for 40.
"""

from collections.abc import Sequence

WIDTH = 10
"""Seconds of a bucket at first."""
BUCKETS = 120


class Timeline:
    """Counts by bucket; `width` is how long a bucket is, in seconds."""

    __slots__ = ("_counts", "width")

    def __init__(self) -> None:
        self.width = WIDTH
        self._counts: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, moment: float, count: int = 1) -> None:
        """Count something at a moment."""
        bucket = int(moment) // self.width
        counts = self._counts
        if bucket in counts:
            counts[bucket] += count
        else:
            counts[bucket] = count
            if len(counts) > 1:
                self._fit()

    def merge(self, other: "Timeline") -> None:
        """Add the other's."""
        width = max(self.width, other.width)
        self._widen(width)
        ratio = width // other.width
        counts = self._counts
        for bucket, count in other._counts.items():  # noqa: SLF001 - the same class
            counts[bucket // ratio] = counts.get(bucket // ratio, 0) + count
        self._fit()

    def count(self, since: float | None = None, until: float | None = None) -> int:
        """Return how many there were in the buckets that lie, at least partly, between two moments."""
        return sum(count for _, count in self.between(since, until))

    def between(self, since: float | None = None, until: float | None = None) -> list[tuple[int, int]]:
        """Return (beginning of the bucket, count), in order, of the buckets that lie partly between two moments."""
        width = self.width
        return [
            (bucket * width, count)
            for bucket, count in sorted(self._counts.items())
            if (since is None or (bucket + 1) * width > since) and (until is None or bucket * width <= until)
        ]

    def as_json(self) -> list[int]:
        """Return the width, then buckets and counts in turn, in order of bucket."""
        return [self.width, *(number for pair in sorted(self._counts.items()) for number in pair)]

    @classmethod
    def from_json(cls, flat: Sequence[int]) -> "Timeline":
        """Return the timeline that `as_json` described. Raises: ValueError, TypeError, IndexError."""
        line = cls()
        line.width = int(flat[0])
        if line.width < WIDTH:
            raise ValueError(f"{line.width} s is no width of a bucket")
        line._counts = {int(b): int(c) for b, c in zip(flat[1::2], flat[2::2], strict=True)}
        return line

    def _fit(self) -> None:
        while self._counts and max(self._counts) - min(self._counts) >= BUCKETS:
            self._widen(self.width * 2)

    def _widen(self, width: int) -> None:
        ratio = width // self.width
        if ratio == 1:
            return
        widened: dict[int, int] = {}
        for bucket, count in self._counts.items():
            widened[bucket // ratio] = widened.get(bucket // ratio, 0) + count
        self._counts, self.width = widened, width

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeline) and self.as_json() == other.as_json()

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Timeline({self.as_json()})"
