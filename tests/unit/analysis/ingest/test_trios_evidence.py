"""What a trio adds to the evidence: exactly, and in worlds in which shadow and control are the same."""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import orjson
import pytest

from tests.unit.analysis.entries import PROFILE, START, batch, entry
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.diff.looks import CLOCK
from xds_server.analysis.ingest.trios import MAX_KNOWN, Controls, Known, book, book_fields
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.noise import Nature, judge
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally
from xds_server.config import EngineSettings

CONTROL = "ccc"
X, Y = ("$.x", "value"), ("$.y", "value")
SHADOWS = {"a": "v2", "b": "v3", CONTROL: "control"}


def engine(warm: dict[str, float] | None = None) -> Analyser:
    made = Analyser(EngineSettings(), wall=lambda: START)
    made.configure([ProfileConfig(PROFILE, "shop", "catalog", shadows=SHADOWS, control=CONTROL, warm=warm or {})])
    return made


def trio(made: Analyser, number: int, shadow: Iterable[str] = (), control: Iterable[str] = (), **more: Any) -> None:
    legs = {"": (), "a": shadow, CONTROL: control}
    bodies = {name: orjson.dumps({"x": 0, "y": 0} | dict.fromkeys(differs, 1)) for name, differs in legs.items()}
    made.feed(batch(*(entry(str(number), shadow=n, body=b, **more.get(n, {})) for n, b in bodies.items())), 0.0)


def taken(made: Analyser, instance: str = "a") -> EndpointTally:
    (tally,) = (tally for tally in made.take() if tally.instance == instance)
    (endpoint,) = tally.endpoints.values()
    return endpoint


def quiet(*trios: tuple[str, str]) -> tuple[int, int, int]:
    made = engine()
    for number, (shadow, control) in enumerate(trios):
        trio(made, number, shadow, control)
    found = taken(made).evidence
    return found.trios, found.quiet_up, found.quiet_down


@pytest.mark.parametrize(
    ("trios", "expected"),
    [
        ([("", "")], (1, 0, 0)),
        ([("x", "")], (1, 1, 0)),
        ([("", "x")], (1, 0, 1)),
        ([("x", "x")], (1, 0, 0)),
        ([("x", "y")], (1, 0, 0)),
        ([("xy", "x")], (1, 1, 0)),
        ([("x", ""), ("x", ""), ("", "y")], (3, 2, 1)),
        # Once the control has differed in a field, it is quiet no more.
        ([("", "x"), ("x", ""), ("", "x")], (3, 0, 1)),
        ([("x", "x"), ("x", ""), ("", "x")], (3, 0, 0)),
        ([("", "x"), ("xy", "")], (2, 1, 1)),
        # That the shadow has differed in it says nothing.
        ([("x", ""), ("", "x"), ("x", "")], (3, 1, 1)),
    ],
)
def test_quiet_fields_are_those_in_which_the_control_has_not_differed_before(
    trios: list[tuple[str, str]], expected: tuple[int, int, int]
) -> None:
    assert quiet(*trios) == expected


def field(endpoint: EndpointTally, name: Field = X) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    found = endpoint.fields[name]
    return (found.both, found.alone, found.control), found.found, found.apart


def test_the_trio_by_which_a_field_becomes_known_is_no_evidence_about_it_and_shown_all_the_same() -> None:
    made = engine()
    trio(made, 1, "x")
    endpoint = taken(made)
    assert field(endpoint) == ((0, 0, 0), (0, 1, 0), (0, 0, 0))
    found = judge(X, endpoint.fields[X], endpoint.trios)
    assert (found.nature, found.shadow_rate, found.evidence) == (Nature.REAL, 1.0, 1.0)
    for number, (shadow, control) in enumerate([("x", ""), ("", "x"), ("x", "x"), ("x", "")], 2):
        trio(made, number, shadow, control)
    assert field(taken(made)) == ((1, 2, 1), (0, 0, 0), (0, 0, 0))


def test_a_field_that_the_control_showed_once_is_not_called_real_though_that_trio_is_no_evidence() -> None:
    made = engine()
    for number, control in enumerate(["x", "", ""]):
        trio(made, number, "x", control)
    endpoint = taken(made)
    assert field(endpoint) == ((0, 2, 0), (1, 0, 0), (0, 0, 0))
    assert judge(X, endpoint.fields[X], endpoint.trios).nature is Nature.NOISE


@pytest.mark.parametrize("cold", ["a", CONTROL])
def test_a_trio_in_the_warm_up_of_either_is_no_evidence_and_teaches_what_is_noise(cold: str) -> None:
    made = engine({cold: START + 5})
    for number in range(3):
        trio(made, number, "x", "x")
    later = {name: {"started": START + 5} for name in ("", "a", CONTROL)}
    trio(made, 9, "x", "", **later)
    endpoint = taken(made)
    assert endpoint.trios == 4
    evidence = endpoint.evidence
    assert (evidence.trios, evidence.quiet_up, evidence.control_times.candidate.count) == (1, 0, 1)
    assert field(endpoint) == ((0, 1, 0), (1, 0, 0), (2, 0, 0))


