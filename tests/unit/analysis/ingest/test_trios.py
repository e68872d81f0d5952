"""Trios: booked once, in the shadow's tally, whatever comes first and whatever is lost."""

import itertools
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.entries import PROFILE, START, batch, entry
from tests.unit.analysis.kept import examples_of
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.ingest.trios import MAX_CONTROLS, Controls, weight_of
from xds_server.analysis.kinds import Lost
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.windows.comparison import comparison_of, measured_by
from xds_server.analysis.windows.tally import EndpointTally, FieldTally, Tally, versions_of
from xds_server.config import EngineSettings
from xds_server.lifecycle.clock import SystemClock

CONTROL = "ccc"
CANDIDATES = ("a", "b")
SHADOWS = {"a": "v2", "b": "v3", CONTROL: "control"}


def config(control: str = CONTROL) -> ProfileConfig:
    return ProfileConfig(PROFILE, "shop", "catalog", shadows=SHADOWS, control=control)


def analyser(control: str = CONTROL) -> Analyser:
    made = Analyser(EngineSettings(), wall=lambda: START)
    made.configure([config(control)])
    return made


def leg(pair: int, shadow: str, differs: frozenset[str] = frozenset(), **more: Any) -> Any:
    body = {"x": 0, "y": 0, "z": 0} | dict.fromkeys(differs, 1)
    return entry(pair=str(pair), shadow=shadow, body=orjson.dumps(body), **more)


def merged(tallies: list[Tally]) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for tally in tallies:
        if tally.instance in found:
            found[tally.instance].merge(tally)
        else:
            found[tally.instance] = Tally.unpack(orjson.loads(orjson.dumps(tally.pack())))
    return found


def counted(tally: Tally) -> tuple[int, dict[str, tuple[int, int, int]]]:
    (endpoint,) = tally.endpoints.values()
    return endpoint.trios, {name: found.trios for (name, _), found in endpoint.fields.items() if any(found.trios)}


FIELDS = st.frozensets(st.sampled_from("xyz"))
LEGS = st.fixed_dictionaries({name: st.none() | FIELDS for name in (*CANDIDATES, CONTROL)})


def by_hand(requests: list[dict[str, frozenset[str] | None]], name: str) -> Counter[str]:
    """Count the trios of a candidate, and its fields' kinds."""
    wanted: Counter[str] = Counter()
    for legs in requests:
        mine, own = legs[name], legs[CONTROL]
        if mine is not None and own is not None:
            wanted["trios"] += 1
            wanted.update(f"both $.{f}" for f in mine & own)
            wanted.update(f"alone $.{f}" for f in mine - own)
            wanted.update(f"control $.{f}" for f in own - mine)
    return wanted


def booked(tally: Tally | None) -> Counter[str]:
    """Return what a tally says of the same."""
    found: Counter[str] = Counter()
    for endpoint in tally.endpoints.values() if tally is not None else ():
        found["trios"] += endpoint.trios
        for (field, _), each in endpoint.fields.items():
            found.update(dict(zip((f"both {field}", f"alone {field}", f"control {field}"), each.trios, strict=True)))
    return +found


@given(st.lists(LEGS, min_size=1, max_size=6), st.randoms(use_true_random=False), st.integers(1, 5))
def test_trios_are_what_counting_by_hand_says_in_any_order_and_in_any_windows(
    requests: list[dict[str, frozenset[str] | None]], chance: Any, size: int
) -> None:
    entries = [leg(number, "") for number in range(len(requests))]
    for number, legs in enumerate(requests):
        entries += [leg(number, name, differs) for name, differs in legs.items() if differs is not None]
    chance.shuffle(entries)
    engine, taken = analyser(), []
    for first in range(0, len(entries), size):
        engine.feed(batch(*entries[first : first + size]), 0.0)
        taken += engine.take()
    tallies = merged(taken)
    for name in CANDIDATES:
        assert booked(tallies.get(name)) == by_hand(requests, name)
    assert {name for name, tally in tallies.items() if tally.control} <= {CONTROL}
    assert not booked(tallies.get(CONTROL))


