"""Requests that are in no pair: those of one arm of an experiment, counted.

Who is in which arm is decided before the request is answered, so arms are groups made at random.
Arms: `mirrored` (originals of which copies were sent) and `plain` (as many of which none were), `original` and each
variant's name (a split), `keyless` (requests of a split without the key of its cohort).
Users of a split are told apart by a number that `cohorts` explains.

Guarantees: merging is associative and commutative.
Units: seconds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xds_server.analysis.windows.sketch import Sketch
from xds_server.model.names import ARM_MARK, ARMS, KEYLESS_ARM, MIRRORED_ARM, ORIGINAL_ARM, PLAIN_ARM, USERS

MIRRORED = MIRRORED_ARM
PLAIN = PLAIN_ARM
ORIGINAL = ORIGINAL_ARM
KEYLESS = KEYLESS_ARM
OF_ORIGINAL = ARMS
"""Arms that the original alone answers."""
MARK = f"/{ARM_MARK}"
"""Stands before an arm's name in the pair header: `<profile>/~<arm>/<unique>`."""
MAX_ARMS = 32
"""Arms of a profile told apart; the header's values cannot be trusted to be few."""
LONGEST = 100
"""Characters of an arm's name."""


class ArmTally:
    """The requests of one arm.

    `count`: all that came, but for those whose client left in the middle of an answer. `errors`: those that the service
    failed, or whose client left before an answer had begun; `times`: response times, where there was one. What ended by
    a fault or guard of ours is neither. In a candidate's arm the original may have answered: an error when the
    candidate had been asked, and `missing` when it had not (it had failed before). `users` and `failed_users`: when
    each first asked, and first met an error; they are of windows, and go no further than the book of evidence.
    """

    __slots__ = ("count", "errors", "failed_users", "missing", "times", "users")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.missing = 0
        self.times = Sketch()
        self.users: dict[int, float] = {}
        self.failed_users: dict[int, float] = {}

    @property
    def asked(self) -> int:
        """Return of how many its own version was asked."""
        return max(0, self.count - self.missing)

    @property
    def error_rate(self) -> float | None:
        """Return the share of those that failed; None without any."""
        return self.errors / self.asked if self.asked else None

    def merge(self, other: "ArmTally") -> None:
        """Add the other's."""
        self.count += other.count
        self.errors += other.errors
        self.missing += other.missing
        self.times.merge(other.times)
        _earliest(self.users, other.users)
        _earliest(self.failed_users, other.failed_users)

    def met(self, user: int, moment: float, *, failed: bool) -> None:
        """Note that a user asked."""
        if moment < self.users.get(user, math.inf):
            self.users[user] = moment
        if failed and moment < self.failed_users.get(user, math.inf):
            self.failed_users[user] = moment

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        users = [[*each.items()] for each in (self.users, self.failed_users)]
        return [self.count, self.errors, self.times.as_json(), self.missing, *users]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "ArmTally":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        arm = cls()
        arm.count, arm.errors, times, arm.missing, users, failed_users = packed
        arm.times = Sketch.from_json(times)
        arm.users, arm.failed_users = _users(users), _users(failed_users)
        return arm


def _earliest(mine: dict[int, float], other: Mapping[int, float]) -> None:
    for user, moment in other.items():
        mine[user] = min(moment, mine.get(user, moment))


def _users(packed: Iterable[Sequence[float]]) -> dict[int, float]:
    return {int(user): float(moment) for user, moment in packed if 0 <= user < USERS}


def arm_of(pair: str) -> str:
    """Return the arm that a pair header's value names; empty: it is one of a pair."""
    _, mark, rest = pair.partition(MARK)
    return rest.partition("/")[0][:LONGEST] if mark else ""
