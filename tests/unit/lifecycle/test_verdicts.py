"""Verdicts as a part of the manager: when a profile is judged, what is kept, what is done about it."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import (
    START,
    FakeClock,
    FakeCollector,
    FakeJudge,
    a_network,
    a_profile,
    a_verdict,
    settle,
    until,
)
from xds_server.analysis.verdict.case import State
from xds_server.analysis.windows.profile_evidence import ProfileEvidence
from xds_server.errors import StoreError
from xds_server.lifecycle.controller import Controller
from xds_server.lifecycle.court import BOOKS, Court, case_of
from xds_server.lifecycle.unfinished import EVERY
from xds_server.lifecycle.verdicts import Acted, Inputs, Subject, Verdicts
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.analysis import Analysis
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.judging import Judging, OnFail
from xds_server.model.profile import ProcessSpec, ShadowingProfile, Variant
from xds_server.model.rollout import Cohort, Mode, Split
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.store.base import Changes

STOPPING = Analysis(judging=Judging(on_fail=OnFail.STOP))
P1, P2 = ProfileID("p1"), ProfileID("p2")


class Rows:
    """A store of verdicts that may be full."""

    def __init__(self) -> None:
        self.rows: dict[ProfileID, bytes] = {}
        self.writes = 0
        self.full = False

    async def apply(self, changes: Changes) -> None:
        if self.full:
            raise StoreError("full")
        self.writes += 1
        self.rows.update(changes.verdicts)


class Bench:
    """Verdicts over profiles that a test makes."""

    def __init__(self) -> None:
        self.clock, self.store, self.judge = FakeClock(), Rows(), FakeJudge()
        self.collector = FakeCollector()
        self.profiles: list[ShadowingProfile] = [a_profile(id=P1)]
        self.acts: list[tuple[str, str]] = []
        self.readings: dict[Any, Any] = {}
        self.verdicts = self.made()

    def made(self) -> Verdicts[Any]:
        store: Any = self.store
        return Verdicts(
            clock=self.clock,
            store=store,
            collector=self.collector,
            judge=self.judge,
            subjects=lambda: [Subject(profile, "shop", ()) for profile in self.profiles],
            act=self.act,
            readings=lambda _: dict(self.readings),
        )

    def act(self, profile: ShadowingProfile, verdict: Mapping[str, Any]) -> None:
        self.acts.append((profile.id, verdict["decision"]))

    async def look(self, seconds: float = 0.5) -> None:
        self.clock.jump(seconds)
        await self.verdicts.look()


@pytest.fixture
def court() -> Bench:
    return Bench()


async def test_a_profile_is_judged_when_its_evidence_changed_and_not_before(court: Bench) -> None:
    await court.look()
    await court.look()
    assert len(court.judge.asked) == 1
    court.collector.data[P1] = b"more"
    await court.look()
    assert len(court.judge.asked) == 2
    assert court.judge.states == [None, {"asked": 1}]


async def test_a_profile_is_judged_at_most_twice_a_second(court: Bench) -> None:
    for _ in range(10):
        court.collector.data[P1] = court.collector.data.get(P1, b"") + b"."
        await court.look(0.1)
    assert len(court.judge.asked) == 2


async def test_a_profile_that_takes_long_is_judged_less_often(court: Bench) -> None:
    says = court.judge.judge

    def slowly(inputs: Inputs, state: Any) -> tuple[Any, Any]:
        court.clock.jump(0.25)
        return says(inputs, state)

    court.judge.judge = slowly  # type: ignore[method-assign]
    for number in range(4):
        court.collector.data[P1] = b"%d" % number
        await court.look(0.5)
    assert len(court.judge.asked) == 2


async def test_other_readings_are_judged_and_the_time_alone_every_five_seconds(court: Bench) -> None:
    await court.look()
    court.readings["memory", "v2"] = 1.5
    await court.look()
    assert len(court.judge.asked) == 2
    await court.look(4.9)
    assert len(court.judge.asked) == 2
    await court.look(0.1)
    assert len(court.judge.asked) == 3


async def test_a_profile_that_cannot_be_judged_says_why_and_keeps_no_other_from_it(court: Bench) -> None:
    court.profiles.append(a_profile(id=P2))
    says = court.judge.judge

    def judge(inputs: Inputs, state: Any) -> tuple[Any, Any]:
        if inputs.profile.id == P1:
            raise ZeroDivisionError("a bug")
        return says(inputs, state)

    court.judge.judge = judge  # type: ignore[method-assign]
    await court.look()
    broken, fine = court.verdicts.of(P1), court.verdicts.of(P2)
    assert broken is not None
    assert fine is not None
    assert (broken["decision"], broken["reasons"]) == (
        "INCONCLUSIVE",
        ["it could not be judged: ZeroDivisionError: a bug"],
    )
    assert fine["reasons"] == ["it is INCONCLUSIVE"]
    # Steps still go by the clock.
    assert court.acts == [(P1, "INCONCLUSIVE"), (P2, "INCONCLUSIVE")]


async def test_a_latched_fail_stays_when_the_judge_fails(court: Bench) -> None:
    court.judge.says = a_verdict("FAIL")
    await court.look()
    court.judge.says = ValueError("a bug")
    await court.look(5)
    verdict = court.verdicts.of(P1)
    assert verdict is not None
    assert verdict["decision"] == "FAIL"
    assert verdict["reasons"] == ["it is FAIL", "it could not be judged: ValueError: a bug"]
    court.judge.says = a_verdict("FAIL")
    await court.look(5)
    assert court.judge.states[-1] == {"asked": 1}


async def test_what_acts_is_told_each_time(court: Bench) -> None:
    for _ in range(3):
        await court.look()
    assert court.acts == [(P1, "INCONCLUSIVE")] * 3
    assert len(court.judge.asked) == 1


async def test_another_decision_is_on_disk_at_once_and_a_state_within_seconds(court: Bench) -> None:
    await court.look()
    assert court.store.writes == 1
    court.collector.data[P1] = b"more"
    await court.look()
    assert court.store.writes == 1
    court.judge.says = a_verdict("FAIL")
    court.collector.data[P1] = b"still more"
    await court.look()
    assert court.store.writes == 2
    assert orjson.loads(court.store.rows[P1])["state"] == {"asked": 3}
    court.collector.data[P1] = b"even more"
    await court.look(5)
    assert orjson.loads(court.store.rows[P1])["state"] == {"asked": 4}


async def test_a_full_disk_is_tried_again(court: Bench) -> None:
    court.store.full = True
    await court.look()
    court.store.full = False
    await court.look(5)
    assert P1 in court.store.rows


async def test_what_was_latched_survives_a_restart(court: Bench) -> None:
    court.judge.says = a_verdict("FAIL")
    await court.look()
    court.verdicts.did(P1, Acted(frozenset({"v2"}), "sent back", "then"))
    await court.look(5)
    await court.verdicts.save()
    row = court.verdicts.row(P1, court.verdicts.acted(P1))
    again = court.made()
    again.load(P1, row)
    assert again.of(P1) == court.verdicts.of(P1)
    assert again.acted(P1) == Acted(frozenset({"v2"}), "sent back", "then")
    await again.look()
    assert court.judge.states[-1] == {"asked": 2}


async def test_a_row_that_cannot_be_read_begins_anew(court: Bench) -> None:
    for row in (b"not JSON", b"{}", b'{"state": {}, "verdict": null, "acted": {"out": [], "reason": "", "at": ""}}'):
        court.verdicts.load(P1, row)
        assert court.verdicts.of(P1) is None
    await court.look()
    assert court.judge.states == [None]


async def test_what_was_done_is_the_first_of_the_reasons(court: Bench) -> None:
    court.judge.says = a_verdict("FAIL")
    await court.look()
    court.verdicts.did(P1, Acted(frozenset(), "the percentage was set to 0"))
    verdict = court.verdicts.of(P1)
    assert verdict is not None
    assert verdict["reasons"] == ["the percentage was set to 0", "it is FAIL"]


async def test_a_judgement_that_begins_anew_has_no_verdict_and_no_state(court: Bench) -> None:
    court.judge.says = a_verdict("PASS")
    await court.look()
    assert orjson.loads(court.verdicts.row(P1, Acted(), anew=True))["state"] is None
    court.verdicts.did(P1, Acted(frozenset({"v3"})), anew=True)
    assert court.verdicts.of(P1) is None
    await court.look(0)
    assert court.judge.states == [None, None]
    assert court.verdicts.acted(P1).out == {"v3"}


async def test_the_loop_judges_twice_a_second(court: Bench) -> None:
    running = asyncio.create_task(court.verdicts.run())
    await settle()
    for _ in range(4):
        court.collector.data[P1] = court.collector.data.get(P1, b"") + b"."
        await court.clock.advance(0.5)
    assert len(court.judge.asked) == 5
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def an_instance(name: str, **fields: Any) -> ShadowInstance:
    given: dict[str, Any] = {"variant": "v2", "status": InstanceStatus.RUNNING, **fields}
    return ShadowInstance(
        id=InstanceID(name),
        network_id=NetworkID("n"),
        profile_id=P1,
        component_name="cart",
        node="",
        created_at=START,
        expires_at=START,
        **given,
    )


def inputs_of(profile: ShadowingProfile, *instances: ShadowInstance) -> Inputs:
    nothing = ProfileEvidence(versions={}, arms={}, arm_pairs={}, lost={}, controlled=False, since=0.0, until=0.0)
    return Inputs(
        profile=profile,
        network="shop",
        instances=instances,
        faulted=False,
        evidence=nothing,
        readings={},
        envoy={},
        now=START,
    )


def test_a_case_is_warm_when_its_youngest_shadow_is_and_waits_for_what_may_hang() -> None:
    times = [START + timedelta(seconds=seconds) for seconds in (0, 40, 90)]
    made = [replace(an_instance(f"i{n}"), created_at=at) for n, at in enumerate(times)]
    ended = replace(made[2], status=InstanceStatus.STOPPED)
    case = case_of(inputs_of(a_profile(id=P1, shadow_timeout=20.0), *made[:2], ended))
    assert case.started == times[1].timestamp()
    assert case.settle == 20.0 + BOOKS
    split = a_profile(id=P1, mode=Mode.SPLIT, split=Split(Cohort(cookie="c"), {"v2": 5.0}))
    assert case_of(inputs_of(split)).settle == 0


def test_the_court_has_a_case_without_any_evidence_judged(court: Bench) -> None:
    nothing = ProfileEvidence(versions={}, arms={}, arm_pairs={}, lost={}, controlled=False, since=0.0, until=0.0)
    profile = a_profile(id=P1, metrics=("error_rate",), mode=Mode.SPLIT, split=Split(Cohort(cookie="c"), {"v2": 5.0}))
    inputs = Inputs(
        profile=profile,
        network="shop",
        instances=(),
        faulted=True,
        evidence=nothing,
        readings={},
        envoy={"original": {}},
        now=court.clock.now(),
    )
    case = case_of(inputs)
    assert (case.variants, case.faulted, case.mode) == (("v2",), True, Mode.SPLIT)
    verdict, state = Court().judge(inputs, None)
    assert verdict["decision"] == "INCONCLUSIVE"
    assert verdict["envoy"] == {"original": {}}
    assert Court().unpack(orjson.loads(orjson.dumps(Court().pack(state)))) == state
    assert isinstance(state, State)


def test_the_court_knows_who_does_not_run_and_who_has_all_users() -> None:
    weights = {"v2": 60.0, "v3": 40.0}
    variants = tuple(Variant(name, ProcessSpec(("app",))) for name in weights)
    profile = a_profile(id=P1, mode=Mode.SPLIT, split=Split(Cohort(cookie="c"), weights), variants=variants)
    died = an_instance("i1", variant="v2", status=InstanceStatus.FAILED, reason="exited with 1")
    other = an_instance("i2", variant="v3", status=InstanceStatus.RUNNING)
    again = an_instance("i3", variant="v2", status=InstanceStatus.PENDING)
    assert case_of(inputs_of(profile, died, other)).gone == {"v2": "exited with 1"}
    assert case_of(inputs_of(profile, died, other)).failed == {"v2"}
    over = replace(died, status=InstanceStatus.STOPPED)
    assert case_of(inputs_of(profile, over, other)).failed == frozenset()
    assert case_of(inputs_of(profile, died, other)).alone == ()
    assert case_of(inputs_of(profile, died, other, again)).gone == {}
    assert case_of(inputs_of(profile, died, other, again)).alone == ("v2", "v3")


# Through the controller.


async def shop(controller: Controller, **fields: Any) -> ProfileID:
    await controller.create_network(a_network())
    view, _ = await controller.create_profile("shop", a_profile(**fields))
    return view.profile.id


async def said(managers: Managers, verdict: Any) -> None:
    """Let the judge say this, and what follows be done."""
    judge, asked = managers.judge, len(managers.judge.asked)
    judge.says = verdict
    for profile in managers.controller._registry.find("shop").profiles:
        managers.collector.data[profile] = b"%d" % asked
    # The loop may be writing to the disk, which takes no time of the clock.
    for _ in range(1000):
        if len(judge.asked) > asked:
            break
        await managers.clock.advance(0.1)
        await asyncio.sleep(0.001)
    assert len(judge.asked) > asked
    await until(lambda: not managers.controller._jobs)


async def json_of(controller: Controller, profile: ProfileID) -> Any:
    verdict = (await controller.profile("shop", profile)).verdict
    return verdict and verdict.as_json()


async def test_a_profile_shows_its_verdict(managers: Managers, controller: Controller) -> None:
    profile = await shop(controller)
    await said(managers, a_verdict("PASS"))
    assert (await json_of(controller, profile))["decision"] == "PASS"
    (watched,) = controller.watched()
    assert watched.verdict is not None
    assert watched.verdict["decision"] == "PASS"


async def test_a_fail_that_is_to_stop_sets_the_percentage_to_0_on_the_envoys_and_on_disk(
    managers: Managers, controller: Controller
) -> None:
    profile = await shop(controller, analysis=STOPPING)
    await said(managers, a_verdict("FAIL"))
    now = (await controller.profile("shop", profile)).profile
    assert (now.percentage, now.revision) == (0.0, 2)
    assert "trafficShadowingPercentage was set to 0" in (await json_of(controller, profile))["reasons"][0]
    rows = await managers.store.load()
    assert rows.profiles[0].percentage == 0.0
    await said(managers, a_verdict("FAIL"))
    assert (await controller.profile("shop", profile)).profile.revision == 2


async def test_harm_sets_the_percentage_to_0(managers: Managers, controller: Controller) -> None:
    profile = await shop(controller)
    await said(managers, a_verdict("INCONCLUSIVE", harm="HARM"))
    assert (await controller.profile("shop", profile)).profile.percentage == 0.0
    assert "clients are harmed: mirrored requests" in (await json_of(controller, profile))["reasons"][0]


async def test_the_envoys_are_told_although_the_disk_is_full_and_the_disk_later(
    managers: Managers, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = await shop(controller, analysis=STOPPING)
    await settle()
    apply = managers.store.apply

    async def full(_: Changes) -> None:
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(managers.store, "apply", full)
        await said(managers, a_verdict("FAIL"))
        state = managers.controller._registry.find("shop").state()
        assert state.profiles[0].profile.percentage == 0.0
        assert "in effect now, but not on record: no space left" in (await controller.status("shop")).problem
    assert managers.store.apply == apply
    await managers.clock.advance(EVERY)
    await until(lambda: not len(controller._context.parts.unfinished))
    assert (await managers.store.load()).profiles[0].percentage == 0.0
    assert (await controller.profile("shop", profile)).profile.revision == 2


async def test_a_person_who_raises_it_again_begins_another_judgement(
    managers: Managers, controller: Controller
) -> None:
    profile = await shop(controller, analysis=STOPPING)
    await said(managers, a_verdict("FAIL"))
    managers.judge.says = a_verdict()
    await controller.change_profile("shop", profile, ProfileChange(percentage=0.3))
    assert managers.collector.restarted == [profile]
    assert await json_of(controller, profile) is None
    contents = await managers.store.load()
    assert contents.summaries == {profile: b"begun anew"}
    assert orjson.loads(contents.verdicts[profile])["state"] is None
    await said(managers, a_verdict())
    assert managers.judge.states[-1] is None or managers.judge.states[-1] == {"asked": 1}
    assert (await controller.profile("shop", profile)).profile.percentage == 0.3


async def test_a_verdict_and_what_was_done_survive_a_crash(managers: Managers, controller: Controller) -> None:
    profile = await shop(controller, analysis=STOPPING)
    await said(managers, a_verdict("FAIL"))
    before = await json_of(controller, profile)
    controller = await managers.restart()
    assert await json_of(controller, profile) == before
    assert (await controller.profile("shop", profile)).profile.percentage == 0.0


async def test_the_last_verdict_is_archived_with_the_comparison(managers: Managers, controller: Controller) -> None:
    profile = await shop(controller, name="v2")
    await said(managers, a_verdict("PASS"))
    deleting = asyncio.create_task(controller.delete_profile("shop", profile))
    await deleting
    (archived,), _ = await controller.archive("shop")
    assert archived.record.verdict is not None
    assert archived.record.verdict["decision"] == "PASS"
    assert (await managers.store.load()).verdicts == {}
