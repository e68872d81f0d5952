"""The test that tells noise from change: against an oracle, and by simulation with fixed seeds."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.kinds import Kind
from xds_server.analysis.windows.noise import ALPHA, Nature, evidence, judge
from xds_server.analysis.windows.tally import FieldTally

VALUE = ("$.id", str(Kind.VALUE))
FIELD = ("$.x", str(Kind.VALUE))
SAME_KIND = ("$.id", str(Kind.SAME_KIND))
PROOF = 1 / ALPHA


def tally(*, both: int = 0, alone: int = 0, control: int = 0) -> FieldTally:
    made = FieldTally(both + alone)
    made.both, made.alone, made.control = both, alone, control
    return made


def integral(alone: int, control: int, steps: int = 20_000) -> float:
    """E by Simpson's rule, in logarithms so that nothing overflows."""

    def at(p: float) -> float:
        if p == 1.0:
            return -math.inf if control else alone * math.log(2)
        return alone * math.log(2 * p) + control * math.log(2 * (1 - p))

    top = max(at(0.5 + 0.5 * i / steps) for i in range(steps + 1))
    weights = (1 if i in {0, steps} else 4 if i % 2 else 2 for i in range(steps + 1))
    total = sum(w * math.exp(at(0.5 + 0.5 * i / steps) - top) for i, w in enumerate(weights))
    return 2 * (0.5 / steps / 3) * total * math.exp(top)


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_evidence_is_the_integral_that_it_says(alone: int, control: int) -> None:
    assert evidence(alone, control) == pytest.approx(integral(alone, control, 4000), rel=1e-6)


@given(st.integers(0, 900), st.integers(0, 900))
def test_one_more_trio_changes_the_evidence_as_a_martingale_does(alone: int, control: int) -> None:
    """Under a fair coin the mean of what comes next is at most what is: the integrand's factors are 2p and 2(1-p)."""
    now = evidence(alone, control)
    assert (evidence(alone + 1, control) + evidence(alone, control + 1)) / 2 == pytest.approx(now, rel=1e-6)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_more_of_the_shadow_alone_is_more_evidence(alone: int, control: int) -> None:
    assert evidence(alone + 1, control) > evidence(alone, control) > evidence(alone, control + 1)


@pytest.mark.parametrize("counts", [(10**9, 10**9), (10**9, 0), (0, 10**9), (10**7, 10**7 + 9999), (2000, 1)])
def test_any_counts_are_a_finite_number_in_bounded_time(counts: tuple[int, int]) -> None:
    assert 0 < evidence(*counts) < math.inf


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.98])
def test_noise_is_rarely_ever_taken_for_a_change_however_often_one_looks(rate: float) -> None:
    """One looks after each trio. At most a share of ALPHA of fields may ever be taken so: of these, 4 in the mean."""
    chance = Random(20261125)
    runs, alarms = 4000, 0
    for _ in range(runs):
        alone = control = 0
        for _ in range(300):
            shadow, own = chance.random() < rate, chance.random() < rate
            if shadow != own:
                alone, control = alone + shadow, control + own
                if evidence(alone, control) >= PROOF:
                    alarms += 1
                    break
    # Binomial(4000, 0.001) is above 12 once in 4,000 times.
    assert alarms <= 12


def test_a_field_that_differs_half_the_time_in_both_is_noise() -> None:
    chance = Random(4)
    counts = tally()
    trios = 2000
    for _ in range(trios):
        shadow, own = chance.random() < 0.5, chance.random() < 0.5
        counts.both += shadow and own
        counts.alone += shadow and not own
        counts.control += own and not shadow
    found = judge(VALUE, counts, trios)
    assert found.nature is Nature.NOISE
    assert not found.counts
    assert not found.proven
    assert found.shadow_rate == pytest.approx(0.5, abs=0.05)
    assert found.control_rate == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("noise", "change"), [(0.5, 0.9), (0.05, 0.15), (0.9, 1.0)])
def test_a_change_in_a_noisy_field_is_found(noise: float, change: float) -> None:
    for seed in range(50):
        chance = Random(seed)
        counts = tally()
        for trios in range(1, 2001):
            shadow, own = chance.random() < change, chance.random() < noise
            counts.both += shadow and own
            counts.alone += shadow and not own
            counts.control += own and not shadow
            if (found := judge(VALUE, counts, trios)).proven:
                assert found.nature is Nature.REAL
                break
        else:
            pytest.fail(f"not found with seed {seed}: {counts.alone} against {counts.control}")


def test_a_difference_that_the_control_never_shows_counts_at_once_and_is_proven_later() -> None:
    once, often = judge(VALUE, tally(alone=1), 100), judge(VALUE, tally(alone=13), 100)
    assert (once.nature, once.proven) == (Nature.REAL, False)
    assert (often.nature, often.proven) == (Nature.REAL, True)


def test_the_control_may_contradict_what_looks_like_noise_or_confirm_it() -> None:
    assert judge(SAME_KIND, tally(), 0).nature is Nature.RECOGNISED
    assert judge(SAME_KIND, tally(both=50), 50).nature is Nature.NOISE
    assert judge(SAME_KIND, tally(alone=50), 50).nature is Nature.REAL


def test_without_a_trio_there_are_no_rates() -> None:
    found = judge(VALUE, tally(), 0)
    assert (found.nature, found.shadow_rate, found.control_rate) == (Nature.REAL, None, None)


@pytest.mark.parametrize(
    ("counts", "nature"),
    [({"alone": 900}, Nature.RECOGNISED), ({"alone": 900, "control": 1}, Nature.NOISE), ({"both": 900}, Nature.NOISE)],
)
def test_a_clock_that_a_slower_shadow_reads_later_is_no_difference(counts: dict[str, int], nature: Nature) -> None:
    found = tally(**counts)
    found.what = "clock"
    assert judge(SAME_KIND, found, 1000).nature is nature


def test_a_time_that_is_wrong_is_a_difference() -> None:
    found = tally(alone=900, both=1)
    found.what = "timestamp"
    assert judge(SAME_KIND, found, 1000).nature is Nature.REAL


@pytest.mark.parametrize(
    ("counts", "nature"),
    [
        ({"both": 1, "alone": 2}, Nature.NOISE),
        ({"both": 1, "alone": 8}, Nature.UNDECIDED),
        ({"both": 1, "alone": 14}, Nature.REAL),
        ({"control": 5, "alone": 25}, Nature.UNDECIDED),
        ({"control": 5, "alone": 40}, Nature.REAL),
        ({"control": 25, "alone": 30}, Nature.NOISE),
    ],
)
def test_what_differs_more_often_than_at_the_control_is_undecided_until_it_is_proven(
    counts: dict[str, int], nature: Nature
) -> None:
    found = judge(FIELD, tally(**counts), 1000)
    assert found.nature is nature
    assert (found.counts, found.explained) == (nature is Nature.REAL, nature is Nature.NOISE)
