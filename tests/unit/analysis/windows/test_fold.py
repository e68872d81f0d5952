"""Tallies follow their endpoints when several become one."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.analysis.endpoints.test_learning import WORDS
from tests.unit.analysis.entries import INSTANCE, PROFILE, START, batch, pair_entries
from tests.unit.analysis.kept import examples_of, of_shadows
from tests.unit.analysis.windows.test_tally import copy, normal
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.windows.fold import Folding, move
from xds_server.analysis.windows.tally import Tally
from xds_server.config import EngineSettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.model.analysis import Analysis

BODIES = (b'{"a":1}', b'{"a":2}', b'{"b":1}')


def engine(*patterns: str) -> Analyser:
    analyser = Analyser(EngineSettings(examples=3), wall=lambda: START)
    config = ProfileConfig(PROFILE, "n", "c", shadows={INSTANCE: "v2"}, analysis=Analysis(endpoints=patterns))
    analyser.configure([config])
    return analyser


def feed(analyser: Analyser, paths: list[str], bodies: tuple[bytes, ...] = BODIES) -> None:
    for number, path in enumerate(paths):
        shadow = {"path": path, "body": bodies[number % len(bodies)], "first": 0.002 + number % 7 / 100}
        original = {"path": path, "body": BODIES[0], "started": START + number}
        analyser.feed(batch(*pair_entries(original, shadow)), 0.0)


def only(tallies: list[Tally]) -> Tally:
    (tally,) = of_shadows(tallies)
    return tally


def without_examples(tally: Tally) -> dict[str, Any]:
    packed = normal(tally)
    packed.pop("examples")
    for endpoint in packed["endpoints"].values():
        for field in endpoint[5]:
            field[3] = len(field[3])
    return packed


def users(count: int, first: int = 0) -> list[str]:
    return [f"/users/{word}" for word in WORDS[first : first + count]]


def test_an_open_window_is_what_it_were_had_the_template_been_known() -> None:
    learnt, told = engine(), engine("/users/{*}")
    for analyser in (learnt, told):
        feed(analyser, users(150))
    a, b = only(learnt.take()), only(told.take())
    assert set(a.endpoints) == {"GET /users/{*}"}
    assert without_examples(a) == without_examples(b)


def test_examples_are_called_by_the_template_too() -> None:
    analyser = engine()
    feed(analyser, users(150))
    endpoint = only(analyser.take()).endpoints["GET /users/{*}"]
    shown = {example.data["endpoint"] for field in endpoint.fields.values() for example in field.examples}
    assert shown == {"GET /users/{*}"}


def test_fields_known_under_the_old_names_leave_room_for_others() -> None:
    analyser = Analyser(EngineSettings(max_differences=120, max_endpoints=500), wall=lambda: START)
    feed(analyser, users(150), (b'{"a":2}',))
    assert len(analyser._profiles[PROFILE].fields) == 1


def test_windows_of_engines_that_have_learnt_different_things_are_brought_together() -> None:
    collector = Collector(clock=SystemClock(), settings=EngineSettings())
    first, second = engine(), engine()
    feed(first, users(40))
    collector._take("e1", 1, 0, copy(only(first.take())).pack())
    assert len(collector.summary(PROFILE).endpoints) == 40
    feed(second, users(150, 40))
    collector._take("e2", 1, 0, copy(only(second.take())).pack())
    # The first has not learnt it yet, and goes on in its own words.
    feed(first, users(20))
    collector._take("e1", 2, 1, copy(only(first.take())).pack())
    summary = collector.summary(PROFILE)
    assert [endpoint.name for endpoint in summary.endpoints] == ["GET /users/{*}"]
    assert summary.pairs == 40 + 150 + 20
    assert {example.data["endpoint"] for example in examples_of(collector, PROFILE)} == {"GET /users/{*}"}


def test_engines_that_each_see_few_names_make_many_together() -> None:
    folding, whole = Folding(200, 500), Tally(PROFILE, INSTANCE, keep=3)
    for number in range(5):
        analyser = engine()
        feed(analyser, users(30, 30 * number))
        whole.merge(folding.fold(only(analyser.take()), [whole]))
    assert {name: e.pairs for name, e in whole.endpoints.items()} == {"GET /users/{*}": 150}


def test_patterns_of_the_user_are_not_learnt_from_by_the_manager() -> None:
    names = [f"/users/{word}" for word in WORDS[:150]]
    analyser, folding = engine(*names), Folding(10, 500, names)
    feed(analyser, names)
    assert set(folding.fold(only(analyser.take())).endpoints) == {f"GET {name}" for name in names}


def test_what_is_kept_does_not_depend_on_what_differs() -> None:
    names = []
    for bodies in ((BODIES[0],), BODIES):
        analyser = engine()
        feed(analyser, [*users(90), "/users/busy", *["/users/busy"] * 30, *users(60, 90)], bodies)
        names.append(set(only(analyser.take()).endpoints))
    assert names[0] == names[1] == {"GET /users/{*}", "GET /users/busy"}


windows = st.lists(st.lists(st.integers(0, 160), max_size=25), max_size=4)


@given(windows, st.integers(0, 130))
@settings(max_examples=25)
def test_folding_keeps_totals_whatever_was_learnt_in_between(seen: list[list[int]], first: int) -> None:
    folding, whole, plain = Folding(400, 5000), Tally(PROFILE, INSTANCE, keep=3), Tally(PROFILE, INSTANCE, keep=3)
    analyser = engine()
    for window in ([*range(first)], *seen):
        feed(analyser, [f"/users/{WORDS[i]}" for i in window])
        for tally in of_shadows(analyser.take()):
            plain.merge(copy(tally))
            whole.merge(folding.fold(tally, [whole]))
    move(plain, {name: next(iter(whole.endpoints)) for name in plain.endpoints})
    if len(whole.endpoints) > 1:
        move(whole, {name: next(iter(whole.endpoints)) for name in whole.endpoints})
    assert without_examples(whole) == without_examples(plain)


@pytest.mark.parametrize("name", ["", "GET", "no path", "GET " + "/x" * 300, "GET /{*}/{*}", "\0"])
def test_any_name_an_engine_sends_can_be_folded(name: str) -> None:
    analyser = engine()
    feed(analyser, ["/a"])
    tally = only(analyser.take())
    tally.endpoints[name] = tally.endpoints.pop("GET /a")
    assert sum(endpoint.pairs for endpoint in Folding(10, 10).fold(tally).endpoints.values()) == 1
