"""Nodes, components and demands for the tests of placement, by hand and by hypothesis."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from xds_server.model.network import Address, Component, Endpoint, Protocol
from xds_server.model.nodes import Taint, TaintEffect, Toleration, TolerationOperator
from xds_server.placement.demand import MIB, Demand
from xds_server.placement.nearness import Spot
from xds_server.placement.node import BackedOff, Node

PLACES = ("", "a", "b")
KEYS, VALUES = ("gpu", "team"), ("", "x", "y")
OFF = BackedOff(datetime(2026, 1, 1, 12, tzinfo=UTC), "the engine is away")


def component(*endpoints: Endpoint) -> Component:
    return Component("catalog", Protocol.HTTP1, Address("127.0.0.1", 10000), endpoints)


def endpoint(node: str = "", zone: str = "", region: str = "", weight: int = 1) -> Endpoint:
    return Endpoint("10.0.0.1", 9000, weight=weight, node=node, zone=zone, region=region)


def node(name: str, **changes: Any) -> Node:
    roomy = Node(
        name, cpus=4.0, cpu_load=0.5, cpus_idle=2.0, memory_bytes=1000 * MIB, memory_free_bytes=500 * MIB, running=5
    )
    return replace(roomy, **changes)


any_taint = st.builds(Taint, st.sampled_from(KEYS), st.sampled_from(VALUES), st.sampled_from(TaintEffect))
any_toleration = st.builds(
    Toleration,
    st.sampled_from(("", *KEYS)),
    st.sampled_from(TolerationOperator),
    st.sampled_from(VALUES),
    st.sampled_from((None, *TaintEffect)),
)
any_selector = st.dictionaries(st.sampled_from(["disk", "os"]), st.sampled_from(["x", "y"]), max_size=1)
any_node = st.builds(
    Node,
    name=st.text("abcdefgh", min_size=1, max_size=4),
    region=st.sampled_from(PLACES),
    zone=st.sampled_from(PLACES),
    labels=st.dictionaries(st.sampled_from(["disk", "os"]), st.sampled_from(["x", "y"])),
    taints=st.lists(any_taint, max_size=2).map(tuple),
    runtimes=st.sampled_from([("process", "docker", "endpoint"), ("process", "endpoint"), ("endpoint",)]),
    away=st.sampled_from([{}, {}, {}, {"docker": "no answer"}]),
    backed_off=st.sampled_from([{}, {}, {}, {"process": OFF}]),
    cpus=st.floats(0.0, 64.0),
    cpus_idle=st.floats(0.0, 64.0),
    requested_cpus=st.floats(0.0, 32.0),
    memory_bytes=st.integers(0, 1000 * MIB),
    memory_free_bytes=st.integers(0, 1000 * MIB),
    requested_memory_bytes=st.integers(0, 500 * MIB),
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
any_envoys = st.lists(
    st.builds(Spot, st.sampled_from(PLACES), st.sampled_from(PLACES), st.text("abcdefgh", max_size=2)), max_size=3
)
any_demand = st.builds(
    Demand,
    runtime=st.sampled_from(["process", "docker", "endpoint"]),
    cpus=st.floats(0.0, 8.0),
    memory_bytes=st.integers(0, 200 * MIB),
    selector=any_selector,
    tolerations=st.lists(any_toleration, max_size=2).map(tuple),
)
