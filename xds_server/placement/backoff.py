"""Nodes that failed to start a shadow are left alone for a while.

Guarantees: 10 s after the first failure in a row, twice as long after each further one, 5 minutes at most; a success
forgets them all. It is the runtime of a node that is left alone, not the node: an engine that is away is no reason to
start no process beside it. Clocks are passed in, and the monotonic one decides.
Not guaranteed: anything over a restart of the manager; it begins with none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from xds_server.errors import cut
from xds_server.placement.node import BackedOff

FIRST = 10.0
MOST = 300.0
_REASON = 200
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class _Failing:
    seconds: float
    until: float
    reason: str


class Backoff:
    """See the module.

    Args:
        monotonic: seconds; never goes back.
        now: wall clock, for people.
    """

    def __init__(self, *, monotonic: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._monotonic = monotonic
        self._now = now
        self._failing: dict[tuple[str, str], _Failing] = {}

    def failed(self, node: str, kind: str, reason: str) -> None:
        """Take note that a runtime of a node could not start a shadow."""
        before, now = self._failing.get((node, kind)), self._monotonic()
        if before is not None and now < before.until:
            return  # several that were under way at once are one failure
        seconds = FIRST if before is None else min(MOST, 2 * before.seconds)
        self._failing[node, kind] = _Failing(seconds, now + seconds, cut(reason, _REASON))

    def succeeded(self, node: str, kind: str) -> None:
        """Take note that it could."""
        self._failing.pop((node, kind), None)

    def now(self) -> Mapping[str, Mapping[str, BackedOff]]:
        """Return what is left alone: by node, then by kind of runtime."""
        found: dict[str, dict[str, BackedOff]] = {}
        if self._failing:
            monotonic, wall = self._monotonic(), self._now()
            for (node, kind), failing in self._failing.items():
                if (left := failing.until - monotonic) > 0:
                    until = wall + timedelta(seconds=left)
                    found.setdefault(node, {})[kind] = BackedOff(until, failing.reason)
        return found
