"""Requests that are in no pair: those of one arm of an experiment, counted.

Who is in which arm is decided before the request is answered, so arms are groups made at random.
Arms: `mirrored` (originals of which copies were sent) and `plain` (as many of which none were), `original` and each
variant's name (a split), `keyless` (requests of a split without the key of its cohort).

Guarantees: merging is associative and commutative.
Units: seconds.
"""

from collections.abc import Sequence
from typing import Any

from xds_server.analysis.windows.sketch import Sketch
from xds_server.model.names import ARM_MARK, ARMS, KEYLESS_ARM, MIRRORED_ARM, ORIGINAL_ARM, PLAIN_ARM

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
    candidate had been asked, and `missing` when it had not (it had failed before).
    """

    __slots__ = ("count", "errors", "missing", "times")

    def __init__(self) -> None:
        self.count = 0
        self.errors = 0
        self.missing = 0
        self.times = Sketch()

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

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        return [self.count, self.errors, self.times.as_json(), self.missing]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "ArmTally":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        arm = cls()
        arm.count, arm.errors, times, arm.missing = packed
        arm.times = Sketch.from_json(times)
        return arm


def arm_of(pair: str) -> str:
    """Return the arm that a pair header's value names; empty: it is one of a pair."""
    _, mark, rest = pair.partition(MARK)
    return rest.partition("/")[0][:LONGEST] if mark else ""
