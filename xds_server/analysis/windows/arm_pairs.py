"""Arms of an experiment beside each other: unpaired groups made comparable window by window, so a drift meets both.

Compared are `plain` with `mirrored` (does the mirroring harm the original?), and in a split `original` with each
variant and each two variants.
Guarantees: bounded (`MAX_VARIANTS`). The draws of the random generator depend on sizes alone.
Not guaranteed: anything when arms are no random groups (`statistics.matching`); a window in which one arm has nothing
counts for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from xds_server.analysis.statistics.matching import matched, thinned
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.windows.arms import KEYLESS, MIRRORED, ORIGINAL, PLAIN, ArmTally
from xds_server.analysis.windows.blocks import Blocks
from xds_server.analysis.windows.evidence import Times
from xds_server.analysis.windows.profile_evidence import ALLOWANCE
from xds_server.analysis.windows.sketch import Sketch

MAX_VARIANTS = 8
"""Variants of a split that are compared."""
_NOT_VARIANTS = frozenset({MIRRORED, PLAIN, ORIGINAL, KEYLESS})

Pair = tuple[str, str]
"""Reference and candidate."""


class Beside:
    """Two arms, by matched requests (`up`: the candidate alone failed), and `blocks` of their times.

    `errors`: of requests that each arm's own version was asked. `worst`: of all; those that the original answered, the
    candidate having been ejected, are errors of the candidate, and of a reference they are none. That a mirrored
    request waits while its copies are made is no harm, up to `ALLOWANCE`.
    """

    __slots__ = ("blocks", "errors", "worst")

    def __init__(self, pair: Pair) -> None:
        self.errors = Paired()
        self.worst = Paired()
        self.blocks = Blocks(_allowance(pair))


class ArmPairs:
    """All pairs of arms of a profile."""

    def __init__(self) -> None:
        self._variants: dict[str, None] = {}
        self.found: dict[Pair, Beside] = {}

    def take(self, arms: Mapping[str, ArmTally], since: float, generator: np.random.Generator) -> None:
        """Take in a window's arms."""
        for name in sorted(arms):
            if name not in _NOT_VARIANTS and len(self._variants) < MAX_VARIANTS:
                self._variants.setdefault(name)
        for pair in self._pairs():
            one, other = map(arms.get, pair)
            if one is None or other is None:
                continue
            beside = self.found.get(pair)
            if beside is None:
                beside = self.found[pair] = Beside(pair)
            beside.worst += _worst(one, other)
            beside.errors += matched(one.asked, one.errors, other.asked, other.errors)
            beside.blocks.add(_thinned(one.times, other.times, generator), since)

    def close(self, until: float, *, length: float, quantiles: Sequence[float]) -> None:
        """End the blocks that are long enough."""
        for beside in self.found.values():
            beside.blocks.close(until, length=length, quantiles=quantiles)

    def pack(self) -> list[Any]:
        """Return it for the disk."""
        return [
            [*pair, _packed(each.errors), _packed(each.worst), each.blocks.pack()] for pair, each in self.found.items()
        ]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "ArmPairs":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        pairs = cls()
        for reference, candidate, errors, worst, blocks in packed:
            pair = reference, candidate
            beside = pairs.found[pair] = Beside(pair)
            beside.errors, beside.worst = Paired(*errors), Paired(*worst)
            beside.blocks = Blocks.unpack(blocks, _allowance(pair))
            pairs._variants.update({n: None for n in (reference, candidate) if n not in _NOT_VARIANTS})
        return pairs

    def _pairs(self) -> Iterator[Pair]:
        yield PLAIN, MIRRORED
        yield from ((ORIGINAL, variant) for variant in self._variants)
        yield from combinations(sorted(self._variants), 2)


def _packed(paired: Paired) -> list[float]:
    return [paired.pairs, paired.up, paired.down]


def _worst(one: ArmTally, other: ArmTally) -> Paired:
    """Return what a PASS rests on: without those in which both arms failed, which say nothing of either."""
    bad = other.errors + other.missing
    found = matched(one.count, one.errors, other.count, bad)
    both = found.pairs * one.errors * bad / (one.count * other.count) if found.pairs else 0.0
    return Paired(found.pairs - both, found.up, found.down)


def _allowance(pair: Pair) -> float:
    return ALLOWANCE if pair == (PLAIN, MIRRORED) else 0.0


def _thinned(reference: Sketch, candidate: Sketch, generator: np.random.Generator) -> Times:
    """Return as many times of each, drawn at random."""
    size = min(reference.count, candidate.count)
    drawn = [Sketch.from_counts(thinned(leg.counts(), size, generator)) for leg in (reference, candidate)]
    return Times.of(*drawn)
