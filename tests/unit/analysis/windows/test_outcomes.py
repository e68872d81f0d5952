"""Outcomes by blocks of time: where they end, what they come to, and that they go on after a restart."""

from random import Random
from typing import Any

import orjson
import pytest

from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.windows.outcomes import Outcomes, together

FIELD = ("$.price", "value")


def of(*values: int) -> Symmetric:
    made = Symmetric()
    for value in values:
        made.add(value)
    return made


def fed(outcomes: Outcomes, at: float, errors: int = 0, **more: Any) -> int:
    """Take in a window of a second and return how many blocks there have been."""
    outcomes.add(at, length=2.0, errors=errors, **more)
    outcomes.close(at + 1, length=2.0)
    return outcomes.errors.seen


def test_a_block_ends_as_soon_as_its_seconds_are_over_with_a_single_pair() -> None:
    outcomes = Outcomes()
    assert [fed(outcomes, at, 1) for at in range(6)] == [0, 1, 1, 2, 2, 3]
    assert outcomes.errors == of(2, 2, 2)


def test_what_happens_in_one_block_is_one_value_however_much_it_is() -> None:
    outcomes = Outcomes()
    fed(outcomes, 0, 25)
    fed(outcomes, 1, -20)
    assert outcomes.errors == of(5)


def test_a_stretch_without_a_request_is_in_no_block() -> None:
    outcomes = Outcomes()
    for at in range(100):
        outcomes.close(at, length=2.0)
    assert outcomes.errors.seen == 0
    assert [fed(outcomes, at, at) for at in (100, 200)] == [0, 1]
    outcomes.close(202, length=2.0)
    assert outcomes.errors == of(100, 200)


def test_unexplained_differences_and_fields_have_sums_of_their_own() -> None:
    outcomes = Outcomes()
    for at in range(6):
        fed(outcomes, at, quiet=at - 2, fields=[(FIELD, 1), (("x-id", "value"), 1 if at % 2 else -1)])
    assert (outcomes.errors, outcomes.quiet, outcomes.fields) == (of(0, 0, 0), of(-3, 1, 5), {FIELD: of(2, 2, 2)})


@pytest.mark.parametrize("cut", [0, 3, 7])
def test_they_go_on_after_a_restart_as_if_nothing_had_been(cut: int) -> None:
    chance, whole, parts = Random(3), Outcomes(), Outcomes()
    for at in range(12):
        if at == cut:
            parts = Outcomes.unpack(orjson.loads(orjson.dumps(parts.pack())))
        window = {"errors": chance.randint(-2, 2), "quiet": chance.randint(-2, 2), "fields": [(FIELD, at % 3)]}
        for outcomes in (whole, parts):
            fed(outcomes, at, **window)
    assert parts.pack() == whole.pack()
    assert whole.errors.seen == 6


def test_two_that_become_one_keep_their_blocks_and_what_waits() -> None:
    one, other = Outcomes(), Outcomes()
    for at in range(3):
        fed(one, at, 1)
        fed(other, at, 2, fields=[(FIELD, 1)])
    both = together([one, other])
    assert (both.errors, one.errors, other.errors) == (of(2, 4), of(2), of(4))
    one.merge(other)
    assert fed(one, 3, 1) == 3
    assert one.errors == of(2, 4, 4)
    assert one.fields == {FIELD: of(2, 1)}
    assert together([one]) is one
    assert together([]).errors == Symmetric()
