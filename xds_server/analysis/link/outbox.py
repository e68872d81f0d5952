"""Windows on their way to the manager: bounded, numbered, kept until acknowledged.

Guarantees: while the manager is away, windows of a profile and instance are merged instead of piling up; what was
sent once is never merged, so that sending it again is recognised. A window too large for one message goes in parts.
`oldest` tells from which closing of the windows on something is still missing at the manager.
Only beyond `MAX_KEPT` are windows dropped, and counted with the next window of their profile.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from xds_server.analysis.kinds import Lost
from xds_server.analysis.link.wire import encode
from xds_server.analysis.windows.tally import Tally

MAX_UNSENT = 256
"""Tallies that wait before they are merged."""
MAX_KEPT = 5_000
"""Tallies that wait after merging: profiles times instances."""
MAX_IN_FLIGHT = 2_000
"""Messages sent and not acknowledged: the manager acknowledges what it has written, every few seconds."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of them."""
MAX_PARCEL = 4 * 1024 * 1024
"""Bytes of a message; a larger window is split. gRPC refuses one beyond `wire.MAX_MESSAGE` as often as it is sent."""
MAX_REMEMBERED = 10_000
"""Profiles of which the number of the last window is remembered."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A numbered window as it goes over the link."""

    number: int
    data: bytes
    closing: int = 0
    """Number of the closing that it is of; of merged windows, the first."""


class Outbox:
    """What has not been acknowledged."""

    def __init__(self) -> None:
        self._unsent: deque[tuple[int, Tally]] = deque()
        self._bytes = 0
        self._in_flight: deque[Parcel] = deque()
        self._to_send: deque[Parcel] = deque()
        self._last: OrderedDict[str, int] = OrderedDict()
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._number = 0

    @property
    def empty(self) -> bool:
        """True when everything was acknowledged."""
        return not self._unsent and not self._in_flight

    def __len__(self) -> int:
        return len(self._unsent) + len(self._in_flight)

    @property
    def oldest(self) -> int | None:
        """Number of the first closing of which not everything was acknowledged; None when all was."""
        waiting = [parcel.closing for parcel in self._in_flight] + [closing for closing, _ in self._unsent]
        return min(waiting, default=None)

    def put(self, tally: Tally, closing: int = 0) -> None:
        """Take in a closed window; the outbox owns it from now on. `closing` counts up."""
        key = tally.profile, tally.instance
        if dropped := self._dropped.pop(key, 0):
            tally.lost[Lost.ENGINE_WINDOWS_DROPPED] += dropped
        self._unsent.append((closing, tally))
        if len(self._unsent) > MAX_UNSENT:
            self._merge()

    def reconnected(self) -> None:
        """Send again, first, what was not acknowledged."""
        self._to_send = deque(self._in_flight)

    def next(self) -> Parcel | None:
        """Return what is to be sent next; None while there is nothing, or too much is in flight."""
        if self._to_send:
            return self._to_send.popleft()
        if not self._unsent or len(self._in_flight) >= MAX_IN_FLIGHT or self._bytes >= MAX_BYTES:
            return None
        closing, tally = self._unsent.popleft()
        self._number += 1
        before = self._last.get(tally.profile, 0)
        while len(data := encode({"window": tally.pack(), "seq": self._number, "before": before})) > MAX_PARCEL:
            rest = tally.split()
            if rest is None:
                break
            self._unsent.appendleft((closing, rest))
        self._last[tally.profile] = self._number
        self._last.move_to_end(tally.profile)
        while len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
        parcel = Parcel(self._number, data, closing)
        self._in_flight.append(parcel)
        self._bytes += len(data)
        return parcel

    def acknowledge(self, number: int) -> None:
        """Forget all parcels up to `number`."""
        while self._in_flight and self._in_flight[0].number <= number:
            self._bytes -= len(self._in_flight.popleft().data)
        while self._to_send and self._to_send[0].number <= number:
            self._to_send.popleft()

    def _merge(self) -> None:
        merged: dict[tuple[str, str], tuple[int, Tally]] = {}
        for closing, tally in self._unsent:
            _, first = merged.setdefault((tally.profile, tally.instance), (closing, tally))
            if first is not tally:
                first.merge(tally)
        self._unsent = deque(merged.values())
        while len(self._unsent) > MAX_KEPT:
            _, gone = self._unsent.popleft()
            self._dropped[gone.profile, gone.instance] += 1
