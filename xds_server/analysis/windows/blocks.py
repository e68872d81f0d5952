"""Windows put together to blocks of time, and each block's scores: which leg exceeds a quantile more often?

A block is longer than what one slow moment lasts, so blocks are as good as independent where single requests are not;
in a block, the two legs are exchangeable if they are equally fast, whatever the load did.

Guarantees: where a block ends depends on time and on how many requests there were, never on how long they took. The
threshold of a block comes from the blocks before it (the first has none, and gives no score). Bounded: one sketch for
each leg and a fixed grid of sums, for each quantile.
Not guaranteed: independence of blocks when slow moments last longer than them.
Units: seconds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xds_server.analysis.statistics.quantile import exceedance_scores
from xds_server.analysis.statistics.ratio import Ratios
from xds_server.analysis.windows.evidence import Times
from xds_server.analysis.windows.sketch import bucket_of, value_of

LEAST = 20
"""Requests of a block, at least."""
HALVED_EVERY = 20
"""Blocks after which what was seen before counts half, for the threshold."""


class Blocks:
    """The blocks of two legs, one after the other.

    `allowance`: seconds that the candidate's time may be longer, beside the ratio.
    """

    __slots__ = ("_before", "_begun", "_count", "_pending", "allowance", "ratios")

    def __init__(self, allowance: float = 0.0) -> None:
        self.allowance = allowance
        self.ratios: dict[float, Ratios] = {}
        """By quantile, once a block has given a score."""
        self._before: dict[int, int] = {}
        """The reference's times in earlier blocks, by bucket."""
        self._begun = 0.0
        self._count = 0
        self._pending = Times()

    def add(self, times: Times, since: float) -> None:
        """Take in what a window has that began at `since`."""
        if times:
            self._begun = min(self._begun, since) if self._begun else since
            self._pending.merge(times)

    def close(self, until: float, *, length: float, quantiles: Iterable[float]) -> None:
        """End the block if it is long enough by `until`, and score it."""
        pending = self._pending
        if not self._begun or until - self._begun < length or pending.reference.count < LEAST:
            return
        reference, candidate = pending.reference.counts(), pending.candidate.counts()
        if self._before:
            for q in quantiles:
                threshold = _bucket_at(self._before, q)
                ratios = self.ratios.get(q)
                if ratios is None:
                    ratios = self.ratios[q] = Ratios()
                shift = bucket_of(value_of(threshold) + self.allowance) - threshold if self.allowance else 0
                ratios.add(exceedance_scores(reference, candidate, threshold, q, shift))
        self._count += 1
        if self._count % HALVED_EVERY == 0:
            self._before = {bucket: count // 2 for bucket, count in self._before.items() if count > 1}
        for bucket, count in reference.items():
            self._before[bucket] = self._before.get(bucket, 0) + count
        self._pending, self._begun = Times(), 0.0

    def pack(self) -> list[Any]:
        """Return it for the disk."""
        before = [number for pair in sorted(self._before.items()) for number in pair]
        ratios = [[q, each.as_json()] for q, each in sorted(self.ratios.items())]
        return [self._begun, self._count, before, self._pending.pack(), ratios]

    @classmethod
    def unpack(cls, packed: Sequence[Any], allowance: float = 0.0) -> "Blocks":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        blocks = cls(allowance)
        blocks._begun, blocks._count, before, pending, ratios = packed
        blocks._before = {int(b): int(c) for b, c in zip(before[::2], before[1::2], strict=True)}
        blocks._pending = Times.unpack(pending)
        blocks.ratios = {float(q): Ratios.from_json(each) for q, each in ratios}
        return blocks


def merged_ratios(parts: Sequence[Mapping[float, Ratios]]) -> Mapping[float, Ratios]:
    """Return the scores of several that judge the same, added up; none of them is changed."""
    if len(parts) == 1:
        return parts[0]
    found: dict[float, Ratios] = {}
    for part in parts:
        for q, ratios in part.items():
            if q in found:
                found[q].merge(ratios)
            else:
                found[q] = ratios.copy()
    return found


def _bucket_at(counts: Mapping[int, int], q: float) -> int:
    """Return the bucket in which the quantile lies (nearest rank); there must be counts."""
    rank, seen, bucket = max(0, math.ceil(q * sum(counts.values())) - 1), 0, 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen > rank:
            break
    return bucket
