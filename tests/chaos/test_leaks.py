"""Leaks that are planted are found, each of them."""

import os
from dataclasses import dataclass, field

import psutil
import pytest

from tests.chaos.invariants import Result, judge_hit, leaks
from tests.chaos.points import Blow, Moment, Point
from tests.envoy.stack import JSON

ME = psutil.Process()


@dataclass
class _Stage:
    """What `leaks` looks at."""

    there: dict[str, list[psutil.Process]] = field(default_factory=dict)
    supervised: dict[str, list[psutil.Process]] = field(default_factory=dict)
    contained: list[tuple[str, str]] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    ports: list[tuple[int, int]] = field(default_factory=list)

    def processes(self) -> dict[str, list[psutil.Process]]:
        return self.there

    def supervisors(self) -> dict[str, list[psutil.Process]]:
        return self.supervised

    def containers(self) -> list[tuple[str, str]]:
        return self.contained

    def unended_folders(self) -> set[str]:
        return self.folders

    def listening(self) -> list[tuple[int, int]]:
        return self.ports

    def engines(self) -> list[int]:
        return [1]


def _profiles(status: str, port: int | None = None) -> dict[str, JSON]:
    instance: JSON = {"instanceID": "i", "status": status, "address": {"port": port} if port else None}
    return {"p": {"instances": [instance]}}


def _found(stage: _Stage, profiles: dict[str, JSON]) -> list[str]:
    return leaks(stage, profiles)  # type: ignore[arg-type]


def test_what_a_shadow_that_is_alive_needs_is_no_leak() -> None:
    stage = _Stage({"i": [ME]}, {"i": [ME]}, [("i", "shadow"), ("i", "guard")], {"i"}, [(20_001, os.getpid())])
    assert _found(stage, _profiles("Pending")) == []
    assert _found(stage, _profiles("Running", 20_001)) == []


@pytest.mark.parametrize("status", ["Pending", "Running"])
def test_a_port_that_somebody_else_holds_is_found_whatever_the_state_of_the_shadow(status: str) -> None:
    stage = _Stage({"i": [ME]}, ports=[(20_001, os.getpid()), (20_002, 0), (20_003, 1)])
    assert len(_found(stage, _profiles(status, 20_001))) == 2


def test_two_leaks_of_one_instance_are_two() -> None:
    stage = _Stage({"i": [ME, ME]}, {"i": [ME, ME]}, [("i", "shadow"), ("i", "shadow")])
    assert len(_found(stage, _profiles("Stopped"))) == 4 + 2 + 1
    assert len(_found(stage, _profiles("Running"))) == 1 + 1 + 1


@pytest.mark.parametrize(
    ("blow", "moment", "hit", "verdict"),
    [
        (Blow.KILL_SHADOW, Moment.RUNNING, 0, "wrong"),
        (Blow.KILL_SHADOW, Moment.RUNNING, 1, "fine"),
        (Blow.SHADOW_AND_MANAGER, Moment.RUNNING, 1, "wrong"),
        (Blow.SHADOW_AND_MANAGER, Moment.RUNNING, 2, "fine"),
        (Blow.STOP_SHADOW, Moment.TTL, 0, "missed"),
        (Blow.DISK_FULL, Moment.DELETE, 0, "wrong"),
    ],
)
def test_a_blow_that_strikes_nothing_is_wrong_unless_the_shadow_was_to_end(
    blow: Blow, moment: Moment, hit: int, verdict: str
) -> None:
    result = Result(Point(1, blow, moment, 0.0, 0.0), hit=hit)
    judge_hit(result)
    assert verdict == ("wrong" if result.wrong else "missed" if result.missed else "fine")
