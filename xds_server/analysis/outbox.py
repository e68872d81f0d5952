"""Windows on their way to the manager: bounded, numbered, kept until acknowledged.

Guarantees: while the manager is away, windows of a profile and instance are merged instead of piling up; what was
sent once is never merged, so that sending it again is recognised. A window too large for one message goes in parts.
Only beyond `MAX_KEPT` are windows dropped, and counted with the next window of their profile.
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from xds_server.analysis.kinds import Lost
from xds_server.analysis.tally import Tally
from xds_server.analysis.wire import encode

MAX_UNSENT = 256
"""Tallies that wait before they are merged."""
MAX_KEPT = 5_000
"""Tallies that wait after merging: profiles times instances."""
MAX_IN_FLIGHT = 64
"""Messages sent and not acknowledged."""
MAX_PARCEL = 4 * 1024 * 1024
"""Bytes of a message; a larger window is split. gRPC refuses one beyond `wire.MAX_MESSAGE` as often as it is sent."""
MAX_REMEMBERED = 10_000
"""Profiles of which the number of the last window is remembered."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A numbered window as it goes over the link."""

    number: int
    data: bytes


class Outbox:
    """What has not been acknowledged."""

    def __init__(self) -> None:
        self._unsent: deque[Tally] = deque()
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

    def put(self, tally: Tally) -> None:
        """Take in a closed window; the outbox owns it from now on."""
        key = tally.profile, tally.instance
        if dropped := self._dropped.pop(key, 0):
            tally.lost[Lost.ENGINE_WINDOWS_DROPPED] += dropped
        self._unsent.append(tally)
        if len(self._unsent) > MAX_UNSENT:
            self._merge()

    def reconnected(self) -> None:
        """Send again, first, what was not acknowledged."""
        self._to_send = deque(self._in_flight)

    def next(self) -> Parcel | None:
        """Return what is to be sent next; None while there is nothing, or too much is in flight."""
        if self._to_send:
            return self._to_send.popleft()
        if not self._unsent or len(self._in_flight) >= MAX_IN_FLIGHT:
            return None
        tally = self._unsent.popleft()
        self._number += 1
        before = self._last.get(tally.profile, 0)
        while len(data := encode({"window": tally.pack(), "seq": self._number, "before": before})) > MAX_PARCEL:
            rest = tally.split()
            if rest is None:
                break
            self._unsent.appendleft(rest)
        self._last[tally.profile] = self._number
        self._last.move_to_end(tally.profile)
        while len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
        parcel = Parcel(self._number, data)
        self._in_flight.append(parcel)
        return parcel

    def acknowledge(self, number: int) -> None:
        """Forget all parcels up to `number`."""
        while self._in_flight and self._in_flight[0].number <= number:
            self._in_flight.popleft()
        while self._to_send and self._to_send[0].number <= number:
            self._to_send.popleft()

    def _merge(self) -> None:
        merged: dict[tuple[str, str], Tally] = {}
        for tally in self._unsent:
            key = tally.profile, tally.instance
            if key in merged:
                merged[key].merge(tally)
            else:
                merged[key] = tally
        self._unsent = deque(merged.values())
        while len(self._unsent) > MAX_KEPT:
            gone = self._unsent.popleft()
            self._dropped[gone.profile, gone.instance] += 1
