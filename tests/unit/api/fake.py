"""A controller that remembers and starts nothing."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from xds_server.alerts.alert import Alert
from xds_server.alerts.courier import SinkStatus
from xds_server.analysis.query.diff_page import page_of, pair_of
from xds_server.analysis.query.diff_query import DiffQuery, Source
from xds_server.analysis.query.distribution import histograms_of
from xds_server.analysis.windows.comparison import Comparison, comparison_of
from xds_server.analysis.windows.tally import EndpointTally, Tally
from xds_server.errors import ConflictError, NotFoundError, StaleError
from xds_server.lifecycle.controls import with_control
from xds_server.lifecycle.places import Asked
from xds_server.lifecycle.rollout import RolloutAction, begun, commanded
from xds_server.lifecycle.ruling import Ruling
from xds_server.lifecycle.splits import check_weights_now
from xds_server.lifecycle.trail import reason_given, who_acts
from xds_server.lifecycle.views import (
    ArchivedComparison,
    Gauge,
    InstanceView,
    NetworkStatus,
    Performance,
    ProfileChange,
    ProfileView,
)
from xds_server.model.audit import AuditEvent, EventPage, EventQuery, Who
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address, VirtualNetwork
from xds_server.model.nodes import Taint
from xds_server.model.profile import Fault, FaultParameters, ShadowingProfile
from xds_server.model.rollout import Rollout, RolloutState
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.placement.node import BackedOff, Node
from xds_server.protocol.board import EnvoyStatus, ResourceStatus
from xds_server.protocol.node import NodeInfo
from xds_server.protocol.subscription import AckState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def compared() -> Comparison:
    """Two endpoints with a pair each; the shadow answers one with an error and differs in it."""
    tally = Tally("p", "i", keep=1)
    for name, seconds, status in (("GET /a", 0.010, 200), ("GET /b", 0.030, 500)):
        endpoint = EndpointTally()
        endpoint.pairs, endpoint.differing = 1, int(status == 500)
        for leg, its_status in ((endpoint.original, 200), (endpoint.shadow, status)):
            leg.count, leg.errors = 1, int(its_status == 500)
            leg.response.add(seconds)
        tally.endpoints[name] = endpoint
    return comparison_of(tally)


ENVOY = EnvoyStatus(
    node=NodeInfo("edge-1", zone="a", user_agent="envoy 1.40.0"),
    group="shop",
    connected=True,
    since=0.0,
    last_seen=1.0,
    resources=(ResourceStatus("type.googleapis.com/envoy.config.cluster.v3.Cluster", "n", "1", AckState.ACKED),),
)


@dataclass
class FakeController:
    kept: dict[str, VirtualNetwork] = field(default_factory=dict)
    views: dict[str, ProfileView] = field(default_factory=dict)
    in_force: dict[str, Fault] = field(default_factory=dict)
    keys: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    put_away: list[ArchivedComparison] = field(default_factory=list)
    asked: Asked | None = None
    trail: list[AuditEvent] = field(default_factory=list)
    clock: datetime | None = None
    asked_events: list[EventQuery] = field(default_factory=list)
    acted: list[tuple[Who, str]] = field(default_factory=list)
    """Who created networks, and why."""
    raises: Exception | None = None
    alerts: tuple[Alert, ...] = ()
    alert_sinks: tuple[SinkStatus, ...] = ()
    first_status: InstanceStatus = InstanceStatus.PENDING
    later_status: InstanceStatus | None = None

    async def create_network(self, network: VirtualNetwork) -> VirtualNetwork:
        if any(other.name == network.name for other in self.kept.values()):
            raise ConflictError(f'there is a network "{network.name}" already', field="name", hint="another name")
        self.acted.append((who_acts(), reason_given()))
        made = replace(network, id=NetworkID(str(uuid.uuid4())), created_at=NOW)
        self.kept[made.id] = made
        return made

    async def networks(self) -> Sequence[VirtualNetwork]:
        if self.raises:
            raise self.raises
        return list(self.kept.values())

    async def network(self, ref: str) -> VirtualNetwork:
        for network in self.kept.values():
            if ref in {network.id, network.name}:
                return network
        raise NotFoundError(f'there is no network "{ref}"', field="network_id", hint="GET /networks lists them")

    async def replace_network(
        self, ref: str, network: VirtualNetwork, *, if_match: int | None = None
    ) -> VirtualNetwork:
        old = await self.network(ref)
        if if_match not in {None, old.revision}:
            raise StaleError("changed")
        same = (old.components, old.labels) == (network.components, network.labels)
        made = replace(network, id=old.id, revision=old.revision + (not same), created_at=old.created_at)
        self.kept[old.id] = made
        return made

    async def delete_network(self, ref: str, *, if_match: int | None = None) -> None:
        network = await self.network(ref)
        if if_match not in {None, network.revision}:
            raise StaleError("changed")
        del self.kept[network.id]
        self.views = {k: v for k, v in self.views.items() if v.profile.network_id != network.id}

    async def create_profile(
        self, ref: str, profile: ShadowingProfile, *, idempotency_key: str | None = None, body_hash: str | None = None
    ) -> tuple[ProfileView, bool]:
        network = await self.network(ref)
        component = network.component(profile.component_name)
        if component is None:
            raise NotFoundError(f'there is no component "{profile.component_name}"', field="componentName")
        if idempotency_key in self.keys:
            known, profile_id = self.keys[idempotency_key]
            if known != body_hash:
                raise ConflictError("the key was used for another body", field="Idempotency-Key")
            return self.views[profile_id], False
        if profile.name and any(v.profile.name == profile.name for v in self.views.values()):
            raise ConflictError(f'there is a profile "{profile.name}" already', field="name")
        made = replace(profile, id=ProfileID(str(uuid.uuid4())), network_id=network.id, created_at=NOW)
        made = begun(with_control(made, component), NOW)
        if made.steps:
            made = replace(made, rollout=Rollout(0, RolloutState.RUNNING, NOW))
        view = ProfileView(made, tuple(self._instance(made, variant.name) for variant in made.versions))
        self.views[made.id] = view
        if idempotency_key:
            self.keys[idempotency_key] = (body_hash, made.id)
        return view, True

    def _instance(self, profile: ShadowingProfile, variant: str) -> InstanceView:
        instance = ShadowInstance(
            id=InstanceID(str(uuid.uuid4())),
            network_id=profile.network_id,
            profile_id=profile.id,
            component_name=profile.component_name,
            variant=variant,
            node="local",
            status=self.first_status,
            created_at=NOW,
            expires_at=NOW + timedelta(seconds=profile.ttl),
            address=Address("127.0.0.1", 20000),
        )
        performance = Performance(samples=2, cpu=Gauge(0.1, 0.2, 0.3), memory=Gauge(1e6, 2e6, 3e6))
        return InstanceView(instance, performance=performance, comparison=compared())

    async def profiles(self, ref: str) -> Sequence[ProfileView]:
        network = await self.network(ref)
        found = [view for view in self.views.values() if view.profile.network_id == network.id]
        if self.later_status:
            found = [replace(v, instances=tuple(self._moved(i) for i in v.instances)) for v in found]
        return found

    def _moved(self, view: InstanceView) -> InstanceView:
        assert self.later_status
        reason = "exited with code 1" if self.later_status is InstanceStatus.FAILED else ""
        return replace(view, instance=replace(view.instance, status=self.later_status, reason=reason))

    async def profile(self, ref: str, profile: str) -> ProfileView:
        for view in await self.profiles(ref):
            if profile in {view.profile.id, view.profile.name}:
                return view
        raise NotFoundError(f'there is no profile "{profile}"', field="profile_id")

    async def change_profile(
        self, ref: str, profile: str, change: ProfileChange, *, if_match: int | None = None
    ) -> ProfileView:
        view = await self.profile(ref, profile)
        old = view.profile
        if if_match not in {None, old.revision}:
            raise StaleError("changed")
        if change.weights is not None:
            check_weights_now(old, change.weights)
        split = old.split and replace(old.split, weights=change.weights or old.split.weights)
        made = replace(
            old,
            split=split,
            percentage=old.percentage if change.percentage is None else change.percentage,
            ttl=old.ttl if change.ttl is None else change.ttl,
            faults=old.faults if change.faults is None else change.faults,
            revision=old.revision + 1,
        )
        self.views[old.id] = replace(view, profile=made)
        return self.views[old.id]

    async def rollout(
        self, ref: str, profile: str, action: RolloutAction, *, if_match: int | None = None
    ) -> ProfileView:
        view = await self.profile(ref, profile)
        if if_match not in {None, view.profile.revision}:
            raise StaleError("changed")
        move = commanded(view.profile, action, Ruling(), NOW)
        made = replace(move.profile, revision=view.profile.revision + 1)
        self.views[made.id] = replace(view, profile=made)
        return self.views[made.id]

    async def delete_profile(self, ref: str, profile: str, *, if_match: int | None = None) -> None:
        view = await self.profile(ref, profile)
        if if_match not in {None, view.profile.revision}:
            raise StaleError("changed")
        del self.views[view.profile.id]

    async def inject_fault(
        self, ref: str, instance_id: InstanceID, parameters: FaultParameters, *, duration: float | None = None
    ) -> Fault:
        known = {i.instance.id for view in await self.profiles(ref) for i in view.instances}
        if instance_id not in known:
            raise NotFoundError(f'there is no instance "{instance_id}"', field="instanceID")
        ends = None if duration is None else NOW + timedelta(seconds=duration)
        fault = Fault(FaultID(str(uuid.uuid4())), instance_id, parameters, NOW, ends)
        self.in_force[fault.id] = fault
        return fault

    async def faults(self, ref: str) -> Sequence[Fault]:
        await self.network(ref)
        return list(self.in_force.values())

    async def lift_fault(self, ref: str, fault_id: FaultID) -> None:
        await self.network(ref)
        if self.in_force.pop(fault_id, None) is None:
            raise NotFoundError(f'there is no fault "{fault_id}"', field="fault_id")

    async def status(self, ref: str) -> NetworkStatus:
        return NetworkStatus(
            await self.network(ref),
            tuple(await self.profiles(ref)),
            (ENVOY,),
            alerts=self.alerts,
            alert_sinks=self.alert_sinks,
        )

    async def settle_deletion(self, ref: str, profile: str | None = None) -> None:
        pass

    def now(self) -> datetime:
        return self.clock or datetime.now(UTC)

    async def events(self, ref: str, query: EventQuery) -> tuple[NetworkID, EventPage]:
        network = await self.network(ref)
        self.asked_events.append(query)
        numbered = list(enumerate(self.trail, start=1))
        if query.profile is not None and query.profile not in {e.profile for e in self.trail}:
            raise NotFoundError(f'the audit trail has no profile "{query.profile}"', field="profile")
        start = len(numbered) - query.tail if query.tail is not None else query.after or 0
        rest = [one for one in numbered[max(start, 0) :] if query.kind in {None, one[1].kind}]
        page, more = rest[: query.limit], len(rest) > query.limit
        return network.id, EventPage(page, page[-1][0] if more else len(numbered), more, dropped=3)

    async def nodes(self, ref: str) -> Sequence[Node]:
        await self.network(ref)
        return [
            Node(
                "local",
                zone="a",
                taints=(Taint("gpu", "yes"),),
                backed_off={"docker": BackedOff(NOW, "the engine is away")},
                requested_cpus=1.5,
                memory_bytes=1,
                requested_memory_bytes=2,
                running=3,
            )
        ]

    async def select_node(self, ref: str, component: str, asked: Asked) -> Any:
        await self.network(ref)
        self.asked = asked
        return {"node": "local", "scores": {"local": 1.0}, "component": component}

    async def _sources(self, ref: str, profile: str | None) -> list[Source]:
        network = await self.network(ref)
        if profile is None:
            return [source for source in self.sources if not source.archived]
        found = [s for s in self.sources if profile in {s.profile_id, s.profile}]
        if not found and not any(profile in {v.profile.id, v.profile.name} for v in self.views.values()):
            raise NotFoundError(f'network "{network.name}" has no profile "{profile}"', field="profile")
        return found

    async def diffs(self, ref: str, query: DiffQuery, *, profile: str | None = None) -> Mapping[str, Any]:
        sources = [s for s in await self._sources(ref, profile) if query.version in {None, s.variant, *s.instances}]
        return page_of(sources, query, scope=f"{ref}/{profile or ''}")

    async def diff(self, ref: str, pair_id: str, *, profile: str | None = None) -> Mapping[str, Any]:
        await self.network(ref)
        return pair_of(await self._sources(ref, profile) if profile else self.sources, pair_id)

    async def response_times(self, ref: str, profile: str) -> Mapping[str, Any]:
        sources = await self._sources(ref, profile)
        return histograms_of([s.tally for s in sources], {i: s.variant for s in sources for i in s.instances})

    async def archive(self, ref: str) -> tuple[Sequence[ArchivedComparison], int]:
        await self.network(ref)
        return [ArchivedComparison(kept.record) for kept in self.put_away], 0

    async def archived(self, ref: str, profile: str) -> ArchivedComparison:
        await self.network(ref)
        for kept in self.put_away:
            if profile in {kept.record.profile_id, kept.record.name}:
                return kept
        raise NotFoundError(f'there is no archived comparison of a profile "{profile}"')
