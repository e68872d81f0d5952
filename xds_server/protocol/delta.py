"""A subscription in the delta (incremental) variant.

Guarantees: only what changed is sent, removals are listed; a name that is asked for is always answered, with the
resource or as removed. Source: xDS protocol, "Incremental xDS".
"""

from collections.abc import Iterable
from typing import Any

from xds_server.cache.snapshot import Snapshot
from xds_server.protocol.plan import Plan
from xds_server.protocol.subscription import WILDCARD, AckState, Answer, Held, Subscription


class Delta(Subscription):
    """One type on a delta stream."""

    def receive(self, request: Any, now: float) -> Answer | None:
        """Take a DeltaDiscoveryRequest in. Its subscription changes count whatever its nonce is."""
        answer = None
        if request.response_nonce:
            error = request.error_detail.message if request.HasField("error_detail") else None
            answer = self._answer(request.response_nonce, error, now)
        initial = {} if self.started else dict(request.initial_resource_versions)
        asked = list(request.resource_names_subscribe)
        if not self.started and not asked and self.full_state:
            asked = [WILDCARD]
        for name in asked:
            self._subscribe(name, known=name in initial)
        for name in request.resource_names_unsubscribe:
            self._unsubscribe(name)
        for name, version in initial.items():
            if self.wants(name):
                self.held[name] = Held(version, state=AckState.ACKED, accepted=version)
        self.started = True
        return answer

    def _subscribe(self, name: str, *, known: bool) -> None:
        self._clean = None
        if name == WILDCARD:
            # The first wildcard request is answered even if there is nothing.
            self._due = self._due or not self.wildcard
            self.wildcard = True
            return
        self.names.add(name)
        if not known:
            self.force(name)

    def _unsubscribe(self, name: str) -> None:
        if name == WILDCARD:
            self.wildcard = False
            for each in [each for each in self.held if each not in self.names]:
                self._forget(each)
            return
        explicit = name in self.names
        self.names.discard(name)
        if not self.wildcard:
            self._forget(name)
        elif explicit or name in self.held:
            # The client cannot tell whether the wildcard still covers it.
            self.force(name)

    def plan(self, snapshot: Snapshot) -> Plan | None:
        """Return the next response, None when the client has everything."""
        version = snapshot.version(self.type_url)
        if version == self._clean and not self._due and not self._forced:
            return None
        resources = snapshot.of_type(self.type_url)
        wanted = self._wanted(resources)
        changed = self._news(wanted)
        new = {r.name for r in changed} | self._forced
        removed = [name for name in self.held if name not in resources]
        removed.extend(name for name in sorted(self._forced) if name not in resources and name not in self.held)
        if not (self._due or new or removed):
            self._clean = version
            return None
        send = tuple(r for n, r in wanted.items() if n in new)
        return Plan(self.type_url, version, send, removed=tuple(removed), changed=changed)

    def commit(self, plan: Plan, *, nonce: str, now: float, since: float) -> None:
        """Take note that `plan` is sent as `nonce`."""
        super().commit(plan, nonce=nonce, now=now, since=since)
        if not plan.alive:
            self._clean = plan.version

    def _alive(self, due: Iterable[str]) -> Plan:
        alive = tuple((name, self.held[name].accepted or "", self._leases[name].ttl) for name in due)
        return Plan(self.type_url, self._accepted_version or "", alive=alive)