@pytest.mark.parametrize("order", list(itertools.permutations(("", "a", CONTROL))))
def test_a_field_of_the_control_alone_is_there_with_count_0(order: tuple[str, ...]) -> None:
    engine = analyser()
    differs = {"": frozenset(""), "a": frozenset("x"), CONTROL: frozenset("xy")}
    engine.feed(batch(*(leg(1, name, differs[name]) for name in order)), 0.0)
    tallies = merged(engine.take())
    assert counted(tallies["a"]) == (1, {"$.x": (1, 0, 0), "$.y": (0, 0, 1)})
    (endpoint,) = tallies["a"].endpoints.values()
    assert {name: found.count for (name, _), found in endpoint.fields.items()} == {"$.x": 1, "$.y": 0}
    (shown,) = comparison_of(tallies["a"]).as_json()["endpoints"]
    assert [d["field"] for d in shown["differences"]] == ["$.x"]


def test_a_pair_that_is_not_judged_makes_no_trio() -> None:
    for name in ("a", CONTROL):
        engine = analyser()
        unjudged = {"status": 503, "details": "fault_filter_abort", "flags": ["fault_injected"], "first": None}
        for each in ("", "a", CONTROL):
            more: dict[str, Any] = unjudged if each == name else {}
            engine.feed(batch(leg(1, each, **more)), 0.0)
        assert sum(e.trios for t in engine.take() for e in t.endpoints.values()) == 0


def test_a_duplicate_makes_no_second_trio() -> None:
    engine = analyser()
    engine.feed(batch(*(leg(1, name) for name in ("", "a", CONTROL, "a", CONTROL, "b"))), 0.0)
    assert counted(merged(engine.take())["a"])[0] == 1


def test_a_field_that_the_control_showed_first_keeps_the_time_and_the_kind_of_its_own_first_pair() -> None:
    engine = analyser()
    engine.feed(batch(leg(1, ""), leg(1, CONTROL, frozenset("x")), leg(1, "a")), 0.0)
    engine.feed(batch(leg(2, "", started=START + 9), leg(2, "a", frozenset("x"), started=START + 9)), 0.0)
    (endpoint,) = merged(engine.take())["a"].endpoints.values()
    ((_, found),) = endpoint.fields.items()
    assert (found.count, found.first, found.what) == (1, START + 9, "")


def test_what_is_on_the_way_when_a_control_ends_is_still_counted_in() -> None:
    engine = analyser()
    engine.feed(batch(leg(1, ""), leg(1, "a")), 0.0)
    engine.configure([config(control="")])
    engine.feed(batch(leg(1, CONTROL)), 0.0)
    tallies = merged(engine.take())
    assert counted(tallies["a"])[0] == 1
    assert tallies[CONTROL].control


def test_nothing_is_noted_when_there_is_no_control() -> None:
    controls = Controls()
    assert not controls
    controls.configure("")
    assert not controls
    controls.configure("c")
    controls.configure("")
    assert controls
    assert controls.meet(None, "a", ("GET /", {("$.x", "value"): ""}, None, True, False, False)) == (None, [])


def test_controls_of_a_profile_are_remembered_within_bounds() -> None:
    controls = Controls()
    for number in range(MAX_CONTROLS + 5):
        controls.configure(str(number))
    assert "4" not in controls
    assert str(MAX_CONTROLS + 4) in controls


def test_it_is_said_by_which_control_noise_was_measured() -> None:
    engine = analyser()
    engine.feed(batch(*(leg(1, name, frozenset("x")) for name in ("", CONTROL))), 0.0)
    engine.feed(batch(*(leg(2, name) for name in ("", "a"))), 0.0)
    tallies = merged(engine.take())
    control = measured_by(tallies.values())
    assert control is not None
    before = comparison_of(tallies["a"], control=control).as_json()["noiseMeasured"]
    assert (before["byControl"], before["instanceID"], before["requests"]) == (False, CONTROL, 0)
    assert "not measured yet" in before["summary"]
    assert measured_by([tallies["a"]]) is None
    assert "was not measured" in comparison_of(tallies["a"]).as_json()["noiseMeasured"]["summary"]


