"""A subscription in the state-of-the-world variant.

Guarantees: listeners, clusters and scoped routes are always full state; of other types only what is new to the client
is sent. Source: xDS protocol, "The state of the world" and "How the client specifies what resources to return".
"""

from collections.abc import Iterable
from typing import Any

from xds_server.cache.snapshot import Snapshot
from xds_server.protocol.plan import Plan
from xds_server.protocol.subscription import WILDCARD, Answer, Subscription


class Sotw(Subscription):
    """One type on a state-of-the-world stream."""

    def __init__(self, type_url: str, *, renew_in_full: bool = False) -> None:
        """Start without any interest."""
        super().__init__(type_url, renew_in_full=renew_in_full)
        self._named = False
        self._nonce = ""

    def receive(self, request: Any, now: float) -> Answer | None:
        """Take a DiscoveryRequest in."""
        nonce = request.response_nonce
        answer = None
        # "ACK, NACK and resource type instance version": error_detail alone makes a NACK. A nonce from a stream before
        # is no answer: nothing was sent here yet.
        if nonce and self._nonce:
            error = request.error_detail.message if request.HasField("error_detail") else None
            answer = self._answer(nonce, error, now)
            if nonce != self._nonce:
                return answer
        self._take_names(set(request.resource_names))
        self.started = True
        return answer

    def _take_names(self, names: set[str]) -> None:
        was_wildcard, before = self.wildcard, self.names
        if names:
            self._named = True
            self.wildcard = WILDCARD in names
            self.names = names - {WILDCARD}
        else:
            # "An empty list is the wildcard only until a name was sent."
            self.wildcard = self.full_state and not self._named
            self.names = set()
        if was_wildcard and self.wildcard and before == self.names and self.started:
            return
        added = self.names - before
        if not self.started or added or (self.wildcard and not was_wildcard):
            self._clean = None
            # A name that does not exist shows by its absence, so full state is sent even if nothing in it is new.
            self._due = self._due or (self.full_state and (self.wildcard or bool(self.names)))
        if not self.wildcard:
            for name in [name for name in self.held if name not in self.names]:
                self._forget(name)

    def plan(self, snapshot: Snapshot) -> Plan | None:
        """Return the next response, None when the client has everything."""
        version = snapshot.version(self.type_url)
        if version == self._clean and not self._due and not self._forced:
            return None
        resources = snapshot.of_type(self.type_url)
        wanted = self._wanted(resources)
        changed = self._news(wanted)
        gone = [name for name in self.held if name not in resources]
        again = {name for name in self._forced if name in wanted}
        if self.full_state:
            if not (self._due or changed or gone or again):
                self._settle(version)
                return None
            return Plan(self.type_url, version, tuple(wanted.values()), changed=changed)
        # Deleting one of the others sends nothing: the client drops it with what referred to it.
        for name in gone:
            self._forget(name)
        new = {r.name for r in changed} | again
        if not new:
            self._settle(version)
            return None
        return Plan(self.type_url, version, tuple(r for n, r in wanted.items() if n in new), changed=changed)

    def _settle(self, version: str) -> None:
        self._clean = version
        self._forced.clear()

    def commit(self, plan: Plan, *, nonce: str, now: float, since: float) -> None:
        """Take note that `plan` is sent as `nonce`."""
        super().commit(plan, nonce=nonce, now=now, since=since)
        self._nonce = nonce
        if plan.alive:
            return
        self._clean = plan.version
        if self.full_state:
            listed = {r.name for r in plan.resources}
            for name in [name for name in self.held if name not in listed]:
                self._forget(name)

    @property
    def _full_renewal(self) -> bool:
        # A heartbeat alone would read as a full state without resources.
        return self._renew_in_full or self.full_state

    def _alive(self, due: Iterable[str]) -> Plan:
        # A heartbeat is one only under the version that the client accepted last.
        version = self._accepted_version or ""
        alive = tuple((name, version, self._leases[name].ttl) for name in due)
        return Plan(self.type_url, version, alive=alive)
