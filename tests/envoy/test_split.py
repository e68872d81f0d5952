"""Real users on two versions, on the real Envoy: cohorts, weights, the way back, what is measured."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import grpc
import pytest

from tests.envoy.backend import Backend
from tests.envoy.harness import Mesh
from tests.envoy.test_grpc import SERVICE, Service, serving
from tests.envoy.users import Users, at, names
from tests.envoy.values import active, component, profile, shadow, split, state
from xds_server.analysis.counting import count_arm
from xds_server.analysis.ingest.als import _record
from xds_server.analysis.windows.arms import ArmTally
from xds_server.config import XdsSettings
from xds_server.model.names import CAPTURE_METADATA, PAIR_HEADER, USERS, split_cluster
from xds_server.model.network import Protocol
from xds_server.model.profile import Match, ShadowingProfile
from xds_server.model.rollout import Cohort
from xds_server.model.state import NetworkState

COUNT = 1500
STATIC_KEYS = 1
"""The failover guard of the bootstrap."""
MERGED = 1.5
"""Seconds: longer than Envoy by default waits with changes of health, to merge them."""


def network_of(mesh: Mesh, each: ShadowingProfile) -> NetworkState:
    variants = [variant.name for variant in each.variants]
    shadows = [shadow(n, port=mesh.shadow.port, variant=name) for n, name in enumerate(variants, 1)]
    return state(component(port=mesh.original.port), profiles=(active(each, *shadows),))


async def weigh(mesh: Mesh, whole: NetworkState) -> None:
    """Publish it; returns when its runtime layer is in force on the workers."""
    loads = await runtime_loads(mesh)
    await mesh.publish(whole)
    await mesh.envoy.until_stat("runtime.load_success", lambda value: value > loads)


async def runtime_loads(mesh: Mesh) -> int:
    return (await mesh.envoy.stats("runtime.load_success"))["runtime.load_success"]


async def start(mesh: Mesh, whole: NetworkState) -> Users:
    await mesh.start_envoy(whole)
    await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > STATIC_KEYS)
    return Users(await mesh.port())


def near(count: int, total: int, share: float) -> bool:
    """Tell whether a count is within 4.5 standard deviations of a fair draw."""
    return abs(count - total * share) <= 4.5 * math.sqrt(total * share * (1 - share)) + 1e-9


@pytest.mark.parametrize(
    ("cohort", "name"),
    [(Cohort(header="x-user"), "x-user: {}"), (Cohort(cookie="user"), "cookie: other=1; user={}; more=x")],
    ids=["header", "cookie"],
)
async def test_a_cohort_stays_where_it_is_when_weights_grow(mesh: Mesh, cohort: Cohort, name: str) -> None:
    users = await start(mesh, network_of(mesh, split(cohort=cohort, weights={"v2": 5.0})))
    users.name = name
    routes = await mesh.envoy.stats("rds.*update_success")
    everybody, before = names(COUNT), set[str]()
    for weight in (5.0, 25.0, 60.0):
        if before:
            await weigh(mesh, network_of(mesh, split(cohort=cohort, weights={"v2": weight})))
        chosen = at(await users.ask(everybody), "shadow")
        assert near(len(chosen), COUNT, weight / 100), weight
        assert before <= chosen
        assert at(await users.ask(everybody), "shadow") == chosen
        before = chosen
    assert await mesh.envoy.stats("rds.*update_success") == routes


async def test_two_versions_grow_side_by_side_and_nobody_changes_from_one_to_the_other(mesh: Mesh) -> None:
    async with Backend("second") as second:

        def of(v2: float, v3: float) -> NetworkState:
            both = active(
                split(weights={"v2": v2, "v3": v3}),
                shadow(1, port=mesh.shadow.port, variant="v2"),
                shadow(2, port=second.port, variant="v3"),
            )
            return state(component(port=mesh.original.port), profiles=(both,))

        users = await start(mesh, of(10, 20))
        before = await users.ask(names(COUNT))
        await weigh(mesh, of(45, 55))
        after = await users.ask(names(COUNT))
    for version, first, then in (("shadow", 0.1, 0.45), ("second", 0.2, 0.55)):
        assert near(len(at(before, version)), COUNT, first)
        assert near(len(at(after, version)), COUNT, then)
        assert at(before, version) <= at(after, version)
    assert not at(after, "original")


async def test_who_is_chosen_has_nothing_to_do_with_who_was_chosen_for_another_profile(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(1)))
    one = at(await users.ask(names(COUNT)), "shadow")
    await weigh(mesh, network_of(mesh, split(2)))
    two = at(await users.ask(names(COUNT)), "shadow")
    assert near(len(one & two), len(one), 0.25)


async def test_who_has_no_key_is_at_the_original(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(weights={"v2": 100.0})))
    assert await users.ask(["somebody"]) == {"somebody": "shadow"}
    assert await users.ask([""]) == {"": "original"}
    async with await mesh.client() as client:
        assert (await client.get("/ok", headers={"x-user": ""})).json() == {"from": "original"}
        assert (await client.post("/ok", headers={"x-user": "somebody"})).json() == {"from": "original"}
    assert len(mesh.sink.entries) == 0


async def test_a_weight_of_zero_brings_all_back_while_they_ask_and_loses_no_request(mesh: Mesh) -> None:
    """Also what is under way: a slow request ends at the candidate, after the weight and even after the profile."""
    full = network_of(mesh, split(weights={"v2": 60.0}))
    users = await start(mesh, full)
    chosen = sorted(at(await users.ask(names(50)), "shadow"))
    slow = Users(users.port, path="/slow/10")
    async with asking(users):
        under_way = asyncio.create_task(slow.ask(chosen[:8]))
        async with asyncio.timeout(8):
            while sum(asked.path == "/slow/10" for asked in mesh.shadow.asked) < min(8, len(chosen)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await weigh(mesh, network_of(mesh, split(weights={"v2": 0.0})))
        assert set((await Users(users.port).ask(names(200))).values()) == {"original"}
        assert not under_way.done()
        await mesh.publish(replace(full, profiles=()))
        assert set((await under_way).values()) == {"shadow"}
    assert users.answered > 300


async def test_an_instance_that_drains_gets_nobody(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(weights={"v2": 100.0})))
    assert set((await users.ask(names(20))).values()) == {"shadow"}
    leaving = active(split(weights={"v2": 100.0}), shadow(port=mesh.shadow.port, draining=True))
    await weigh(mesh, state(component(port=mesh.original.port), profiles=(leaving,)))
    assert set((await users.ask(names(20))).values()) == {"original"}


async def test_a_candidate_that_dies_costs_no_client_an_error(mesh: Mesh) -> None:
    candidate = split_cluster(shadow().instance_id)
    both = Match(methods=("GET", "POST"))
    async with Backend("candidate") as dying:
        chosen = active(split(weights={"v2": 60.0}), shadow(port=dying.port))
        users = await start(mesh, state(component(port=mesh.original.port), profiles=(chosen,)))
        assert at(await users.ask(names(200)), "candidate")
        async with asking(users):
            await dying.__aexit__(None, None, None)
            assert set((await Users(users.port).ask(names(COUNT))).values()) == {"original"}
        ejected, refused = f"cluster.{candidate}.outlier_detection.ejections_active", "upstream_cx_connect_fail"
        await mesh.envoy.until_stat(ejected, lambda value: value == 1)
        await Users(users.port).ask(names(20))  # its worker has heard of it too
        tried = (await mesh.envoy.stats(f"cluster.{candidate}"))[f"cluster.{candidate}.{refused}"]
        assert tried < COUNT * 0.3, "half of those who were sent there did not even try"
        assert set((await Users(users.port).ask(names(COUNT))).values()) == {"original"}
        again = (await mesh.envoy.stats(f"cluster.{candidate}"))[f"cluster.{candidate}.{refused}"]
        assert again == tried, "nobody tries any more"
        # What was never taken is tried at the original whatever the method is.
        await mesh.publish(network_of(mesh, split(match=both)))
        again = active(split(weights={"v2": 100.0}, match=both), shadow(2, port=dying.port))
        await weigh(mesh, state(component(port=mesh.original.port), profiles=(again,)))
        async with await mesh.client() as client:
            assert (await client.post("/ok", headers={"x-user": "a"})).json() == {"from": "original"}
        await dying.__aenter__()


async def test_a_candidate_that_only_fails_is_left_after_some_answers(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(weights={"v2": 100.0})))
    mesh.shadow.instead = {"/ok": "/status/500"}
    users.keep_bad = True
    answers = await users.ask(names(500))
    assert set(answers.values()) == {"original"}
    ejected = f"cluster.{split_cluster(shadow().instance_id)}.outlier_detection.ejections_active"
    await mesh.envoy.until_stat(ejected, lambda value: value == 1)
    await users.ask(names(20))  # its worker has heard of it too
    bad = len(users.bad)
    assert bad >= 5
    await users.ask(names(500))
    assert len(users.bad) == bad, "it is left"


async def test_a_candidate_that_only_fails_is_left_again_each_time_it_is_let_in(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(weights={"v2": 100.0})))
    mesh.shadow.instead = {"/ok": "/status/500"}
    users.keep_bad = True
    await users.ask(names(200))
    first = len(users.bad)
    ejections = f"cluster.{split_cluster(shadow().instance_id)}.outlier_detection.ejections_enforced_total"
    while (await mesh.envoy.stats(ejections))[ejections] < 2:
        await users.ask(names(20))
    again = time.monotonic()
    while time.monotonic() < again + MERGED:
        await users.ask(names(100))
    assert first < len(users.bad) < first + 600, "thousands, if the change waited until it could be merged"


async def test_calls_are_split_and_come_back_too(mesh: Mesh) -> None:
    by_method = split(weights={"v2": 100.0}, match=Match(grpc=(f"{SERVICE}/Get*",)), percentage=1.0)
    async with serving(Service("original")) as port, AsyncExitStack() as life:
        candidate = await life.enter_async_context(serving(Service("candidate")))
        chosen = active(by_method, shadow(port=candidate))
        await start(mesh, state(component(port=port, protocol=Protocol.GRPC), profiles=(chosen,)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await mesh.port()}") as channel:

            async def call(method: str = "GetItem") -> bytes:
                return bytes(await channel.unary_unary(f"/{SERVICE}/{method}")(b"x", metadata=[("x-user", "a")]))

            assert await call() == b"candidate"
            assert await call("List") == b"original"
            await life.aclose()
            assert {await call() for _ in range(20)} == {b"original"}
        await mesh.sink.until(lambda sink: len(sink.entries) == 21)
    # The log tells who answered in fact: the candidate's arm alone says who was to.
    by = Counter(entry.common_properties.upstream_cluster for entry in mesh.sink.entries)
    assert by == {split_cluster(shadow().instance_id): 1, "component/catalog": 20}
    assert arms(mesh) == {"v2": 21}
    arm = ArmTally()
    for entry in mesh.sink.entries:
        record = _record(entry)
        assert record is not None
        count_arm(arm, record, "v2")
    # Two failures in a row, and it is left out; two connections may fail at once.
    assert arm.count == arm.errors + arm.missing + 1
    assert arm.errors >= 1
    assert arm.missing >= 15


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_all_are_back_at_the_original_when_nobody_holds_the_switch(mesh: Mesh, mode: str) -> None:
    mesh.settings = XdsSettings(port=0, runtime_ttl=3)
    mesh.options = {"mode": mode}
    mesh.expected = ("gRPC config",)  # it says that the manager is away
    await mesh.xds.stop(0.1)
    await mesh.serve()
    users = await start(mesh, network_of(mesh, split(weights={"v2": 60.0})))
    chosen = at(await users.ask(names(200)), "shadow")
    assert chosen
    manager = mesh.xds.port
    async with asking(users):
        await mesh.xds.stop(0.1)
        await mesh.envoy.until_stat("runtime.num_keys", lambda value: value == STATIC_KEYS)
        assert set((await Users(users.port).ask(names(200))).values()) == {"original"}
        await mesh.serve(port=manager)
        await mesh.envoy.until_stat("runtime.num_keys", lambda value: value > STATIC_KEYS)
    assert at(await users.ask(names(200)), "shadow") == chosen


@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
async def test_users_are_told_by_what_their_key_says(mesh: Mesh, cookie: bool) -> None:  # noqa: FBT001 - a parameter
    cohort = Cohort(values=("staff", "a.b|c"), **({"cookie": "group"} if cookie else {"header": "x-group"}))
    of_them = split(cohort=cohort, weights={"v2": 1.0}, percentage=1.0)
    users = await start(mesh, network_of(mesh, of_them))
    users.name = "cookie: x=y; group={}" if cookie else "x-group: {}"
    everybody = ["staff", "a.b|c", "staff2", "aab|c", "c", ""]
    assert at(await users.ask(everybody), "shadow") == {"staff", "a.b|c"}
    await mesh.sink.until(lambda sink: len(sink.entries) == len(everybody))
    assert arms(mesh) == {"v2": 2, "original": 3, "keyless": 1}
    await weigh(mesh, network_of(mesh, replace(of_them, split=split(cohort=cohort, weights={"v2": 0.0}).split)))
    assert set((await users.ask(everybody)).values()) == {"original"}


async def test_the_share_that_was_asked_for_is_measured_under_the_names_of_the_arms(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(weights={"v2": 40.0}, percentage=0.2)))
    chosen = len(at(await users.ask(names(2000)), "shadow"))
    await users.ask([""] * 1000)
    marked = [each for each in (*mesh.original.asked, *mesh.shadow.asked) if PAIR_HEADER in each.headers]
    await mesh.sink.until(lambda sink: len(sink.entries) >= len(marked))
    await log_is_in(mesh)
    counted = arms(mesh)
    asked = {"v2": chosen, "original": 2000 - chosen, "keyless": 1000}
    assert set(counted) == set(asked)
    assert all(near(counted[arm], count, 0.2) for arm, count in asked.items()), counted
    # What is measured is marked, and nothing else is: neither as a copy, nor on the way to a version.
    assert not mesh.sink.copies
    assert len(marked) == sum(counted.values())
    to_candidate = [each.headers[PAIR_HEADER] for each in mesh.shadow.asked if PAIR_HEADER in each.headers]
    assert len(to_candidate) == counted["v2"] > 0
    assert all(mark.startswith(f"{split().id}/~v2/") for mark in to_candidate)


@pytest.mark.parametrize(
    ("cohort", "name"),
    [(Cohort(header="x-user"), "x-user: {}"), (Cohort(cookie="user"), "cookie: other=1; xuser=no; user={} ; more=x")],
    ids=["header", "cookie"],
)
async def test_each_user_has_a_number_in_the_log_and_nothing_else_of_him_is_there(
    mesh: Mesh, cohort: Cohort, name: str
) -> None:
    users = await start(mesh, network_of(mesh, split(cohort=cohort, weights={"v2": 50.0}, percentage=1.0)))
    users.name = name
    numbers: list[set[int]] = []
    for user in ["lovelace", "bob", "lovelace", "x", "a-much-longer-name-than-that=="]:
        seen = len(mesh.sink.entries)
        await users.ask([user] * 3)
        await mesh.sink.until(lambda sink, seen=seen: len(sink.entries) == seen + 3)
        captured = [each.common_properties.metadata.filter_metadata for each in mesh.sink.entries[seen:]]
        assert [list(each[CAPTURE_METADATA].fields) for each in captured] == [["u"]] * 3
        records = [_record(each) for each in mesh.sink.entries[seen:]]
        numbers.append({each.user for each in records if each is not None and each.user is not None})
    lovelace, bob, again, *others = numbers
    assert lovelace == again
    assert all(len(each) == 1 and each <= set(range(USERS)) for each in numbers)
    assert len(set.union(lovelace, bob, *others)) == 4
    assert "lovelace" not in str(mesh.sink.entries)
    await users.ask([""])
    await mesh.sink.until(lambda sink: len(sink.entries) == 16)
    keyless = _record(mesh.sink.entries[-1])
    assert keyless is not None
    assert keyless.user is None


async def test_numbers_of_users_have_nothing_to_do_with_where_they_are_sent(mesh: Mesh) -> None:
    users = await start(mesh, network_of(mesh, split(weights={"v2": 50.0}, percentage=1.0)))
    chosen = at(await users.ask(names(COUNT)), "shadow")
    assert near(len(chosen), COUNT, 0.5)
    await mesh.sink.until(lambda sink: len(sink.entries) >= COUNT)
    await log_is_in(mesh)
    of_candidate, of_original = set[int](), set[int]()
    for entry in mesh.sink.entries:
        record = _record(entry)
        assert record is not None
        assert record.user is not None
        (of_candidate if "/~v2/" in record.pair else of_original).add(record.user)
    for of_arm in (of_candidate, of_original):
        assert near(sum(user % 2 for user in of_arm), len(of_arm), 0.5)
        assert near(sum(user < USERS // 2 for user in of_arm), len(of_arm), 0.5)
    # As many meet as when numbers are drawn: of 4,096, by 750 users a side.
    drawn = USERS * (1 - (1 - 1 / USERS) ** (COUNT / 2)) ** 2
    assert abs(len(of_candidate & of_original) - drawn) < 60


async def test_a_plain_sample_is_measured_beside_the_mirrored_one(mesh: Mesh) -> None:
    each = profile(percentage=0.3)
    users = await start(mesh, network_of(mesh, each))
    await users.ask(names(COUNT))
    await log_is_in(mesh)
    plain = arms(mesh)
    assert set(plain) == {"plain"}
    assert near(plain["plain"], COUNT, 0.1)
    assert near(len(mesh.sink.copies), COUNT, 0.3)
    await weigh(mesh, network_of(mesh, replace(each, percentage=1.0)))
    copies = len(mesh.sink.copies)
    await users.ask(names(100))
    await mesh.sink.until(lambda sink: len(sink.copies) == copies + 100)
    assert arms(mesh) == plain


@asynccontextmanager
async def asking(users: Users) -> AsyncIterator[None]:
    """Let users ask without a pause while the block runs; each must be answered well."""
    going = True

    async def ask() -> None:
        while going:
            await users.ask(names(100))

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        going = False
        await task


async def log_is_in(mesh: Mesh) -> None:
    """Wait until nothing more comes: Envoy sends what it has after a tenth of a second."""
    seen = -1
    while seen != len(mesh.sink.entries):
        seen = len(mesh.sink.entries)
        await asyncio.sleep(0.5)


def arms(mesh: Mesh) -> Counter[str]:
    """Count the entries of the access log by their arm."""
    marks = (entry.request.request_headers[PAIR_HEADER].split("/")[1] for entry in mesh.sink.entries)
    return Counter(mark.removeprefix("~") for mark in marks if mark.startswith("~"))
