"""What the controller answers to questions: views of a moment, put together from the records and the analysis.

Guarantees: changes nothing; what is asked of a network that is ending is refused by who finds the record.
Not guaranteed: that an answer is still true a moment later.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xds_server.alerts.service import Alerts
from xds_server.alerts.watched import Watched
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.query.diff_page import page_of, pair_of
from xds_server.analysis.query.diff_query import DiffQuery, Source, sources_of
from xds_server.analysis.query.distribution import histograms_of
from xds_server.errors import NotFoundError
from xds_server.lifecycle.context import Context
from xds_server.lifecycle.places import Asked, Wanted
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.verdicts import Shown
from xds_server.lifecycle.views import ArchivedComparison, InstanceView, NetworkStatus, ProfileView
from xds_server.lifecycle.watch import watched
from xds_server.model.audit import EventPage, EventQuery
from xds_server.model.ids import NetworkID
from xds_server.model.profile import ShadowingProfile
from xds_server.placement.choice import Choice


class Answers:
    """See the module.

    Args:
        context: the records and the desks.
        collector: the comparisons.
        alerts: what fires.
    """

    def __init__(self, context: Context, collector: Collector, alerts: Alerts | None) -> None:
        self._context = context
        self._collector = collector
        self._alerts = alerts

    def status(self, record: NetworkRecord) -> NetworkStatus:
        """Return everything known of a network."""
        network, parts = record.network, self._context.parts
        return NetworkStatus(
            network=network,
            profiles=tuple(self.view(record, profile) for profile in record.live_profiles()),
            envoys=tuple(parts.board.envoys(parts.publisher.groups(network.id))),
            engines=tuple(self._collector.engines()),
            alerts=tuple(self._alerts.firing(network.name)) if self._alerts else (),
            alert_sinks=tuple(self._alerts.sinks()) if self._alerts else (),
            problem=parts.publisher.problem(network.id) or record.trouble,
        )

    def view(self, record: NetworkRecord, profile: ShadowingProfile) -> ProfileView:
        """Return one profile with its instances, what was compared, and the verdict."""
        verdict = self._context.verdicts.of(profile.id)
        return ProfileView(
            profile=profile,
            instances=tuple(
                InstanceView(
                    instance=instance,
                    faults=record.faults_of(instance.id),
                    performance=self._context.shadows.sampler.performance(instance.id),
                    comparison=self._collector.summary(profile.id, instance.id),
                )
                for instance in record.instances_of(profile.id)
            ),
            comparison=self._collector.summary(
                profile.id, variants={i.id: i.variant for i in record.instances_of(profile.id)}
            ),
            verdict=None if verdict is None else Shown(verdict),
        )

    def watched(self) -> Iterator[Watched]:
        """Return each profile with what alerts and metrics are made of, oldest first in each network."""
        return watched(self._context.parts.registry, self._collector, self._context.verdicts.of)

    async def choice(self, record: NetworkRecord, component: str, asked: Asked) -> Choice:
        """Return the node that a shadow of a component would get now, and why. Raises: NotFoundError."""
        network = record.network
        found = network.component(component)
        if found is None:
            raise NotFoundError(
                f'network "{network.name}" has no component "{component}"',
                field="componentName",
                hint=f"components: {', '.join(c.name for c in network.components)}",
            )
        parts = self._context.parts
        demand = asked.demand(parts.fleet.all_kinds())
        return await parts.places.choose(Wanted(network.id, found, asked.placement), demand)

    async def events(self, ref: str, query: EventQuery) -> tuple[NetworkID, EventPage]:
        """Return a stretch of the audit trail of a network, and its id. Raises: NotFoundError, StoreError."""
        store, record, gone = self._context.parts.store, None, None
        try:
            record = self._context.parts.registry.find(ref)
        except NotFoundError:
            gone = await store.events_of(ref)
            if gone is None:
                raise
        network = gone if record is None else record.network.id
        assert network is not None  # noqa: S101 - for the type checker
        page = await store.events(replace(query, network_id=network))
        if not page.known:
            _check_subject(record, query)
        return network, page

    async def diffs(self, record: NetworkRecord, query: DiffQuery, *, profile: str | None) -> Mapping[str, Any]:
        """Return a page of differences. Raises: NotFoundError, InvalidError (the cursor), StoreError."""
        sources = await self._sources(record, profile, query.version)
        return page_of(sources, query, scope=f"{record.network.id}/{profile or ''}")

    async def diff(self, record: NetworkRecord, pair_id: str, *, profile: str | None) -> Mapping[str, Any]:
        """Return one differing pair in full, living profiles first. Raises: NotFoundError, StoreError."""
        try:
            return pair_of(await self._sources(record, profile, None), pair_id)
        except NotFoundError:
            if profile is not None:
                raise
            instance = pair_id.replace("~", "/").rpartition("/")[2]
            for archived in self._context.archive.records(record.network.id):
                if instance in archived.variants:
                    return pair_of(await self._context.archive.sources(archived), pair_id)
            raise

    def archive(self, record: NetworkRecord) -> tuple[Sequence[ArchivedComparison], int]:
        """Return the archived comparisons, newest first, and how many were dropped for want of room."""
        archive = self._context.archive
        return [ArchivedComparison(kept) for kept in archive.records(record.network.id)], archive.dropped

    async def archived(self, record: NetworkRecord, profile: str) -> ArchivedComparison:
        """Return one archived comparison by the profile's id or name. Raises: NotFoundError, StoreError."""
        archive = self._context.archive
        kept = archive.record(record.network.id, profile)
        return ArchivedComparison(kept, await archive.comparison(kept))

    async def response_times(self, record: NetworkRecord, profile: str) -> Mapping[str, Any]:
        """Return the histograms of a profile, living or archived. Raises: NotFoundError, StoreError."""
        try:
            living = record.profile(profile)
        except NotFoundError as error:
            archive = self._context.archive
            try:
                archived = archive.record(record.network.id, profile)
            except NotFoundError as none:
                raise error from none
            variants = {str(i): v for i, v in archived.variants.items()}
            return histograms_of(await archive.tallies(archived), variants)
        variants = {str(i.id): i.variant for i in record.instances_of(living.id)}
        return histograms_of(self._collector.tallies(living.id), variants)

    async def _sources(self, record: NetworkRecord, ref: str | None, version: str | None) -> list[Source]:
        if ref is None:
            return [s for profile in record.live_profiles() for s in self._sources_of(record, profile, version)]
        try:
            living = record.profile(ref)
        except NotFoundError as error:
            archive = self._context.archive
            try:
                archived = archive.record(record.network.id, ref)
            except NotFoundError as none:
                raise NotFoundError(f"{error.detail}, nor an archived one", field="profile", hint=error.hint) from none
            return await archive.sources(archived, version)
        return self._sources_of(record, living, version)

    def _sources_of(self, record: NetworkRecord, profile: ShadowingProfile, version: str | None) -> list[Source]:
        return sources_of(
            self._collector.tallies(profile.id),
            {i.id: i.variant for i in record.instances_of(profile.id)},
            profile_id=profile.id,
            profile=profile.name,
            component=profile.component_name,
            version=version,
        )


def _check_subject(record: NetworkRecord | None, query: EventQuery) -> None:
    """Refuse what neither lives nor occurs in the trail: it was misspelt. Raises: NotFoundError."""
    if record is not None:
        living = query.profile is None or any(query.profile in {p.id, p.name} for p in record.profiles.values())
        if living and (query.instance is None or query.instance in record.instances):
            return
    field, given = ("profile", query.profile) if query.instance is None else ("instance", query.instance)
    raise NotFoundError(
        f'the audit trail has no {field} "{given}"',
        field=field,
        hint="its id or name, as it was then; what is older than the trail is gone",
    )
