"""A verdict holds although somebody looks all the time. Small and seeded; `make bench` has the thousands of runs."""

import numpy as np

from tests.unit.analysis.verdict.cases import DIFFERENCES, ERRORS, Seen, case, version
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import Decision
from xds_server.model.judging import Judging

ALPHA = 0.1
"""Large, so that a broken judge shows in few runs."""
RUNS, LOOKS, EACH = 30, 10, 200


def looked_at(rng: np.random.Generator, *, up: float, down: float) -> list[Decision]:
    """Return the decisions of one run, of three endpoints, looked at again and again."""
    state, found = State(), []
    seen = {f"GET /{n}": Seen(appeared=n + 1) for n in range(3)}
    for _ in range(LOOKS):
        for endpoint in seen.values():
            endpoint.pairs += EACH
            endpoint.up += rng.binomial(EACH, up)
            endpoint.down += rng.binomial(EACH, down)
        judging = Judging(alpha=ALPHA)
        verdict, state = judge(case(version(seen), checks=(ERRORS, DIFFERENCES), judging=judging), state)
        found.append(verdict.decision)
    return found


def test_a_version_like_the_original_hardly_ever_fails() -> None:
    rng = np.random.default_rng(11)
    failed = sum(Decision.FAIL in looked_at(rng, up=0.03, down=0.03) for _ in range(RUNS))
    assert failed <= 2 * ALPHA * RUNS


def test_a_version_just_at_the_limit_hardly_ever_passes() -> None:
    rng = np.random.default_rng(12)
    passed = sum(Decision.PASS in looked_at(rng, up=0.02, down=0.01) for _ in range(RUNS))
    assert passed <= 2 * ALPHA * RUNS


def test_a_version_far_beyond_the_limit_always_fails() -> None:
    rng = np.random.default_rng(13)
    assert all(looked_at(rng, up=0.08, down=0.01)[-1] is Decision.FAIL for _ in range(5))
