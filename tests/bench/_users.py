"""Users of a split who come, ask for a while, and go: second by second, into the manager's own book of evidence."""

import math
from dataclasses import dataclass

import numpy as np

from xds_server.analysis.statistics.paired import log_evidence_above
from xds_server.analysis.windows.arms import ORIGINAL, ArmTally
from xds_server.analysis.windows.evidence_book import EvidenceBook
from xds_server.analysis.windows.tally import Tally
from xds_server.model.names import MILLION, USERS

BEGIN = 1_750_000_000.0
VERSION = "v2"
VISIT = 20
"""Requests of a user, on average."""
MARGIN = 0.01
ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who comes, and what they meet."""

    name: str
    weight: float = 0.5
    """The candidate's share of the users."""
    a_second: float = 3.0
    """Users that come."""
    unlucky: float = 0.0
    """Share of the users who fail more often than others, at either version: their data do."""
    unluckily: float = 1.0
    """How often they fail."""
    failing: float = 0.001
    """How often the candidate fails; the original fails one request in a thousand."""


@dataclass(frozen=True, slots=True)
class Found:
    """After how many seconds there was a FAIL, at a limit of 1 % more errors; None: never."""

    by_requests: int | None
    """By requests alone."""
    by_both: int | None
    """By requests and by users."""


def judged(crowd: Crowd, seed: int, *, seconds: int = 120) -> Found:
    """Look at a split each second."""
    rng, book = np.random.default_rng(seed), EvidenceBook(np.random.default_rng(seed))
    of_it = round(crowd.weight * MILLION)
    weights = {ORIGINAL: MILLION - of_it, VERSION: of_it}
    here: list[tuple[str, bool, int, int]] = []
    by_requests = None
    enough = math.log(1 / ALPHA)
    for second in range(seconds):
        for _ in range(rng.poisson(crowd.a_second)):
            arm = VERSION if rng.random() < crowd.weight else ORIGINAL
            unlucky = bool(rng.random() < crowd.unlucky)
            here.append((arm, unlucky, int(rng.geometric(1 / VISIT)), int(rng.integers(USERS))))
        book.take(_window(crowd, here, rng, second), length=2.0, quantiles=(0.5,), weights=weights)
        here = [(arm, unlucky, left - 1, user) for arm, unlucky, left, user in here if left > 1]
        pair = book.view([], {}).arm_pairs.get((ORIGINAL, VERSION))
        if pair is None or log_evidence_above(pair.errors, MARGIN) < enough:
            continue
        by_requests = second if by_requests is None else by_requests
        if pair.users is not None and pair.users.log_worse >= enough:
            return Found(by_requests, second)
    return Found(by_requests, None)


def _window(crowd: Crowd, here: list[tuple[str, bool, int, int]], rng: np.random.Generator, second: int) -> Tally:
    """Return a second in which each who is here asks once."""
    window = Tally("p", "")
    window.seen(BEGIN + second)
    window.seen(BEGIN + second + 0.9)
    arms = {ORIGINAL: ArmTally(), VERSION: ArmTally()}
    for arm, unlucky, _, user in here:
        usual = crowd.failing if arm == VERSION else 0.001
        failed = bool(rng.random() < (max(crowd.unluckily, usual) if unlucky else usual))
        arms[arm].count += 1
        arms[arm].errors += failed
        arms[arm].met(user, BEGIN + second + rng.random() * 0.9, failed=failed)
    window.arms = {arm: each for arm, each in arms.items() if each.count}
    return window
