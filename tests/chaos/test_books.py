"""The books of the campaign: what is missing in them is not made up for."""

import pytest

from tests.chaos.books import accounted


def test_each_copy_is_in_one_kind_and_no_kind_makes_up_for_a_shortfall() -> None:
    found = {"pairs": 10, "notJudged": {"injected": 2}, "lost": {"late": 3, "als_gap": 4, "unpaired_shadow": 5}}
    assert accounted(found) == 10 + 2 + 3 + 4 + 5
    originals = {"unpaired_original": 50, "late_original": 60, "engine_windows_dropped": 2}
    assert accounted({**found, "lost": {**found["lost"], **originals}}) == accounted(found)  # type: ignore[dict-item]


@pytest.mark.parametrize("kind", ["duplicate", "dropped_waiting", "engine_stopped"])
def test_a_kind_that_no_blow_explains_is_not_taken_as_it_is(kind: str) -> None:
    with pytest.raises(AssertionError, match="no blow explains"):
        accounted({"pairs": 10, "lost": {kind: 1}})