def test_the_comparison_of_a_profile_leaves_its_control_out_and_survives_a_restart() -> None:
    engine = analyser()
    legs = [leg(n, name, frozenset("x") if name else frozenset()) for n in range(3) for name in ("", "a", CONTROL)]
    engine.feed(batch(*legs), 0.0)
    first = Collector(clock=SystemClock(), settings=EngineSettings())
    first.configure([config()])
    for number, tally in enumerate(engine.take()):
        first._take(f"engine-{number}", 1, 0, orjson.loads(orjson.dumps(tally.pack())))
    second = Collector(clock=SystemClock(), settings=EngineSettings())
    second.load(PROFILE, first.dump(PROFILE))
    for collector in (first, second):
        found = collector.summary(PROFILE)
        assert (found.pairs, found.noise, found.discrepancies, found.trios) == (3, 3, 0, 3)
        assert found.control is not None
        assert (found.control.instance, found.control.pairs) == (CONTROL, 3)
        assert {example.id.rpartition("/")[2] for example in examples_of(collector, PROFILE)} == {"a"}
    assert second.summary(PROFILE, CONTROL).pairs == 3


def test_notes_count_among_the_bytes_that_wait_and_go_with_their_originals() -> None:
    engine = analyser()
    engine.feed(batch(leg(1, "")), 0.0)
    bare = engine.pairing.waiting_bytes
    engine.feed(batch(leg(1, "a", frozenset("xyz"))), 0.0)
    assert engine.pairing.waiting_bytes == bare + weight_of("xyz")  # type: ignore[arg-type]
    engine.feed(batch(leg(1, CONTROL), leg(1, "b")), 0.0)
    assert (engine.pairing.waiting, engine.pairing.waiting_bytes) == (0, 0)


def test_a_control_that_never_answers_holds_no_more_than_the_bound() -> None:
    most = 20_000
    engine = Analyser(EngineSettings(max_waiting_bytes=most), wall=lambda: START)
    engine.configure([config()])
    for number in range(200):
        engine.feed(batch(leg(number, ""), leg(number, "a", frozenset("xyz"))), 0.0)
        assert engine.pairing.waiting_bytes <= most
    lost = merged(engine.take())[CONTROL].lost
    assert lost[Lost.DROPPED_WAITING] > 150
    engine.pairing.stop()
    assert (engine.pairing.waiting, engine.pairing.waiting_bytes) == (0, 0)


def test_equal_fields_of_many_notes_are_one_object() -> None:
    controls = Controls()
    controls.configure("c")
    made = [
        controls.meet(None, "a", ("GET /", {("$." + "x" * 3, "value"): ""}, None, True, False, False))[0]
        for _ in range(2)
    ]
    first, second = (next(iter(notes["a"][1])) for notes in made if notes is not None)
    assert first is second


def test_a_control_that_fails_does_not_make_noise_look_like_the_shadows_own() -> None:
    engine = analyser()
    noise = frozenset("x")
    for number in range(100):
        engine.feed(batch(leg(number, ""), leg(number, "a", noise), leg(number, CONTROL, noise)), 0.0)
    for number in range(100, 200):
        failed = entry(pair=str(number), shadow=CONTROL, status=503, body=b'{"error":"down"}')
        engine.feed(batch(leg(number, ""), leg(number, "a", noise), failed), 0.0)
    tallies = merged(engine.take())
    assert counted(tallies["a"]) == (200, {"$.x": (100, 0, 0), "status": (0, 0, 100)})
    comparison = comparison_of(tallies["a"], control=measured_by(tallies.values()))
    assert (comparison.noise, comparison.discrepancies) == (200, 0)
    assert "the control itself failed in 100 of its 200 pairs" in comparison.noise_measured["summary"]


def test_a_shadow_that_fails_takes_nothing_from_what_the_control_has_shown() -> None:
    engine = analyser()
    for number in range(20):
        failed = entry(pair=str(number), shadow="a", status=503, body=b"")
        engine.feed(batch(leg(number, ""), failed, leg(number, CONTROL, frozenset("x"))), 0.0)
    assert counted(merged(engine.take())["a"]) == (20, {"status": (0, 20, 0)})


