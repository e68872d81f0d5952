"""Totals over time, so that a condition can be about the last few minutes and not about the whole life of a profile.

Guarantees: at most `SAMPLES` + 2 samples a series; a total that falls, or another `epoch`, begins the series anew, so a
difference is never negative. Series that are not noted any more are dropped by `prune`.
Not guaranteed: anything from before this process; the timelines of the tallies stand in until then.
"""

from collections import deque
from collections.abc import Hashable

SAMPLES = 20
Key = tuple[str, ...]


class _Series:
    __slots__ = ("current", "epoch", "samples")

    def __init__(self) -> None:
        self.samples: deque[tuple[float, tuple[int, ...]]] = deque()
        self.current: tuple[int, ...] = ()
        self.epoch: Hashable = None


class History:
    """Totals by key; `window` is how far back `delta` looks, in seconds."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._series: dict[Key, _Series] = {}
        self._noted: set[Key] = set()

    def delta(self, key: Key, now: float, totals: tuple[int, ...], *, epoch: Hashable = None) -> tuple[int, ...]:
        """Note the totals of a series; return by how much they have risen in the window (or since the first note).

        Args:
            key: the series.
            now: seconds; never earlier than at the call before, or it is taken for the same moment.
            totals: always as many.
            epoch: what the totals depend on besides what happens.
        """
        self._noted.add(key)
        series = self._series.setdefault(key, _Series())
        fell = any(new < old for new, old in zip(totals, series.current, strict=False))
        if fell or series.epoch != epoch:
            series.samples.clear()
        series.current, series.epoch = totals, epoch
        samples = series.samples
        if not samples or now - samples[-1][0] >= self._window / SAMPLES:
            samples.append((now, totals))
        # The newest sample that is as old as the window stays: it is where the window begins.
        while len(samples) > 1 and samples[1][0] <= now - self._window:
            samples.popleft()
        return tuple(new - old for new, old in zip(totals, samples[0][1], strict=True))

    def prune(self) -> None:
        """Drop the series that were not noted since the last call."""
        self._series = {key: series for key, series in self._series.items() if key in self._noted}
        self._noted = set()
