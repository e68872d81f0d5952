"""Windows on their way to the manager: bounded, numbered, kept until acknowledged.

What is delivered is a *closing*: the windows that were closed together, and then a marker with the closing's number.
The manager takes a closing in when its marker is there, so what it has is what the engine had at one moment.

Guarantees: while the manager is away, closings are merged instead of piling up, under the newest's number; what was
sent once, in part too, is never merged, so that sending it again is recognised. A window too large for one message goes
in parts. `acknowledged` and `pending` are all the closings that may be the last one that the manager has; few.
A closing that has begun to be sent is sent to its end, beyond the bounds of what is in flight: the manager acknowledges
only whole ones. Only beyond `MAX_KEPT` are windows dropped, and counted with the next window of their profile.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from xds_server.analysis.kinds import Lost
from xds_server.analysis.link.wire import encode
from xds_server.analysis.windows.tally import Tally

MAX_UNSENT = 256
"""Tallies that wait before they are merged."""
MAX_CLOSINGS = 60
"""Closings that wait before they are merged; and as many may be sent and not acknowledged."""
MAX_KEPT = 5_000
"""Tallies that wait after merging: profiles times instances."""
MAX_IN_FLIGHT = 2_000
"""Messages sent and not acknowledged: the manager acknowledges what it has written, every few seconds."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of them."""
MAX_PARCEL = 4 * 1024 * 1024
"""Bytes of a message; a larger window is split. What is beyond the bound of `protocol.server` is refused for ever."""
MAX_REMEMBERED = 10_000
"""Profiles of which the number of the last window is remembered."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A numbered window, or the marker after those of a closing, as it goes over the link."""

    number: int
    data: bytes
    closing: int | None = None
    """Of a marker, the number of the closing that is whole with it."""


@dataclass(slots=True)
class _Closing:
    number: int
    tallies: deque[Tally]


class Outbox:
    """What has not been acknowledged."""

    def __init__(self) -> None:
        self._sending: _Closing | None = None
        """The closing of which something was sent, but not its marker yet."""
        self._unsent: deque[_Closing] = deque()
        self._bytes = 0
        self._in_flight: deque[Parcel] = deque()
        self._to_send: deque[Parcel] = deque()
        self._last: OrderedDict[str, int] = OrderedDict()
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._number = 0
        self.acknowledged = 0
        """Number of the last closing that was acknowledged."""

    @property
    def empty(self) -> bool:
        """True when everything was acknowledged."""
        return not self._unsent and not self._in_flight and self._sending is None

    def __len__(self) -> int:
        """Return how many windows wait or are on their way."""
        in_flight = sum(parcel.closing is None for parcel in self._in_flight)
        return in_flight + sum(len(each.tallies) for each in (self._sending, *self._unsent) if each is not None)

    @property
    def pending(self) -> set[int]:
        """Numbers of the closings that are on their way, or wait for it."""
        sent = {parcel.closing for parcel in self._in_flight if parcel.closing is not None}
        return sent | {each.number for each in (self._sending, *self._unsent) if each is not None}

    def put(self, tallies: Iterable[Tally], closing: int) -> None:
        """Take in the windows of a closing; the outbox owns them from now on. `closing` counts up from 1."""
        made = _Closing(closing, deque(tallies))
        if not made.tallies:
            return
        for tally in made.tallies:
            if dropped := self._dropped.pop((tally.profile, tally.instance), 0):
                tally.lost[Lost.ENGINE_WINDOWS_DROPPED] += dropped
        self._unsent.append(made)
        if len(self._unsent) > MAX_CLOSINGS or sum(len(each.tallies) for each in self._unsent) > MAX_UNSENT:
            self._merge()

    def reconnected(self) -> None:
        """Send again, first, what was not acknowledged."""
        self._to_send = deque(self._in_flight)

    def next(self) -> Parcel | None:
        """Return what is to be sent next; None while there is nothing, or too much is in flight."""
        if self._to_send:
            return self._to_send.popleft()
        if self._sending is None:
            if not self._unsent or self._full():
                return None
            self._sending = self._unsent.popleft()
        self._number += 1
        if self._sending.tallies:
            parcel = self._window(self._sending.tallies)
        else:
            closing, self._sending = self._sending.number, None
            parcel = Parcel(self._number, encode({"closing": closing, "seq": self._number}), closing)
        self._in_flight.append(parcel)
        self._bytes += len(parcel.data)
        return parcel

    def _full(self) -> bool:
        closings = sum(parcel.closing is not None for parcel in self._in_flight)
        return closings >= MAX_CLOSINGS or len(self._in_flight) >= MAX_IN_FLIGHT or self._bytes >= MAX_BYTES

    def _window(self, tallies: deque[Tally]) -> Parcel:
        tally = tallies.popleft()
        before = self._last.get(tally.profile, 0)
        while len(data := encode({"window": tally.pack(), "seq": self._number, "before": before})) > MAX_PARCEL:
            rest = tally.split()
            if rest is None:
                break
            tallies.appendleft(rest)
        self._last[tally.profile] = self._number
        self._last.move_to_end(tally.profile)
        while len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)
        return Parcel(self._number, data)

    def acknowledge(self, number: int) -> None:
        """Forget all parcels up to `number`."""
        while self._in_flight and self._in_flight[0].number <= number:
            parcel = self._in_flight.popleft()
            self._bytes -= len(parcel.data)
            if parcel.closing is not None:
                self.acknowledged = parcel.closing
        while self._to_send and self._to_send[0].number <= number:
            self._to_send.popleft()

    def _merge(self) -> None:
        merged: dict[tuple[str, str], Tally] = {}
        for tally in (tally for each in self._unsent for tally in each.tallies):
            first = merged.setdefault((tally.profile, tally.instance), tally)
            if first is not tally:
                first.merge(tally)
        tallies = deque(merged.values())
        while len(tallies) > MAX_KEPT:
            gone = tallies.popleft()
            self._dropped[gone.profile, gone.instance] += 1
        self._unsent = deque([_Closing(self._unsent[-1].number, tallies)])
