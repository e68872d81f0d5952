"""Loss, exactly: what Envoy's counters say it logged, less what arrived (CORRECTIONS 17).

A counter is as of a moment of Envoy's clock, a record says when its request ended by the same clock. So each push is
reconciled with the records that ended before it, after a grace in which the last of them arrive: under load too,
nothing in flight is taken for lost.

Guarantees: per Envoy and series, over restarts of Envoy (a counter that falls, or a start that moves) and of the
engine (`pack` and `load`; which books its successor goes on from is the engine's to say). What comes after its grace is
taken back from the losses by the next push, also when that is one of the Envoy's next life. Memory is bounded.
Not guaranteed: an Envoy that was killed loses what happened since its last push, uncounted. A record that is lost
within the very millisecond of a push may be counted one push later, of a life's last push never. What comes after its
grace stays lost where no push follows, and where engine and Envoy end together. What a shadow got after the last push
before its end is in no count: all of it is known unless the engine is killed just then.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import Any

from xds_server.analysis.ingest.metrics import ALS_DROPPED, ALS_WRITTEN, Counters
from xds_server.analysis.kinds import Lost
from xds_server.analysis.record import Record

GRACE = 2.0
"""Seconds from a push until what it counted has arrived; 20 times the flush interval of the access log."""
RESTART_SLACK = 2.5
"""Seconds by which the computed start of an Envoy may move without a restart (uptime is in whole seconds)."""
TICK = 0.001
"""Seconds to which the moment of a push is cut: what ended within them may be counted by it."""
MAX_PENDING = 200_000
"""Ends of requests kept a series until a push covers them."""
MAX_PUSHES = 100
"""Pushes kept an Envoy that could be reconciled and are not; beyond it, they are joined."""
MAX_SERIES = 20_000
MAX_NODES = 1_000
_NONE: Mapping[str, int] = MappingProxyType({})
ALL = ""
"""The series of all records of an Envoy."""

_LEG_TOTAL, _LEG_ACTIVE = ".downstream_rq_total", ".downstream_rq_active"
_LEG, _WAY_IN, _OVERFLOW = "http.shadow-", "cluster.shadow-in-", ".upstream_rq_pending_overflow"

Report = Callable[[Lost, str, int], None]
"""Told of each change of a loss: kind, instance, by how much (negative when it turned out to be less)."""


class Series:
    """One counter and the records that it should count."""

    __slots__ = ("at", "counted", "earlier", "former", "lost", "pending", "received")

    def __init__(self) -> None:
        self.at = -inf
        """When it was counted last."""
        self.former = -inf
        """The same, in the Envoy's life before."""
        self.counted = 0
        self.received = 0
        """Records reconciled so far, of this life of the Envoy."""
        self.pending: list[float] = []
        self.earlier = 0
        """Lost in earlier lives of the Envoy."""
        self.lost = 0

    def arrived(self, ended: Iterable[float]) -> None:
        """Take in when records ended, by Envoy's clock."""
        pending = self.pending
        pending.extend(ended)
        if len(pending) > MAX_PENDING:
            # No push in sight: they will all be older than the next one.
            self.received += len(pending)
            pending.clear()

    def reconcile(self, counted: int, at: float) -> int:
        """Compare with the counter as of `at`; return by how much the loss has changed."""
        later = [ended for ended in self.pending if ended > at]
        self.received += len(self.pending) - len(later)
        self.pending = later
        self.counted, self.at = counted, at
        before = self.lost
        self.lost = max(0, counted - self.received)
        return self.lost - before

    @property
    def unsettled(self) -> bool:
        """Whether the last count, held against all that came, may say something else than it did."""
        return bool(self.pending) or self.counted > self.received + self.lost

    def restarted(self, counted: int, at: float, *, covered: float, began: float) -> int:
        """Begin a new life of the Envoy, whose first push says `counted` as of `at`.

        Args:
            counted: by the new life so far.
            at: of the push.
            covered: until when the last push of the old life counted.
            began: the new life did not before.

        Returns:
            The change of the loss: what the old life counted, and has come since.
        """
        # Of the records before the push, the new life's are the last, and no more than it counted.
        ended = sorted(moment for moment in self.pending if moment <= at)
        first = max(bisect_left(ended, began), len(ended) - counted)
        later = [moment for moment in self.pending if moment > at]
        self.former = min(covered, self.at)
        came = min(self.lost, bisect_right(ended[:first], self.former))
        self.earlier += self.lost - came
        self.counted = self.received = self.lost = 0
        self.pending = ended[first:] + later
        return -came

    def late(self, covered: float) -> int:
        """Take in what the life before counted, until `covered`, and has only come now; return the change."""
        if not self.earlier:
            return 0
        # What ended after the shadow's own last count was in none.
        late = sum(1 for moment in self.pending if moment <= min(covered, self.former))
        self.pending = [moment for moment in self.pending if moment > covered]
        came = min(self.earlier, late)
        self.earlier -= came
        return -came


