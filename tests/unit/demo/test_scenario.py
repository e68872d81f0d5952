"""The plot of the demo on a stage without Envoy: clients go to version 1 directly, the manager is canned answers."""

import io
from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.unit.demo.recorded import GOOD_PROFILE, PROFILE, status
from xds_server.demo import scenario as module
from xds_server.demo.scenario import Scenario
from xds_server.errors import RuntimeFailedError, ShadowmeshError
from xds_server.stage.show import Show


class CannedManager:
    """Answers with what a manager answered once; writes down what it was asked to do."""

    def __init__(self, **changes: Any) -> None:
        self.done: list[str] = []
        self.changes = changes

    async def create_profile(self, network: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert network == "shop"
        self.done.append(f"create {body['name']} {body['trafficShadowingPercentage']}")
        return {"profileID": PROFILE if body["name"] == "catalog-v2" else GOOD_PROFILE}

    async def change_profile(self, network: str, profile_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert network == "shop"
        self.done.append(f"change {profile_id} {body['trafficShadowingPercentage']}")
        return {}

    async def status(self, network: str) -> dict[str, Any]:
        assert network == "shop"
        return status(**self.changes)

    async def inject_fault(self, network: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert network == "shop"
        self.done.append(f"inject {body['instanceID']}")
        return {"faultID": "f1"}

    async def lift_fault(self, network: str, fault_id: str) -> None:
        assert network == "shop"
        self.done.append(f"lift {fault_id}")

    async def delete_profile(self, network: str, profile_id: str) -> None:
        assert network == "shop"
        self.done.append(f"delete {profile_id}")


def make(port: int, manager: CannedManager, *, check: Any = lambda: None) -> Scenario:
    stage = SimpleNamespace(
        ports=SimpleNamespace(original=port, envoy=port), manager=manager, check=check, folder=Path("nowhere")
    )
    show = Show(Console(file=io.StringIO(), width=120))
    return Scenario(stage, show, seconds=1.0, ttl="10m", chance=Random(3))  # type: ignore[arg-type]


async def test_clients_are_checked_from_before_the_profile_until_after_it(catalogue_port: int) -> None:
    manager = CannedManager()
    scenario = make(catalogue_port, manager)
    outcome = await scenario.play()
    await scenario.end_profile()
    assert manager.done == [
        "create catalog-v2 0.5",
        "inject i1",
        "lift f1",
        f"change {PROFILE} 0.1",
        "create catalog-v3 0.9",
        f"delete {PROFILE}",
        f"delete {GOOD_PROFILE}",
    ]
    phases = {phase.name: phase.requests for phase in outcome.tally.phases}
    told = ["version 1 alone", "version 2 mirrored", "faults in copies", "mirrored again", "version 3 mirrored"]
    assert list(phases) == [*told, "profiles ended"]
    assert all(phases[name] for name in phases if name != "version 3 mirrored")
    assert outcome.good
    assert outcome.tally.hurt == 0


async def test_a_bug_that_is_not_found_makes_the_outcome_bad(
    catalogue_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXTRA_SECONDS", 0.3)
    scenario = make(catalogue_port, CannedManager(without="price"))
    outcome = await scenario.play()
    await scenario.abandon()
    assert not outcome.good
    assert [finding.found for finding in outcome.findings] == [False, True, True, True, True]


async def test_noise_that_is_not_cancelled_makes_the_outcome_bad(
    catalogue_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXTRA_SECONDS", 0.3)
    scenario = make(catalogue_port, CannedManager(without="took"))
    outcome = await scenario.play()
    await scenario.abandon()
    assert all(finding.found for finding in outcome.findings)
    assert not outcome.good


@pytest.mark.parametrize("verdicts", [("INCONCLUSIVE", "PASS"), ("FAIL", "INCONCLUSIVE"), ("FAIL", "FAIL")])
async def test_a_verdict_that_is_not_deserved_makes_the_outcome_bad(
    catalogue_port: int, monkeypatch: pytest.MonkeyPatch, verdicts: tuple[str, str]
) -> None:
    monkeypatch.setattr(module, "EXTRA_SECONDS", 0.3)
    scenario = make(catalogue_port, CannedManager(verdicts=verdicts))
    outcome = await scenario.play()
    await scenario.abandon()
    assert outcome.right
    assert not outcome.good


async def test_a_control_that_fails_ends_the_demo_with_its_reason(catalogue_port: int) -> None:
    failed = {"status": "Failed", "reason": "exited with code 4"}
    scenario = make(catalogue_port, CannedManager(control=failed, instance={"status": "Pending"}))
    with pytest.raises(RuntimeFailedError, match="the control is Failed: exited with code 4"):
        await scenario.play()
    await scenario.abandon()


async def test_a_hurt_client_makes_the_outcome_bad(catalogue_port: int) -> None:
    scenario = make(catalogue_port, CannedManager())
    outcome = await scenario.play()
    await scenario.abandon()
    outcome.tally.phases[0].hurt = 1
    assert not outcome.good


async def test_a_shadow_that_fails_ends_the_demo_with_its_reason(catalogue_port: int) -> None:
    scenario = make(catalogue_port, CannedManager(instance={"status": "Failed", "reason": "exited with code 3"}))
    with pytest.raises(RuntimeFailedError, match="exited with code 3"):
        await scenario.play()
    await scenario.abandon()


async def test_a_part_that_ends_by_itself_ends_the_demo(catalogue_port: int) -> None:
    def check() -> None:
        raise ShadowmeshError("envoy ended by itself")

    scenario = make(catalogue_port, CannedManager(), check=check)
    with pytest.raises(ShadowmeshError, match="envoy ended by itself"):
        await scenario.play()
    await scenario.abandon()
