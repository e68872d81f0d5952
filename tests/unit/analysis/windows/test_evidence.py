"""Evidence merges in any order and survives its JSON form."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.tally import EndpointTally, FieldTally, Tally

COUNTS = (
    "pairs",
    "error_up",
    "error_both",
    "error_down",
    "differing",
    "trios",
    "quiet_up",
    "quiet_down",
    "missing",
    "missing_errors",
)
FAULTED = ("pairs", "errors", "differing", "trios", "quiet", "aborted")
TIMES = st.lists(st.tuples(st.floats(1e-6, 9.0), st.floats(1e-6, 9.0)), max_size=5)


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    made = Evidence()
    for name in COUNTS:
        setattr(made, name, draw(st.integers(0, 9)))
    made.not_judged = draw(st.dictionaries(st.sampled_from(["timeout", "guard", "streaming"]), st.integers(1, 9)))
    for name in FAULTED:
        setattr(made.faulted, name, draw(st.integers(0, 9)))
    for times in (made.times, made.control_times):
        for pair in draw(TIMES):
            times.add(*pair)
    for one, _ in draw(TIMES):
        made.faulted.times.add(one)
    return made


def copy(of: Evidence) -> Evidence:
    return Evidence.unpack(orjson.loads(orjson.dumps(of.pack())))


def merged(*parts: Evidence) -> list[Any]:
    whole = Evidence()
    for part in parts:
        whole.merge(copy(part))
    return whole.pack()


@given(evidence())
def test_evidence_survives_its_json_form(one: Evidence) -> None:
    assert copy(one).pack() == one.pack()


@given(evidence(), evidence(), evidence())
def test_merging_evidence_is_associative_and_commutative(a: Evidence, b: Evidence, c: Evidence) -> None:
    left = copy(b)
    left.merge(copy(c))
    assert merged(a, b, c) == merged(c, a, b) == merged(a, left)


@given(evidence(), evidence())
def test_every_number_adds_up(a: Evidence, b: Evidence) -> None:
    whole = Evidence.unpack(merged(a, b))
    assert [getattr(whole, n) for n in COUNTS] == [getattr(a, n) + getattr(b, n) for n in COUNTS]
    assert [getattr(whole.faulted, n) for n in FAULTED] == [
        getattr(a.faulted, n) + getattr(b.faulted, n) for n in FAULTED
    ]
    assert whole.times.reference.count == a.times.candidate.count + b.times.candidate.count


TRIO = st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1)])


@st.composite
def windows(draw: st.DrawFn) -> Tally:
    tally = Tally("p", "i")
    for name in draw(st.sets(st.sampled_from("abc"))):
        endpoint = tally.endpoints[name] = EndpointTally()
        endpoint.evidence = draw(evidence())
        endpoint.appeared = draw(st.integers(0, 3))
        for field in draw(st.sets(st.sampled_from("xyz"))):
            found = endpoint.fields[field, "value"] = FieldTally()
            found.appeared = draw(st.integers(0, 3))
            for trio in draw(st.lists(TRIO, max_size=3)):
                found.met(trio, first=draw(st.booleans()), sound=draw(st.booleans()))
    return tally


def again(tally: Tally) -> Tally:
    return Tally.unpack(orjson.loads(orjson.dumps(tally.pack())))


def all_of(*tallies: Tally) -> dict[str, Any]:
    whole = Tally("p", "i")
    for tally in tallies:
        whole.merge(again(tally))
    packed = whole.pack()
    packed["endpoints"] = dict(sorted(packed["endpoints"].items()))
    return packed


@given(windows(), windows(), windows())
def test_trios_and_orders_of_appearance_merge_in_any_order(a: Tally, b: Tally, c: Tally) -> None:
    left = again(b)
    left.merge(again(c))
    assert all_of(a, b, c) == all_of(c, b, a) == all_of(a, left)


@given(windows())
def test_a_split_window_adds_up_to_what_it_was(tally: Tally) -> None:
    whole, parts = all_of(tally), [again(tally)]
    while (rest := parts[-1].split()) is not None:
        parts.append(rest)
    assert all_of(*parts) == whole


@given(windows())
def test_what_a_field_is_taken_for_outlives_a_restart_of_the_evidence(tally: Tally) -> None:
    before = {
        key: f.trios for n, e in tally.endpoints.items() for key, f in ((((n, k)), f) for k, f in e.fields.items())
    }
    for endpoint in tally.endpoints.values():
        endpoint.restart_evidence()
    for name, endpoint in tally.endpoints.items():
        assert endpoint.evidence.pack() == Evidence().pack()
        for field, found in endpoint.fields.items():
            assert (found.both, found.alone, found.control) == (0, 0, 0)
            assert found.trios == before[name, field]
