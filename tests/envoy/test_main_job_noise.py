"""A noisy original: a control takes the noise away, and only what is really different is left; no client is hurt."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.envoy.stack import JSON, NETWORK, Stack, answers, running, until, wait_for
from xds_server.lifecycle.controls import OVER
from xds_server.lifecycle.summaries import INTERVAL
from xds_server.stage.children import MARK
from xds_server.stage.client import Request

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(180)]

COMPONENT = "echo"
BUG = 6
ENOUGH = 150
NOISY = {"$.nonce", "$.at", "$.tags"}
ORIGINAL, SHADOW, CONTROL = 7, 8, 9
"""Seeds with which the evidence against noise stays below 0.2 in each test. By chance a field is doubted (from 10 on)
in one of fifty runs of this file, as it may be."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("noise")) as made:
        port = made.originals[COMPONENT]
        made.household.start("noisy", command(str(port), ORIGINAL, "--record", str(record(made))))
        wait_for(lambda: answers(port), "the noisy original answers")
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


def command(port: str, seed: int, *more: str) -> list[str]:
    program = str(Path(__file__).with_name("noisy.py"))
    return [sys.executable, program, "--port", port, "--seed", str(seed), *more]


def record(stack: Stack) -> Path:
    return stack.folder / "answers.txt"


def noisy(stack: Stack, *more: str, seed: int = CONTROL) -> JSON:
    """Return how to run the noisy service once more."""
    env = {MARK: str(stack.folder)}
    return {"process": {"command": command("{port}", seed, *more), "env": env, "readiness": {"path": "/healthz"}}}


def wanted(stack: Stack, control: JSON | None, *, price: int = BUG) -> dict[str, Any]:
    more = {} if control is None else {"control": control}
    variants = [{"name": "v2", **noisy(stack, "--price", str(price), seed=SHADOW)}]
    return {"componentName": COMPONENT, "variants": variants, **more}


async def ask(stack: Stack, count: int = ENOUGH) -> None:
    """Send requests; each must be answered by the original, once."""
    replies = await stack.send(
        [Request("GET", f"/items/{n % 5}", "GET /items/{id}") for n in range(count)], component=COMPONENT
    )
    said = [json.loads(reply.body) for reply in replies]
    assert {reply.status for reply in replies} == {200}
    assert {each["price"] for each in said} == {5}
    given = set(map(int, record(stack).read_text().split()))
    assert {each["nonce"] for each in said} <= given


async def trios(stack: Stack, profile: JSON, count: int) -> JSON:
    """Wait until so many requests were answered by the control too; return the comparison."""

    async def seen() -> bool:
        found = await stack.comparison(profile)
        return bool(found.get("noiseMeasured", {}).get("requests", 0) >= count and not found["lost"])

    await until(seen, "the control's answers are counted in")
    return await stack.comparison(profile)


def natures(comparison: JSON) -> dict[str, set[str]]:
    """Return the fields that differ, by what they are taken for."""
    found: dict[str, set[str]] = {}
    for endpoint in comparison["endpoints"]:
        for difference in endpoint["differences"]:
            found.setdefault(difference["nature"], set()).add(difference["field"])
    return found


def rates(comparison: JSON, field: str) -> list[tuple[float, float]]:
    return [
        (difference["noise"]["shadowRate"], difference["noise"]["controlRate"])
        for endpoint in comparison["endpoints"]
        for difference in endpoint["differences"]
        if difference["field"] == field
    ]


@pytest.mark.parametrize("kind", ["process", "self"])
async def test_noise_is_told_from_a_planted_bug(stack: Stack, kind: str) -> None:
    profile = await stack.create(**wanted(stack, noisy(stack) if kind == "process" else {"self": True}))
    assert ("extra load" in profile["summary"]) == (kind == "self")
    assert any("control.self" in warning for warning in profile["warnings"]) == (kind == "self")
    assert [each["variant"] for each in profile["instances"] if each["control"]] == ["control"]
    await ask(stack)
    found = await trios(stack, profile, ENOUGH)

    assert natures(found) == {"difference": {"$.price"}, "noise": NOISY}
    assert rates(found, "$.nonce") == [(1.0, 1.0)]
    ((shadow_rate, control_rate),) = rates(found, "$.tags")
    assert 0.2 < shadow_rate < 0.8
    assert 0.2 < control_rate < 0.8
    assert rates(found, "$.price") == [(1.0, 0.0)]
    assert (found["pairs"], found["discrepancies"], found["lost"]) == (ENOUGH, ENOUGH, {})
    assert found["noiseMeasured"]["byControl"]


async def test_the_same_version_twice_has_no_discrepancy(stack: Stack) -> None:
    profile = await stack.create(**wanted(stack, noisy(stack), price=5))
    await ask(stack)
    found = await trios(stack, profile, ENOUGH)
    assert natures(found) == {"noise": NOISY}
    assert (found["pairs"], found["noise"], found["discrepancies"]) == (ENOUGH, ENOUGH, 0)


