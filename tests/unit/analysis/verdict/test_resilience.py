"""How versions degrade under injected faults."""

import pytest

from tests.unit.analysis.verdict.cases import Seen, case, version
from xds_server.analysis.verdict.resilience import resilience_of


def test_without_faults_there_is_nothing_to_say() -> None:
    assert resilience_of(case(version({"GET /": Seen(1000)}))) is None


def test_the_score_is_the_share_answered_as_well_as_without_a_fault() -> None:
    seen = version({"GET /": Seen(1000), "GET /cart": Seen(1000, up=20, faulted=(100, 22, 30, 7))})
    found = resilience_of(case(seen))
    assert found is not None
    assert found.score == pytest.approx(0.72)
    (cart,) = found.endpoints
    assert (cart.endpoint, cart.aborted, cart.failing, cart.differing) == ("GET /cart", 7, 0.22, 0.3)
    assert "answers 72 % of the copies as well as without; worst is GET /cart: of 100 copies" in found.summary


def test_with_a_control_noise_is_no_difference_neither_under_a_fault_nor_without() -> None:
    noisy = Seen(1000, differing=470, trios=990, quiet_up=99, faulted=(100, 2, 47, 0), faulted_trios=(50, 20))
    found = resilience_of(case(version({"GET /feed": noisy}), controlled=True))
    assert found is not None
    assert found.endpoints[0].differing == 0.4
    assert found.score == pytest.approx(1 - (0.4 - 0.1))
    assert "40 % are answered differently" in found.summary


def test_what_slows_down_is_said_and_is_not_in_the_score() -> None:
    found = resilience_of(case(version({"GET /": Seen(1000, faulted=(100, 0, 0, 0), slow=0.036)})))
    assert found is not None
    assert found.score == 1
    assert found.endpoints[0].slower == pytest.approx(3, rel=0.03)
    assert "slower is GET /" in found.summary


def test_copies_that_a_fault_answered_say_nothing_about_the_version() -> None:
    found = resilience_of(case(version({"GET /": Seen(1000, faulted=(0, 0, 0, 40))})))
    assert found is not None
    assert found.score is None
    assert "answered by the injected abort" in found.summary


def test_versions_stand_beside_each_other_and_the_worst_counts() -> None:
    a = version({"GET /": Seen(1000, faulted=(100, 2, 2, 0))}, name="a")
    b = version({"GET /": Seen(1000, faulted=(100, 40, 40, 0))}, name="b")
    found = resilience_of(case(a, b))
    assert found is not None
    assert found.scores == {"a": pytest.approx(0.98), "b": pytest.approx(0.6)}
    assert found.score == pytest.approx(0.6)


def test_only_the_version_that_slows_down_is_said_to() -> None:
    a = version({"GET /": Seen(1000, faulted=(100, 0, 0, 0), slow=0.036)}, name="a")
    b = version({"GET /": Seen(1000, faulted=(100, 0, 0, 0), slow=0.012)}, name="b")
    found = resilience_of(case(a, b))
    assert found is not None
    said = found.summary.split("under the injected faults ")[1:]
    assert ["slower is" in each for each in said] == [True, False]
