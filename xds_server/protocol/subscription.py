"""What one stream wants of one resource type, and what its client has of it.

Purpose: the part that state of the world and delta share: what was sent and how it was answered, leases of resources
with a TTL, the wildcard. `sotw` and `delta` add how a request changes it and what a response holds.

Guarantees: pure state: no I/O, no clock (times come in), no encoding. A rejected resource is not planned again until
it changes. Memory grows with the names that the client asks for and with `IN_FLIGHT` responses, not with time.
Not guaranteed: that a client that answers nothing has what it was sent.
"""

import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xds_server.cache.resource import FULL_STATE_TYPES, Resource
from xds_server.cache.snapshot import Snapshot
from xds_server.errors import cut
from xds_server.protocol.plan import Plan

WILDCARD = "*"
IN_FLIGHT = 64
"""Unanswered responses of a type that are told apart; older ones count as answered by the next answer."""
RENEWALS = 3
"""Heartbeats in the time of one TTL."""


class AckState(StrEnum):
    """What is known of one resource at one client."""

    SENT = "SENT"
    ACKED = "ACKED"
    NACKED = "NACKED"
    STALE = "STALE"


@dataclass(slots=True)
class Held:
    """One resource at the client: the version it was sent, how that was answered, the version it accepted last."""

    version: str
    state: AckState = AckState.SENT
    nonce: str = ""
    accepted: str | None = None
    error: str = ""


@dataclass(slots=True)
class Lease:
    """One resource with a TTL (seconds): when it was last sent, and the latest sending that surely arrived."""

    ttl: float
    sent_at: float
    arrived_from: float | None = None


@dataclass(frozen=True, slots=True)
class InFlight:
    """A response that is not answered yet. `since` is when the change happened that it carries."""

    names: tuple[str, ...]
    version: str
    sent_at: float
    since: float
    heartbeat: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """How a client answered a response, `seconds` after the change that it carried."""

    type_url: str
    accepted: bool
    seconds: float


