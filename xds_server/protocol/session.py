"""The state of one stream: its subscriptions, the snapshot that it is being brought to, and what to send next.

Guarantees: pure state, owned by one task; times come in. Responses come one at a time and are made from the state at
that moment, so the newest request and the newest snapshot supersede what was not sent yet. Clusters and endpoints go
before listeners and routes; what disappears goes in the opposite order, and on an aggregated stream only when the
client accepted routes without it, or `removal_timeout` is over. A changed cluster gets its endpoints again. Routes to a
new cluster wait until its endpoints were asked for and sent (bounded): before, the cluster is there but not warm, and
Envoy answers 503 (tried on 1.40).
Not guaranteed: order between the streams of a client that uses the single-type services.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from xds_server.cache.references import endpoints_name
from xds_server.cache.resource import CLUSTER, ENDPOINTS, LISTENER, PUSH_ORDER, ROUTES, Resource
from xds_server.cache.snapshot import EMPTY, Snapshot
from xds_server.protocol.delta import Delta
from xds_server.protocol.plan import Plan
from xds_server.protocol.removal import overlay
from xds_server.protocol.sotw import Sotw
from xds_server.protocol.subscription import Answer, Subscription

MAKE = {type_url: rank for rank, type_url in enumerate(PUSH_ORDER)}
BREAK = {type_url: rank for rank, type_url in enumerate((LISTENER, ROUTES, CLUSTER, ENDPOINTS))}
_LAST = len(MAKE)
_LONGEST_WAITS = 4
"""Removal timeouts that a removal waits at most while further changes keep coming."""
_LONGEST_WARMING = 0.5
"""Part of the removal timeout that routes wait for the endpoints of new clusters."""


class Mode(Enum):
    """The two variants of the protocol."""

    SOTW = "sotw"
    DELTA = "delta"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A response that is to be sent now."""

    plan: Plan
    nonce: str


