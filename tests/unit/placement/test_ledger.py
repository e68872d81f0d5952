"""What shadows ask for, node by node."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.placement.make import component, endpoint, node
from xds_server.placement.choice import Question
from xds_server.placement.demand import MIB, Demand
from xds_server.placement.ledger import Ledger
from xds_server.placement.node import Node, Taken

KEYS, NODES, GROUPS = st.sampled_from("abcd"), st.sampled_from("xyz"), st.sampled_from("gh")
DEMANDS = st.builds(
    Demand, cpus=st.floats(0.0, 8.0), memory_bytes=st.integers(0, 1000), slots=st.sampled_from([0, 1, 1])
)


class Bookkeeping(RuleBasedStateMachine):
    """The ledger beside a plain list of what is placed."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.placed: dict[str, tuple[str, Demand, str, bool]] = {}

    @rule(key=KEYS, on=NODES, demand=DEMANDS, group=GROUPS, starting=st.booleans())
    def put(self, key: str, on: str, demand: Demand, group: str, starting: bool) -> None:  # noqa: FBT001 - drawn
        self.ledger.put(key, on, demand, group=group, starting=starting)
        self.placed[key] = (on, demand, group, starting)

    @rule(key=KEYS)
    def up(self, key: str) -> None:
        self.ledger.up(key)
        if key in self.placed:
            self.placed[key] = (*self.placed[key][:3], False)

    @rule(key=KEYS)
    def drop(self, key: str) -> None:
        self.ledger.drop(key)
        self.placed.pop(key, None)

    @invariant()
    def each_node_has_the_sum_of_what_is_there(self) -> None:
        assert set(self.ledger.taken) == {on for on, *_ in self.placed.values()}
        for name, taken in self.ledger.taken.items():
            here = [(d, s) for on, d, _, s in self.placed.values() if on == name]
            assert taken.shadows == sum(d.slots for d, _ in here)
            assert abs(taken.cpus - sum(d.cpus for d, _ in here)) < 1e-9
            assert taken.memory_bytes == sum(d.memory_bytes for d, _ in here)
            assert taken.starting_memory_bytes == sum(d.memory_bytes for d, s in here if s)

    @invariant()
    def peers_are_those_of_the_group(self) -> None:
        for group in "gh":
            mine = Counter(on for on, d, g, _ in self.placed.values() if g == group and d.slots)
            assert dict(self.ledger.peers(group)) == dict(mine)


TestBookkeeping: Any = Bookkeeping.TestCase


def test_what_has_not_changed_is_the_same_value() -> None:
    ledger = Ledger()
    ledger.put("a", "x", Demand())
    before = ledger.taken["x"]
    ledger.put("b", "y", Demand())
    assert ledger.taken["x"] is before


@given(st.lists(DEMANDS.filter(lambda demand: demand.slots > 0), max_size=40), st.data())
def test_what_is_placed_never_exceeds_what_there_is(demands: list[Demand], data: st.DataObject) -> None:
    ledger = Ledger()
    kept: list[str] = []
    for number, demand in enumerate(demands):
        nodes = [_small(name, ledger.taken.get(name, Taken())) for name in "xyz"]
        found = Question(component(endpoint()), demand).best(nodes)
        if found is not None:
            ledger.put(str(number), found.name, demand)
            kept.append(str(number))
        if kept and data.draw(st.booleans()):
            ledger.drop(kept.pop(data.draw(st.integers(0, len(kept) - 1))))
        for taken in ledger.taken.values():
            assert taken.cpus <= 8.0 + 1e-6
            assert taken.memory_bytes <= 2000
            assert taken.shadows <= 6


def _small(name: str, taken: Taken) -> Node:
    return node(
        name,
        cpus=8.0,
        requested_cpus=taken.cpus,
        memory_bytes=2000,
        memory_free_bytes=MIB,
        requested_memory_bytes=taken.memory_bytes,
        running=taken.shadows,
        max_shadows=6,
    )
