import math

from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.windows.sketch import ACCURACY, LEAST, MOST, Sketch

seconds = st.floats(min_value=1e-5, max_value=1e4, allow_nan=False)


@given(st.lists(seconds, min_size=1, max_size=200), st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_the_stated_accuracy(values: list[float], q: float) -> None:
    exact = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    found = Sketch(values).quantile(q)
    assert found is not None
    assert abs(found - exact) <= exact * ACCURACY * 1.000001


@given(st.lists(seconds), st.lists(seconds), st.lists(seconds))
def test_merging_is_exact_in_any_order_and_grouping(a: list[float], b: list[float], c: list[float]) -> None:
    left = Sketch(a)
    left.merge(Sketch(b))
    left.merge(Sketch(c))
    inner = Sketch(c)
    inner.merge(Sketch(b))
    inner.merge(Sketch(a))
    assert left == inner == Sketch([*a, *b, *c])


@given(st.lists(seconds))
def test_a_sketch_survives_its_json_form(values: list[float]) -> None:
    sketch = Sketch(values)
    assert Sketch.from_json(sketch.as_json()) == sketch


def test_an_empty_sketch_has_no_quantile() -> None:
    assert Sketch().quantile(0.5) is None


def test_values_out_of_range_count_as_the_nearest_bound() -> None:
    sketch = Sketch([-1.0, 0.0, math.inf])
    assert sketch.count == 3
    assert sketch.quantile(0.0) == _Close(LEAST)
    assert sketch.quantile(1.0) == _Close(MOST)


def test_a_sketch_stays_small_whatever_it_is_given() -> None:
    sketch = Sketch(1e-7 * 1.01**i for i in range(5000))
    assert len(sketch.as_json()) // 2 < 1400


class _Close(float):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(other - float(self)) <= float(self) * ACCURACY * 1.01

    __hash__ = float.__hash__


@given(st.lists(seconds, max_size=200), st.lists(seconds, min_size=1, max_size=10, unique=True).map(sorted))
def test_counts_up_to_a_bound_and_the_sum_are_within_the_stated_accuracy(
    values: list[float], bounds: list[float]
) -> None:
    sketch = Sketch(values)
    for bound, count in zip(bounds, sketch.cumulative(bounds), strict=True):
        assert sum(v <= bound * (1 - 1.01 * ACCURACY) for v in values) <= count
        assert count <= sum(v <= bound * (1 + 1.01 * ACCURACY) for v in values)
    assert abs(sketch.total() - math.fsum(values)) <= math.fsum(values) * ACCURACY * 1.000001