class Subscription(ABC):
    """The state of one type on one stream; see `Sotw` and `Delta`."""

    def __init__(self, type_url: str, *, renew_in_full: bool = False) -> None:
        """Start without any interest. `renew_in_full`: the client does not understand heartbeats without a body."""
        self.type_url = type_url
        self.full_state = type_url in FULL_STATE_TYPES
        self.names: set[str] = set()
        self.wildcard = False
        self.started = False
        self.held: dict[str, Held] = {}
        self.rejected = False
        self.error = ""
        self._due = False
        self._forced: set[str] = set()
        self._clean: str | None = None
        self._in_flight: OrderedDict[str, InFlight] = OrderedDict()
        self._leases: dict[str, Lease] = {}
        self._accepted_version: str | None = None
        self._renew_in_full = renew_in_full

    @abstractmethod
    def receive(self, request: Any, now: float) -> Answer | None:
        """Take a request in; return how it answers an earlier response, None when it does not."""

    @abstractmethod
    def plan(self, snapshot: Snapshot) -> Plan | None:
        """Return what to send so that the client has what it wants of `snapshot`; None when it has."""

    @abstractmethod
    def _alive(self, due: Iterable[str]) -> Plan:
        """Return the heartbeat of these names."""

    def force(self, name: str) -> None:
        """Have `name` sent again although its content did not change."""
        self._forced.add(name)

    def commit(self, plan: Plan, *, nonce: str, now: float, since: float) -> None:
        """Take note that `plan` is sent as `nonce`."""
        heartbeat = bool(plan.alive)
        names = tuple(r.name for r in plan.resources) + plan.removed + tuple(name for name, _, _ in plan.alive)
        self._in_flight[nonce] = InFlight(names, plan.version, now, since, heartbeat)
        if len(self._in_flight) > IN_FLIGHT:
            self._in_flight.popitem(last=False)
        if heartbeat:
            for name in names:
                self._leases[name].sent_at = now
            return
        self._due = False
        self._forced.clear()
        for name in plan.removed:
            self._forget(name)
        for resource in plan.resources:
            before = self.held.get(resource.name)
            accepted = before.accepted if before else None
            self.held[resource.name] = Held(resource.version, nonce=nonce, accepted=accepted)
            if resource.ttl:
                self._leases[resource.name] = Lease(resource.ttl, now)
            else:
                self._leases.pop(resource.name, None)

    @property
    def awaiting(self) -> bool:
        """Whether the newest response (heartbeats aside) has no answer yet."""
        return any(not sent.heartbeat for sent in self._in_flight.values())

    @property
    def leased(self) -> bool:
        """Whether anything here has a TTL."""
        return bool(self._leases)

    def renew(self, now: float) -> Plan | None:
        """Return the heartbeat that is due; what has to be sent in full instead is left to `plan`."""
        due = []
        for name, lease in tuple(self._leases.items()):
            if now < self._renewal(name, lease):
                continue
            held = self.held[name]
            expired = now - lease.sent_at > lease.ttl
            if held.state is AckState.NACKED and (expired or self._full_renewal or held.accepted is None):
                # Sending it again would be rejected again. It runs out, which is what a TTL is for.
                del self._leases[name]
            elif expired or self._full_renewal or held.state is AckState.SENT:
                self.force(name)
            else:
                due.append(name)
        return self._alive(due) if due else None

    def deadline(self) -> float | None:
        """Return when `renew` has something to do next; None when never."""
        return min((self._renewal(name, lease) for name, lease in self._leases.items()), default=None)

    @property
    def _full_renewal(self) -> bool:
        return self._renew_in_full

    def _renewal(self, name: str, lease: Lease) -> float:
        held = self.held[name]
        # A heartbeat names an accepted version; until there is an answer there is none, and what is on its way is full.
        waits = held.state is AckState.SENT and not self._full_renewal
        return lease.sent_at + (lease.ttl if waits else lease.ttl / RENEWALS)

    def _answer(self, nonce: str, error: str | None, now: float) -> Answer | None:
        """Take note of the answer to `nonce`; older responses without one count as accepted. None: unknown nonce."""
        sent = self._in_flight.get(nonce)
        if sent is None:
            return None
        while True:
            each, response = self._in_flight.popitem(last=False)
            if each == nonce:
                break
            self._accept(each, response, now)
        if error is None:
            self._accept(nonce, sent, now)
            self.rejected, self.error = False, ""
        else:
            self._reject(nonce, sent, error)
        return None if sent.heartbeat else Answer(self.type_url, accepted=error is None, seconds=now - sent.since)

    def _accept(self, nonce: str, sent: InFlight, now: float) -> None:
        self._accepted_version = sent.version
        for name in sent.names:
            held = self.held.get(name)
            if held is None:
                continue
            if held.nonce == nonce:
                held.state, held.accepted, held.error = AckState.ACKED, held.version, ""
            lease = self._leases.get(name)
            if lease is None:
                continue
            if lease.arrived_from is not None and now - lease.arrived_from > lease.ttl:
                # Two arrivals may lie further apart than the TTL: it may have expired in between, and a heartbeat
                # does not bring it back.
                self.force(name)
                lease.arrived_from = None
            else:
                lease.arrived_from = sent.sent_at

    def _reject(self, nonce: str, sent: InFlight, error: str) -> None:
        self.error = cut(error)
        if sent.heartbeat:
            # It does not know what we renew: tell it in full.
            self._forced.update(name for name in sent.names if name in self.held)
            return
        self.rejected = True
        named = _named(sent.names, error)
        for name in sent.names:
            held = self.held.get(name)
            if held is None or held.nonce != nonce:
                continue
            if name in named or not named:
                held.state, held.error = AckState.NACKED, self.error
            else:
                # Of a rejected response the valid resources are applied (tried on Envoy 1.40).
                held.state, held.accepted = AckState.ACKED, held.version

    def _wanted(self, resources: Mapping[str, Resource]) -> Mapping[str, Resource]:
        if self.wildcard:
            return resources
        return {name: resources[name] for name in sorted(self.names) if name in resources}

    def wants(self, name: str) -> bool:
        """Tell whether the client asks for a name."""
        return self.wildcard or name in self.names

    def _news(self, wanted: Mapping[str, Resource]) -> tuple[Resource, ...]:
        held = self.held
        return tuple(
            r
            for n, r in wanted.items()
            # What a client brought along and will forget has no lease here: it is sent once, to know when it runs out.
            if (at := held.get(n)) is None or at.version != r.version or (r.ttl and not at.nonce)
        )

    def _forget(self, name: str) -> None:
        self.held.pop(name, None)
        self._leases.pop(name, None)
        self._forced.discard(name)


def _named(names: Iterable[str], error: str) -> frozenset[str]:
    """Return which of `names` the text of an error is about."""
    return frozenset(
        name for name in names if name in error and re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)", error)
    )