async def test_without_a_control_it_is_said_that_noise_was_not_measured(stack: Stack) -> None:
    profile = await stack.create(**wanted(stack, None))
    await ask(stack, 20)

    async def compared() -> bool:
        return bool((await stack.comparison(profile)).get("pairs") == 20)

    await until(compared, "the pairs are in")
    found = await stack.comparison(profile)
    assert found["noiseMeasured"]["byControl"] is False
    assert "not measured" in found["noiseMeasured"]["summary"]
    assert "noise" not in natures(found)


async def test_the_components_own_version_is_the_control_of_a_profile_that_names_none(stack: Stack) -> None:
    body = stack.network_body()
    etag = stack.ask("GET", f"/networks/{NETWORK}").headers["etag"]
    for component in body["components"]:
        if component["name"] == COMPONENT:
            component["version"] = noisy(stack)
    replaced = await asyncio.to_thread(replace, stack, body, etag)
    try:
        profile = await stack.create(**wanted(stack, None))
        assert profile["control"]["process"]["command"] == noisy(stack)["process"]["command"]
        await ask(stack)
        assert natures(await trios(stack, profile, ENOUGH))["noise"] == NOISY
        body = stack.profile_body(**wanted(stack, {"enabled": False}), trafficShadowingPercentage=0.0)
        off = await stack.acall("POST", f"/networks/{NETWORK}/shadowing/create", body)
        assert off["control"] == {"enabled": False}
    finally:
        await asyncio.to_thread(stack.clear)
        await asyncio.to_thread(replace, stack, stack.network_body(), replaced)


def replace(stack: Stack, body: JSON, etag: str) -> str:
    import httpx

    answer = httpx.put(
        f"{stack.url}/networks/{NETWORK}", json=body, headers={"If-Match": etag}, timeout=40, trust_env=False
    )
    assert answer.is_success, answer.text
    return str(answer.headers["etag"])


async def test_a_control_may_end_before_the_shadow_and_what_it_showed_stays(stack: Stack) -> None:
    before = stack.proxy.listener_life(COMPONENT)
    profile = await stack.create(**wanted(stack, {**noisy(stack), "duration": "6s"}))
    await ask(stack)
    await trios(stack, profile, ENOUGH)

    async def over() -> JSON | None:
        now = (await stack.profile(profile["profileID"]))["instances"]
        (control,) = [each for each in now if each["control"]]
        return dict(control) if control["status"] == "Stopped" else None

    control = await until(over, "the control's time is over")
    assert control["reason"] == OVER
    await stack.settled()
    copies = stack.proxy.copies(control["instanceID"])
    await ask(stack, 50)
    await asyncio.sleep(2 * INTERVAL + 1)  # what is known of a profile is on disk
    stack.kill(stack.manager)
    await asyncio.to_thread(stack.start_manager)
    await stack.settled()
    await ask(stack, 50)

    async def went_on() -> bool:
        return bool((await stack.comparison(profile)).get("pairs", 0) >= ENOUGH + 100)

    await until(went_on, "the shadow goes on")
    found = await stack.comparison(profile)
    assert natures(found) == {"difference": {"$.price"}, "noise": NOISY}
    assert found["noiseMeasured"]["instanceID"] == control["instanceID"]
    assert found["noiseMeasured"]["requests"] == ENOUGH
    assert stack.proxy.copies(control["instanceID"]) in {copies, 0}
    now = (await stack.profile(profile["profileID"]))["instances"]
    assert {(each["variant"], each["status"]) for each in now} == {("v2", "Running"), ("control", "Stopped")}
    assert (
        stack.proxy.listener_life(COMPONENT)["listener_manager.listener_modified"]
        == before["listener_manager.listener_modified"]
    )


async def test_faults_of_the_profile_reach_each_copy_for_the_shadow_and_none_for_the_control(stack: Stack) -> None:
    faults = {"abort": {"httpStatus": 503, "percentage": 100}}
    profile = await stack.create(**wanted(stack, noisy(stack)), faultInjectionParameters=faults)
    await ask(stack, 40)

    async def measured() -> JSON | None:
        now = await stack.profile(profile["profileID"])
        (control,) = [each for each in now["instances"] if each["control"]]
        both_in = (
            now["comparison"]["injected"]["aborted"] == control["performanceData"]["difference_rate"]["pairs"] == 40
        )
        return {**now, "of the control": control["performanceData"]} if both_in else None

    found = await until(measured, "both legs of all requests are in")
    assert found["of the control"]["error_rate"] == {"original": 0.0, "shadow": 0.0}
    assert (found["comparison"]["pairs"], found["comparison"]["noiseMeasured"]["requests"]) == (0, 0)