@pytest.mark.parametrize("held", ["a", CONTROL])
def test_a_trio_of_which_a_copy_was_held_back_is_no_evidence(held: str) -> None:
    made = engine()
    trio(made, 1, "x", "", **{held: {"flags": ["delay_injected"]}})
    trio(made, 2, "x", "", **{held: {"flags": ["delay_injected"]}})
    endpoint = taken(made)
    assert (endpoint.trios, endpoint.evidence.trios, endpoint.evidence.control_times.reference.count) == (2, 0, 0)
    assert field(endpoint) == ((0, 0, 0), (0, 1, 0), (0, 1, 0))


FAILED = {"status": 503}


@pytest.mark.parametrize("failing", [("a",), (CONTROL,), ("",), ("", CONTROL)])
def test_a_trio_of_which_a_leg_failed_says_nothing_of_differences(failing: tuple[str, ...]) -> None:
    made = engine()
    for number in range(3):
        trio(made, number, **dict.fromkeys(failing, FAILED))
    trio(made, 3, "x", a={"status": 404})
    endpoint = taken(made)
    found = endpoint.evidence
    # Beside a control or an original that failed, nothing is learnt; that the shadow did is for the verdict to count.
    assert (found.pairs, found.trios, found.quiet_up, found.quiet_down) == (4, 4 if failing == ("a",) else 1, 1, 0)
    assert all(not (each.both or each.control or each.alone > 1) for each in endpoint.fields.values())


HELD = {"flags": ["delay_injected"]}


def test_under_a_fault_what_the_control_has_shown_to_be_noise_is_no_difference() -> None:
    made = engine()
    trio(made, 0, "x", "x")
    for number, (shadow, control) in enumerate([("x", ""), ("x", "x"), ("", "x"), ("", ""), ("xy", "x"), ("y", "")], 1):
        trio(made, number, shadow, control, a=HELD)
    found = taken(made).evidence
    assert (found.trios, found.quiet_up) == (1, 0)
    assert (found.faulted.pairs, found.faulted.differing, found.faulted.trios, found.faulted.quiet) == (6, 4, 6, 2)


def test_of_the_noise_under_a_fault_only_its_first_appearances_can_count() -> None:
    made, chance = engine(), Random(20261126)
    for number in range(200):
        shadow, control = ("".join(name for name in "xy" if chance.random() < 0.5) for _ in range(2))
        trio(made, number, shadow, control, a=HELD)
    faulted = taken(made).evidence.faulted
    assert faulted.differing > 120
    assert (faulted.trios, faulted.quiet <= 4) == (200, True)


def test_a_trio_under_a_fault_counts_when_both_copies_are_warm() -> None:
    found = []
    for cold in ({}, {"a": START + 5}, {CONTROL: START + 5}):
        made = engine(cold)
        trio(made, 1, "x", "", a=HELD)
        found.append(taken(made).evidence.faulted.trios)
    assert found == [1, 0, 0]


def test_a_clock_that_is_read_late_is_no_difference_under_a_fault() -> None:
    endpoint, clock = EndpointTally(), ("$.t", "same_kind")
    shadow, control = ("", (clock,), None, False, True, False), ("", (), None, True, False, False)
    assert book(endpoint, shadow, control)
    book_fields(endpoint, shadow, control, known=Known(), clocks={clock})
    assert (endpoint.evidence.faulted.trios, endpoint.evidence.faulted.quiet) == (1, 0)


@pytest.mark.parametrize("order", [("", "a", CONTROL), ("", CONTROL, "a"), (CONTROL, "a", "")])
def test_times_of_a_trio_are_those_of_its_two_copies(order: tuple[str, ...]) -> None:
    made, first = engine(), {"": 0.011, "a": 0.041, CONTROL: 0.021}
    for name in order:
        made.feed(batch(entry("1", shadow=name, first=first[name])), 0.0)
    times = taken(made).evidence.control_times
    assert (times.reference.count, times.candidate.count) == (1, 1)
    assert times.reference.quantile(0.5) == pytest.approx(0.02, rel=0.02)
    assert times.candidate.quantile(0.5) == pytest.approx(0.04, rel=0.02)


@pytest.mark.parametrize("without", ["", "a", CONTROL])
def test_a_trio_with_a_leg_that_has_no_time_has_none_to_compare(without: str) -> None:
    made, none = engine(), {"first": 0.001} if not without else {"first": None, "sent": 0.0, "last": None}
    trio(made, 1, **{without: none})
    evidence = taken(made).evidence
    assert (evidence.trios, evidence.control_times.reference.count, evidence.control_times.candidate.count) == (1, 0, 0)


