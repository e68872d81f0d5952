import math

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.differing import START, a_tally, judged, seen
from xds_server.analysis.query.surprise import pairs_before, surprise

counts = st.integers(0, 10**9)


def test_half_as_many_pairs_are_one_bit_more() -> None:
    assert round(surprise(499, 100_000) - surprise(999, 100_000), 6) == 1.0


def test_what_was_there_from_the_first_pair_has_no_bits_for_being_new() -> None:
    assert surprise(1000, 1000) == round(-math.log2(1001 / 1002), 3)
    assert surprise(1000, 2000, before=1000) > surprise(1000, 2000) + 8


@given(counts, counts, counts)
def test_bits_are_never_negative_and_finite(count: int, pairs: int, before: int) -> None:
    assert 0 <= surprise(count, pairs, before=before) < 100


def test_pairs_before_are_those_of_the_buckets_before_the_first() -> None:
    tally = a_tally()
    judged(tally, 1000)
    field = seen(tally, "$.a", first=START + 55)
    timeline = tally.endpoints["GET /items/{id}"].timeline
    assert pairs_before(timeline, field) == 500