@pytest.mark.parametrize(
    ("mine", "own", "expected"),
    [
        (b'{"o":{"x":1}}', b"{}", {"$.o": (0, 0, 1)}),
        (b"{}", b'{"o":{"x":1}}', {"$.o": (0, 1, 0)}),
        (b'{"o":{"x":1}}', b'{"o":[]}', {"$.o": (0, 0, 1)}),
        (b'{"o":{"x":1}}', b'{"o":{"x":0},"oo":1}', {"$.o.x": (0, 1, 0), "$.oo": (0, 0, 1)}),
        (b'{"o":{"x":1}}', b'["o"]', {"$": (0, 0, 1)}),
        (b'{"o":{"x":1}}', b'{"o":{}}', {"$.o.x": (0, 0, 1)}),
        (b'{"o":{"x":1}}', b'{"o":{"x":null}}', {"$.o.x": (0, 0, 1)}),
        (b'{"o":{"x":1}}', b"", {"body": (0, 0, 1)}),
        (b'{"o":{"x":1}}', b'{"o":{"x":2}}', {"$.o.x": (1, 0, 0)}),
        (b'{"o":{"x":"1"}}', b'{"o":{"x":2}}', {"$.o.x": (0, 1, 0)}),
    ],
)
def test_what_lies_where_the_other_copy_has_nothing_is_not_booked(
    mine: bytes, own: bytes, expected: dict[str, tuple[int, int, int]]
) -> None:
    engine = analyser()
    legs = (("", b'{"o":{"x":0}}'), ("a", mine), (CONTROL, own))
    engine.feed(batch(*(entry(pair="1", shadow=name, body=body) for name, body in legs)), 0.0)
    assert counted(merged(engine.take())["a"]) == (1, expected)


@pytest.mark.parametrize("own", [b'{"l":[]}', b'{"l":[{}]}', b'{"l":7}', b"{}", b"", b"<html>", b'{"l":'])
@pytest.mark.parametrize("first", ["a", CONTROL])
def test_a_control_that_answers_otherwise_at_times_does_not_make_noise_look_real(own: bytes, first: str) -> None:
    engine = analyser()
    for number in range(100):
        bodies = {"": b'{"l":[{"x":0}]}', "a": b'{"l":[{"x":1}]}', CONTROL: own if number % 2 else b'{"l":[{"x":2}]}'}
        order = sorted(bodies, key=lambda name: (name != "", name != first))
        engine.feed(batch(*(entry(pair=str(number), shadow=name, body=bodies[name]) for name in order)), 0.0)
    comparison = comparison_of(merged(engine.take())["a"])
    assert (comparison.noise, comparison.undecided, comparison.discrepancies) == (100, 0, 0)


def test_versions_that_share_a_control_are_judged_each_for_itself() -> None:
    # What the control alone differs in stands in the tally of each version; together it would be too many observations.
    one = Tally(PROFILE, "a")
    endpoint = one.endpoints["GET /"] = EndpointTally()
    endpoint.pairs = endpoint.trios = 100
    endpoint.differing = 9
    found = endpoint.fields["$.x", "value"] = FieldTally(9)
    found.alone, found.both, found.control = 8, 1, 0
    endpoint.sign((("$.x", "value"),), 9)
    other = Tally.unpack(orjson.loads(orjson.dumps(one.pack())))
    alone, both = comparison_of(one), comparison_of(one, other)
    assert (alone.undecided, alone.discrepancies) == (9, 0)
    assert (both.pairs, both.undecided, both.discrepancies) == (200, 18, 0)
    (shown,) = both.as_json()["endpoints"]
    assert (shown["differences"][0]["count"], shown["differences"][0]["nature"]) == (18, "undecided")


def test_instances_of_one_version_are_one_version() -> None:
    tallies = [Tally(PROFILE, name, control=name == CONTROL) for name in ("a", "b", "c", CONTROL)]
    for number, tally in enumerate(tallies):
        tally.lost[Lost.LATE] = 10**number
    found = versions_of(tallies, {"a": "v2", "b": "v2"})
    assert sorted(tally.lost[Lost.LATE] for tally in found) == [11, 100]
