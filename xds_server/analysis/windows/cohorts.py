"""Which users a split sent where, and who of them failed: users are the unit of an experiment, requests are not.

Users are told apart by a hash of the cohort's key that has nothing to do with the one that they are sent by; what is
known of one is a number below `USERS`. Several users may share a number: the first of them stands for all, and he is
as much a matter of chance as each. Users count anew in each epoch: after a change of weights, and every `EPOCH` seconds
(a version may turn bad when all have failed once already). Evidence of the i-th epoch has the i-th of the weights that
sum to 1, for all time; it is a mean of wealths, so that the same users may bet in each of them.

Guarantees: bounded. What was packed goes on in a new epoch: nobody knows what was sent where in between.
While weights reach the Envoys (`SETTLE` seconds) only failures are counted, and those only where no version's share
gets less: if fewer are at a version yet than should be, its failures are less evidence, not more. Who was served well
in a window in which the original answered for an ejected version is no evidence, whoever served him.
Not guaranteed: anything about windows that are longer than that on their way.
Units: seconds.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xds_server.analysis.statistics.assignment import log_evidence_worse
from xds_server.analysis.statistics.family import order_weight
from xds_server.analysis.statistics.proportion import Proportion
from xds_server.analysis.windows.arms import ORIGINAL, ArmTally

EPOCH = 3600.0
SETTLE = 3.0


@dataclass(frozen=True, slots=True)
class Users:
    """Users of one variant beside those of the original, and of all; counts are of the present epoch."""

    log_worse: float
    """Evidence that the variant's fare worse, of all epochs."""
    failed: tuple[int, int]
    """Users of the original, and of the variant, that failed."""
    asked: tuple[int, int]
    """Users of the variant, and of all."""
    requests: tuple[int, int]
    """Their requests, of the variant and of all."""
    share: float
    """Of the users that are sent to the variant."""
    epoch: int
    """From 1."""


class _Epoch:
    """The users of a time in which weights were the same."""

    __slots__ = ("asked", "begun", "failed", "failing_from", "requests", "seen", "weights", "well", "went_wrong")

    def __init__(self, weights: Mapping[str, int], begun: float, failing_from: float) -> None:
        self.weights = dict(weights)
        self.begun = begun
        self.failing_from = failing_from
        self.seen: set[int] = set()
        self.went_wrong: set[int] = set()
        self.asked: Counter[str] = Counter()
        self.well: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()

    def take(self, arms: Mapping[str, ArmTally], since: float) -> None:
        if since >= self.failing_from:
            for user, (_, arm) in _first((arm, tally.failed_users) for arm, tally in arms.items()).items():
                if user not in self.went_wrong:
                    self.went_wrong.add(user)
                    self.failed[arm] += 1
        if since < self.begun:
            return
        ejected = any(tally.missing for tally in arms.values())
        for arm, tally in arms.items():
            self.requests[arm] += tally.count
        for user, (moment, arm) in _first((arm, tally.users) for arm, tally in arms.items()).items():
            if user not in self.seen:
                self.seen.add(user)
                self.asked[arm] += 1
                self.well[arm] += not ejected and arms[arm].failed_users.get(user) != moment

    def log_worse(self, variant: str) -> float:
        failed, well = (
            Proportion(counts[variant] + counts[ORIGINAL], counts[variant]) for counts in (self.failed, self.well)
        )
        return log_evidence_worse(failed, well, _share(self.weights, variant))


class Cohorts:
    """One profile's, over all epochs."""

    def __init__(self) -> None:
        self._number = 0
        self._epoch: _Epoch | None = None
        self._ended: dict[str, float] = {}
        """By variant: the log of the weighted wealth that the ended epochs left."""
        self._before: Mapping[str, int] | None = {}
        """The weights before the present ones; None: nobody knows."""

    def take(self, arms: Mapping[str, ArmTally], weights: Mapping[str, int], *, since: float, until: float) -> None:
        """Take in a window's arms, and take their users from them.

        Args:
            arms: those of a split whose users are sent by chance; the others have no users.
            weights: of each arm, as users are sent by them now; empty when they are not.
            since: the begin of the window.
            until: its end.
        """
        epoch = self._epoch
        if not weights:
            self._end()
            self._before = {}
        elif epoch is None or epoch.weights != dict(weights):
            settled = until + SETTLE
            self._begin(weights, settled, failing_from=since if self._grows(weights) else settled)
        elif until - epoch.begun >= EPOCH:
            self._begin(weights, since, failing_from=since)
        if self._epoch is not None:
            self._epoch.take({arm: tally for arm, tally in arms.items() if arm in weights}, since)
        for tally in arms.values():
            tally.users, tally.failed_users = {}, {}

    def of(self, variant: str) -> Users | None:
        """Return what is known of a variant's users; None: there were none."""
        left = self._left()
        if variant not in left:
            return None
        epoch = self._epoch or _Epoch({}, 0.0, 0.0)
        return Users(
            log_worse=left[variant],
            failed=(epoch.failed[ORIGINAL], epoch.failed[variant]),
            asked=(epoch.asked[variant], epoch.asked.total()),
            requests=(epoch.requests[variant], epoch.requests.total()),
            share=epoch.weights.get(variant, 0) / max(1, sum(epoch.weights.values())),
            epoch=self._number,
        )

    def pack(self) -> list[Any]:
        """Return it for the disk, as if the epoch ended now."""
        return [self._number, self._left()]

    @classmethod
    def unpack(cls, packed: list[Any]) -> "Cohorts":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        made = cls()
        number, ended = packed
        made._before = None
        made._number, made._ended = int(number), {str(variant): float(log) for variant, log in ended.items()}
        return made

    def _grows(self, weights: Mapping[str, int]) -> bool:
        """Tell whether no variant's share gets less than it was."""
        before = self._before if self._epoch is None else self._epoch.weights
        if before is None:
            return False
        return all(_share(weights, v) >= _share(before, v) for v in {*weights, *before} - {ORIGINAL})

    def _begin(self, weights: Mapping[str, int], begun: float, *, failing_from: float) -> None:
        self._end()
        self._number += 1
        self._epoch = _Epoch(weights, begun, failing_from)

    def _end(self) -> None:
        self._ended = self._left()
        self._epoch = None

    def _left(self) -> dict[str, float]:
        left = dict(self._ended)
        if self._epoch is not None and (self._epoch.asked.total() or self._epoch.failed.total()):
            for variant in self._epoch.weights:
                if variant != ORIGINAL:
                    now = self._weighted(self._epoch, variant)
                    left[variant] = _sum([left[variant], now]) if variant in left else now
        return left

    def _weighted(self, epoch: _Epoch, variant: str) -> float:
        return math.log(order_weight(self._number)) + epoch.log_worse(variant)


def _first(of_arms: Iterable[tuple[str, Mapping[int, float]]]) -> dict[int, tuple[float, str]]:
    """Return the moment and the arm of the first of each user, of all arms."""
    found: dict[int, tuple[float, str]] = {}
    for arm, users in of_arms:
        for user, moment in users.items():
            here = moment, arm
            if user not in found or here < found[user]:
                found[user] = here
    return found


def _share(weights: Mapping[str, int], variant: str) -> float:
    """Return the variant's share of the users that are at it or at the original."""
    its = weights.get(variant, 0)
    return its / (its + weights.get(ORIGINAL, 0)) if its else 0.0


def _sum(logs: list[float]) -> float:
    top = max(logs)
    return top + math.log(sum(math.exp(each - top) for each in logs))
