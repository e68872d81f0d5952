"""The points of the campaign: what is done to what, at which moment of a profile's life; all by seed.

Guarantees: pure; point N of a seed is the same each time, however many points are asked for. The kinds of blows take
turns, in an order of the seed's in each round, so any row of points holds each about as often.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TypeVar

from tests.envoy.stack import RUNTIME_TTL

_T = TypeVar("_T")


class Moment(StrEnum):
    """Where in the life of a profile the blow lands."""

    IDLE = "idle, between profiles"
    CREATE = "create"
    PENDING = "Pending"
    BECOMING = "becoming Running"
    RUNNING = "Running"
    FAULT = "fault injected"
    PATCH = "percentage changed"
    DELETE = "delete"
    TTL = "TTL over"


class Blow(StrEnum):
    """What is done."""

    KILL_MANAGER = "kill manager"
    KILL_ENGINE = "kill engine"
    KILL_ENVOY = "kill Envoy"
    KILL_SHADOW = "kill shadow"
    KILL_SUPERVISOR = "kill supervisor"
    STOP_MANAGER = "SIGSTOP manager"
    STOP_ENGINE = "SIGSTOP engine"
    STOP_ENVOY = "SIGSTOP Envoy"
    STOP_SHADOW = "SIGSTOP shadow"
    STOP_SUPERVISOR = "SIGSTOP supervisor"
    CUT_MANAGER = "cut Envoy-manager"
    CUT_ENGINE = "cut Envoy-engine"
    FREEZE_MANAGER = "freeze Envoy-manager"
    FREEZE_ENGINE = "freeze Envoy-engine"
    DISK_FULL = "disk full"
    CLOCK_FORWARD = "clock +1 h"
    CLOCK_BACK = "clock -1 h"
    MANAGER_THEN_ENVOY = "kill manager, then Envoy"
    ENGINE_AND_MANAGER = "kill engine and manager"
    SHADOW_AND_MANAGER = "kill shadow and manager"
    DISK_FULL_AND_MANAGER = "disk full, kill manager"
    CLOCK_BACK_AND_MANAGER = "clock -1 h, kill manager"
    START_ON_FULL_DISK = "kill manager, start it on a full disk"
    TAKE_OVER_OLD_DIES = "take-over, kill the old manager"
    TAKE_OVER_NEW_DIES = "take-over, kill the new manager"
    KILL_DOCKERD = "kill dockerd"
    STOP_DOCKERD = "SIGSTOP dockerd"
    DOCKERD_AND_MANAGER = "kill dockerd and manager"


OF_SHADOWS = frozenset(
    {Blow.KILL_SHADOW, Blow.KILL_SUPERVISOR, Blow.STOP_SHADOW, Blow.STOP_SUPERVISOR, Blow.SHADOW_AND_MANAGER}
)
OF_CLOCK = frozenset({Blow.CLOCK_FORWARD, Blow.CLOCK_BACK, Blow.CLOCK_BACK_AND_MANAGER})
OF_DOCKER = frozenset({Blow.KILL_DOCKERD, Blow.STOP_DOCKERD, Blow.DOCKERD_AND_MANAGER})
OF_DISK = frozenset({Blow.DISK_FULL, Blow.DISK_FULL_AND_MANAGER, Blow.START_ON_FULL_DISK})
OF_TAKE_OVER = frozenset({Blow.TAKE_OVER_OLD_DIES, Blow.TAKE_OVER_NEW_DIES})
IN_PAIRS = frozenset(
    {
        *(Blow.MANAGER_THEN_ENVOY, Blow.ENGINE_AND_MANAGER, Blow.SHADOW_AND_MANAGER, Blow.DISK_FULL_AND_MANAGER),
        *(Blow.CLOCK_BACK_AND_MANAGER, Blow.START_ON_FULL_DISK, Blow.DOCKERD_AND_MANAGER),
    }
)
MANAGER_AWAY = frozenset(
    {
        *(Blow.KILL_MANAGER, Blow.STOP_MANAGER, Blow.CUT_MANAGER, Blow.FREEZE_MANAGER),
        *(Blow.ENGINE_AND_MANAGER, Blow.CLOCK_BACK_AND_MANAGER, Blow.DISK_FULL_AND_MANAGER),
    }
)
"""After these no word of a manager comes to Envoy, and nothing else keeps copies from being sent."""
MIRRORED = frozenset({Moment.RUNNING, Moment.FAULT, Moment.PATCH})
"""Moments at which copies are sent for as long as a manager says so."""
LONG = RUNTIME_TTL + 3.5
"""Seconds in which the dead man's switch has to have done its work."""

CONTAINERS = 1000
"""Points above this number are those with containers."""


@dataclass(frozen=True, slots=True)
class Point:
    """One blow. `delay` are the seconds from the moment to it, `hold` those until what was hit is brought back."""

    number: int
    blow: Blow
    moment: Moment
    delay: float
    hold: float


def schedule(seed: int, count: int) -> list[Point]:
    """Return the points 1 to `count` of a seed; their shadows are processes."""
    return _points(Random(seed), [blow for blow in Blow if blow not in OF_DOCKER], range(1, count + 1))


def with_containers(seed: int, count: int) -> list[Point]:
    """Return so many points, from `CONTAINERS` + 1 on, whose shadows are containers and whose blows hit the engine."""
    return _points(Random(seed), sorted(OF_DOCKER), range(CONTAINERS + 1, CONTAINERS + count + 1))


def _points(chance: Random, kinds: list[Blow], numbers: range) -> list[Point]:
    moments = _turns(chance, list(Moment))
    blows = _turns(chance, kinds)
    points = []
    for number in numbers:
        blow, moment = next(blows), next(moments)
        while blow in OF_SHADOWS and moment is Moment.IDLE:
            moment = next(moments)
        long, short = chance.random() < 0.4, round(chance.uniform(0.2, 2.5), 2)
        hold = LONG if long or _silent(blow, moment) else short
        points.append(Point(number, blow, moment, round(chance.uniform(0.0, 0.6), 2), hold))
    return points


def _silent(blow: Blow, moment: Moment) -> bool:
    """Tell whether the dead man's switch is to be seen at work."""
    return blow in MANAGER_AWAY and moment in MIRRORED


def silences(points: list[Point]) -> list[Point]:
    """Return the points at which it is."""
    return [point for point in points if _silent(point.blow, point.moment)]


def _turns(chance: Random, kinds: list[_T]) -> Iterator[_T]:
    while True:
        yield from chance.sample(kinds, len(kinds))
