"""Scores of a block, against counting by hand; symmetric when the legs change places."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.statistics.quantile import exceedance_scores
from xds_server.analysis.statistics.ratio import GRID

HISTOGRAMS = st.dictionaries(st.integers(-200, 200), st.integers(1, 30), max_size=12)


@given(HISTOGRAMS, HISTOGRAMS, st.integers(-150, 150), st.sampled_from([0.5, 0.9, 0.99]), st.integers(0, 9))
def test_a_score_counts_what_exceeds_the_threshold_on_either_side(
    reference: dict[int, int], candidate: dict[int, int], threshold: int, q: float, shift: int
) -> None:
    scale = math.sqrt(max(1, max(sum(reference.values()), sum(candidate.values())) * 2 * q * (1 - q)))
    expected = [
        sum(n for b, n in candidate.items() if b > threshold + j + shift)
        - sum(n for b, n in reference.items() if b > threshold)
        for j in GRID
    ]
    scores = exceedance_scores(reference, candidate, threshold, q, shift)
    assert [score * scale for score in scores] == pytest.approx(expected)
    assert scores == sorted(scores, reverse=True)


@given(HISTOGRAMS, HISTOGRAMS, st.integers(-150, 150), st.integers(-35, 35))
def test_at_the_true_ratio_changing_places_changes_the_sign(
    one: dict[int, int], other: dict[int, int], threshold: int, j: int
) -> None:
    def slower(histogram: dict[int, int]) -> dict[int, int]:
        return {bucket + j: n for bucket, n in histogram.items()}

    there = exceedance_scores(one, slower(other), threshold, 0.5)[GRID.index(j)]
    back = exceedance_scores(other, slower(one), threshold, 0.5)[GRID.index(j)]
    assert there == -back


def test_an_empty_block_scores_nothing() -> None:
    assert exceedance_scores({}, {}, 5, 0.5) == [0] * len(GRID)
