"""Verdicts as a user gets them: the manager, its engine, a real Envoy, and versions whose flaws are known."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.envoy.backend import Backend
from tests.envoy.stack import JSON, Stack, at, running, until
from tests.envoy.users import CONNECTIONS, Users, names

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

EVERYBODY = names(2 * CONNECTIONS)
PAUSE = 0.06
"""Seconds between two rounds: some 200 requests a second of each path."""
SLOW = "/slow/0.02"
METRICS = ["error_rate", "difference_rate", "response_time"]
QUICKLY = {"warmUp": "1s", "block": "1s", "minPairs": 50}
ERRORS: dict[str, Any] = {**QUICKLY, "checks": [{"metric": "error_rate", "maxIncrease": 0.01, "critical": True}]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("verdict")
    with running(folder) as made:
        yield made


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


@dataclass
class Judged:
    """An original, versions beside it, and users who keep coming; no user ever gets a bad answer."""

    stack: Stack
    versions: dict[str, Backend]
    users: list[Users]
    looks: list[JSON] = field(default_factory=list)

    async def profile(self, **fields: Any) -> JSON:
        """Create a profile of all versions."""
        variants = [{**at(each.port)[0], "name": name} for name, each in self.versions.items()]
        await self.stack.attached()
        body = {
            "componentName": "echo",
            "variants": variants,
            "performanceMetrics": METRICS,
            "analysis": QUICKLY,
            "shadowTimeout": "2s",
        }
        return await self.stack.create(**(body | fields))

    async def served(self, count: int) -> bool:
        """Tell whether the users of the first path have had so many answers."""
        return self.users[0].answered >= count

    async def verdict(self, profile: JSON) -> JSON:
        """Return the verdict now, and remember it."""
        found: JSON = (await self.stack.profile(profile["profileID"]))["verdict"] or {"decision": "", "pairs": 0}
        self.looks.append(found)
        return found

    async def until(
        self, profile: JSON, so: Callable[[JSON], Any], what: str, *, never: Sequence[str] = (), seconds: float = 40.0
    ) -> JSON:
        """Wait until something can be said of the verdict; what it must not say on the way is in `never`."""

        async def there() -> JSON | None:
            found = await self.verdict(profile)
            assert found["decision"] not in never, found
            return found if so(found) else None

        try:
            found: JSON = await until(there, what, seconds=seconds)
        except AssertionError as error:
            error.add_note(str({k: v for k, v in self.looks[-1].items() if k not in {"checks", "envoy"}}))
            raise
        return found

    async def decided(self, profile: JSON, decision: str, *, never: Sequence[str] = ()) -> JSON:
        """Wait for a decision."""
        return await self.until(profile, lambda v: v["decision"] == decision, f"the verdict is {decision}", never=never)


@asynccontextmanager
async def judged(
    stack: Stack, *paths: str, name: str = "x-user: {}", **versions: Mapping[str, str]
) -> AsyncIterator[Judged]:
    """Run an original and versions of it; each is given the paths that it answers as if they were others."""
    async with AsyncExitStack() as many:
        await many.enter_async_context(Backend(port=stack.originals["echo"]))
        backends = {
            version: await many.enter_async_context(Backend(instead=dict(instead)))
            for version, instead in versions.items()
        }
        users = [Users(stack.proxy.ports["echo"], name=name, path=path) for path in paths]
        over = asyncio.Event()

        async def come(each: Users) -> None:
            while not over.is_set():
                await asyncio.gather(each.ask(EVERYBODY), asyncio.sleep(PAUSE))

        coming = [asyncio.create_task(come(each)) for each in users]
        try:
            yield Judged(stack, backends, users)
        finally:
            over.set()
            await asyncio.gather(*coming)  # fails when a user was answered badly


def check_of(verdict: JSON, name: str, *, variant: str = "v2", endpoint: str = "") -> JSON:
    """Return one row of the checks."""
    (found,) = [
        dict(c) for c in verdict["checks"] if (c["name"], c["variant"], c["endpoint"]) == (name, variant, endpoint)
    ]
    return found


async def test_the_same_version_passes_and_mirroring_is_found_to_do_no_harm(stack: Stack) -> None:
    async with judged(stack, SLOW, v2={}) as here:
        profile = await here.profile(trafficShadowingPercentage=0.5)
        found = await here.decided(profile, "PASS", never=["FAIL"])
        assert set(found) == {
            *("decision", "since", "pairs", "alpha", "reasons", "missing", "latched", "checks", "omitted"),
            *("differences", "harm", "resilience", "variants", "between", "envoy"),
        }
        assert (found["alpha"], found["latched"], found["differences"], found["resilience"]) == (0.01, False, [], None)
        assert found["pairs"] >= 500
        assert found["missing"]["copies"] == 0
        assert "every critical check passes" in found["reasons"][0]
        errors = check_of(found, "error_rate")
        assert set(errors) == {
            *("metric", "name", "variant", "endpoint", "decision", "original", "shadow", "effect", "interval"),
            *(
                "threshold",
                "limit",
                "unit",
                "pairs",
                "pairsNeeded",
                "critical",
                "muted",
                "weight",
                "reference",
                "judged",
            ),
            *("reason", "evidence"),
        }
        low, high = errors["interval"]
        assert low <= errors["effect"] == 0 <= high <= errors["threshold"] == 0.01
        assert errors["evidence"]["pass"] >= 100
        assert errors["evidence"]["fail"] < 1
        median = check_of(found, "response_time p50")
        assert (median["decision"], median["unit"], median["reference"]) == ("PASS", "ratio", "original")
        assert 20 <= median["original"] < 40
        assert (
            "the limit is 1.25 times and 1 ms (judged against the original, which has 2 times the load)"
            in median["reason"]
        )
        assert median["interval"][1] <= median["limit"]
        assert math.isclose(median["limit"], median["threshold"] * (1 + 1 / median["original"]), rel_tol=1e-3)
        assert median["allowance"] == 0.001
        assert [(v["variant"], v["decision"], v["rank"]) for v in found["variants"]] == [("v2", "PASS", 1)]
        assert found["harm"]["decision"] in {"NONE", "UNDECIDED"}
        metrics = {each["metric"]: each for each in found["harm"]["metrics"]}
        assert set(metrics) == {"error_rate", "response_time p50", "response_time p99"}
        assert metrics["error_rate"]["effect"] == 0
        assert metrics["response_time p50"]["requests"] > 0
        assert metrics["response_time p50"]["plain"] >= 20


async def test_a_version_that_fails_at_one_endpoint_is_found_named_stopped_and_stays_so(stack: Stack) -> None:
    assert stack.end(stack.manager) == 0
    await asyncio.to_thread(stack.start_manager, "--keep-shadows")
    async with judged(stack, "/ok", "/slow/0", v2={"/slow/0": "/status/503"}) as here:
        profile = await here.profile(analysis={**ERRORS, "onFail": "stop"})
        found = await here.decided(profile, "FAIL", never=["PASS"])
        # All traffic may be proved to exceed the limit before the one endpoint is; it is named all the same.
        assert {c["endpoint"] for c in found["checks"] if c["decision"] == "FAIL"}
        errors = [c for c in found["checks"] if c["name"] == "error_rate" and c["endpoint"]]
        row = max(errors, key=lambda c: c["effect"])
        place = row["endpoint"]
        assert place.startswith("GET /slow")
        assert row["effect"] > row["threshold"]
        assert any(place in reason and "[" in reason for reason in found["reasons"])
        assert check_of(found, "error_rate", endpoint="GET /ok")["decision"] != "FAIL"
        assert found["latched"]
        assert found["harm"]["decision"] == "NOT_MEASURED"
        assert "every request is mirrored" in found["harm"]["reason"]

        (instance,) = profile["instances"]

        async def unmoved() -> bool:
            before = stack.proxy.copies(instance["instanceID"])
            asked = here.users[0].answered
            await until(lambda: here.served(asked + 100), "users are served")
            return stack.proxy.copies(instance["instanceID"]) == before

        await until(unmoved, "mirroring has ended")
        now = await stack.profile(profile["profileID"])
        assert now["trafficShadowingPercentage"] == 0
        assert "trafficShadowingPercentage was set to 0" in now["verdict"]["reasons"][0]

        async def alerted() -> bool:
            return any(
                alert["labels"]["alertname"] == "ShadowmeshVerdictFail" and alert["status"] == "firing"
                for alert in (await stack.status())["alerts"]
            )

        await until(alerted, "the alert fires")
        latched = (await stack.profile(profile["profileID"]))["verdict"]
        assert await asyncio.to_thread(stack.end, stack.manager) == 0
        await asyncio.to_thread(stack.start_manager)
        after = await here.decided(profile, "FAIL", never=["PASS", "INCONCLUSIVE"])
        assert (after["latched"], after["since"]) == (True, latched["since"])
        assert "trafficShadowingPercentage was set to 0" in after["reasons"][0]
        await until(alerted, "the alert fires again")


async def test_several_versions_are_ranked_and_a_slow_one_fails_by_its_response_time(stack: Stack) -> None:
    path = "/slow/0.04"
    async with judged(stack, path, broken={path: "/status/500"}, slow={path: "/slow/0.06"}, good={}) as here:
        median = {"metric": "response_time", "quantile": 0.5, "maxRatio": 1.2, "critical": True}
        profile = await here.profile(analysis={**ERRORS, "checks": [*ERRORS["checks"], median]})

        def told(verdict: JSON) -> bool:
            said = {each["variant"]: each["decision"] for each in verdict.get("variants", ())}
            return said == {"good": "PASS", "slow": "FAIL", "broken": "FAIL"}

        found = await here.until(profile, told, "each version has its verdict", never=["FAIL"], seconds=60)
        assert found["decision"] == "PASS"
        ranked = sorted(found["variants"], key=lambda each: each["rank"])
        assert (ranked[0]["variant"], ranked[0]["rank"]) == ("good", 1)
        slow = check_of(found, "response_time p50", variant="slow")
        assert slow["decision"] == "FAIL"
        assert 1.2 < slow["interval"][0] <= slow["effect"] <= 1.8
        assert check_of(found, "error_rate", variant="slow")["decision"] != "FAIL"
        assert check_of(found, "error_rate", variant="broken")["decision"] == "FAIL"
        between = {(each["a"], each["b"]) for each in found["between"]}
        assert between, found["between"]


async def test_nothing_passes_while_copies_are_missing(stack: Stack) -> None:
    async with judged(stack, "/ok", v2={}) as here:
        profile = await here.profile(analysis=ERRORS)
        await here.until(profile, lambda v: v["pairs"] >= 20, "the first pairs", never=["PASS", "FAIL"])
        engine = stack.engine_process
        engine.kill()
        enough = 700
        """More than a PASS takes when nothing is missing."""
        found = await here.until(
            profile,
            lambda v: v["pairs"] >= enough and v["missing"]["copies"] > 10,
            "there are pairs enough, and it is known which are missing",
            never=["PASS", "FAIL"],
        )
        assert found["decision"] == "INCONCLUSIVE"
        assert any("missing, each counted as the worst for a PASS" in reason for reason in found["reasons"])
        errors = check_of(found, "error_rate")
        assert errors["effect"] == 0
        assert errors["interval"][1] > 0.01 >= errors["interval"][0]


async def test_a_version_that_was_not_given_the_credentials_is_not_judged_by_that(stack: Stack) -> None:
    bearer = "authorization: Bearer {}"
    async with judged(stack, "/ok", name=bearer, v2={"/ok": "/status/401"}) as here:
        profile = await here.profile(analysis=QUICKLY)

        def said(verdict: JSON) -> bool:
            return any("keepCredentials" in reason for reason in verdict.get("reasons", ()))

        found = await here.until(profile, said, "the reason is said", never=["PASS", "FAIL"])
        assert found["decision"] == "INCONCLUSIVE"
        for _ in range(4):
            await asyncio.sleep(0.5)
            assert (await here.verdict(profile))["decision"] == "INCONCLUSIVE"


async def test_our_own_faults_are_not_held_against_a_version_and_it_is_told_how_it_bears_them(stack: Stack) -> None:
    faults = {"abort": {"httpStatus": 503, "percentage": 20}, "delay": {"fixedDelay": "50ms", "percentage": 40}}
    async with judged(stack, SLOW, v2={}) as here:
        profile = await here.profile(faultInjectionParameters=faults)
        found = await here.decided(profile, "PASS", never=["FAIL"])
        assert any("faults are injected" in reason for reason in found["reasons"])
        known = found["resilience"]
        assert known["score"] == 1
        (endpoint,) = known["endpoints"]
        assert min(endpoint["pairs"], endpoint["aborted"]) > 50
        assert (endpoint["failing"], endpoint["differing"]) == (0, 0)
        assert "v2 answers 100 % of the copies as well as without" in known["summary"]