def test_each_shadow_learns_of_its_own_trios() -> None:
    made = engine()
    differing = orjson.dumps({"x": 1})
    for number in range(2):
        bodies = {"": b'{"x":0}', "a": b'{"x":0}', "b": b'{"x":0}', CONTROL: differing}
        made.feed(batch(*(entry(str(number), shadow=name, body=body) for name, body in bodies.items())), 0.0)
    downs = {t.instance: next(iter(t.endpoints.values())).evidence.quiet_down for t in made.take() if t.instance}
    assert downs == {"a": 1, "b": 1, CONTROL: 0}


def test_a_clock_that_a_slower_shadow_reads_later_is_no_evidence() -> None:
    controls, endpoint = Controls(), EndpointTally()
    controls.configure("c")
    clock = ("$.t", "same_kind")
    notes, _ = controls.meet(None, "c", ("GET /", {}, None, True, False, False))
    _, ((_, mine, theirs),) = controls.meet(notes, "a", ("GET /", {clock: CLOCK}, None, True, False, False))
    assert book(endpoint, mine, theirs)
    book_fields(endpoint, mine, theirs, known=Known(), clocks=controls.clocks)
    assert (endpoint.evidence.trios, endpoint.evidence.quiet_up) == (1, 0)


def test_what_is_remembered_of_shadows_is_bounded_and_follows_their_endpoints() -> None:
    controls = Controls()
    controls.known("a", "GET /1").noisy.add(X)
    controls.known("a", "GET /2").seen.add(Y)
    controls.moved({"GET /1": "GET /{*}", "GET /2": "GET /{*}"})
    assert (controls.known("a", "GET /{*}").noisy, controls.known("a", "GET /{*}").seen) == ({X}, {Y})
    for number in range(MAX_KNOWN):
        controls.known(str(number), "GET /1")
    assert not controls.known("a", "GET /{*}").noisy


FIELDS = [(f"$.{number}", "value") for number in range(12)]


def trio_of(endpoint: EndpointTally, mine: set[Field], theirs: set[Field], known: Known) -> None:
    shadow, control = (("", tuple(fields), None, True, False, False) for fields in (mine, theirs))
    if book(endpoint, shadow, control):
        book_fields(endpoint, shadow, control, known=known)


def world(chance: Random, trios: int, noise: Callable[[int, Random], set[Field]]) -> tuple[Evidence, list[FieldTally]]:
    """Let shadow and control draw what they differ in from the same noise."""
    endpoint, known = EndpointTally(), Known()
    for number in range(trios):
        mine, theirs = noise(number, chance), noise(number, chance)
        trio_of(endpoint, mine, theirs, known)
    return endpoint.evidence, list(endpoint.fields.values())


def independent(_: int, chance: Random) -> set[Field]:
    return {field for rank, field in enumerate(FIELDS) if chance.random() < 0.3 / (rank + 1) ** 2}


def bursts(number: int, chance: Random) -> set[Field]:
    """In bursts nearly everything differs, all at once."""
    if number % 40 < 3 and chance.random() < 0.5:
        return set(FIELDS)
    return set()


def new_fields(number: int, chance: Random) -> set[Field]:
    """Now and then a field begins to be noisy."""
    return {(f"$.{number // 10}", "value")} if chance.random() < 0.2 else set()


@pytest.mark.parametrize("noise", [independent, bursts, new_fields])
def test_under_noise_a_quiet_field_is_as_often_the_shadows_as_the_controls(
    noise: Callable[[int, Random], set[Field]],
) -> None:
    chance = Random(20261126)
    up = down = alone = control = 0
    for _ in range(400):
        evidence, fields = world(chance, 60, noise)
        up, down = up + evidence.quiet_up, down + evidence.quiet_down
        alone, control = alone + sum(f.alone for f in fields), control + sum(f.control for f in fields)
    for one, other in ((up, down), (alone, control)):
        assert one + other > 100
        # In a burst the fields of a copy go together; 12 of them are one observation.
        spread = (12 if noise is bursts and one is alone else 1) ** 0.5
        assert abs(one - other) < 4 * spread * (one + other) ** 0.5


def test_a_change_beside_noise_shows_in_the_quiet_fields() -> None:
    chance = Random(7)
    endpoint, known = EndpointTally(), Known()
    for number in range(500):
        mine, theirs = independent(number, chance), independent(number, chance)
        if number % 10 == 0:
            mine.add(("$.changed", "value"))
        trio_of(endpoint, mine, theirs, known)
    assert endpoint.evidence.quiet_up - endpoint.evidence.quiet_down >= 35
