"""The pure part, against a model of a client: whatever happens on the way, in the end it has what it wants."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given
from hypothesis import strategies as st

from tests.xds_resources import cluster, endpoints, listener, routes, runtime
from xds_server.cache import Snapshot, make_snapshot
from xds_server.cache.resource import CLUSTER, ENDPOINTS, FULL_STATE_TYPES, LISTENER, ROUTES, RUNTIME, Resource
from xds_server.protocol.session import Mode, Outgoing, Session
from xds_server.protocol.subscription import AckState, Answer

MODES = [Mode.SOTW, Mode.DELTA]
TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
NAMES = ("a", "b", "c")


@dataclass
class Model:
    """A client as the protocol describes it. Responses lie in its mailbox until it reads them."""

    session: Session
    mode: Mode
    wants: dict[str, set[str]] = field(default_factory=dict)
    has: dict[str, dict[str, str]] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    mailbox: list[Outgoing] = field(default_factory=list)
    log: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)

    def want(self, type_url: str, names: set[str], now: float = 0.0) -> None:
        before = self.wants.get(type_url, set())
        self.wants[type_url] = names
        kept = {n: v for n, v in self.has.get(type_url, {}).items() if n in names or "*" in names}
        self.has[type_url] = kept
        if self.mode is Mode.SOTW:
            self._send(type_url, now, resource_names=sorted(names), response_nonce=self.nonces.get(type_url, ""))
        else:
            added, dropped = sorted(names - before), sorted(before - names)
            self._send(type_url, now, resource_names_subscribe=added, resource_names_unsubscribe=dropped)

    def fetch(self, now: float = 0.0) -> None:
        while (outgoing := self.session.next(now)) is not None:
            self.mailbox.append(outgoing)

    def read(self, now: float = 0.0) -> None:
        outgoing = self.mailbox.pop(0)
        plan = outgoing.plan
        names = tuple(r.name for r in plan.resources)
        assert len(set(names)) == len(names)
        self.log.append((plan.type_url, names, plan.removed))
        wants = self.wants[plan.type_url]
        has = self.has.setdefault(plan.type_url, {})
        if self.mode is Mode.SOTW and plan.type_url in FULL_STATE_TYPES and not plan.alive:
            has.clear()
        for resource in plan.resources:
            if resource.name in wants or "*" in wants:
                has[resource.name] = resource.version
        for name in plan.removed:
            has.pop(name, None)
        self.nonces[plan.type_url] = outgoing.nonce
        fields = {"resource_names": sorted(wants)} if self.mode is Mode.SOTW else {}
        self._send(plan.type_url, now, response_nonce=outgoing.nonce, **fields)

    def finish(self, now: float = 0.0) -> None:
        for _ in range(100):
            self.fetch(now)
            if not self.mailbox:
                return
            while self.mailbox:
                self.read(now)
        pytest.fail("it never comes to rest")

    def _send(self, type_url: str, now: float, **fields: Any) -> None:
        kind = discovery_pb2.DiscoveryRequest if self.mode is Mode.SOTW else discovery_pb2.DeltaDiscoveryRequest
        self.session.receive(type_url, kind(**fields), now)


def model(mode: Mode, **options: Any) -> Model:
    return Model(Session(mode, removal_timeout=5.0, **options), mode)


def resource(type_url: str, name: str, content: int) -> Resource:
    body = f"{name} {content}".encode()
    made = {CLUSTER: cluster(name, note=content + 1), ENDPOINTS: endpoints(name, content + 1)}
    return made.get(type_url) or Resource(name, type_url, body, f"{content}-{name}")


snapshots = st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(NAMES), st.integers(0, 2)), max_size=10).map(
    lambda found: make_snapshot(resource(*each) for each in found)
)
interests = st.tuples(
    st.just("want"), st.sampled_from(TYPES), st.sets(st.sampled_from([*NAMES, "*"]), min_size=1, max_size=3)
)
steps = st.lists(
    st.one_of(
        interests,
        st.tuples(st.just("adopt"), snapshots),
        st.tuples(st.sampled_from(["fetch", "read", "read"])),
    ),
    max_size=30,
)


def test_a_name_that_only_the_wildcard_covers_is_answered_when_it_is_unsubscribed() -> None:
    client = model(Mode.DELTA)
    client.session.adopt(make_snapshot([cluster("a"), cluster("b")]), 0.0)
    client.want(CLUSTER, {"*"})
    client.finish()
    client.log.clear()
    client._send(CLUSTER, 0.0, resource_names_unsubscribe=["a"])
    client.finish()
    assert client.log == [(CLUSTER, ("a",), ())]


@pytest.mark.parametrize("mode", MODES)
@given(steps=steps)
def test_in_the_end_a_client_has_what_it_wants(mode: Mode, steps: list[Any]) -> None:
    client = model(mode)
    latest: Snapshot | None = None
    for step in steps:
        match step:
            case ("want", type_url, names):
                client.want(type_url, set(names))
            case ("adopt", snapshot):
                latest = snapshot
                client.session.adopt(snapshot, 0.0)
            case ("fetch",):
                client.fetch()
            case ("read",) if client.mailbox:
                client.read()
            case _:
                pass
    if latest is None:
        latest = make_snapshot([])
        client.session.adopt(latest, 0.0)
    client.finish()
    assert client.session.settled(latest)
    for type_url, wants in client.wants.items():
        there = latest.of_type(type_url)
        expected = {n: r.version for n, r in there.items() if n in wants or "*" in wants}
        has = client.has.get(type_url, {})
        if mode is Mode.SOTW and type_url not in FULL_STATE_TYPES:
            # Deleting these sends nothing: a client may still hold what went.
            has = {n: v for n, v in has.items() if n in there}
        assert has == expected
    count = len(client.log)
    client.session.adopt(latest, 1.0)
    client.finish(1.0)
    assert len(client.log) == count


@pytest.mark.parametrize("mode", MODES)
def test_a_route_never_leads_to_a_cluster_that_is_gone(mode: Mode) -> None:
    client = model(mode)
    client.session.adopt(make_snapshot([cluster("old"), listener("l", "r"), routes("r", "old")]), 0.0)
    client.want(CLUSTER, {"*"})
    client.want(LISTENER, {"*"})
    client.want(ROUTES, {"r"})
    client.finish()
    client.log.clear()
    client.session.adopt(make_snapshot([cluster("new"), listener("l", "r"), routes("r", "new")]), 0.0)
    client.finish()
    clusters = [set(names) for type_url, names, _ in client.log if type_url == CLUSTER]
    assert [type_url for type_url, _, _ in client.log] == [CLUSTER, ROUTES, CLUSTER]
    assert clusters == ([{"old", "new"}, {"new"}] if mode is Mode.SOTW else [{"new"}, set()])


@pytest.mark.parametrize("mode", MODES)
def test_a_removal_under_constant_change_is_bounded(mode: Mode) -> None:
    client = model(mode)
    first = [cluster("old"), listener("l", "r"), routes("r", "old")]
    client.session.adopt(make_snapshot(first), 0.0)
    for type_url, names in ((CLUSTER, {"*"}), (LISTENER, {"*"}), (ROUTES, {"r"})):
        client.want(type_url, names)
    client.finish()
    # The client answers nothing any more, and every second there is another change.
    for now in range(1, 40):
        client.session.adopt(make_snapshot([cluster("new"), listener("l", "r"), routes("r", "new", note=now)]), now)
        client.fetch(float(now))
    sent = [o.plan for o in client.mailbox if o.plan.type_url == CLUSTER]
    assert ("old" not in {r.name for r in sent[-1].resources}) if mode is Mode.SOTW else (sent[-1].removed == ("old",))


@pytest.mark.parametrize("mode", MODES)
def test_two_clusters_that_share_endpoints_both_get_them(mode: Mode) -> None:
    client = model(mode)
    client.session.adopt(make_snapshot([cluster("a", eds="e"), endpoints("e")]), 0.0)
    client.want(CLUSTER, {"*"})
    client.want(ENDPOINTS, {"e"})
    client.finish()
    client.log.clear()
    client.session.adopt(make_snapshot([cluster("a", eds="e"), cluster("b", eds="e"), endpoints("e")]), 0.0)
    client.finish()
    assert client.log[-1][:2] == (ENDPOINTS, ("e",))


@pytest.mark.parametrize("mode", MODES)
def test_heartbeats_come_three_times_a_ttl(mode: Mode) -> None:
    client = model(mode)
    client.session.adopt(make_snapshot([runtime(ttl=15)]), 0.0)
    client.want(RUNTIME, {"shadowmesh"})
    client.finish()
    times = []
    now = 0.0
    while now < 60:
        now = client.session.deadline()
        client.fetch(now)
        assert client.mailbox[0].plan.alive == (("shadowmesh", client.mailbox[0].plan.alive[0][1], 15),)
        times.append(now)
        client.read(now)
    assert times == [5.0 * n for n in range(1, 13)]


@pytest.mark.parametrize("mode", MODES)
def test_a_client_without_heartbeats_gets_the_resource_each_time(mode: Mode) -> None:
    client = model(mode, renew_in_full=True)
    client.session.adopt(make_snapshot([runtime(ttl=15)]), 0.0)
    client.want(RUNTIME, {"shadowmesh"})
    client.finish()
    for _ in range(3):
        client.finish(client.session.deadline())
    assert client.log == [(RUNTIME, ("shadowmesh",), ())] * 4


@pytest.mark.parametrize("mode", MODES)
def test_a_removed_resource_gets_no_more_heartbeats(mode: Mode) -> None:
    client = model(mode)
    client.session.adopt(make_snapshot([runtime(ttl=15)]), 0.0)
    client.want(RUNTIME, {"shadowmesh"})
    client.finish()
    client.session.adopt(make_snapshot([]), 1.0)
    client.finish(1.0)
    assert client.session.deadline() is None


@pytest.mark.parametrize("mode", MODES)
def test_a_rejected_resource_with_a_ttl_is_left_to_run_out(mode: Mode) -> None:
    client = model(mode)
    client.session.adopt(make_snapshot([runtime(ttl=15)]), 0.0)
    client.want(RUNTIME, {"shadowmesh"})
    client.fetch()
    sent = client.mailbox.pop()
    names = {"resource_names": ["shadowmesh"]} if mode is Mode.SOTW else {}
    client._send(RUNTIME, 0.0, response_nonce=sent.nonce, error_detail={"message": "no"}, **names)
    client.finish(100.0)
    assert client.log == []
    assert client.session.deadline() is None


@pytest.mark.parametrize("mode", MODES)
def test_answers_report_the_time_since_the_change(mode: Mode) -> None:
    answers: list[Answer] = []
    client = model(mode, on_answer=answers.append)
    client.want(CLUSTER, {"*"})
    client.session.adopt(make_snapshot([cluster("a")]), 10.0, since=9.5)
    client.fetch(10.0)
    client.read(11.0)
    assert answers == [Answer(CLUSTER, accepted=True, seconds=1.5)]


def test_names_in_an_error_are_found_whole() -> None:
    client = model(Mode.DELTA)
    names = ("component/a", "component/ab", "shadow-1", "x")
    client.session.adopt(make_snapshot([Resource(n, LISTENER, b"", "v") for n in names]), 0.0)
    client.want(LISTENER, {"*"})
    client.fetch()
    error = {"message": "Error adding/updating listener(s) component/ab: no; shadow-1."}
    client._send(LISTENER, 0.0, response_nonce=client.mailbox[0].nonce, error_detail=error)
    held = client.session.subscriptions[LISTENER].held
    assert {n for n, h in held.items() if h.state is AckState.NACKED} == {"component/ab", "shadow-1"}
    assert {n for n, h in held.items() if h.state is AckState.ACKED} == {"component/a", "x"}


def test_clusters_with_a_ttl_are_renewed_in_full() -> None:
    """A heartbeat alone would read as a state of the world without clusters."""
    client = model(Mode.SOTW)
    client.session.adopt(make_snapshot([replace(cluster("a"), ttl=15), cluster("b")]), 0.0)
    client.want(CLUSTER, {"*"})
    client.finish()
    client.finish(client.session.deadline())
    assert client.log == [(CLUSTER, ("a", "b"), ())] * 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("asks", [True, False])
def test_routes_to_a_new_cluster_wait_for_its_endpoints_but_not_for_ever(mode: Mode, *, asks: bool) -> None:
    def world(name: str, *others: str) -> Snapshot:
        more = [made for other in others for made in (cluster(other, eds=other), endpoints(other))]
        return make_snapshot([cluster(name, eds=name), endpoints(name), listener("l", "r"), routes("r", name), *more])

    client = model(mode)
    for type_url, names in ((CLUSTER, {"*"}), (ENDPOINTS, {"a"}), (LISTENER, {"*"}), (ROUTES, {"r"})):
        client.want(type_url, names)
    client.session.adopt(world("a"), 0.0)
    client.finish()
    client.log.clear()
    client.session.adopt(world("b"), 1.0)
    client.finish(1.0)
    assert [sent for sent, *_ in client.log] == [CLUSTER]
    assert not client.session.settled(client.session._target)
    longest = client.session.deadline()
    # Further changes come before the client has asked for the endpoints: they neither end the wait nor make it longer.
    for number, others in enumerate([(), ("c",), ("c", "d")]):
        client.session.adopt(world("b", *others), 1.01 + number / 100)
        client.finish(1.01 + number / 100)
        assert ROUTES not in [sent for sent, *_ in client.log]
        assert client.session.deadline() == longest
    client.session.adopt(world("b"), 1.05)
    client.finish(1.05)
    now = 1.1 if asks else longest
    assert now is not None
    if asks:
        client.want(ENDPOINTS, {"a", "b"}, now)
    client.finish(now)
    client.finish(20.0)
    sent = [(type_url, names) for type_url, names, _ in client.log if names]
    assert (ROUTES, ("r",)) in sent
    if asks:
        assert sent.index((ENDPOINTS, ("b",))) < sent.index((ROUTES, ("r",)))
    assert client.has[CLUSTER].keys() == {"b"}
