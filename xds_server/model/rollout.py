"""How far real users are sent to a version: splits of the live traffic, and the steps from shadow to split.

Units: weights are percentages of the requests that carry the cohort's key, 0-100; durations are seconds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

WHOLE = 100.0
"""All users."""
SLACK = 1e-9
"""By so much sums of weights may be off."""


class Mode(StrEnum):
    """What a profile does with the traffic."""

    SHADOW = "shadow"
    """Copies go to the variants; clients only ever see the original's answer."""
    SPLIT = "split"
    """Real users go to the variants, by weight."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """What keeps a user with a version: a header or a cookie, by its hash; or with `values`, by what it says."""

    header: str = ""
    cookie: str = ""
    values: tuple[str, ...] = ()
    """Requests with one of these go to the variant, all others to the original; for one variant alone."""

    @property
    def key(self) -> str:
        """Return how its key is called: `header x-user`."""
        return f"header {self.header}" if self.header else f"cookie {self.cookie}"


@dataclass(frozen=True, slots=True)
class Split:
    """Who goes where: the weight of each variant, 0-100; the rest, and who has no key, goes to the original."""

    cohort: Cohort
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def alone(self) -> tuple[str, ...]:
        """Return the variants that have all users together, so that the original has none; none while it has some."""
        if self.cohort.values or math.fsum(self.weights.values()) < WHOLE - SLACK:
            return ()
        return tuple(name for name, weight in self.weights.items() if weight > 0.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout: a share to mirror, or weights of a split; a PASS leads to the next one."""

    mode: Mode
    percentage: float | None = None
    """The share that is mirrored, or of a split measured, 0.0-1.0. None: as before."""
    weights: Mapping[str, float] = field(default_factory=dict)
    hold: float = 0.0
    """Seconds that it lasts at least."""
    timeout: float | None = None
    """Seconds after which a step without a verdict pauses the rollout; None: never."""


class RolloutState(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A profile's way through its steps, so far."""

    step: int
    """Index of the step, from 0."""
    state: RolloutState
    since: datetime
    """When the step, or the state, began."""
    reason: str = ""