class _Node:
    __slots__ = ("covered", "last_at", "overflows", "pushes", "series", "uptime")

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.overflows: dict[str, int] = {}
        self.pushes: deque[tuple[float, Counters]] = deque()
        self.uptime: float | None = None
        self.last_at = 0.0
        self.covered = -inf
        """Until when the life before counted; known while its clock goes forward."""


class Ledger:
    """The books of all Envoys that report to this engine."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._nodes: dict[str, _Node] = {}
        self._fresh = True

    def arrived(self, node: str, records: Iterable[Record]) -> None:
        """Take in the records of one message."""
        books = self._node(node)
        if books is None:
            return
        copies: defaultdict[str, list[float]] = defaultdict(list)
        every: list[float] = []
        for record in records:
            ended = record.completed
            every.append(ended)
            shadow = record.shadow
            if shadow:
                copies[shadow].append(ended)
        self._series(books, ALL).arrived(every)
        for instance, its in copies.items():
            self._series(books, instance).arrived(its)

    def pushed(self, node: str, counters: Counters, now: float) -> None:
        """Take in a push; it is reconciled after the grace."""
        books = self._node(node)
        if books is not None:
            books.pushes.append((now + GRACE, counters))
            if len(books.pushes) > MAX_PUSHES:
                books.pushes = _joined(books.pushes, now)

    def settle(self, now: float) -> None:
        """Reconcile the pushes whose grace is over."""
        for books in self._nodes.values():
            while books.pushes and books.pushes[0][0] <= now:
                self._reconcile(books, books.pushes.popleft()[1])

    def missing(self) -> dict[str, int]:
        """Return by Envoy how many records were lost in all, whoever they belonged to."""
        every = {node: books.series.get(ALL) for node, books in self._nodes.items()}
        return {node: series.lost + series.earlier for node, series in every.items() if series is not None}

    def pack(self, waiting: Mapping[str, int] = _NONE) -> dict[str, Any]:
        """Return the books for the disk: everything that arrived so far counts as received.

        Args:
            waiting: records by instance that arrived and count as not received, since they are in no window yet.
        """
        left = dict(waiting)
        packed = {}
        for node, books in self._nodes.items():
            series = {}
            for name, each in books.series.items():
                later = sum(1 for ended in each.pending if ended > each.at)
                received = each.received + len(each.pending)
                # Which of several Envoys they came from does not matter: losses of an instance are summed.
                without = min(left.get(name, 0), received)
                left[name] = left.get(name, 0) - without
                # What waits came last.
                later = max(0, later - without)
                at = each.at if each.at > -inf else None
                series[name] = [each.counted, received - without - later, each.earlier, each.lost, later, at]
            packed[node] = {
                "uptime": books.uptime,
                "at": books.last_at,
                "overflows": books.overflows,
                "series": series,
            }
        return packed

    def load(self, packed: Mapping[str, Any]) -> None:
        """Go on from what an engine before kept; to be called once, before anything is settled.

        What has arrived since is added. Raises: KeyError, TypeError, ValueError when it is something else.
        """
        loaded: dict[str, _Node] = {}
        for node, kept in packed.items():
            books = loaded[node] = _Node()
            books.uptime, books.last_at, books.overflows = kept["uptime"], kept["at"], dict(kept["overflows"])
            for name, numbers in kept["series"].items():
                series = books.series[name] = Series()
                series.counted, series.received, series.earlier, series.lost = map(int, numbers[:4])
                later, at = numbers[4:] or (0, books.last_at + TICK)
                series.at = -inf if at is None else float(at)
                # They are in no count yet: the next one has them, or none if the shadow has ended.
                series.pending = [max(series.at, books.last_at) + TICK] * min(int(later), MAX_PENDING)
        self._fresh = False
        arrived, self._nodes = self._nodes, loaded
        for node, since in arrived.items():
            known = self._node(node)
            if known is None:
                continue
            known.pushes = since.pushes
            for name, its in since.series.items():
                series = self._series(known, name)
                series.received += its.received
                series.pending += its.pending

    def _node(self, name: str) -> _Node | None:
        books = self._nodes.get(name)
        if books is None and len(self._nodes) < MAX_NODES:
            books = self._nodes[name] = _Node()
        return books

    def _series(self, books: _Node, name: str) -> Series:
        series = books.series.get(name)
        if series is None:
            if len(books.series) >= MAX_SERIES:
                # The oldest belong to shadows that have long ended.
                del books.series[next(n for n in books.series if n != ALL)]
            series = books.series[name] = Series()
        return series

    def _reconcile(self, books: _Node, push: Counters) -> None:
        legs, overflows, total = _split(push.values)
        at = push.at + TICK
        if restarted := _restarted(books, legs, push):
            self._begin(books, legs, push, total)
        elif push.at < books.last_at:  # its clock was set back: when a record ended says nothing of lives any more
            books.covered = -inf
        if books.covered > -inf:
            for name, series in books.series.items():
                self._changed(name, series.late(books.covered))
        if push.uptime is not None:
            books.uptime = push.uptime
        books.last_at = push.at
        if total:
            known = restarted or (ALL in books.series and (books.series[ALL].counted or not self._fresh))
            every = self._series(books, ALL)
            if not known:
                # This engine has no books of a life that began before it: begin them here.
                before = sum(1 for ended in every.pending if ended <= at)
                every.received = max(0, total - before)
            every.reconcile(total, at)
        self._reconcile_legs(books, legs, at)
        for instance, count in overflows.items():
            if change := count - books.overflows.get(instance, 0):
                books.overflows[instance] = count
                self._report(Lost.OVERFLOW, instance, change)

    def _reconcile_legs(self, books: _Node, legs: Mapping[str, int], at: float) -> None:
        for instance, counted in legs.items():
            self._changed(instance, self._series(books, instance).reconcile(counted, at))
        for name, series in books.series.items():
            # A shadow's counter went with the shadow: what it said last is the last word.
            if name != ALL and name not in legs and series.unsettled:
                self._changed(name, series.reconcile(series.counted, min(series.at, at)))

    def _begin(self, books: _Node, legs: Mapping[str, int], push: Counters, total: int) -> None:
        """Begin a new life of an Envoy with its first push."""
        books.covered = books.last_at + TICK if push.at >= books.last_at else -inf
        # Its age is in whole seconds.
        began = -inf if push.uptime is None or push.uptime < 0 else push.at - push.uptime - 1.0
        for name, series in books.series.items():
            counted = total if name == ALL else legs.get(name, 0)
            self._changed(name, series.restarted(counted, push.at + TICK, covered=books.covered, began=began))
        books.overflows = {}

    def _changed(self, name: str, change: int) -> None:
        if change and name != ALL:
            self._report(Lost.ALS_GAP, name, change)


def _split(values: Mapping[str, float]) -> tuple[dict[str, int], dict[str, int], int]:
    """Return ended requests by instance, overflows by instance, and entries logged in all."""
    legs: dict[str, int] = {}
    overflows: dict[str, int] = {}
    for name, value in values.items():
        if name.startswith(_LEG) and name.endswith(_LEG_TOTAL):
            leg = name.removesuffix(_LEG_TOTAL)
            legs[leg.removeprefix(_LEG)] = int(value - values.get(leg + _LEG_ACTIVE, 0.0))
        elif name.startswith(_WAY_IN) and name.endswith(_OVERFLOW):
            overflows[name.removeprefix(_WAY_IN).removesuffix(_OVERFLOW)] = int(value)
    return legs, overflows, int(values.get(ALS_WRITTEN, 0.0) + values.get(ALS_DROPPED, 0.0))


def _joined(pushes: Iterable[tuple[float, Counters]], now: float) -> deque[tuple[float, Counters]]:
    """Join those of one life of an Envoy whose grace is over, with the newest value of each counter."""
    joined: deque[tuple[float, Counters]] = deque(maxlen=MAX_PUSHES)
    fresh = []
    for due, push in pushes:
        if due > now:
            fresh.append((due, push))
        elif joined and _same_life(joined[-1][1], push):
            # A counter of a shadow that ended is in no later push.
            joined.append((due, replace(push, values={**joined.pop()[1].values, **push.values})))
        else:
            joined.append((due, push))
    return deque([*joined, *fresh])


def _same_life(before: Counters, after: Counters) -> bool:
    books = _Node()
    books.uptime, books.last_at = before.uptime, before.at
    for name, counted in _split(before.values)[0].items():
        books.series[name] = Series()
        books.series[name].counted = counted
    return not _restarted(books, _split(after.values)[0], after)


def _restarted(books: _Node, legs: Mapping[str, int], push: Counters) -> bool:
    if any(name in books.series and counted < books.series[name].counted for name, counted in legs.items()):
        return True
    if push.uptime is None or books.uptime is None:
        return False
    return push.uptime < books.uptime or push.at - push.uptime > books.last_at - books.uptime + RESTART_SLACK
