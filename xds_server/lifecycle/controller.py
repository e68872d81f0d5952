"""The manager's front desk: every question and every change of networks, profiles, instances and faults comes here.

Guarantees: what a method accepted is on disk before it returns, or UnrecordedError says that it is not, and that it is
in effect; what it refused left nothing behind; a caller that goes
away does not leave a change half made. Changes of one network happen one after another, those of different networks
side by side. The original's resources never depend on a shadow: whatever goes wrong with one, Envoys keep the last good
configuration.
Not guaranteed: that Envoys have ACKed a change when its method returns (see `status`), or that a shadow is Running
when its profile was created (it is Pending until it has answered its health check).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from xds_server.alerts.service import Alerts
from xds_server.alerts.watched import Watched
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.query.diff_query import DiffQuery
from xds_server.config import Settings
from xds_server.errors import StoreError, UnavailableError
from xds_server.lifecycle.answers import Answers
from xds_server.lifecycle.archive import Archive
from xds_server.lifecycle.books import Books, unfinished
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.context import Context, check_open
from xds_server.lifecycle.deadlines import Deadlines
from xds_server.lifecycle.disturbances import Disturbances
from xds_server.lifecycle.faults import FAULT_KEY, Faults
from xds_server.lifecycle.jobs import Jobs
from xds_server.lifecycle.measures import Measures
from xds_server.lifecycle.networks import Networks
from xds_server.lifecycle.places import Asked, Places
from xds_server.lifecycle.profiles import IdempotencyKey, Profiles
from xds_server.lifecycle.publisher import Publisher
from xds_server.lifecycle.registry import NetworkRecord, Registry
from xds_server.lifecycle.rollout import RolloutAction
from xds_server.lifecycle.shadows import Parts, Shadows
from xds_server.lifecycle.shift import Shift
from xds_server.lifecycle.steps import Steps
from xds_server.lifecycle.summaries import Summaries
from xds_server.lifecycle.sweeper import Sweeper
from xds_server.lifecycle.trail import Trail
from xds_server.lifecycle.unfinished import Unfinished
from xds_server.lifecycle.verdicts import Judge, Verdict, Verdicts
from xds_server.lifecycle.views import ArchivedComparison, NetworkStatus, ProfileChange, ProfileView
from xds_server.lifecycle.watch import profile_ids, subjects
from xds_server.model.audit import EventPage, EventQuery
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.names import NODE_METADATA
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, FaultParameters, ShadowingProfile
from xds_server.placement.choice import Choice
from xds_server.placement.nearness import Spot
from xds_server.placement.node import Inventory, Node
from xds_server.protocol.board import StatusBoard
from xds_server.runtime.fleet import Fleet
from xds_server.store.base import Store

ON_THE_WAY = 5.0
"""Seconds that flushes and windows take at most, beyond the time that the engine waits for the other leg."""

_T = TypeVar("_T")


class Controller:
    """Create, change and end things; see the module. All methods belong on one event loop.

    A `ref` is a network's id or its name. Ids of what is handed in may be empty (`""`): the controller chooses them.

    Args:
        store: opened by `start`, closed by `stop`.
        fleet: the runtimes of each node.
        inventory: the nodes.
        publisher: serves the Envoys.
        collector: the comparisons.
        board: what the Envoys have.
        clock: wall clock and monotonic time.
        settings: of the whole process.
        alerts: what fires, for the status.
        judge: reaches the verdicts.

    Raises:
        InvalidError: the settings of Prometheus cannot be right.
    """

    def __init__(
        self,
        *,
        store: Store,
        fleet: Fleet,
        inventory: Inventory,
        publisher: Publisher,
        collector: Collector,
        board: StatusBoard,
        clock: Clock,
        settings: Settings,
        judge: Judge[Any],
        alerts: Alerts | None = None,
    ) -> None:
        self._publisher = publisher
        self._board = board
        self._registry = Registry()
        trail = Trail(store, clock)
        self._deadlines = Deadlines(clock=clock, due=self._due)
        untaken = Unfinished(clock)
        parts = Parts(
            store=trail,
            fleet=fleet,
            publisher=publisher,
            board=board,
            clock=clock,
            settings=settings,
            registry=self._registry,
            deadlines=self._deadlines,
            places=Places(inventory=inventory, envoys=self._spots, clock=clock),
            unfinished=untaken,
            books=Books(trail, self._registry, untaken),
        )
        self._shadows = Shadows(parts)
        profiles = partial(profile_ids, self._registry)
        summaries = Summaries(clock=clock, store=trail, collector=collector, profiles=profiles)
        patience = settings.engine.pair_timeout + ON_THE_WAY
        archive = Archive(clock=clock, store=trail, collector=collector, patience=patience, summaries=summaries)
        measures = Measures(
            clock=clock,
            registry=self._registry,
            sampler=self._shadows.sampler,
            collector=collector,
            board=board,
            publisher=publisher,
            settings=settings,
        )
        self._context = Context(
            parts=parts,
            shadows=self._shadows,
            faults=Faults(parts, Disturbances(fleet=fleet, clock=clock)),
            summaries=summaries,
            archive=archive,
            verdicts=Verdicts(
                clock=clock,
                store=trail,
                collector=collector,
                judge=judge,
                subjects=partial(subjects, self._registry),
                act=self._heed,
                readings=measures.readings,
                envoy=measures.envoy,
            ),
            measures=measures,
            sweeper=Sweeper(fleet=fleet, store=trail, registry=self._registry, clock=clock, alive=self._shadows.alive),
        )
        self._answers = Answers(self._context, collector, alerts)
        self._networks = Networks(self._context)
        self._profiles = Profiles(self._context)
        self._jobs = Jobs()
        self._steps = Steps(self._context, self._profiles, later=self._jobs.later)
        self._shift = Shift(
            self._context,
            jobs=self._jobs,
            finish_network=self._finish_network,
            finish_profile=self._finish_profile,
        )

    # Start and stop.

    async def start(self) -> None:
        """Read the state from disk, take up shadows that still run, publish every network.

        When this returns every network is published with the shadows that were found alive, so xDS may be served.

        Raises:
            StoreError: the state cannot be read.
        """
        await self._shift.begin()

    async def stop(
        self,
        *,
        keep_shadows: bool = False,
        keep_mirroring: bool = False,
        grace: float = 30.0,
        drain: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Mirroring off, wait (bounded) for Envoys, end the shadows unless they are kept, write the rest, close.

        Args:
            keep_shadows: leave them running for the manager that comes next; it finds them again.
            keep_mirroring: that one comes at once, so kept shadows go on being mirrored to.
            grace: seconds that it may take; what is not done by then is left to the next manager.
            drain: brings in what the engines have not sent yet; awaited when no copy is under way any more and before
                the summaries are written.
        """
        await self._shift.end(keep_shadows=keep_shadows, keep_mirroring=keep_mirroring, grace=grace, drain=drain)

    def owes(self) -> str:
        """Return which networks have something in effect that the disk did not take, in words; empty: none."""
        names = sorted(record.network.name for record in self._registry if record.owed)
        return f"not on record yet, of {', '.join(names)}" if names else ""

    # Networks.

    async def create_network(self, network: VirtualNetwork) -> VirtualNetwork:
        """Create a network; the answer carries id, revision 1 and time. Raises: InvalidError, ConflictError."""
        return await self._to_the_end(self._networks.create(network))

    async def networks(self) -> Sequence[VirtualNetwork]:
        """Return all networks, oldest first."""
        return [record.network for record in self._registry if not record.ending]

    async def network(self, ref: str) -> VirtualNetwork:
        """Return one network. Raises: NotFoundError."""
        return self._registry.find(ref).network

    async def replace_network(
        self, ref: str, network: VirtualNetwork, *, if_match: int | None = None
    ) -> VirtualNetwork:
        """Replace the definition (components, labels); the same definition again keeps the revision.

        Raises: NotFoundError, StaleError, InvalidError (another name), ConflictError (a component with profiles gone).
        """
        record = self._registry.find(ref)
        return await self._to_the_end(self._networks.replace(record, network, if_match=if_match))

    async def delete_network(self, ref: str, *, if_match: int | None = None) -> None:
        """End all its shadows, then take it from its Envoys. Returns when done.

        Raises: NotFoundError, StaleError, UnrecordedError (its shadows are ended, and that is not on record yet).
        """
        await self.settle_deletion(ref)
        record = self._registry.find(ref)
        await self._to_the_end(self._delete_network(record, if_match=if_match))

    async def settle_deletion(self, ref: str, profile: str | None = None) -> None:
        """Record a deletion that is in effect and not on record, if there is one: who asks again is told the same.

        Args:
            ref: the network, or that of the profile.
            profile: by id or name; None: the network itself.

        Raises:
            UnrecordedError: the disk still does not take it.
        """
        record = self._registry.ending(ref) if profile is None else self._registry.get_by_ref(ref)
        if record is not None and record.owes_deletion(profile):
            await self._to_the_end(self._settle(record))

    async def _settle(self, record: NetworkRecord) -> None:
        async with record.lock:
            await self._context.parts.books.settle(record)

    async def _delete_network(self, record: NetworkRecord, *, if_match: int | None) -> None:
        await self._networks.begin_deletion(record, if_match=if_match)
        try:
            await self._finish_network(record)
        except StoreError as error:
            raise unfinished(error) from error

    async def _finish_network(self, record: NetworkRecord) -> None:
        work = partial(self._networks.finish_deletion, record)
        await self._finish(record, f"deletion of network {record.network.id}", work)

    # Profiles.

    async def create_profile(
        self,
        ref: str,
        profile: ShadowingProfile,
        *,
        idempotency_key: str | None = None,
        body_hash: str | None = None,
    ) -> tuple[ProfileView, bool]:
        """Create a profile and, at a percentage above 0, its instances (Pending). True: created just now.

        Args:
            ref: the network.
            profile: what is wanted.
            idempotency_key: the client's; the same key with the same body gives the same profile again, for 24 hours.
            body_hash: of what the client sent with it.

        Raises: NotFoundError, InvalidError, ConflictError, UnavailableError (no node has room).
        """
        record = self._registry.find(ref)
        key = None if idempotency_key is None else IdempotencyKey(idempotency_key, body_hash or "")
        created, fresh = await self._to_the_end(self._profiles.create(record, profile, key=key))
        return self._answers.view(record, created), fresh

    async def profiles(self, ref: str) -> Sequence[ProfileView]:
        """Return a network's profiles, oldest first. Raises: NotFoundError."""
        record = self._registry.find(ref)
        return [self._answers.view(record, profile) for profile in record.live_profiles()]

    async def profile(self, ref: str, profile: str) -> ProfileView:
        """Return one profile by id or name. Raises: NotFoundError."""
        record = self._registry.find(ref)
        return self._answers.view(record, record.profile(profile))

    async def change_profile(
        self, ref: str, profile: str, change: ProfileChange, *, if_match: int | None = None
    ) -> ProfileView:
        """Change percentage, weights, TTL or faults; published when this returns. Nothing new keeps the revision.

        Percentage 0 ends the mirroring and leaves the instances to their TTL; a raised one, or a raised weight, makes
        an instance of each variant that has none. While its steps are under way, they alone decide over both.

        Raises: NotFoundError, StaleError, InvalidError, ConflictError, UnavailableError, UnrecordedError (it only takes
            away, is in effect, and the disk has not taken it).
        """
        record = self._registry.find(ref)
        work = self._profiles.change(record, profile, change, if_match=if_match)
        return self._answers.view(record, await self._to_the_end(work))

    async def delete_profile(self, ref: str, profile: str, *, if_match: int | None = None) -> None:
        """Mirroring off, shadows ended, profile gone; returns when done.

        Raises: NotFoundError, StaleError, UnrecordedError (it is off and ended, and that is not on record yet).
        """
        await self.settle_deletion(ref, profile)
        await self._to_the_end(self._delete_profile(self._registry.find(ref), profile, if_match=if_match))

    async def _delete_profile(self, record: NetworkRecord, profile: str, *, if_match: int | None) -> None:
        ending = await self._profiles.begin_deletion(record, profile, if_match=if_match)
        try:
            await self._finish_profile(record, ending.id)
        except StoreError as error:
            raise unfinished(error) from error

    async def _finish_profile(self, record: NetworkRecord, profile: ProfileID) -> None:
        work = partial(self._profiles.finish_deletion, record, profile)
        await self._finish(record, f"deletion of profile {profile}", work)

    # Faults.

    async def inject_fault(
        self, ref: str, instance_id: InstanceID | str, parameters: FaultParameters, *, duration: float | None = None
    ) -> Fault:
        """Put a fault on one instance, for `duration` seconds or until lifted (or the instance ends).

        Raises: NotFoundError, InvalidError, ConflictError (the instance has ended).
        """
        record = self._registry.find(ref)
        return await self._to_the_end(self._inject(record, instance_id, parameters, duration=duration))

    async def _inject(
        self, record: NetworkRecord, instance: str, parameters: FaultParameters, *, duration: float | None
    ) -> Fault:
        async with record.lock:
            check_open(record)
            return await self._context.faults.inject(record, instance, parameters, duration=duration)

    async def faults(self, ref: str) -> Sequence[Fault]:
        """Return the faults in force, oldest first. Raises: NotFoundError."""
        return list(self._registry.find(ref).faults.values())

    async def lift_fault(self, ref: str, fault_id: FaultID | str) -> None:
        """Take a fault away before its time. Raises: NotFoundError, UnrecordedError (lifted, and not on record yet)."""
        await self._to_the_end(self._lift(self._registry.find(ref), fault_id))

    async def _lift(self, record: NetworkRecord, fault: str) -> None:
        async with record.lock:
            await self._context.faults.lift(record, fault)

    # Rollouts.

    async def rollout(
        self, ref: str, profile: str, action: RolloutAction, *, if_match: int | None = None
    ) -> ProfileView:
        """Pause, resume, promote or abort the way of a profile through its steps; published when this returns.

        Raises: NotFoundError, StaleError, ConflictError (no steps, or done already), InvalidError, UnavailableError.
        """
        record = self._registry.find(ref)
        work = self._steps.command(record, profile, action, if_match=if_match)
        return self._answers.view(record, await self._to_the_end(work))

    # Questions.

    def now(self) -> datetime:
        """Return the time by which lives are counted and events dated; setting the machine's clock does not move it."""
        return self._context.parts.clock.now()

    async def status(self, ref: str) -> NetworkStatus:
        """Return everything known of a network at this moment. Raises: NotFoundError."""
        return self._answers.status(self._registry.find(ref))

    def watched(self) -> Iterator[Watched]:
        """Return each profile with what alerts and metrics are made of, oldest first in each network."""
        return self._answers.watched()

    async def nodes(self, ref: str) -> Sequence[Node]:
        """Return the candidate nodes with their load now. Raises: NotFoundError."""
        self._registry.find(ref)
        return await self._context.parts.places.nodes()

    async def select_node(self, ref: str, component: str, asked: Asked | None = None) -> Choice:
        """Return the choice that a shadow of this component would get now, and why. Raises: NotFoundError."""
        return await self._answers.choice(self._registry.find(ref), component, asked or Asked())

    async def events(self, ref: str, query: EventQuery) -> tuple[NetworkID, EventPage]:
        """Return a stretch of the audit trail of a network, living or deleted, and its id.

        Args:
            ref: id or name; of a deleted network, as long as no other has the name.
            query: what is asked for; its `network_id` is filled in.

        Raises: NotFoundError (also of a profile or an instance that the trail does not know), StoreError.
        """
        return await self._answers.events(ref, query)

    async def diffs(self, ref: str, query: DiffQuery, *, profile: str | None = None) -> Mapping[str, Any]:
        """Return a page of differences (`analysis.diff_page`) of a profile, living or archived; or of all living ones.

        Raises: NotFoundError, InvalidError (the cursor), StoreError.
        """
        return await self._answers.diffs(self._registry.find(ref), query, profile=profile)

    async def diff(self, ref: str, pair_id: str, *, profile: str | None = None) -> Mapping[str, Any]:
        """Return one differing pair in full, living profiles first. Raises: NotFoundError, StoreError."""
        return await self._answers.diff(self._registry.find(ref), pair_id, profile=profile)

    async def archive(self, ref: str) -> tuple[Sequence[ArchivedComparison], int]:
        """Return the archived comparisons, newest first, and how many were dropped for want of room.

        Raises: NotFoundError.
        """
        return self._answers.archive(self._registry.find(ref))

    async def archived(self, ref: str, profile: str) -> ArchivedComparison:
        """Return one archived comparison by the profile's id or name. Raises: NotFoundError, StoreError."""
        return await self._answers.archived(self._registry.find(ref), profile)

    async def response_times(self, ref: str, profile: str) -> Mapping[str, Any]:
        """Return the histograms of a profile, living or archived. Raises: NotFoundError, StoreError."""
        return await self._answers.response_times(self._registry.find(ref), profile)

    # Behind the desk.

    async def _to_the_end(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do it even if the caller goes away: half a change is worse than one that nobody waits for."""
        if not self._shift.open:
            work.close()
            raise UnavailableError("the manager is not running, or stopping", hint="try again in a moment")
        return await asyncio.shield(self._jobs.begin(work))

    async def _finish(self, record: NetworkRecord, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do what was accepted; what the disk does not take now is tried again until it does. Raises: StoreError."""
        try:
            await work()
        except StoreError as error:
            record.trouble = str(error)
            self._context.parts.unfinished.note(what, partial(self._finish, record, what, work))
            raise
        if not record.owed:
            record.trouble = ""

    def _spots(self, network: NetworkID) -> Iterator[Spot]:
        for node in self._board.connected(self._publisher.groups(network)):
            yield Spot(node.region, node.zone, str(node.metadata.get(NODE_METADATA, "")))

    def _heed(self, profile: ShadowingProfile, verdict: Verdict) -> None:
        if self._shift.open:
            self._steps.heed(profile, verdict)

    def _due(self, key: str) -> None:
        if not key.startswith(FAULT_KEY):
            self._shadows.ttl_over(key)
            return
        over = self._context.faults.over(key)
        if over is not None:
            self._jobs.later(self._drop_fault(*over))

    async def _drop_fault(self, record: NetworkRecord, fault: Fault) -> None:
        await self._finish(record, f"end of fault {fault.id}", partial(self._finish_fault, record, fault))

    async def _finish_fault(self, record: NetworkRecord, fault: Fault) -> None:
        async with record.lock:
            await self._context.faults.finish(record, fault)
