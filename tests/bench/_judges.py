"""When each check would have raised its alarm in drawn runs, looked at after every pair (or every block).

The evidence is that of `analysis.statistics`, on the very sums that it keeps; runs are handled side by side. Between
two pairs in which only one leg is bad the evidence against "no worse" does not rise, so looking at those is looking at
all.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from tests.bench._worlds import BLOCK, Drawn, Flags, Floats
from xds_server.analysis.statistics import paired, proportion, symmetric
from xds_server.analysis.statistics.family import order_weight
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.statistics.proportion import Proportion

Logs = NDArray[np.float64]
NEVER = np.iinfo(np.int64).max


def errors(drawn: Drawn, margin: float) -> Logs:
    """Return the log evidence "more errors than the margin" after each pair; missing copies count for the shadow."""
    came = drawn.delivered
    up = drawn.failed_shadow & ~drawn.failed_original & came
    down = drawn.failed_original & (~drawn.failed_shadow | ~came)
    return _by_both(up, down, margin)


def no_more_errors(drawn: Drawn, margin: float) -> Logs:
    """Return the log evidence "not as many more errors as the margin"; missing copies count against the shadow."""
    up = ~drawn.failed_original & (drawn.failed_shadow | ~drawn.delivered)
    down = drawn.failed_original & ~drawn.failed_shadow & drawn.delivered
    return _every(up, down, lambda p: paired.log_evidence_below(p, margin))


def differences(drawn: Drawn, margin: float) -> Logs:
    """Return the log evidence of differences that the control does not explain: of quiet fields, and field by field."""
    runs, pairs = drawn.delivered.shape
    quiet_up, quiet_down = (np.zeros((runs, pairs), dtype=bool) for _ in range(2))
    parts, first_seen = [], []
    for of_shadow, of_control in zip(drawn.fields_shadow, drawn.fields_control, strict=True):
        shadow, control = of_shadow & drawn.delivered, of_control & drawn.delivered
        alone, other = shadow & ~control, control & ~shadow
        seen = np.cumsum(shadow | control, axis=1)
        quiet = np.cumsum(control, axis=1) - control == 0
        quiet_up |= alone & quiet
        quiet_down |= other & quiet
        alone, other = alone & (seen > 1), other & (seen > 1)
        parts.append(_by_both(alone, other, margin))
        first_seen.append(np.where(seen[:, -1] > 0, np.argmax(seen > 0, axis=1), pairs))
    quiet_up, quiet_down = quiet_up & ~quiet_down, quiet_down & ~quiet_up
    whole = _by_both(quiet_up, quiet_down, margin)
    order = np.argsort(np.array(first_seen), axis=0).argsort(axis=0) if parts else np.zeros((0, runs))
    weights = [np.array([order_weight(int(k) + 1) for k in ranks]) for ranks in order]
    return _mean([whole, *parts], [np.full(runs, 0.5), *(0.5 * w for w in weights)])


def differing(drawn: Drawn, margin: float) -> Logs:
    """Return the log evidence "fewer differences than the margin", without a control."""
    hits = np.zeros(drawn.delivered.shape, dtype=bool)
    for each in drawn.fields_shadow:
        hits |= each
    hits |= ~drawn.delivered
    return _every(hits, np.zeros_like(hits), lambda p: proportion.log_evidence_below(Proportion(p.pairs, p.up), margin))


def slower(drawn: Drawn, q: float, ratio: float, *, sign: float = 1.0) -> Logs:
    """Return the log evidence after each block: "slower than the ratio" (sign 1), or "not as slow" (-1).

    A missing copy counts as quick against a FAIL, and as slow against a PASS.
    """
    runs, pairs = drawn.time_original.shape
    blocks = pairs // BLOCK
    scores = np.zeros((runs, blocks))
    came = drawn.delivered
    for block in range(1, blocks):
        before = drawn.time_original[:, max(0, block - 40) * BLOCK : block * BLOCK]
        now = slice(block * BLOCK, (block + 1) * BLOCK)
        threshold = np.quantile(before, q, axis=1)[:, None]
        slow = drawn.time_shadow[:, now] - math.log(ratio) > threshold
        more = (slow & came[:, now] if sign > 0 else slow | ~came[:, now]).sum(axis=1)
        fewer = (drawn.time_original[:, now] > threshold).sum(axis=1)
        scores[:, block] = (more - fewer) / math.sqrt(max(1.0, BLOCK * 2 * q * (1 - q)))
    return _symmetric(scores, sign)


def by_pair(blocks: Logs, pairs: int) -> Logs:
    """Return evidence known at the end of each block as it stands after each pair."""
    spread = np.zeros((blocks.shape[0], pairs))
    for block in range(blocks.shape[1]):
        spread[:, (block + 1) * BLOCK - 1 : (block + 2) * BLOCK - 1] = blocks[:, block : block + 1]
    return spread


def together(parts: list[Logs]) -> Logs:
    """Return the evidence of checks of equal weight: what a whole verdict rests on."""
    runs = parts[0].shape[0]
    return _mean(parts, [np.full(runs, 1 / len(parts))] * len(parts))


def first(logs: Logs, alpha: float, *, each: int = 1) -> NDArray[np.int64]:
    """Return after how many pairs each run's evidence reached 1/alpha; `NEVER` if not."""
    reached = logs >= math.log(1 / alpha)
    return np.where(reached.any(axis=1), (np.argmax(reached, axis=1) + 1) * each, NEVER)


