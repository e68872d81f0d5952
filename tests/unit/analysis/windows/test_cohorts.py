"""Users of a split: who counts, when, and what of it is evidence."""

import math

import orjson
import pytest

from tests.bench._users import Crowd, judged
from xds_server.analysis.statistics.family import order_weight
from xds_server.analysis.windows.arms import ArmTally
from xds_server.analysis.windows.cohorts import EPOCH, SETTLE, Cohorts, Users

NOW = 1_750_000_000.0
HALF = {"original": 500_000, "v2": 500_000}
PROOF = math.log(100)


def arm(users: dict[int, float], failed: dict[int, float] | None = None) -> ArmTally:
    made = ArmTally()
    for user, moment in users.items():
        made.count += 1
        made.met(user, moment, failed=False)
    for user, moment in (failed or {}).items():
        made.met(user, moment, failed=True)
    return made


class Book:
    """Takes windows of a second."""

    def __init__(self, weights: dict[str, int] = HALF) -> None:
        self.cohorts, self.weights, self.now = Cohorts(), weights, NOW
        self.take()
        self.now += SETTLE

    def take(self, **arms: ArmTally) -> Users | None:
        self.cohorts.take(arms, self.weights, since=self.now, until=self.now + 0.9)
        self.now += 1
        return self.cohorts.of("v2")

    def counted(self) -> Users:
        found = self.cohorts.of("v2")
        assert found is not None
        return found


def test_each_user_counts_once_however_often_he_asks_and_fails() -> None:
    book = Book()
    for second in range(3):
        moment = NOW + 10 + second
        book.take(original=arm({1: moment, 2: moment}, {2: moment}), v2=arm({3: moment}, {3: moment}))
    users = book.counted()
    assert (users.asked, users.failed, users.requests) == ((1, 3), (1, 1), (3, 9))
    assert users.share == 0.5


def test_the_first_of_several_users_with_one_number_stands_for_all() -> None:
    book = Book()
    book.take(original=arm({1: NOW + 9}, {1: NOW + 9}), v2=arm({1: NOW + 8}))
    book.take(original=arm({1: NOW + 10}, {1: NOW + 10}), v2=arm({1: NOW + 10}, {1: NOW + 9.5}))
    users = book.counted()
    assert users.asked == (1, 1)
    assert users.failed == (1, 0)


def test_a_failure_that_is_not_the_first_request_leaves_it_a_good_one() -> None:
    """So it is evidence of both kinds: 20 users of the original who were served well first."""
    first, later = Book(), Book()
    for book, moment in ((first, NOW), (later, NOW + 0.5)):
        book.take(original=arm(dict.fromkeys(range(20), NOW), dict.fromkeys(range(20), moment)))
    assert first.counted().failed == later.counted().failed == (20, 0)
    assert later.counted().log_worse > first.counted().log_worse


def test_who_is_served_well_while_a_version_is_ejected_is_no_evidence() -> None:
    served, ejected = Book(), Book()
    ejected_arm = arm({50: NOW + 5})
    ejected_arm.missing = 1
    served.take(original=arm(dict.fromkeys(range(20), NOW + 5)), v2=arm({50: NOW + 5}))
    ejected.take(original=arm(dict.fromkeys(range(20), NOW + 5)), v2=ejected_arm)
    assert served.counted().log_worse > ejected.counted().log_worse == pytest.approx(math.log(order_weight(1)))
    assert served.counted().asked == ejected.counted().asked == (1, 21)


def test_users_of_the_time_in_which_weights_reach_the_envoys_do_not_count() -> None:
    book = Book()
    book.weights = {"original": 900_000, "v2": 100_000}
    for second in range(4):
        book.take(v2=arm({second: NOW + 100}))
    assert book.counted().asked == (0, 0) if book.cohorts.of("v2") else True
    book.take(v2=arm({9: NOW + 110}))
    assert (book.counted().asked, book.counted().share) == ((1, 1), 0.1)


@pytest.mark.parametrize(("share", "counted"), [(0.9, 5), (0.1, 1)])
def test_failures_count_at_once_unless_a_share_gets_less(share: float, counted: int) -> None:
    """Then users whom the old weights sent to the version would be more of its failures than the new ones explain."""
    book = Book()
    book.weights = {"original": round((1 - share) * 1e6), "v2": round(share * 1e6)}
    for second in range(5):
        moment = NOW + 10 + second
        book.take(v2=arm({second: moment}, {second: moment}))
    users = book.counted()
    assert users.failed == (0, counted)
    assert users.asked == (1, 1)


def test_after_a_restart_nobody_knows_what_weights_were_before() -> None:
    book = Book()
    book.cohorts = Cohorts.unpack(orjson.loads(orjson.dumps(book.cohorts.pack())))
    for second in range(5):
        moment = NOW + 10 + second
        book.take(v2=arm({second: moment}, {second: moment}))
    assert book.counted().failed == (0, 1)


def test_what_an_epoch_showed_stays_with_its_weight_and_users_count_anew() -> None:
    book = Book()
    everybody = dict.fromkeys(range(40), NOW + 5)
    book.take(original=arm(dict.fromkeys(range(40, 80), NOW + 5)), v2=arm(everybody, everybody))
    before = book.counted().log_worse
    assert before > PROOF
    book.now += EPOCH
    book.take(original=arm({1: book.now}))
    after = book.counted()
    assert (after.epoch, after.asked) == (2, (0, 1))
    assert after.log_worse == pytest.approx(before, abs=0.01)
    packed = orjson.loads(orjson.dumps(book.cohorts.pack()))
    assert Cohorts.unpack(packed).of("v2") == Users(pytest.approx(after.log_worse), (0, 0), (0, 0), (0, 0), 0.0, 2)


def test_without_weights_there_are_no_users_and_none_are_kept() -> None:
    book = Book({})
    tally = arm({1: NOW}, {1: NOW})
    assert book.take(original=tally, v2=arm({2: NOW})) is None
    assert not tally.users
    assert not tally.failed_users


def test_users_survive_the_link_and_the_merging_of_windows_and_go_no_further() -> None:
    made = arm({1: NOW + 2.5, 7: NOW}, {7: NOW + 1})
    again = ArmTally.unpack(orjson.loads(orjson.dumps(made.pack())))
    assert (again.users, again.failed_users) == ({1: NOW + 2.5, 7: NOW}, {7: NOW + 1})
    other = arm({1: NOW + 1, 8: NOW}, {1: NOW + 3})
    one, two = ArmTally.unpack(made.pack()), ArmTally.unpack(other.pack())
    one.merge(other)
    two.merge(made)
    assert one.users == two.users == {1: NOW + 1, 7: NOW, 8: NOW}
    assert one.failed_users == two.failed_users == {1: NOW + 3, 7: NOW + 1}
    packed = made.pack()
    packed[4] = [[-1, NOW], [4096, NOW], [4095, NOW]]
    assert ArmTally.unpack(packed).users == {4095: NOW}


def test_users_whose_data_always_fail_are_no_proof_against_a_version_that_serves_them_like_the_original() -> None:
    """One in a hundred fails always, at either version: requests alone call that a FAIL in a fifth of such runs."""
    found = [judged(Crowd("unlucky", unlucky=0.01), seed) for seed in range(60)]
    assert sum(each.by_requests is not None for each in found) >= 6
    assert sum(each.by_both is not None for each in found) <= 1


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_a_version_that_fails_one_request_in_ten_is_found_all_the_same(weight: float) -> None:
    assert all(judged(Crowd("worse", weight=weight, failing=0.1), seed).by_both for seed in range(5))
