"""The choice of the node."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.errors import UnavailableError
from xds_server.model.network import Address, Component, Endpoint, Protocol
from xds_server.placement.choice import MIB, Demand, Weights, select
from xds_server.placement.node import Node

PLACES = ("", "a", "b")


def component(*endpoints: Endpoint) -> Component:
    return Component("catalog", Protocol.HTTP1, Address("127.0.0.1", 10000), endpoints)


def endpoint(node: str = "", zone: str = "", region: str = "", weight: int = 1) -> Endpoint:
    return Endpoint("10.0.0.1", 9000, weight=weight, node=node, zone=zone, region=region)


def node(name: str, **changes: object) -> Node:
    roomy = Node(name, cpus=4.0, cpu_load=0.5, memory_bytes=1000 * MIB, memory_free_bytes=500 * MIB, running=5)
    return replace(roomy, **changes)  # type: ignore[arg-type]


shares = st.floats(0.0, 1.0)
any_node = st.builds(
    Node,
    name=st.text("abcdefgh", min_size=1, max_size=4),
    region=st.sampled_from(PLACES),
    zone=st.sampled_from(PLACES),
    labels=st.dictionaries(st.sampled_from(["disk", "os"]), st.sampled_from(["x", "y"])),
    runtimes=st.sampled_from([("process", "endpoint"), ("process", "endpoint"), ("endpoint",)]),
    cpus=st.floats(0.0, 64.0),
    cpu_load=shares,
    memory_bytes=st.integers(0, 1000 * MIB),
    memory_free_bytes=st.integers(0, 1000 * MIB),
    running=st.integers(0, 10),
    max_shadows=st.integers(0, 10),
    healthy=st.sampled_from([True, True, True, False]),
)
any_nodes = st.lists(any_node, max_size=8, unique_by=lambda one: one.name)
any_component = st.builds(
    component,
    st.builds(
        endpoint,
        st.text("abcdefgh", max_size=2),
        zone=st.sampled_from(PLACES),
        region=st.sampled_from(PLACES),
        weight=st.integers(0, 9),
    ),
)
any_demand = st.builds(
    Demand,
    runtime=st.sampled_from(["process", "endpoint"]),
    cpus=st.floats(0.0, 8.0),
    memory_bytes=st.integers(0, 200 * MIB),
    selector=st.dictionaries(st.sampled_from(["disk", "os"]), st.sampled_from(["x", "y"]), max_size=1),
)


def test_the_node_of_an_endpoint_comes_before_its_zone_and_region() -> None:
    near = component(endpoint("here", "z", "r"))
    nodes = [node("far"), node("in-region", region="r"), node("in-zone", region="r", zone="z"), node("here")]
    choice = select(near, nodes)
    assert [score.node for score in choice.scores] == ["here", "in-zone", "in-region", "far"]
    assert [score.parts["nearness"] for score in choice.scores] == [1.0, 0.7, 0.4, 0.0]


def test_a_zone_of_the_same_name_in_another_region_is_not_near() -> None:
    choice = select(component(endpoint(zone="1", region="east")), [node("x", zone="1", region="west")])
    assert choice.scores[0].parts["nearness"] == 0.0


def test_nearness_counts_endpoints_by_their_weight() -> None:
    both = component(endpoint("a", weight=1), endpoint("b", weight=3))
    choice = select(both, [node("a"), node("b")])
    assert {score.node: score.parts["nearness"] for score in choice.scores} == {"a": 0.25, "b": 0.75}


def test_equal_nodes_go_by_name() -> None:
    choice = select(component(endpoint()), [node("c"), node("a"), node("b")])
    assert choice.require().name == "a"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"healthy": False, "reason": "unreachable"}, "not healthy: unreachable"),
        ({"runtimes": ("endpoint",)}, "has no process runtime"),
        ({"running": 100}, "runs 100 shadows of at most 100"),
        ({"max_shadows": 0}, "runs 5 shadows of at most 0"),
        ({"memory_free_bytes": 10 * MIB}, "has 10 MiB of memory free, of 64 MiB needed"),
        ({"cpu_load": 0.9}, "has 0.40 processors free, of 1.00 needed"),
        ({"labels": {"disk": "hdd"}}, "label disk is hdd, not ssd"),
        ({"labels": {}}, "label disk is absent, not ssd"),
    ],
)
def test_a_broken_limit_refuses_a_node_and_is_said(changes: dict[str, object], reason: str) -> None:
    demand = Demand(cpus=1.0, selector={"disk": "ssd"})
    choice = select(component(endpoint()), [node("x", **{"labels": {"disk": "ssd"}} | changes)], demand=demand)
    assert choice.node is None
    assert choice.scores[0].refused == (reason,)
    with pytest.raises(UnavailableError, match=f"no node can take a shadow of catalog: x: {reason}"):
        choice.require()


def test_no_nodes_and_many_nodes_are_told_in_one_line() -> None:
    with pytest.raises(UnavailableError, match="there are no nodes"):
        select(component(endpoint()), []).require()
    with pytest.raises(UnavailableError, match="and 2 more"):
        select(component(endpoint()), [node(f"n{i}", healthy=False) for i in range(7)]).require()


def test_a_version_that_already_runs_takes_no_room() -> None:
    full = node("x", running=100, memory_free_bytes=0)
    assert select(component(endpoint()), [full]).node is None
    assert select(component(endpoint()), [full], demand=Demand.of("endpoint")).node is full


@given(any_component, any_nodes, any_demand)
def test_the_choice_does_not_depend_on_the_order(one: Component, nodes: list[Node], demand: Demand) -> None:
    assert select(one, nodes, demand=demand) == select(one, nodes[::-1], demand=demand)


@given(any_component, any_nodes, any_demand)
def test_a_refused_node_is_never_chosen_and_a_fitting_one_always_is(
    one: Component, nodes: list[Node], demand: Demand
) -> None:
    choice = select(one, nodes, demand=demand)
    assert {score.node for score in choice.scores} == {item.name for item in nodes}
    fitting = [score for score in choice.scores if not score.refused]
    assert (choice.node is None) == (not fitting)
    for score in choice.scores:
        assert (score.total is None) == bool(score.refused)
        assert all(0.0 <= part <= 1.0 for part in score.parts.values())
        assert score.total is None or -1e-9 <= score.total <= 1.0 + 1e-9
    if choice.node is not None:
        assert choice.scores[0].node == choice.node.name
        assert choice.scores[0].total == max(score.total or 0.0 for score in fitting)
        assert choice.node.healthy
        assert choice.node.running < choice.node.max_shadows
        assert choice.node.memory_free_bytes >= demand.memory_bytes


fitting_node = st.builds(
    node,
    st.just("x"),
    region=st.sampled_from(PLACES),
    cpu_load=shares,
    memory_free_bytes=st.integers(64 * MIB, 1000 * MIB),
    running=st.integers(0, 99),
)


@given(any_component, fitting_node, st.tuples(shares, st.integers(0, 10), st.integers(0, 500 * MIB)))
def test_more_room_never_makes_a_node_worse(one: Component, tight: Node, more: tuple[float, int, int]) -> None:
    roomy = replace(
        tight,
        cpu_load=tight.cpu_load * more[0],
        running=max(0, tight.running - more[1]),
        memory_free_bytes=tight.memory_free_bytes + more[2],
    )
    before, after = (select(one, [item]).scores[0] for item in (tight, roomy))
    assert before.total is not None
    assert after.total is not None
    assert after.total >= before.total - 1e-12


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6))
def test_spread_alone_fills_nodes_evenly(loads: list[int]) -> None:
    weights = Weights(nearness=0.0, headroom=0.0, spread=1.0)
    running = dict.fromkeys(map(str, range(len(loads))), 0)
    for _ in range(sum(loads)):
        nodes = [node(name, running=count) for name, count in running.items()]
        running[select(component(endpoint()), nodes, weights=weights).require().name] += 1
    assert max(running.values()) - min(running.values()) <= 1