def mann_whitney(original: Floats, shadow: Floats, alpha: float, *, fewest: int = 5) -> NDArray[np.int64]:
    """Return after how many pairs a one-sided Mann-Whitney judge of two series, a value a block, first says FAIL."""
    runs, blocks = original.shape
    found = np.full(runs, NEVER)
    for count in range(fewest, blocks + 1):
        open_ = np.flatnonzero(found == NEVER)
        if not open_.size:
            break
        p = mannwhitneyu(
            shadow[open_, :count], original[open_, :count], alternative="greater", axis=1, method="asymptotic"
        ).pvalue
        found[open_[p < alpha]] = count * BLOCK
    return found


def series(values: Floats | Flags, statistic: Callable[[Floats], Floats]) -> Floats:
    """Return one value a block, as a metric scraped once in each would have it."""
    runs, pairs = values.shape
    blocks = pairs // BLOCK
    return statistic(values[:, : blocks * BLOCK].reshape(runs, blocks, BLOCK).astype(np.float64))


def _by_both(up: Flags, down: Flags, margin: float) -> Logs:
    """Return the evidence that pairs agree on with whole blocks, by how much worse the shadow was in each.

    A bad moment of one leg is one value of a block, known from its end on, however many pairs it hits.
    """
    pairs = _every(up, down, lambda p: paired.log_evidence_above(p, margin), quiet=margin == 0)
    more = series(up.astype(np.float64) - down, lambda v: v.sum(axis=2))
    return np.minimum(pairs, by_pair(_symmetric(more, idle=False), up.shape[1]))


def _symmetric(values: Floats, sign: float = 1.0, *, idle: bool = True) -> Logs:
    """Return the log evidence after each value of each run (by column).

    Without `idle`, values of zero are in no sum, as in `symmetric.Symmetric`; with it they are, as in `ratio.Ratios`.
    """
    x = np.clip(values, -symmetric.MOST, symmetric.MOST)
    square = np.cumsum(x * x, axis=1), np.cumsum(x**4, axis=1), np.cumsum(x**6, axis=1)
    total = np.cumsum(x, axis=1)
    count = np.cumsum(np.ones(x.shape) if idle else x != 0, axis=1).astype(np.float64)
    logs = np.zeros(values.shape)
    for column in range(values.shape[1]):
        sums = (count[:, column], *(each[:, column] for each in square))
        wealth = sign * total[:, column, None] * symmetric.LAMBDAS - symmetric.log_price(*sums)
        logs[:, column] = symmetric.log_mixture(wealth)
    return logs


def _every(up: Flags, down: Flags, evidence: Callable[[Paired], float], *, quiet: bool = False) -> Logs:
    """Return the evidence after each pair, computed where the counts change (at margin 0), or every few pairs."""
    runs, pairs = up.shape
    ups, downs = np.cumsum(up, axis=1), np.cumsum(down, axis=1)
    logs = np.zeros((runs, pairs))
    for run in range(runs):
        changes = np.flatnonzero(up[run] | down[run])
        looks = changes if quiet else np.union1d(changes, np.arange(9, pairs, 10))
        if looks.size:
            # At margin 0 the pairs without a change are no evidence.
            seen = ups[run, looks] + downs[run, looks] if quiet else looks + 1
            counts = zip(seen.tolist(), ups[run, looks].tolist(), downs[run, looks].tolist(), strict=True)
            values = [evidence(Paired(*each)) for each in counts]
            place = np.searchsorted(looks, np.arange(pairs), side="right")
            logs[run] = np.concatenate(([0.0], values))[place]
    return logs


def _mean(parts: list[Logs], weights: list[Floats]) -> Logs:
    stacked = np.stack(parts)
    scaled = stacked + np.log(np.stack(weights))[:, :, None]
    rest = np.maximum(1 - np.sum(np.stack(weights), axis=0), 1e-300)
    scaled = np.concatenate((scaled, np.broadcast_to(np.log(rest)[None, :, None], (1, *stacked.shape[1:]))))
    top = scaled.max(axis=0)
    return np.asarray(top + np.log(np.exp(scaled - top).sum(axis=0)))