class Session:
    """One stream's state. Give it requests and snapshots; take from it what to send."""

    def __init__(
        self,
        mode: Mode,
        *,
        removal_timeout: float,
        aggregated: bool = True,
        renew_in_full: bool = False,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> None:
        """Start without subscriptions and without a snapshot.

        Args:
            mode: the variant of the protocol.
            removal_timeout: longest wait (seconds) for an answer before what disappeared is removed all the same.
            aggregated: whether all types are on this stream, so removals can be ordered.
            renew_in_full: the client does not understand heartbeats in this variant.
            on_answer: told of each ACK and NACK.
        """
        self.mode = mode
        self.subscriptions: dict[str, Subscription] = {}
        self._make: list[Subscription] = []
        self._break: list[Subscription] = []
        self._kind = Sotw if mode is Mode.SOTW else Delta
        self._removal_timeout = removal_timeout
        self._aggregated = aggregated
        self._renew_in_full = renew_in_full
        self._on_answer = on_answer
        self._target: Snapshot | None = None
        self._view: Snapshot | None = None
        self._keep_until: float | None = None
        self._keep_longest = 0.0
        self._breaking = False
        self._warming: frozenset[str] = frozenset()
        self._warm_until = 0.0
        self._since: float | None = None
        self._nonce = 0

    def receive(self, type_url: str, request: Any, now: float) -> None:
        """Take in a request (DiscoveryRequest or DeltaDiscoveryRequest, as the mode says)."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            subscription = self._kind(type_url, renew_in_full=self._renew_in_full)
            self.subscriptions[type_url] = subscription
            self._make = sorted(self.subscriptions.values(), key=lambda s: MAKE.get(s.type_url, _LAST))
            self._break = sorted(self._make, key=lambda s: BREAK.get(s.type_url, _LAST))
        answer = subscription.receive(request, now)
        if answer is not None and self._on_answer is not None:
            self._on_answer(answer)

    def adopt(self, snapshot: Snapshot | None, now: float, *, since: float | None = None) -> None:
        """Bring the client to `snapshot` from now on; None, after there was one, means that nothing is left.

        `since`: when it was put in force, for the latency that answers report.
        """
        before = self._view
        if snapshot is None and before is None:
            return
        after = EMPTY if snapshot is None else snapshot
        self._target = snapshot
        self._since = now if since is None else since
        self._breaking = False
        self._hold(after if before is not None and self._aggregated else EMPTY, now)
        both = overlay(before, after) if before is not None and self._aggregated else None
        if both is None:
            self._view, self._keep_until = after, None
        elif self._routes_open(both):
            if self._keep_until is None:
                self._keep_longest = now + _LONGEST_WAITS * self._removal_timeout
            self._view = both
            self._keep_until = min(now + self._removal_timeout, self._keep_longest)
        else:
            # Nothing that the client still uses can refer to what goes.
            self._view, self._keep_until, self._breaking = after, None, True

    def next(self, now: float) -> Outgoing | None:
        """Return what to send now, None when there is nothing; it counts as sent."""
        if self._view is None:
            return None
        self._warm(now)
        plan = self._plan(self._view)
        until = self._keep_until if plan is None and not self._warming else None
        if until is not None and (now >= until or not self._routes_open()):
            self._view = EMPTY if self._target is None else self._target
            self._keep_until, self._breaking = None, True
            plan = self._plan(self._view)
        if plan is None:
            plan = self._renew(now)
        if plan is None:
            self._since, self._breaking = None, False
            return None
        self._nonce += 1
        nonce = str(self._nonce)
        since = now if self._since is None else self._since
        self.subscriptions[plan.type_url].commit(plan, nonce=nonce, now=now, since=since)
        if plan.type_url == CLUSTER and plan.changed:
            self._endpoints_again(plan.changed)
        return Outgoing(plan, nonce)

    def deadline(self) -> float | None:
        """Return when `next` may have something without anything coming in; None when never."""
        times = [t for s in self._make if s.leased and (t := s.deadline()) is not None]
        if self._keep_until is not None:
            times.append(self._keep_until)
        if self._warming:
            times.append(self._warm_until)
        return min(times, default=None)

    def settled(self, latest: Snapshot | None) -> bool:
        """Tell whether everything of `latest`, removals included, is sent and answered."""
        if self._target is not latest or self._keep_until is not None or self._warming:
            return False
        if self._view is not None and self._plan(self._view) is not None:
            return False
        return not any(s.awaiting for s in self.subscriptions.values())

    def _plan(self, view: Snapshot) -> Plan | None:
        for subscription in self._break if self._breaking else self._make:
            if self._warming and subscription.type_url == ROUTES:
                continue
            plan = subscription.plan(view)
            if plan is not None:
                return plan
        return None

    def _cold(self, view: Snapshot) -> frozenset[str]:
        """Return the names of the endpoints of clusters that the client is about to get for the first time."""
        clusters = self.subscriptions.get(CLUSTER)
        if clusters is None or ROUTES not in self.subscriptions:
            return frozenset()
        fresh = (c for name, c in view.of_type(CLUSTER).items() if name not in clusters.held and clusters.wants(name))
        return frozenset(name for cluster in fresh if (name := endpoints_name(cluster)) is not None)

    def _hold(self, after: Snapshot, now: float) -> None:
        """Let routes wait for what is cold in `after`; what was before and still is wanted keeps its limit."""
        clusters = after.of_type(CLUSTER).values()
        carried = self._warming & {name for cluster in clusters if (name := endpoints_name(cluster)) is not None}
        self._warming = carried | self._cold(after)
        if not carried:
            self._warm_until = now + _LONGEST_WARMING * self._removal_timeout

    def _warm(self, now: float) -> None:
        if self._warming:
            endpoints = self.subscriptions.get(ENDPOINTS)
            if now >= self._warm_until or (endpoints is not None and self._warming <= endpoints.held.keys()):
                self._warming = frozenset()

    def _renew(self, now: float) -> Plan | None:
        leased = [s for s in self._make if s.leased]
        for subscription in leased:
            plan = subscription.renew(now)
            if plan is not None:
                return plan
        return self._plan(self._view) if leased and self._view is not None else None

    def _routes_open(self, view: Snapshot | None = None) -> bool:
        """Tell whether the client may still use listeners or routes other than those of `view`."""
        for type_url in (LISTENER, ROUTES):
            subscription = self.subscriptions.get(type_url)
            if subscription is None:
                continue
            if subscription.awaiting or subscription.rejected:
                return True
            if view is not None and subscription.plan(view) is not None:
                return True
        return False

    def _endpoints_again(self, clusters: tuple[Resource, ...]) -> None:
        """Have the endpoints of changed clusters sent again, or the client warms them for ever."""
        endpoints = self.subscriptions.get(ENDPOINTS)
        if endpoints is None:
            return
        for cluster in clusters:
            name = endpoints_name(cluster)
            if name is not None and name in endpoints.held:
                endpoints.force(name)
