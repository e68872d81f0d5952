"""Blocks of time: where they end, what they give, and that they go on after a restart."""

from random import Random
from typing import Any

import orjson
import pytest

from xds_server.analysis.statistics.ratio import GAMMA, GRID, Ratios
from xds_server.analysis.windows.blocks import HALVED_EVERY, LEAST, Blocks, merged_ratios
from xds_server.analysis.windows.evidence import Times

QUANTILES = (0.5, 0.99)


def times(pairs: int, reference: float = 0.01, candidate: float = 0.01) -> Times:
    made = Times()
    for _ in range(pairs):
        made.add(reference, candidate)
    return made


def fed(blocks: Blocks, at: float, *, length: float = 5.0, **of: Any) -> int:
    """Take in a window of a second and return how many blocks have given a score."""
    blocks.add(times(**of), at)
    blocks.close(at + 1, length=length, quantiles=QUANTILES)
    return blocks.ratios[0.5].count if 0.5 in blocks.ratios else 0


def test_a_block_ends_when_it_is_long_enough_and_the_first_only_sets_the_threshold() -> None:
    blocks = Blocks()
    assert [fed(blocks, at, pairs=LEAST) for at in range(100, 116)] == [0] * 9 + [1] * 5 + [2] * 2
    assert set(blocks.ratios) == set(QUANTILES)


def test_a_block_with_too_few_pairs_goes_on() -> None:
    blocks = Blocks()
    counts = [fed(blocks, at, pairs=1) for at in range(LEAST * 2)]
    assert counts == [0] * (LEAST * 2 - 1) + [1]


def test_a_stretch_without_a_pair_is_in_no_block() -> None:
    blocks = Blocks()
    for at in (0, 5):
        fed(blocks, at, pairs=LEAST)
    assert fed(blocks, 100, pairs=0) == 0
    assert [fed(blocks, at, pairs=LEAST) for at in (1000, 1003, 1004)] == [0, 0, 1]


def test_scores_are_symmetric_for_equal_legs_and_say_by_how_much_a_leg_is_slower() -> None:
    equal, slower = Blocks(), Blocks()
    chance = Random(5)
    for at in range(400):
        legs = [[chance.lognormvariate(-4, 0.3) for _ in range(30)] for _ in range(2)]
        one, other = Times(), Times()
        for reference, candidate in zip(*legs, strict=True):
            one.add(reference, candidate)
            other.add(reference, candidate * 1.3)
        for blocks, window in ((equal, one), (slower, other)):
            blocks.add(window, at)
            blocks.close(at + 1, length=2, quantiles=QUANTILES)
    assert equal.ratios[0.5].log_evidence_above(1.0) < 4
    assert equal.ratios[0.5].log_evidence_below(1.25) > 4
    assert slower.ratios[0.5].log_evidence_above(1.1) > 4
    assert slower.ratios[0.5].estimate() == pytest.approx(1.3, rel=0.05)


def test_an_allowance_is_what_the_candidate_may_be_slower_in_seconds() -> None:
    found = {}
    for allowance in (0.0, 0.001):
        blocks = Blocks(allowance)
        for at in range(300):
            fed(blocks, at, length=1, pairs=LEAST, reference=0.004, candidate=0.0049)
        found[allowance] = blocks.ratios[0.5].log_evidence_above(1.05)
    assert found[0.0] > 4
    assert found[0.001] < 0.1


def test_the_threshold_follows_the_load_slowly_and_what_is_kept_for_it_is_bounded() -> None:
    blocks = Blocks()
    for at in range(HALVED_EVERY * 40):
        fed(blocks, at, length=1, pairs=LEAST)
    assert sum(blocks._before.values()) <= 2 * HALVED_EVERY * LEAST


def state(blocks: Blocks) -> Any:
    return orjson.loads(orjson.dumps(blocks.pack()))


def numbers(packed: Any) -> list[float]:
    """All numbers in order; sums are rounded when they are packed."""
    return [each for part in packed for each in numbers(part)] if isinstance(packed, list) else [packed]


@pytest.mark.parametrize("cut", [0, 3, 5, 13, 29])
def test_blocks_go_on_after_a_restart_as_if_nothing_had_been(cut: int) -> None:
    chance, whole, parts = Random(3), Blocks(0.001), Blocks(0.001)
    for at in range(30):
        if at == cut:
            parts = Blocks.unpack(state(parts), 0.001)
        window = Times()
        for _ in range(8):
            window.add(chance.expovariate(50), chance.expovariate(40))
        for blocks in (whole, parts):
            blocks.add(window, at + 0.5)
            blocks.close(at + 1.5, length=3, quantiles=QUANTILES)
    assert numbers(state(parts)) == pytest.approx(numbers(state(whole)), abs=1e-6)
    assert parts.ratios[0.5].count == 9


def test_scores_of_several_are_added_up_and_none_is_changed() -> None:
    one, other = Ratios(), Ratios()
    one.add([1.0] * len(GRID))
    other.add([-1.0] * len(GRID))
    assert merged_ratios([{0.5: one}]) == {0.5: one}
    found = merged_ratios([{0.5: one}, {0.5: other, 0.9: other}, {}])
    assert (found[0.5].count, found[0.9].count, one.count, other.count) == (2, 1, 1, 1)
    assert merged_ratios([]) == {}
    assert GAMMA > 1
