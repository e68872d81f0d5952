"""Users whom chance sent to one version: against brute force over who is sent where."""

import math
from itertools import product

import numpy as np
import pytest

from xds_server.analysis.statistics.assignment import log_evidence_worse
from xds_server.analysis.statistics.proportion import Proportion

PROOF = math.log(100)


def worse(failed: tuple[int, int], well: tuple[int, int], share: float) -> float:
    """`failed` and `well`: of the original, of the candidate."""
    return log_evidence_worse(Proportion(sum(failed), failed[1]), Proportion(sum(well), well[1]), share)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
@pytest.mark.parametrize("fails", [(), (0, 3), (0, 1, 2, 3, 4, 5)])
def test_the_mean_of_the_evidence_over_all_ways_to_send_users_is_1_whoever_fails(
    share: float, fails: tuple[int, ...]
) -> None:
    mean = 0.0
    for sent in product((0, 1), repeat=6):
        chance = math.prod(share if each else 1 - share for each in sent)
        failed, well = [0, 0], [0, 0]
        for user, arm in enumerate(sent):
            (failed if user in fails else well)[arm] += 1
        mean += chance * math.exp(worse((failed[0], failed[1]), (well[0], well[1]), share))
    assert mean == pytest.approx(1)


@pytest.mark.parametrize(("share", "users"), [(0.05, 3), (0.2, 6), (0.5, 11), (0.95, 6)])
def test_a_version_that_always_fails_is_found_by_few_users(share: float, users: int) -> None:
    """Of 0.95 those few who stay with the original, and are served well, tell it."""
    others = math.ceil(users * (1 - share) / share) if share < 0.9 else users
    assert worse((0, users), (others, 0), share) >= PROOF


def test_at_either_end_there_is_nothing_to_compare() -> None:
    assert worse((0, 50), (0, 0), 1.0) == worse((50, 0), (50, 0), 0.0) == 0


def test_who_looks_after_every_user_is_seldom_misled() -> None:
    rng, runs, alarms = np.random.default_rng(7), 400, 0
    for _ in range(runs):
        at_candidate, fails = rng.random(300) < 0.3, rng.random(300) < 0.1
        most = 0.0
        for n in range(1, 301):
            if not fails[n - 1] and n % 10:
                continue
            hits = at_candidate[:n]
            failed, well = hits[fails[:n]], hits[~fails[:n]]
            counts = Proportion(failed.size, int(failed.sum())), Proportion(well.size, int(well.sum()))
            most = max(most, log_evidence_worse(*counts, 0.3))
        alarms += most >= math.log(10)
    assert alarms <= 0.1 * runs
