"""Splits and steps over REST: what cannot be is refused by its field, and what is there is told in words."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api import examples
from tests.unit.api.fake import NOW, FakeController
from xds_server.model.rollout import Cohort, Mode, Rollout, RolloutState, Split, Step
from xds_server.model.shadow import InstanceStatus

CREATE = "/networks/shop/shadowing/create"
PROFILE = "/networks/shop/shadowing/profiles/p"
SPLIT: dict[str, Any] = examples.PROFILE_OF_A_SPLIT | {"name": "p"}
STEPS: dict[str, Any] = examples.PROFILE_WITH_STEPS | {"name": "p"}
COHORT = {"cookie": "session"}
TWO = [{"name": name, "endpoint": {"address": "127.0.0.1", "port": 9006}} for name in ("v6", "v7")]


def cohort(**fields: Any) -> dict[str, Any]:
    return {"split": {"cohort": fields, "weights": {"v6": 100}}}


def weights(**given: Any) -> dict[str, Any]:
    return {"split": {"cohort": COHORT, "weights": given}}


BAD_SPLITS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"mode": "canary"}, "mode", '"canary" is not one of them', "'shadow' or 'split'"),
    ({"split": ...}, "split", "nothing says how they are told apart", "cookie"),
    ({"split": {"weights": {"v6": 10}}}, "split.cohort", "is required", "keeps a user"),
    (cohort(), "split.cohort", "has no key", "exactly one of header, cookie"),
    (cohort(header="x-user", cookie="session"), "split.cohort", "has header and cookie", "exactly one of"),
    (cohort(header="x user"), "split.cohort.header", "cannot be used", "name of a header"),
    (cohort(cookie="a=b"), "split.cohort.cookie", "cannot be used", "name of a cookie"),
    (cohort(header="x-team", values=[]), "split.cohort.values", "no entries", "at least 1"),
    (cohort(header="x-team", values=["a", "a"]), "split.cohort.values[1]", "twice", "each value once"),
    (cohort(header="x-team", values=["a b"]), "split.cohort.values[0]", "cannot be used", "without spaces"),
    (cohort(query="user"), "split.cohort.query", "is not a known field", "header"),
    (cohort(header="x-team", values=["a"]) | {"variants": TWO}, "split.cohort.values", "there are 2", "one variant"),
    (
        {"split": {"cohort": {"header": "x-team", "values": ["a"]}, "weights": {"v6": 10}}},
        "split.weights.v6",
        "10 % of those",
        "100, all of them, or 0",
    ),
    (weights(), "split.weights", "nothing says who goes where", '{"v2": 10}'),
    (weights(v9=10), "split.weights.v9", 'no variant "v9"', "variants: v6"),
    (weights(control=10), "split.weights.control", "a control gets no users", "variants: v6"),
    (weights(v6=101), "split.weights.v6", "101 is out of range", "0 to 100"),
    (weights(v6=-1), "split.weights.v6", "-1 is out of range", "10 is one in ten"),
    (weights(v6="10"), "split.weights.v6", "is not a number", "0 to 100"),
    (weights(v6=60, v7=60) | {"variants": TWO}, "split.weights", "the weights sum to 120", "at most 100 together"),
    ({"trafficShadowingPercentage": 0}, "trafficShadowingPercentage", "0 measures nothing", "above 0"),
    ({"mode": "shadow"}, "mode", "there is a split, and mode is shadow", "mode: split"),
    ({"mode": ...}, "mode", "there is a split, and mode is shadow", "mode: split"),
    ({"control": {"self": True}}, "control", "a control gets no users", "steps that mirror first"),
    (
        {"faultInjectionParameters": {"abort": {"httpStatus": 503}}},
        "faultInjectionParameters",
        "real users has no faults",
        "mode shadow",
    ),
]


def steps(*given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"steps": list(given), **changes}


MIRROR = {"mode": "shadow"}
SEND = {"mode": "split", "weights": {"v7": 5}}
BAD_STEPS: list[tuple[dict[str, Any], str, str, str]] = [
    (steps(), "steps", "no entries", "at least 1"),
    (steps(*[MIRROR] * 21), "steps", "21 entries", "at most 20"),
    (steps({}), "steps[0].mode", "is required", "real users"),
    (steps(MIRROR | {"weights": {"v7": 5}}), "steps[0].weights", "not for a step that mirrors", "mode: split"),
    (steps(MIRROR, {"mode": "split"}), "steps[1].weights", "required for a split", '{"v2": 10}'),
    (steps(MIRROR, SEND | {"weights": {"v7": 0}}), "steps[1].weights", "required for a split", '{"v2": 10}'),
    (steps(MIRROR, SEND | {"weights": {"v9": 5}}), "steps[1].weights.v9", 'no variant "v9"', "variants: v7"),
    (
        steps(MIRROR, SEND | {"weights": {"v6": 60, "v7": 60}}, variants=TWO),
        "steps[1].weights",
        "sum to 120",
        "at most 100",
    ),
    (steps(MIRROR | {"trafficShadowingPercentage": 0}), "steps[0].trafficShadowingPercentage", "nothing", "above 0"),
    (steps(MIRROR | {"trafficShadowingPercentage": 5}), "steps[0].trafficShadowingPercentage", "range", "give 0.05"),
    (steps(MIRROR | {"hold": 60}), "steps[0].hold", "has no unit", '"60s"'),
    (steps(MIRROR | {"hold": "2m", "timeout": "1m"}), "steps[0].timeout", "shorter than hold", "leave it out"),
    (steps(MIRROR, SEND, split=...), "split", "nothing says how they are told apart", "cookie"),
    (steps(MIRROR, SEND, trafficShadowingPercentage=0), "trafficShadowingPercentage", "0 measures", "above 0"),
    (steps(MIRROR), "mode", "no step is a split", "a step with it"),
    (steps(MIRROR, SEND, mode="split"), "mode", "is split, and the first step is shadow", "leave it out"),
    (
        steps(MIRROR, SEND, split={"cohort": COHORT, "weights": {"v7": 5}}),
        "split.weights",
        "others than those of the first step",
        "leave them out",
    ),
    (
        steps(MIRROR, SEND, faultInjectionParameters={"abort": {"httpStatus": 503}}),
        "faultInjectionParameters",
        "real users has no faults",
        "mode shadow",
    ),
]
BAD = [
    *((SPLIT | change, field, detail, hint) for change, field, detail, hint in BAD_SPLITS),
    *((STEPS | change, field, detail, hint) for change, field, detail, hint in BAD_STEPS),
]


async def make(client: httpx.AsyncClient, body: dict[str, Any], **changes: Any) -> httpx.Response:
    given = {name: value for name, value in (body | changes).items() if value is not ...}
    return await client.post(CREATE, json=given)


@pytest.mark.parametrize("bad", BAD, ids=[f"{field} {detail}" for _, field, detail, _ in BAD])
async def test_what_cannot_be_names_the_field_and_what_would_be_right(
    client: httpx.AsyncClient, shop: str, desk: FakeController, bad: tuple[dict[str, Any], str, str, str]
) -> None:
    body, field, detail, hint = bad
    answer = await make(client, body)
    assert answer.status_code == 422, answer.text
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert field in errors, errors
    assert detail in errors[field]["detail"]
    assert hint in errors[field]["hint"]
    assert desk.views == {}


async def test_a_split_comes_back_as_it_was_given(client: httpx.AsyncClient, shop: str, desk: FakeController) -> None:
    made = (await make(client, SPLIT)).json()
    assert (made["mode"], made["split"], made["rollout"]) == ("split", SPLIT["split"], None)
    assert "steps" not in made
    profile = desk.views[made["profileID"]].profile
    assert (profile.mode, profile.split) == (Mode.SPLIT, Split(Cohort(cookie="session"), {"v6": 10.0}))


async def test_a_profile_that_mirrors_says_so(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client, examples.PROFILE)).json()
    assert (made["mode"], made["rollout"]) == ("shadow", None)
    assert not {"split", "steps"} & set(made)


async def test_steps_say_how_a_profile_starts(client: httpx.AsyncClient, shop: str, desk: FakeController) -> None:
    body = STEPS | steps(MIRROR | {"trafficShadowingPercentage": 0.5}, MIRROR, SEND | {"hold": "1m"})
    made = (await make(client, body)).json()
    profile = desk.views[made["profileID"]].profile
    assert (profile.mode, profile.percentage) == (Mode.SHADOW, 0.5)
    assert profile.split == Split(Cohort(header="x-user-id"))
    # What the profile says counts where a step says nothing.
    last = Step(Mode.SPLIT, 0.2, {"v7": 5.0}, hold=60.0)
    assert profile.steps == (Step(Mode.SHADOW, 0.5), Step(Mode.SHADOW, 0.2), last)
    assert made["steps"][2] == {
        "mode": "split",
        "trafficShadowingPercentage": 0.2,
        "weights": {"v7": 5.0},
        "hold": "1m",
    }
    assert made["rollout"] == {"step": 1, "steps": 3, "state": "running", "since": "2026-01-01T00:00:00Z", "reason": ""}


async def test_steps_may_begin_with_real_users(client: httpx.AsyncClient, shop: str, desk: FakeController) -> None:
    made = (await make(client, STEPS | steps(SEND, SEND | {"weights": {"v7": 50}}))).json()
    profile = desk.views[made["profileID"]].profile
    assert (profile.mode, profile.split) == (Mode.SPLIT, Split(Cohort(header="x-user-id"), {"v7": 5.0}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "sends 10 % of the users with cookie session to v6"),
        (
            {"variants": TWO} | weights(v6=10, v7=2.5),
            "sends 10 % of the users with cookie session to v6 and 2.5 % to v7",
        ),
        (weights(v6=0), "sends nobody (0 % of the users with cookie session) to a version"),
        (
            cohort(header="x-team", values=["blue", "red"]),
            "sends those with header x-team blue or red to v6",
        ),
    ],
)
async def test_what_a_split_does_is_told_in_words(
    client: httpx.AsyncClient, shop: str, change: dict[str, Any], words: str
) -> None:
    made = (await make(client, SPLIT, **change)).json()
    assert made["summary"] == f"{words}, of GET, POST /cart… for 4h; measures 100 % of the requests"
    assert made["warnings"] == []


async def test_the_steps_to_come_are_told_in_words(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client, STEPS)).json()
    mirrors, told = made["summary"].split("; ")
    assert mirrors == "mirrors 20 % of GET, HEAD, OPTIONS /… to v7 for 4h"
    assert told == "step 1 of 3, then 5 % to v7, then 50 % to v7"


async def test_a_split_that_has_ended_says_so(client: httpx.AsyncClient, desk: FakeController, shop: str) -> None:
    await make(client, SPLIT)
    desk.later_status = InstanceStatus.STOPPED
    (ended,) = (await client.get(f"/networks/{shop}/shadowing/profiles")).json()["items"]
    assert ended["summary"].startswith("has ended, sends nobody anywhere now")


async def test_where_a_rollout_is_is_told(client: httpx.AsyncClient, shop: str, desk: FakeController) -> None:
    made = (await make(client, STEPS)).json()
    view = desk.views[made["profileID"]]
    state = Rollout(1, RolloutState.PAUSED, NOW, "by hand")
    split = Split(Cohort(header="x-user-id"), {"v7": 5.0})
    desk.views[made["profileID"]] = replace(
        view, profile=replace(view.profile, mode=Mode.SPLIT, split=split, rollout=state)
    )
    told = (await client.get(PROFILE)).json()
    assert told["rollout"]["step"] == 2
    assert (told["rollout"]["state"], told["rollout"]["reason"]) == ("paused", "by hand")
    assert told["summary"].startswith("sends 5 % of the users with header x-user-id to v7, of")
    assert told["summary"].endswith("step 2 of 3 (paused), then 50 % to v7")


async def test_what_may_not_be_meant_is_warned_of(client: httpx.AsyncClient, shop: str) -> None:
    made = (await make(client, SPLIT | weights(v6=0.1))).json()
    assert made["warnings"] == ["split.weights.v6: 0.1 means 0.1 % of the users; 10 % of them are 10"]
    made = (await make(client, SPLIT | weights(v6=100), name="all")).json()
    (warning,) = made["warnings"]
    assert warning.startswith("split.weights: all users with ")
    assert warning.endswith(" are at v6, so no original is left to judge by")
    made = (await make(client, STEPS, name="q", shadowInstanceTTL="30m")).json()
    assert made["warnings"] == ["steps: they take 50m at least, and the instances live for 30m (shadowInstanceTTL)"]


async def test_weights_change_by_patch_alone_or_with_the_rest(
    client: httpx.AsyncClient, shop: str, desk: FakeController
) -> None:
    made = (await make(client, SPLIT)).json()
    changed = (await client.patch(PROFILE, json={"split": {"weights": {"v6": 25}}})).json()
    assert changed["split"] == {"cohort": COHORT, "weights": {"v6": 25.0}}
    assert changed["trafficShadowingPercentage"] == made["trafficShadowingPercentage"]
    both = {"split": {"weights": {"v6": 50}}, "shadowInstanceTTL": "5h"}
    changed = (await client.patch(PROFILE, json=both)).json()
    assert (changed["split"]["weights"], changed["shadowInstanceTTL"], changed["revision"]) == ({"v6": 50.0}, "5h", 3)


WRONG_WEIGHTS: list[tuple[dict[str, Any], RolloutState | None, Any, str, str]] = [
    (SPLIT, None, {"cohort": COHORT, "weights": {}}, "split.cohort", "weights alone"),
    (SPLIT, None, {}, "split.weights", "as a whole"),
    (SPLIT, None, None, "split", "leave the field out"),
    (SPLIT, None, {"weights": {"v6": 110}}, "split.weights.v6", "0 to 100"),
    (SPLIT, None, {"weights": {"v9": 10}}, "split.weights.v9", "variants: v6"),
    (SPLIT, None, {"weight": {"v6": 10}}, "split.weight", "did you mean weights?"),
    (examples.PROFILE | {"name": "p"}, None, {"weights": {"v2": 10}}, "split", "a new profile"),
    (STEPS, RolloutState.RUNNING, {"weights": {"v7": 10}}, "split.weights", "abort the rollout first"),
    (STEPS, RolloutState.PAUSED, {"weights": {"v7": 10}}, "split.weights", "promote goes on"),
    (STEPS, RolloutState.ABORTED, {"weights": {"v7": 10}}, "split.weights", "a new profile"),
]


@pytest.mark.parametrize("wrong", WRONG_WEIGHTS, ids=lambda wrong: f"{wrong[3]} {wrong[4]}")
async def test_weights_that_cannot_be_changed_so_are_refused(
    client: httpx.AsyncClient,
    shop: str,
    desk: FakeController,
    wrong: tuple[dict[str, Any], RolloutState | None, Any, str, str],
) -> None:
    body, state, change, field, hint = wrong
    made = (await make(client, body)).json()
    view = desk.views[made["profileID"]]
    if state is not None:
        desk.views[made["profileID"]] = replace(view, profile=replace(view.profile, rollout=Rollout(0, state, NOW)))
    before = desk.views[made["profileID"]]
    answer = await client.patch(PROFILE, json={"split": change})
    assert answer.status_code in {409, 422}, answer.text
    errors = {error["field"]: error for error in answer.json()["errors"]}
    assert hint in errors[field]["hint"]
    assert desk.views[made["profileID"]] == before


@pytest.mark.parametrize("fixed", [{"mode": "split"}, {"steps": [MIRROR]}, {"analysis": {"alpha": 0.1}}])
async def test_how_a_profile_is_judged_and_its_steps_stay_as_they_are(
    client: httpx.AsyncClient, shop: str, fixed: dict[str, Any]
) -> None:
    await make(client, SPLIT)
    (error,) = (await client.patch(PROFILE, json=fixed)).json()["errors"]
    assert error["field"] == next(iter(fixed))
    assert "faultInjectionParameters and split.weights can be changed" in error["hint"]


@dataclass(frozen=True)
class Said:
    def as_json(self) -> dict[str, Any]:
        return {"decision": "PASS", "since": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}


async def test_the_verdict_is_in_the_profile_and_in_the_status(
    client: httpx.AsyncClient, shop: str, desk: FakeController
) -> None:
    made = (await make(client, SPLIT)).json()
    assert made["verdict"] is None
    desk.views[made["profileID"]] = replace(desk.views[made["profileID"]], verdict=Said())
    assert (await client.get(PROFILE)).json()["verdict"]["decision"] == "PASS"
    status = (await client.get("/networks/shop/shadowing/status")).json()
    assert status["profiles"][0]["verdict"] == Said().as_json()
