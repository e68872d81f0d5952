from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.analysis.entries import START, batch, pair_entries
from tests.unit.analysis.kept import of_shadows
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.kinds import Lost
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.windows.comparison import comparison_of
from xds_server.analysis.windows.fold import Folding
from xds_server.analysis.windows.tally import Tally
from xds_server.config import EngineSettings

PATHS = ("/items/1", "/items/2", "/search", "/slow")
BODIES = (b'{"a":1,"b":2}', b'{"a":"1","b":2}', b'{"a":1}', b'{"a":1,"b":3,"c":4}')

pairs = st.lists(
    st.tuples(
        st.sampled_from(PATHS),
        st.sampled_from([200, 200, 500]),
        st.sampled_from(BODIES),
        st.integers(0, 100_000),
        st.floats(0.001, 2.0),
    ),
    max_size=12,
)


def tally_of(seen: list[tuple[str, int, bytes, int, float]]) -> Tally:
    analyser = Analyser(EngineSettings(examples=3), wall=lambda: START)
    analyser.configure([ProfileConfig("prof1", "shop", "catalog", shadows={"inst1": "v2"})])
    for path, status, body, at, first in seen:
        original = {"path": path, "body": BODIES[0], "started": START + at}
        shadow = {"path": path, "body": body, "status": status, "first": first}
        analyser.feed(batch(*pair_entries(original, shadow)), 0.0)
    for _ in range(len(seen) % 3):
        analyser.lost(Lost.ALS_GAP, "prof1", "inst1")
    return next(iter(of_shadows(analyser.take())), Tally("prof1", "inst1", keep=3))


def merged(*tallies: Tally) -> dict[str, Any]:
    whole = Tally("prof1", "inst1", keep=3)
    for tally in tallies:
        whole.merge(copy(tally))
    return normal(whole)


def copy(tally: Tally) -> Tally:
    return Tally.unpack(orjson.loads(orjson.dumps(tally.pack())))


def normal(tally: Tally) -> dict[str, Any]:
    """Return a form in which equal tallies are equal: without the order of dicts, and of fields."""
    packed = tally.pack()
    for endpoint in packed["endpoints"].values():
        endpoint[5].sort(key=lambda field: field[:2])
        for field in endpoint[5]:
            field[3] = sorted(field[3])
    return packed


@given(pairs, pairs, pairs)
@settings(max_examples=30)
def test_merging_is_associative_and_commutative(a: Any, b: Any, c: Any) -> None:
    one, two, three = tally_of(a), tally_of(b), tally_of(c)
    left = Tally("prof1", "inst1", keep=3)
    left.merge(copy(two))
    left.merge(copy(three))
    assert merged(one, two, three) == merged(three, one, two) == merged(one, left)


@given(pairs)
@settings(max_examples=30)
def test_a_tally_survives_its_json_form(seen: Any) -> None:
    tally = tally_of(seen)
    assert normal(copy(tally)) == normal(tally)


@given(pairs, pairs)
@settings(max_examples=30)
def test_counts_add_up(a: Any, b: Any) -> None:
    both = Tally.unpack(orjson.loads(orjson.dumps(merged(tally_of(a), tally_of(b)))))
    comparison = comparison_of(both)
    assert comparison.pairs == len(a) + len(b)
    assert comparison.identical + comparison.discrepancies == comparison.pairs
    for endpoint in both.endpoints.values():
        assert endpoint.original.count == endpoint.shadow.count == endpoint.original.response.count == endpoint.pairs
        assert sum(endpoint.shadow.statuses.values()) == endpoint.pairs
        assert endpoint.shadow.errors == endpoint.shadow.statuses["500"]
        for field in endpoint.fields.values():
            assert 0 < field.count <= endpoint.differing
            assert 0 < len(field.examples) <= 3
            assert field.first <= field.last


def examples(tally: Tally) -> Iterator[float]:
    for endpoint in tally.endpoints.values():
        for field in endpoint.fields.values():
            yield from (example.time for example in field.examples)


def test_of_the_examples_the_newest_are_kept() -> None:
    seen = [("/items/1", 200, BODIES[1], at, 0.01) for at in (5, 1, 9, 3, 7)]
    whole = Tally("prof1", "inst1", keep=3)
    for one in seen:
        whole.merge(tally_of([one]))
    assert sorted(examples(whole)) == [START + 5, START + 7, START + 9]


def test_folding_keeps_totals_and_bounds_names() -> None:
    folding = Folding(max_endpoints=1, max_differences=1)
    whole = Tally("prof1", "inst1", keep=3)
    for seen in ([("/items/1", 200, BODIES[1], 1, 0.1)], [("/search", 500, BODIES[0], 2, 0.1)] * 2):
        whole.merge(folding.fold(tally_of(seen)))
    assert set(whole.endpoints) == {"GET /items/{id}", "other"}
    assert whole.endpoints["other"].pairs == 2
    assert set(whole.endpoints["other"].fields) == {("other", "status")}


def test_endpoints_beyond_the_bound_in_one_window_are_added_up() -> None:
    seen = [(path, 200, BODIES[1], 1, 0.1) for path in ("/items/1", "/search", "/search", "/slow")]
    folded = Folding(max_endpoints=1, max_differences=9).fold(tally_of(seen))
    assert {name: (e.pairs, e.differing) for name, e in folded.endpoints.items()} == {
        "GET /items/{id}": (1, 1),
        "other": (3, 3),
    }
