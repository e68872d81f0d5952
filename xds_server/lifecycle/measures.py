"""What is measured outside of pairs: CPU and memory, metrics of the user's own, and what the Envoys count themselves.

The reference of a version is the profile's control if it has one that is a process of its own, else the original: the
processes of this machine that listen at the component's endpoints. Requests are those that the Envoys completed; where
their admin interfaces cannot be read, copies to a version and to its control are counted from the comparison.

Guarantees: the loop is never held up, neither by an Envoy nor by Prometheus; what cannot be measured has a reason; what
was measured while a version or its control was warming up is no evidence. All of it ends with its profile.
Not guaranteed: anything from before the manager's last start, evidence included; it begins anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import structlog

from xds_server.analysis.verdict.readings import Reading
from xds_server.analysis.windows.tally import Tally
from xds_server.config import Settings
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.envoy_stats import NOT_READ, Board, EnvoyStats, Wanted
from xds_server.lifecycle.promql import Prometheus
from xds_server.lifecycle.questions import Question, Questions
from xds_server.lifecycle.registry import NetworkRecord, Registry
from xds_server.lifecycle.resources import CpuBlocks, Leg, MemoryBlocks, PerRequest
from xds_server.lifecycle.sampler import INTERVAL, Sampler
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.judging import Check, Metric, checks_of
from xds_server.model.names import component_cluster, shadow_cluster, shadow_in_cluster
from xds_server.model.network import Address, Component
from xds_server.model.profile import CONTROL, SelfSpec, ShadowingProfile
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.runtime.neighbours import Neighbours

log = structlog.get_logger(__name__)

ORIGINAL = "original"
"""What the reference is called in queries and readings, unless it is the control."""
WARMING_UP = "it is warming up"
NO_CONTROL = "the control does not run"


class Tallied(Protocol):
    """The part of the collector that is meant here."""

    def tallies(self, profile_id: str) -> Sequence[Tally]:
        """Return what is known of each instance of a profile."""
        ...


class Groups(Protocol):
    """The part of the publisher that is meant here."""

    def groups(self, network: NetworkID) -> frozenset[str]:
        """Return the groups of Envoys of a network."""
        ...


@dataclass(slots=True)
class _Version:
    """What was measured of one version."""

    of: str
    cpu: CpuBlocks = field(default_factory=CpuBlocks)
    memory: MemoryBlocks = field(default_factory=MemoryBlocks)


@dataclass(slots=True)
class _Profile:
    network: NetworkID
    versions: dict[str, _Version] = field(default_factory=dict)
    per_request: dict[InstanceID, PerRequest] = field(default_factory=dict)


class Measures:
    """See the module. All methods belong on the event loop.

    Args:
        clock: the time of blocks and windows.
        registry: the profiles and their instances.
        sampler: what shadows use; it is driven from here.
        collector: the comparisons, for counts of copies.
        board: the Envoys.
        publisher: which of them belong to which network.
        settings: of the whole process.

    Raises:
        InvalidError: the settings of Prometheus cannot be right.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        registry: Registry,
        sampler: Sampler,
        collector: Tallied,
        board: Board,
        publisher: Groups,
        settings: Settings,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._sampler = sampler
        self._collector = collector
        self._publisher = publisher
        self._node = settings.node.name
        self._window = settings.prometheus.window
        self._prometheus = Prometheus(settings.prometheus)
        self._questions = Questions(self._prometheus, clock=clock)
        self._envoys = EnvoyStats(board=board, settings=settings.envoy, clock=clock)
        self._neighbours = Neighbours(monotonic=clock.monotonic)
        self._profiles: dict[ProfileID, _Profile] = {}

    def readings(self, profile_id: ProfileID) -> Mapping[tuple[str, str], Reading]:
        """Return what was read so far for the profile's checks, by label of the check and name of the variant."""
        found = dict(self._questions.readings(profile_id))
        profile, known = self._find(profile_id), self._profiles.get(profile_id)
        if profile is None or known is None:
            return found
        for check in checks_of(profile.analysis.judging, profile.metrics):
            for variant, version in known.versions.items():
                if check.metric is Metric.CPU:
                    found[check.label, variant] = _reading(version.cpu, version.of)
                elif check.metric is Metric.MEMORY:
                    found[check.label, variant] = _reading(version.memory, version.of)
        return found

    def envoy(self, profile_id: ProfileID) -> Mapping[str, Any]:
        """Return what the Envoys counted of the original's cluster and of each version's.

        A version's counters are those of its own clusters; with `in.` before the name, those of the way of the copies
        into it: what overflowed there never reached it.
        """
        found: dict[str, Any] = {"original": {}, "variants": {}, "reason": NOT_READ}
        record = next((r for r in self._registry if profile_id in r.profiles), None)
        if record is None:
            return found
        profile, network = record.profiles[profile_id], record.network.id
        found["reason"] = self._envoys.reason(network)
        found["original"] = self._envoys.counters(network, [component_cluster(profile.component_name)])
        by_variant: dict[str, list[InstanceID]] = {}
        for instance in record.instances_of(profile_id):
            by_variant.setdefault(instance.variant, []).append(instance.id)
        for variant, instances in by_variant.items():
            own = self._envoys.counters(network, [c for i in instances for c in _served_by(i)])
            way_in = self._envoys.counters(network, map(shadow_in_cluster, instances))
            if own or way_in:
                found["variants"][variant] = {**own, **{f"in.{name}": value for name, value in way_in.items()}}
        return found

    def restart(self, profile_id: ProfileID) -> None:
        """Begin the evidence of a profile anew (a step of it begins)."""
        self._questions.restart(profile_id)
        known = self._profiles.get(profile_id)
        if known is not None:
            known.versions.clear()

    async def run(self) -> None:
        """Measure until cancelled. Samples for `performanceData` are taken here, too."""
        try:
            while True:
                await self._clock.sleep(INTERVAL)
                try:
                    await self.measure()
                except Exception:
                    log.exception("what is measured outside of pairs could not be")
        finally:
            await self._questions.close()
            await self._envoys.close()
            await self._prometheus.close()

    async def measure(self) -> None:
        """Take one sample of everything."""
        counted = await self._envoys.poll(self._wanted())
        await self._sampler.sample()
        there: list[ProfileID] = []
        for record in self._registry:
            there += record.profiles
            for profile in record.live_profiles():
                running = [i for i in record.instances_of(profile.id) if i.status is InstanceStatus.RUNNING]
                if running and not record.ending:
                    await self._measure(record, profile, running, counted=counted)
        for gone in set(self._profiles).difference(there):
            del self._profiles[gone]
        self._questions.keep(there)

    def _wanted(self) -> dict[NetworkID, Wanted]:
        """Return what is to be read from Envoys: of networks in which something runs."""
        found = {}
        for record in self._registry:
            running = {i.profile_id for i in record.instances.values() if i.status is InstanceStatus.RUNNING}
            if not running or record.ending:
                continue
            clusters = {
                name
                for i in record.instances.values()
                if i.profile_id in record.profiles
                for name in (*_served_by(i.id), shadow_in_cluster(i.id))
            }
            clusters |= {component_cluster(record.profiles[p].component_name) for p in running if p in record.profiles}
            found[record.network.id] = Wanted(self._publisher.groups(record.network.id), frozenset(clusters))
        return found

    async def _measure(
        self, record: NetworkRecord, profile: ShadowingProfile, running: Sequence[ShadowInstance], *, counted: bool
    ) -> None:
        component = record.network.component(profile.component_name)
        if component is None:
            return
        known = self._profiles.setdefault(profile.id, _Profile(record.network.id))
        network, judging = record.network.id, profile.analysis.judging
        shadows = [i for i in running if not profile.is_control(i.variant)]
        warm = {i.id for i in running if i.created_at + timedelta(seconds=judging.warm_up) <= self._clock.now()}
        self._show_per_request(known, network, running, counted=counted)
        checks = checks_of(judging, profile.metrics)
        of = _reference_of(profile)
        if any(check.metric in {Metric.CPU, Metric.MEMORY} for check in checks):
            legs = {i.id: self._leg(network, i) if i.id in warm else Leg(unknown=WARMING_UP) for i in running}
            if of == CONTROL:
                control = next((legs[i.id] for i in running if profile.is_control(i.variant)), Leg(unknown=NO_CONTROL))
                if self._envoys.count(network, ()) is None:
                    # Both get the same copies, and lose them on the same ways: counts may lag, but alike.
                    copies = self._copies(profile.id)
                    legs = {i: _counted_by(leg, copies.get(i, 0)) for i, leg in legs.items()}
                    control = next((legs[i.id] for i in running if profile.is_control(i.variant)), control)
                    counted = True
                reference = control
            else:
                reference = await self._original(network, component)
            at = self._clock.monotonic()
            for instance in shadows:
                version = known.versions.get(instance.variant)
                if version is None or version.of != of:
                    version = known.versions[instance.variant] = _Version(of)
                leg = legs[instance.id]
                version.memory.add(at, reference, leg, length=judging.block)
                version.cpu.add(at, reference, leg, length=judging.block, counted=counted, alike=of == CONTROL)
        self._ask(record, profile, [c for c in checks if c.metric is Metric.PROMETHEUS], running)

    def _leg(self, network: NetworkID, instance: ShadowInstance) -> Leg:
        """Return what an instance has used."""
        usage = self._sampler.usage(instance.id)
        requests = self._envoys.count(network, _served_by(instance.id))
        return Leg(
            whose=(instance.id, self._envoys.epoch(network)),
            cpu=usage.cpu_seconds if usage else None,
            memory=float(usage.rss_bytes) if usage else None,
            requests=requests,
            unknown=f"what {instance.variant} uses is not known: it does not run on this machine, or is not visible",
            uncounted=f"the requests of {instance.variant} are not counted: {self._envoys.reason(network)}",
        )

    async def _original(self, network: NetworkID, component: Component) -> Leg:
        """Return what the processes have used that listen at a component's endpoints."""
        used: dict[tuple[Any, ...], tuple[float, int]] = {}
        unknown = []
        places = {Address(e.address, e.port): e for e in component.endpoints}
        for address, endpoint in places.items():
            if endpoint.node not in {"", self._node}:
                unknown.append(f"{address.address}:{address.port} is on the node {endpoint.node}")
                continue
            found = await self._neighbours.at(address)
            if found.usage is None:
                unknown.append(found.reason)
            else:  # one process may be known by two addresses
                used[found.processes] = found.usage.cpu_seconds, found.usage.rss_bytes
        which = "the original's process is not known" if not used else "some of the original's processes are not known"
        return Leg(
            whose=(tuple(sorted(used, key=repr)), self._envoys.epoch(network)),
            # The Envoys' counts are those of all endpoints together.
            cpu=None if unknown else sum(cpu for cpu, _ in used.values()),
            memory=sum(memory for _, memory in used.values()) / len(used) if used else None,
            requests=self._envoys.count(network, [component_cluster(component.name)]),
            unknown=f"{which}: {unknown[0]}" if unknown else "",
            uncounted=f"the original's requests are not counted: {self._envoys.reason(network)}",
        )

    def _copies(self, profile_id: ProfileID) -> dict[str, int]:
        """Return how many copies came to each instance and back, by the comparison."""
        return {
            tally.instance: sum(each.pairs + each.not_judged.total() for each in tally.endpoints.values())
            for tally in self._collector.tallies(profile_id)
        }

    def _show_per_request(
        self, known: _Profile, network: NetworkID, running: Sequence[ShadowInstance], *, counted: bool
    ) -> None:
        """Tell the sampler what a request takes."""
        for gone in set(known.per_request).difference(i.id for i in running):
            del known.per_request[gone]
        for instance in running if counted else ():
            took = known.per_request.setdefault(instance.id, PerRequest()).add(self._leg(network, instance))
            if took is not None:
                self._sampler.add_per_request(instance.id, took)

    def _ask(
        self,
        record: NetworkRecord,
        profile: ShadowingProfile,
        checks: Sequence[Check],
        running: Sequence[ShadowInstance],
    ) -> None:
        judging, of = profile.analysis.judging, _reference_of(profile)
        window = max(self._window, judging.block)
        # The first window must not reach back into a warm-up; where nobody is asked, that can be said at once.
        wait = timedelta(seconds=judging.warm_up + window if self._prometheus.configured else 0.0)
        ready = {i.variant for i in running if i.created_at + wait <= self._clock.now()}
        shadows = [v.name for v in profile.variants if any(i.variant == v.name for i in running)]
        for check in checks:
            why = NO_CONTROL if of == CONTROL and all(i.variant != CONTROL for i in running) else WARMING_UP
            asked = [name for name in shadows if name in ready and (of == ORIGINAL or CONTROL in ready)]
            self._questions.ask(
                profile.id,
                Question(
                    check=check,
                    network=record.network.name,
                    component=profile.component_name,
                    reference=of,
                    variants=asked,
                    waiting={name: why for name in shadows if name not in asked},
                    window=window,
                ),
            )

    def _find(self, profile_id: ProfileID) -> ShadowingProfile | None:
        return next((r.profiles[profile_id] for r in self._registry if profile_id in r.profiles), None)


def _served_by(instance: InstanceID) -> tuple[str, str]:
    """Return the clusters whose requests an instance serves: copies, and the users that a split sends it."""
    return shadow_cluster(instance), f"split-{instance}"


def _reference_of(profile: ShadowingProfile) -> str:
    """Return what versions are measured against. A control that is the original itself is no process of its own."""
    control = next((v for v in profile.versions if profile.is_control(v.name)), None)
    return CONTROL if control is not None and not isinstance(control.spec, SelfSpec) else ORIGINAL


def _counted_by(leg: Leg, copies: int) -> Leg:
    return replace(leg, whose=(leg.whose, "copies"), requests=copies)


def _reading(blocks: CpuBlocks | MemoryBlocks, of: str) -> Reading:
    known = blocks.evidence.count > 0
    return Reading(
        reference=blocks.reference if known else None,
        candidate=blocks.candidate if known else None,
        evidence=blocks.evidence,
        reason=blocks.reason,
        blocks=blocks.evidence.count,
        of=of,
    )
