"""The evidence that the manager has about a profile."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from tests.unit.analysis.entries import PROFILE, START, batch, entry
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.kinds import Lost
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.windows.evidence_book import EvidenceBook
from xds_server.analysis.windows.fold import move
from xds_server.analysis.windows.profile_evidence import ProfileEvidence
from xds_server.analysis.windows.tally import EndpointTally, FieldTally, Tally
from xds_server.config import EngineSettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.model.analysis import Analysis
from xds_server.model.judging import Judging

CONTROL = "ccc"
SHADOWS = {"a1": "v2", "a2": "v2", "b1": "v3", CONTROL: "control"}
VARIANTS = {"a1": "v2", "a2": "v2", "b1": "v3"}
CONFIG = ProfileConfig(
    PROFILE,
    "shop",
    "catalog",
    shadows=SHADOWS,
    control=CONTROL,
    analysis=Analysis(judging=Judging(block=2.0)),
    quantiles=(0.5, 0.9),
)


def collector() -> Collector:
    made = Collector(clock=SystemClock(), settings=EngineSettings(), generator=np.random.default_rng(1))
    made.configure([CONFIG])
    return made


class World:
    """An engine whose windows go to a manager; a window is a second."""

    def __init__(self, *, config: ProfileConfig = CONFIG) -> None:
        self.now = START
        self.engine = Analyser(EngineSettings(), wall=lambda: self.now)
        self.engine.configure([config])
        self.manager = collector()
        self.manager.configure([config])
        self._number = self._pair = 0

    def request(self, bodies: Mapping[str, bytes], *, path: str = "/items", **more: Any) -> None:
        self._pair += 1
        legs = {"": b'{"x":0}', **bodies}
        made = (entry(str(self._pair), shadow=n, body=b, path=path, started=self.now, **more) for n, b in legs.items())
        self.engine.feed(batch(*made), self.now)

    def turn(self) -> None:
        for tally in self.engine.take():
            self._number += 1
            self.manager._take("e", self._number, self._number - 1, orjson.loads(orjson.dumps(tally.pack())))
        self.now += 1

    def restarted(self) -> None:
        data = self.manager.dump(PROFILE)
        self.manager = collector()
        self.manager.load(PROFILE, data)

    @property
    def evidence(self) -> ProfileEvidence:
        return self.manager.evidence(PROFILE, variants=VARIANTS)


SAME, OTHER = b'{"x":0}', b'{"x":1}'


def plain(found: ProfileEvidence) -> Any:
    """A form in which equal evidence is equal."""
    return {
        "since": (found.since, found.until),
        "lost": dict(found.lost),
        "controlled": found.controlled,
        "arms": {name: arm.pack() for name, arm in found.arms.items()},
        "pairs": {k: (p.errors, p.worst, {q: r.count for q, r in p.times.items()}) for k, p in found.arm_pairs.items()},
        "versions": {
            name: {
                "instances": version.instances,
                "lost": dict(version.lost),
                "endpoints": {
                    endpoint: (
                        each.evidence.pack(),
                        each.appeared,
                        {f: (t.both, t.alone, t.control, t.found, t.apart, t.appeared) for f, t in each.fields.items()},
                        {q: r.count for q, r in each.times.items()},
                        {q: r.count for q, r in each.control_times.items()},
                        dict(each.not_judged),
                        each.error_blocks,
                        each.quiet_blocks,
                        dict(each.field_blocks),
                    )
                    for endpoint, each in {**version.endpoints, "": version.whole}.items()
                },
            }
            for name, version in found.versions.items()
        },
    }


def test_of_a_profile_that_nothing_is_known_of_there_is_no_evidence() -> None:
    found = collector().evidence("nobody")
    assert (dict(found.versions), dict(found.arms), found.since, found.controlled) == ({}, {}, 0.0, False)


def test_the_evidence_is_by_version_and_endpoint_and_of_all_endpoints_together() -> None:
    world = World()
    for _ in range(2):
        world.request({"a1": OTHER, CONTROL: SAME})
        world.request({"b1": SAME, CONTROL: SAME}, path="/cart")
        world.turn()
    found = world.evidence
    assert (set(found.versions), found.controlled) == ({"v2", "v3"}, True)
    v2 = found.versions["v2"]
    assert (v2.instances, set(v2.endpoints)) == (("a1",), {"GET /items"})
    assert (v2.whole.pairs, v2.whole.evidence.differing, v2.whole.evidence.quiet_up) == (2, 2, 2)
    field = v2.endpoints["GET /items"].fields["$.x", "value"]
    assert (field.alone, field.found, field.appeared) == (1, (0, 1, 0), 1)
    seen = v2.endpoints["GET /items"].evidence
    assert seen.times.reference.quantile(0.5) == pytest.approx(0.01, rel=0.02)
    assert seen.control_times.reference.quantile(0.5) == pytest.approx(0.01, rel=0.02)
    assert (found.since, found.until) == (START, START + 1)


def test_instances_of_one_version_are_one() -> None:
    world = World()
    for number in range(8):
        for instance in ("a1", "a2"):
            for _ in range(25):
                world.request({instance: OTHER if number == 3 else SAME, CONTROL: SAME})
        world.turn()
    v2 = world.evidence.versions["v2"]
    assert v2.instances == ("a1", "a2")
    for each in (v2.whole, v2.endpoints["GET /items"]):
        assert (each.pairs, each.evidence.trios, each.evidence.differing) == (400, 400, 50)
        # Each instance has had two blocks, of which the first gave no score. They are of the same seconds.
        assert {q: r.count for q, r in each.times.items()} == {0.5: 1, 0.9: 1}
        assert {q: r.count for q, r in each.control_times.items()} == {0.5: 1, 0.9: 1}
    alone = world.manager.evidence(PROFILE, variants={})
    assert [each.whole.pairs for each in alone.versions.values()] == [200, 200]


def of_instances(*lives: tuple[str, int, int], failing: bool = False) -> Any:
    """Let instances of one version live from one second to another; return what it shows."""
    world = World()
    for second in range(max(until for *_, until in lives)):
        for instance, since, until in lives:
            for _ in range(25 if since <= second < until else 0):
                status = 503 if failing else 200
                world.engine.feed(batch(*pair_of(world, instance, status)), world.now)
        world.turn()
    world.restarted()
    return world.evidence.versions["v2"]


def pair_of(world: World, instance: str, status: int) -> tuple[Any, Any]:
    world._pair += 1
    number = str(world._pair)
    return entry(number, started=world.now), entry(number, shadow=instance, status=status, started=world.now)


def test_what_happens_at_two_instances_at_the_same_time_counts_once() -> None:
    one, both = of_instances(("a1", 0, 20)), of_instances(("a1", 0, 20), ("a2", 5, 16))
    assert (one.whole.pairs, both.whole.pairs) == (500, 775)
    for first, second in ((one.whole, both.whole), *zip(one.endpoints.values(), both.endpoints.values(), strict=True)):
        assert second.error_blocks == first.error_blocks
        assert {q: r.count for q, r in second.times.items()} == {q: r.count for q, r in first.times.items()}
    assert of_instances(("a2", 0, 20), ("a1", 5, 16), failing=True).whole.error_blocks.count == 9


def test_what_happens_at_one_instance_after_the_other_adds_up() -> None:
    first = of_instances(("a1", 0, 10), failing=True).whole
    both = of_instances(("a1", 0, 10), ("a2", 12, 24), failing=True).whole
    assert (first.error_blocks.count, both.error_blocks.count) == (4, 9)
    assert both.times[0.5].count > first.times[0.5].count


def test_endpoints_that_become_one_keep_the_blocks_of_that_with_most() -> None:
    book, tally = EvidenceBook(np.random.default_rng(1)), Tally(PROFILE, "a1")
    for second in range(20):
        window = Tally(PROFILE, "a1")
        window.seen(START + second)
        for name in ("GET /a", "GET /b")[: 1 + (second > 9)]:
            evidence = window.endpoints.setdefault(name, EndpointTally()).evidence
            evidence.pairs, evidence.error_up = 5, 1
        book.take(window, length=1.0, quantiles=(0.5,))
        tally.merge(window)
    names = dict.fromkeys(tally.endpoints, "GET /{*}")
    before = book.view([tally], {}).versions["a1"].endpoints["GET /a"].error_blocks
    move(tally, names)
    book.moved(names)
    (found,) = book.view([tally], {}).versions["a1"].endpoints.values()
    assert (found.pairs, found.evidence.error_up) == (150, 30)
    assert found.error_blocks == before


def test_in_blocks_a_missing_copy_did_not_fail_where_its_original_did() -> None:
    book, tally = EvidenceBook(np.random.default_rng(1)), Tally(PROFILE, "a1")
    for second in range(4):
        window = Tally(PROFILE, "a1")
        window.seen(START + second)
        evidence = window.endpoints.setdefault("GET /", EndpointTally()).evidence
        evidence.pairs, evidence.error_up, evidence.error_down = 9, 7, 1
        evidence.missing, evidence.missing_errors = 3, 2
        book.take(window, length=1.0, quantiles=(0.5,))
        tally.merge(window)
    v = book.view([tally], {}).versions["a1"]
    for each in (v.whole, v.endpoints["GET /"]):
        assert (each.error_blocks.count, each.error_blocks.total) == (3, 12)


def test_times_beside_the_control_are_those_of_its_trios() -> None:
    book, tally = EvidenceBook(np.random.default_rng(1)), Tally(PROFILE, "a1")
    for second in range(9):
        window = Tally(PROFILE, "a1")
        window.seen(START + second)
        evidence = window.endpoints.setdefault("GET /", EndpointTally()).evidence
        for number in range(25):
            evidence.times.add(0.010 + number * 1e-4, 0.030 + number * 1e-4)
            evidence.control_times.add(0.030 + number * 1e-4, 0.030 + number * 1e-4)
        book.take(window, length=1.0, quantiles=(0.5,))
        tally.merge(window)
    v = book.view([tally], {}).versions["a1"]
    for each in (v.whole, v.endpoints["GET /"]):
        assert each.times[0.5].log_evidence_above(1.5) > 1
        assert each.control_times[0.5].log_evidence_above(1.5) < 0 < each.control_times[0.5].log_evidence_below(1.5)


def test_endpoints_and_fields_are_numbered_as_they_appear_once_for_all_versions() -> None:
    world = World()
    world.request({"a1": b'{"x":1}', CONTROL: SAME}, path="/b")
    world.turn()
    world.request({"a1": b'{"x":1,"y":1}', "b1": b'{"x":0,"z":1}', CONTROL: b'{"c":1}'}, path="/a")
    world.request({"b1": b'{"x":1}', CONTROL: SAME}, path="/b")
    world.turn()
    versions = world.evidence.versions
    orders = {v: {name: each.appeared for name, each in version.endpoints.items()} for v, version in versions.items()}
    assert orders == {"v2": {"GET /b": 1, "GET /a": 2}, "v3": {"GET /a": 2, "GET /b": 1}}
    numbers: dict[int, set[Any]] = {}
    for version in versions.values():
        for name, each in version.endpoints.items():
            for field, tally in each.fields.items():
                numbers.setdefault(tally.appeared, set()).add((name, field))
    assert all(len(of_it) == 1 for of_it in numbers.values())
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert numbers[1] == {("GET /b", ("$.x", "value"))}


def test_numbers_are_kept_by_endpoints_that_become_one() -> None:
    world = World()
    for number in range(150):
        world.request({"a1": OTHER}, path=f"/users/{chr(97 + number % 26)}{chr(97 + number // 26)}xy")
        world.turn()
    (name, each), *rest = world.evidence.versions["v2"].endpoints.items()
    assert not rest
    assert (name, each.appeared, each.pairs) == ("GET /users/{*}", 1, 150)
    assert {tally.appeared for tally in each.fields.values()} == {1}
    assert each.times[0.5].count > 0


def world_of_everything() -> World:
    world = World()
    for number in range(7):
        for _ in range(12):
            world.request({"a1": OTHER, "b1": SAME, CONTROL: OTHER if number == 3 else SAME})
            world.request({"a2": SAME, CONTROL: SAME}, path="/cart")
        for name in ("plain", "original", "v2", "v3"):
            world.engine.feed(batch(*(entry(f"~{name}/{n}", status=500 if n == 1 else 200) for n in range(9))), 0.0)
        world.engine.lost(Lost.ALS_GAP, PROFILE, "a1", 2)
        world.engine.lost(Lost.OVERFLOW, PROFILE, CONTROL, 9)
        world.engine.lost(Lost.LATE, PROFILE, "", 1)
        world.turn()
    return world


def test_the_evidence_survives_a_restart_and_goes_on_as_if_nothing_had_been() -> None:
    one, other = world_of_everything(), world_of_everything()
    before = plain(one.evidence)
    other.restarted()
    assert plain(other.evidence) == before
    for world in (one, other):
        for _ in range(4):
            for _ in range(12):
                world.request({"a1": b'{"x":0,"new":1}', CONTROL: SAME}, path="/new")
            world.turn()
    after = plain(one.evidence)
    assert plain(other.evidence) == after != before


def test_errors_and_differences_are_summed_up_by_blocks_of_time() -> None:
    world = World()
    for _ in range(7):
        for _ in range(3):
            world.request({"a1": OTHER, CONTROL: SAME})
        world.request({"a1": OTHER, CONTROL: SAME}, path="/cart")
        world.turn()
    v2 = world.evidence.versions["v2"]
    items = v2.endpoints["GET /items"]
    # Three blocks are over; a field's first trio is no evidence.
    assert (items.error_blocks.seen, items.error_blocks.total) == (3, 0)
    assert (items.quiet_blocks.count, items.quiet_blocks.total, v2.whole.quiet_blocks.total) == (3, 18, 24)
    (field,) = items.field_blocks.values()
    assert (field.count, field.total) == (3, 17)


def test_what_was_lost_is_told_for_each_version_and_in_all_without_the_controls() -> None:
    found = world_of_everything().evidence
    assert found.versions["v2"].lost == {"als_gap": 14}
    assert found.versions["v3"].lost == {}
    assert found.lost == {"als_gap": 14, "late": 7}


def test_arms_are_compared() -> None:
    found = world_of_everything().evidence
    assert {name: (arm.count, arm.errors) for name, arm in found.arms.items()} == {
        "mirrored": (168, 0),
        "plain": (63, 7),
        "original": (63, 7),
        "v2": (63, 7),
        "v3": (63, 7),
    }
    assert set(found.arm_pairs) == {("plain", "mirrored"), ("original", "v2"), ("original", "v3"), ("v2", "v3")}
    harm = found.arm_pairs["plain", "mirrored"]
    assert harm.errors == Paired(63, 0.0, pytest.approx(7))
    assert harm.times[0.5].count == 1


def test_a_restart_of_the_evidence_leaves_the_comparison_and_counts_from_then_on() -> None:
    world = world_of_everything()
    compared = world.manager.summary(PROFILE, variants=VARIANTS).as_json()
    numbered = {f: t.appeared for f, t in world.evidence.versions["v2"].endpoints["GET /items"].fields.items()}
    world.manager.restart_evidence(PROFILE)
    assert world.manager.summary(PROFILE, variants=VARIANTS).as_json() == compared
    found = world.evidence
    assert (dict(found.arms), dict(found.arm_pairs), dict(found.lost), found.since) == ({}, {}, {}, 0.0)
    for version in found.versions.values():
        assert (version.whole.pairs, version.whole.evidence.trios, dict(version.whole.times)) == (0, 0, {})
        assert not version.lost
    world.request({"a1": OTHER, CONTROL: SAME})
    world.engine.lost(Lost.ALS_GAP, PROFILE, "a1", 3)
    world.turn()
    world.restarted()
    found = world.evidence
    v2 = found.versions["v2"]
    assert (v2.whole.pairs, v2.endpoints["GET /items"].pairs, v2.endpoints["GET /cart"].pairs) == (1, 1, 0)
    assert (v2.lost, found.arms["mirrored"].count, found.since) == ({"als_gap": 3}, 1, START + 7)
    field = v2.endpoints["GET /items"].fields["$.x", "value"]
    assert (field.alone, field.appeared) == (1, numbered["$.x", "value"])


def test_what_is_lost_while_a_shadow_warms_up_is_left_out_and_what_is_lost_later_counts() -> None:
    now = SystemClock().now().timestamp()
    world = World(config=replace(CONFIG, warm={"a1": now + 60, "b1": now - 60}))
    for instance in ("a1", "b1"):
        world.engine.lost(Lost.ALS_GAP, PROFILE, instance, 5)
    world.turn()
    assert {name: dict(v.lost) for name, v in world.evidence.versions.items()} == {"v2": {}, "v3": {"als_gap": 5}}
    world.manager.configure([replace(CONFIG, warm={"a1": now - 1})])
    world.engine.lost(Lost.ALS_GAP, PROFILE, "a1", 2)
    world.turn()
    world.restarted()
    assert world.evidence.versions["v2"].lost == {"als_gap": 2}
    assert world.manager.summary(PROFILE, variants=VARIANTS).as_json()["lost"]["als_gap"] == 12


def test_the_evidence_is_shown_anew_once_more_was_taken_in_or_versions_are_others() -> None:
    world = World()
    world.request({"a1": SAME})
    world.turn()
    assert world.evidence is world.evidence
    assert world.manager.evidence(PROFILE, variants={"a1": "v9"}).versions["v9"].whole.pairs == 1
    assert set(world.evidence.versions) == {"v2"}
    world.request({"a1": SAME})
    world.turn()
    assert world.evidence.versions["v2"].whole.pairs == 2


def test_without_a_control_nothing_is_compared_with_one() -> None:
    world = World(config=replace(CONFIG, control="", shadows={"a1": "v2"}))
    for _ in range(9):
        for _ in range(20):
            world.request({"a1": SAME})
        world.turn()
    found = world.evidence
    whole = found.versions["v2"].whole
    assert (found.controlled, whole.evidence.trios, dict(whole.control_times)) == (False, 0, {})
    assert whole.times[0.9].count == 2


@pytest.mark.parametrize("broken", [{"timed": 1}, {"timed": {"a": {"b": [1]}}}, {"since": "x"}])
def test_evidence_that_is_something_else_is_refused(broken: Mapping[str, Any]) -> None:
    world = world_of_everything()
    data = orjson.loads(world.manager.dump(PROFILE))
    data["evidence"] |= broken
    with pytest.raises(ValueError, match=r"."):
        collector().load(PROFILE, orjson.dumps(data))


def test_a_control_that_differs_is_given_no_number() -> None:
    tally = Tally(PROFILE, CONTROL, control=True)
    tally.endpoints["GET /"] = EndpointTally()
    tally.endpoints["GET /"].fields["$.x", "value"] = FieldTally()
    manager = collector()
    manager._take("e", 1, 0, orjson.loads(orjson.dumps(tally.pack())))
    assert _orders(manager.tallies(PROFILE)) == [0, 0]


def _orders(tallies: Sequence[Tally]) -> list[int]:
    return [
        order
        for tally in tallies
        for endpoint in tally.endpoints.values()
        for order in (endpoint.appeared, *(field.appeared for field in endpoint.fields.values()))
    ]
