"""The time that TTLs are counted by: the wall clock as it was once, and on from there by what has really passed.

The wall clock is looked at once in a start of the machine; from then on CLOCK_BOOTTIME counts, which nobody can set
and which goes on while the machine sleeps. Both are on record in the state folder, so the next manager of the same
start of the machine goes on with the same time. After a restart of the machine the wall clock is all there is.

Guarantees: `now` goes neither back nor forward when the wall clock is set; it goes on over a restart of the manager.
Not guaranteed: that `now` is what the wall clock says after somebody has set it: it stays behind or ahead by as much
until the machine is restarted (`wall` gives the same moment as the wall clock has it; a start says it in the log).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import structlog

from xds_server.lifecycle.clock import SystemClock
from xds_server.private_files import write_private
from xds_server.runtime import supervisor

FILE = "clock.json"
"""Name in the state folder."""
TELL = 2.0
"""Seconds between the two clocks up to which nobody has set one: looks at them are not simultaneous, and it drifts."""

log = structlog.get_logger(__name__)


class SteadyClock(SystemClock):
    """A clock that is not moved by setting the machine's.

    Args:
        path: where wall clock and boot time are on record; when it cannot be written, a restart begins anew.
        wall: seconds since the epoch.
        boottime: seconds since the machine was started.
        boot_id: tells this start of the machine from all others.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall: Callable[[], float] = time.time,
        boottime: Callable[[], float] = supervisor.boottime,
        boot_id: Callable[[], str] = supervisor.boot_id,
    ) -> None:
        self._wall, self._boottime = wall, boottime
        boot = boot_id()
        known = _recorded(path, boot)
        self._begin = wall() - boottime() if known is None else known
        """The moment that the machine was started, by this clock; seconds since the epoch."""
        if known is None:
            _record(path, boot, self._begin)
        elif abs(self._ahead()) > TELL:
            log.warning(
                "the machine's clock has been set since the first start of the manager: lives go on by the time that "
                "has really passed",
                set_by_seconds=round(self._ahead(), 1),
            )

    def now(self) -> datetime:
        """Return the time, aware, in UTC; never moved by setting the machine's clock."""
        return datetime.fromtimestamp(self._begin + self._boottime(), UTC)

    def wall(self, when: datetime) -> datetime:
        """Return a moment of this clock as the wall clock has it now, to the second that was set."""
        ahead = self._ahead()
        return when if abs(ahead) <= TELL else when + timedelta(seconds=round(ahead))

    def _ahead(self) -> float:
        """Return by how many seconds the wall clock is ahead of this one."""
        return self._wall() - self._boottime() - self._begin


def _recorded(path: Path, boot: str) -> float | None:
    try:
        record = orjson.loads(path.read_bytes())
        return float(record["begin"]) if record["boot"] == boot else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _record(path: Path, boot: str, begin: float) -> None:
    try:
        write_private(path, orjson.dumps({"boot": boot, "begin": begin}))
    except OSError as error:
        log.warning("the clock could not be put on record", path=str(path), error=str(error))
