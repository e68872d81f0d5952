"""How surprising a difference is, in bits: what few pairs show and what was not there before comes first.

    surprise = rarity + newness
    rarity   = -log2((count + 1) / (pairs + 2))     the smoothed share of pairs that show it (Laplace)
    newness  = log2((before + 2) / 2)               after `before` pairs without it, the rule of succession gives it a
                                                    chance of 1/(before + 2) in the next; 0 when it was there at once

One bit more is half as likely. Noise and what is recognised by its looks is expected, so it has 0 bits and comes last.
Guarantees: pure; never negative; the same counts give the same bits, so bits do not fade as time goes on.
Not guaranteed: that `before` is finer than a bucket of the endpoint's timeline; the pairs of the bucket in which the
difference was first seen count as with it.
"""

import math

from xds_server.analysis.windows.tally import FieldTally
from xds_server.analysis.windows.timeline import Timeline


def surprise(count: int, pairs: int, *, before: int = 0) -> float:
    """Return the bits of a difference that `count` of `pairs` show, first seen after `before` pairs without it."""
    rarity = -math.log2(min(1.0, (count + 1) / (max(pairs, 0) + 2)))
    return round(rarity + math.log2((max(before, 0) + 2) / 2), 3)


def pairs_before(timeline: Timeline, field: FieldTally) -> int:
    """Return how many pairs of an endpoint were seen before the bucket in which a difference was first seen."""
    first = int(field.first) // timeline.width * timeline.width
    return sum(count for begin, count in timeline.between() if begin < first)
