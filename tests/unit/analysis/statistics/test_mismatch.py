"""Sample-ratio mismatch."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from xds_server.analysis.statistics.bets import LOG_MOST
from xds_server.analysis.statistics.mismatch import log_evidence_mismatch

PROOF = math.log(100)


@pytest.mark.parametrize("share", [0.095, 0.1, 0.105])
def test_within_the_tolerance_the_mean_of_the_evidence_is_at_most_1(share: float) -> None:
    n = 400
    es = np.exp([log_evidence_mismatch((k, n - k), 0.1, 0.05) for k in range(n + 1)])
    assert binom.pmf(range(n + 1), n, share) @ es <= 1 + 1e-9


def test_a_cohort_too_large_or_too_small_is_noticed() -> None:
    assert log_evidence_mismatch((1300, 8700), 0.1, 0.05) >= PROOF
    assert log_evidence_mismatch((700, 9300), 0.1, 0.05) >= PROOF
    assert log_evidence_mismatch((1030, 8970), 0.1, 0.05) < 0


def test_the_edges_of_a_share_are_no_trouble() -> None:
    assert log_evidence_mismatch((0, 0), 0.1, 0.05) == pytest.approx(0)
    assert log_evidence_mismatch((500, 0), 1.0, 0.05) < PROOF
    assert log_evidence_mismatch((0, 500), 0.0, 0.05) < PROOF
    assert log_evidence_mismatch((1, 499), 0.0, 0.05) == pytest.approx(LOG_MOST, abs=1)
