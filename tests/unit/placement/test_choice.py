"""The choice of the node."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.placement.make import (
    OFF,
    any_component,
    any_demand,
    any_envoys,
    any_node,
    any_nodes,
    component,
    endpoint,
    node,
)
from xds_server.errors import UnavailableError
from xds_server.model.network import Component
from xds_server.model.nodes import Placement, Taint, TaintEffect, Toleration, TolerationOperator
from xds_server.model.profile import DockerSpec
from xds_server.placement.choice import Question, Weights, select
from xds_server.placement.demand import MIB, Demand
from xds_server.placement.nearness import Spot
from xds_server.placement.node import Node


def test_the_node_of_an_endpoint_comes_before_its_zone_and_region() -> None:
    near = component(endpoint("here", "z", "r"))
    nodes = [node("far"), node("in-region", region="r"), node("in-zone", region="r", zone="z"), node("here")]
    choice = select(near, nodes)
    assert [score.node for score in choice.scores] == ["here", "in-zone", "in-region", "far"]
    assert [score.parts["endpoints"] for score in choice.scores] == [1.0, 0.7, 0.4, 0.0]


def test_a_zone_of_the_same_name_in_another_region_is_not_near() -> None:
    choice = select(component(endpoint(zone="1", region="east")), [node("x", zone="1", region="west")])
    assert choice.scores[0].parts["endpoints"] == 0.0


def test_nearness_counts_endpoints_by_their_weight() -> None:
    both = component(endpoint("a", weight=1), endpoint("b", weight=3))
    choice = select(both, [node("a"), node("b")])
    assert {score.node: score.parts["endpoints"] for score in choice.scores} == {"a": 0.25, "b": 0.75}


def test_equal_nodes_go_by_name() -> None:
    choice = select(component(endpoint()), [node("c"), node("a"), node("b")])
    assert choice.require().name == "a"


def test_the_envoys_that_mirror_are_near_as_endpoints_are_and_left_out_while_there_are_none() -> None:
    nodes = [node("far", region="w"), node("near", region="e", zone="1")]
    with_envoys = Question(component(endpoint()), Demand(), envoys=[Spot("e", "1"), Spot("e", "2")])
    assert [s.parts["envoys"] for s in with_envoys.choice(nodes).scores] == [pytest.approx(0.55), 0.0]
    assert "envoys" not in select(component(endpoint()), nodes).scores[0].parts


def test_who_names_only_a_node_is_in_the_zone_of_that_node() -> None:
    question = Question(component(endpoint("a")), Demand(), where={"a": ("e", "1"), "b": ("e", "1")})
    parts = question.choice([node("b", region="e", zone="1"), node("c", region="e", zone="2")]).scores
    assert [score.parts["endpoints"] for score in parts] == [pytest.approx(0.7), pytest.approx(0.4)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"healthy": False, "reason": "unreachable"}, "not healthy: unreachable"),
        ({"runtimes": ("endpoint",)}, "has no process runtime"),
        ({"away": {"process": "no answer"}}, "its process runtime is away: no answer"),
        (
            {"backed_off": {"process": OFF}},
            "is left alone until 12:00:00 UTC, because it could not start one: the engine is away",
        ),
        ({"running": 100}, "runs 100 shadows of at most 100"),
        ({"max_shadows": 0}, "runs 5 shadows of at most 0"),
        ({"memory_free_bytes": 10 * MIB}, "has 10 MiB of memory free, of 64 MiB needed"),
        ({"requested_memory_bytes": 990 * MIB}, "has 10 of 1000 MiB of memory left, of 64 MiB needed"),
        ({"requested_cpus": 3.6}, "has 0.40 of 4.00 processors left, of 1.00 needed"),
        ({"labels": {"disk": "hdd"}}, "label disk is hdd, not ssd"),
        ({"labels": {}}, "label disk is absent, not ssd"),
        ({"taints": (Taint("gpu", "yes"),)}, "has the taint gpu=yes:NoSchedule, which is not tolerated"),
        ({"name": "tried"}, "could not start it: the engine is away"),
    ],
)
def test_a_broken_limit_refuses_a_node_and_is_said(changes: dict[str, Any], reason: str) -> None:
    demand = Demand(cpus=1.0, selector={"disk": "ssd"})
    broken = replace(node("x", labels={"disk": "ssd"}), **changes)
    question = Question(component(endpoint()), demand, tried={"tried": "the engine is away"})
    choice = question.choice([broken])
    assert choice.node is question.best([broken]) is None
    assert choice.scores[0].refused == (reason,)
    with pytest.raises(UnavailableError, match="no node can take a shadow of catalog") as caught:
        choice.require()
    assert f"{broken.name}: {reason}" in str(caught.value)


def test_of_the_refused_those_come_first_that_are_nearest_to_fitting_and_what_was_tried_before_all() -> None:
    nodes = [node("a", healthy=False, away={"process": "x"}), node("b", running=100), node("c", labels={"t": "x"})]
    question = Question(component(endpoint()), Demand(selector={"t": "x"}), tried={"c": "no disk"})
    assert [score.node for score in question.choice(nodes).scores] == ["c", "b", "a"]


def test_a_busy_processor_lowers_the_score_and_refuses_nothing() -> None:
    nodes = [node("busy", cpus_idle=0.0), node("idle", cpus_idle=4.0)]
    choice = select(component(endpoint()), nodes, demand=Demand(cpus=1.0))
    assert [(s.node, s.parts["headroom"]) for s in choice.scores] == [("idle", pytest.approx(0.436)), ("busy", 0.0)]


def test_a_container_is_counted_with_its_limits() -> None:
    placement = Placement({"disk": "ssd"}, (Toleration("gpu"),))
    demand = Demand.of("docker", DockerSpec(image="i", port=80, cpus=0.5, memory=256 * MIB), placement)
    assert (demand.cpus, demand.memory_bytes, demand.slots) == (0.5, 256 * MIB, 1)
    assert (demand.selector, demand.tolerations) == ({"disk": "ssd"}, (Toleration("gpu"),))


@pytest.mark.parametrize(
    ("toleration", "tolerates"),
    [
        (Toleration("gpu", value="yes"), True),
        (Toleration("gpu", value="no"), False),
        (Toleration("gpu", TolerationOperator.EXISTS), True),
        (Toleration("", TolerationOperator.EXISTS), True),
        (Toleration("cpu", TolerationOperator.EXISTS), False),
        (Toleration("gpu", value="yes", effect=TaintEffect.NO_SCHEDULE), True),
        (Toleration("gpu", value="yes", effect=TaintEffect.PREFER_NO_SCHEDULE), False),
    ],
)
def test_a_taint_is_tolerated_as_in_kubernetes(toleration: Toleration, tolerates: bool) -> None:  # noqa: FBT001 - a parameter
    tainted = node("x", taints=(Taint("gpu", "yes"),))
    choice = select(component(endpoint()), [tainted], demand=Demand(tolerations=(toleration,)))
    assert (choice.node is tainted) is tolerates


def test_a_node_that_is_better_left_alone_is_taken_when_nothing_better_is_left() -> None:
    disliked = node("a", taints=(Taint("old", effect=TaintEffect.PREFER_NO_SCHEDULE),))
    assert select(component(endpoint()), [disliked, node("b")]).require().name == "b"
    assert select(component(endpoint()), [disliked]).require().name == "a"
    assert select(component(endpoint()), [disliked]).scores[0].parts["taints"] == 0.5


def test_shadows_of_one_component_go_to_different_nodes() -> None:
    question = Question(component(endpoint()), Demand(), peers={"a": 2, "b": 1})
    choice = question.choice([node("a"), node("b"), node("c")])
    assert [score.node for score in choice.scores] == ["c", "b", "a"]
    assert [score.parts["peers"] for score in choice.scores] == [1.0, 0.5, pytest.approx(1 / 3)]


def test_no_nodes_and_many_nodes_are_told_in_one_line() -> None:
    with pytest.raises(UnavailableError, match="there are no nodes"):
        select(component(endpoint()), []).require()
    with pytest.raises(UnavailableError, match="and 2 more"):
        select(component(endpoint()), [node(f"n{i}", healthy=False) for i in range(7)]).require()


def test_a_version_that_already_runs_takes_no_room() -> None:
    full = node("x", running=100, memory_free_bytes=0)
    assert select(component(endpoint()), [full]).node is None
    assert select(component(endpoint()), [full], demand=Demand.of("endpoint")).node is full


@given(any_component, any_nodes, any_demand, any_envoys)
def test_the_choice_does_not_depend_on_the_order_nor_on_being_explained(
    one: Component, nodes: list[Node], demand: Demand, envoys: list[Spot]
) -> None:
    question = Question(one, demand, envoys=envoys)
    choice = question.choice(nodes)
    assert choice == question.choice(nodes[::-1])
    assert question.best(nodes) is question.best(nodes[::-1]) is choice.node


@given(any_component, any_nodes, any_demand, any_envoys)
def test_a_node_that_breaks_a_limit_is_never_chosen_and_a_fitting_one_always_is(
    one: Component, nodes: list[Node], demand: Demand, envoys: list[Spot]
) -> None:
    choice = Question(one, demand, envoys=envoys).choice(nodes)
    assert {score.node for score in choice.scores} == {item.name for item in nodes}
    fitting = [score for score in choice.scores if not score.refused]
    assert (choice.node is None) == (not fitting)
    for score in choice.scores:
        assert (score.total is None) == bool(score.refused)
        assert all(0.0 <= part <= 1.0 for part in score.parts.values())
        assert score.total is None or -1e-9 <= score.total <= 1.0 + 1e-9
    chosen = choice.node
    if chosen is not None:
        assert choice.scores[0].node == chosen.name
        assert choice.scores[0].total == max(score.total or 0.0 for score in fitting)
        assert chosen.healthy
        assert demand.runtime in set(chosen.runtimes).difference(chosen.away, chosen.backed_off)
        assert chosen.running < chosen.max_shadows
        assert chosen.memory_free_bytes >= demand.memory_bytes
        assert chosen.memory_bytes - chosen.requested_memory_bytes >= demand.memory_bytes
        assert chosen.cpus - chosen.requested_cpus >= demand.cpus - 1e-6
        assert demand.selector.items() <= chosen.labels.items()
        for taint in chosen.taints:
            tolerated = any(toleration.tolerates(taint) for toleration in demand.tolerations)
            assert tolerated or taint.effect is TaintEffect.PREFER_NO_SCHEDULE


more = st.tuples(st.floats(0.0, 1.0), st.integers(0, 10), st.integers(0, 500 * MIB), st.integers(0, 3))


@given(any_component, any_node, any_demand, more)
def test_more_room_never_makes_a_node_worse(
    one: Component, tight: Node, demand: Demand, room: tuple[float, int, int, int]
) -> None:
    share, places, memory, peers = room
    roomy = replace(
        tight,
        cpus_idle=tight.cpus_idle + 8.0 * share,
        requested_cpus=tight.requested_cpus * share,
        running=max(0, tight.running - places),
        memory_free_bytes=tight.memory_free_bytes + memory,
        requested_memory_bytes=max(0, tight.requested_memory_bytes - memory),
    )
    crowded = Question(one, demand, peers={tight.name: peers + 1}).choice([tight]).scores[0]
    alone = Question(one, demand, peers={tight.name: peers}).choice([roomy]).scores[0]
    if crowded.total is not None:
        assert alone.total is not None
        assert alone.total >= crowded.total - 1e-12


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6))
def test_spread_alone_fills_nodes_evenly(loads: list[int]) -> None:
    weights = Weights(endpoints=0.0, envoys=0.0, headroom=0.0, spread=1.0, peers=0.0, taints=0.0)
    running = dict.fromkeys(map(str, range(len(loads))), 0)
    for _ in range(sum(loads)):
        nodes = [node(name, running=count) for name, count in running.items()]
        question = Question(component(endpoint()), Demand(), weights=weights)
        running[question.choice(nodes).require().name] += 1
    assert max(running.values()) - min(running.values()) <= 1
