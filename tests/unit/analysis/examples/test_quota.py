from xds_server.analysis.examples.quota import A_WINDOW, Quota

ONE, OTHER = ("prof1", "inst1"), ("prof1", "inst2")


def used_up(quota: Quota, owner: tuple[str, str]) -> int:
    made = 0
    while quota.each(owner, 5):
        quota.use(owner)
        made += 1
    return made


def test_who_is_alone_has_all_examples_of_a_window() -> None:
    assert used_up(Quota(), ONE) == A_WINDOW


def test_all_owners_together_have_no_more_than_a_window_s() -> None:
    quota = Quota()
    assert used_up(quota, ONE) + used_up(quota, OTHER) == A_WINDOW


def test_each_owner_has_a_share_from_the_second_window_on() -> None:
    quota = Quota()
    quota.use(ONE)
    quota.use(OTHER)
    quota.turn()
    assert used_up(quota, ONE) == used_up(quota, OTHER) == A_WINDOW // 2


def test_very_many_owners_have_one_each_until_the_window_s_are_gone() -> None:
    quota = Quota()
    owners = [("prof1", f"inst{number}") for number in range(A_WINDOW)]
    for owner in owners:
        quota.use(owner)
    quota.turn()
    assert [used_up(quota, owner) for owner in [*owners, ONE]] == [1] * A_WINDOW + [0]


def test_a_field_has_but_one_example_when_half_of_the_share_is_used() -> None:
    quota = Quota()
    for _ in range(A_WINDOW // 2):
        assert quota.each(ONE, 5) == 5
        quota.use(ONE)
    assert quota.each(ONE, 5) == 1
    assert quota.each(ONE, 0) == 0
