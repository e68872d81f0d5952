"""Create, change and delete shadowing profiles: the specification's pseudocode, as far as it is not Envoy's.

    shadowingEnabled         percentage > 0, and the component is there
    selectIntermediateNode   `Places`
    createShadowInstance     a row that says Pending, then its actor
    random() < percentage    in the Envoy (RTDS)
    duplicateRequest         in the Envoy, once the instance is Running and published

Guarantees: everything is checked before anything is stored, and one transaction holds a profile with its instances and
faults: nothing is ever half created. A deletion is on disk before the first shadow is touched. What only takes away is
in effect whether the disk takes it or not (`books`).
Not guaranteed: that instances are Running when `create` returns.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from xds_server.errors import ConflictError, InvalidError, UnrecordedError
from xds_server.lifecycle.context import Context, check_open, check_revision
from xds_server.lifecycle.controls import expiry, first_start, missing, with_control
from xds_server.lifecycle.entries import created_instance, in_words, of_profile, profile_changes, sent
from xds_server.lifecycle.faults import profile_faults
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.places import Wanted
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.rollout import begun, gives_more, only_takes, sends, under_way
from xds_server.lifecycle.splits import check_beside, check_split, check_weights_now
from xds_server.lifecycle.transitions import Event
from xds_server.lifecycle.validation import check_new_profile, check_percentage, check_ttl
from xds_server.lifecycle.verdicts import Acted
from xds_server.lifecycle.views import ProfileChange
from xds_server.model.audit import AuditEvent
from xds_server.model.ids import FaultID, InstanceID, ProfileID
from xds_server.model.network import Address, Component
from xds_server.model.profile import CONTROL, Fault, SelfSpec, ShadowingProfile, Variant
from xds_server.model.rollout import Split
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState
from xds_server.store.base import Changes, IdempotencyRecord
from xds_server.translate import check_profile

KEY_LIFE = timedelta(hours=24)
"""How long an idempotency key is remembered."""
MAX_KEY = 255
"""Characters of an idempotency key."""
_TRIAL = Address("127.0.0.1", 1)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key of the client's choice, and the hash of what it was sent with."""

    key: str
    body_hash: str

    def record(self, profile: ShadowingProfile) -> IdempotencyRecord:
        """Return what is remembered of a profile that was created under it."""
        if profile.created_at is None:
            raise ValueError("a profile without a time of creation was not created")
        return IdempotencyRecord(profile.network_id, self.key, self.body_hash, profile.id, profile.created_at)


class Profiles:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._parts = context.parts

    async def create(
        self, record: NetworkRecord, profile: ShadowingProfile, *, key: IdempotencyKey | None
    ) -> tuple[ShadowingProfile, bool]:
        """Create a profile with its instances; False: it was created under this key before.

        Raises:
            InvalidError, ConflictError, UnavailableError, StoreError.
        """
        async with record.lock:
            check_open(record)
            if key is not None and (earlier := await self._recall(record, key)) is not None:
                return earlier, False
            now = self._parts.clock.now()
            created = replace(
                profile,
                id=profile.id or ProfileID(str(uuid4())),
                network_id=record.network.id,
                revision=1,
                created_at=now,
            )
            target = record.network.component(created.component_name)
            if target is not None:
                created = with_control(created, target)
            created = begun(created, now)
            component = self._check_new(record, created)
            variants = created.versions if sends(created) else ()
            wanted = Wanted(record.network.id, component, created.placement)
            async with self._parts.places.reserved(wanted, [v.spec for v in variants]) as nodes:
                instances = self._pending(created, variants, nodes)
                faults = profile_faults(created, instances, now=now)
                await self._parts.books.apply(
                    record,
                    Changes(
                        profiles=(created,),
                        instances=instances,
                        faults=tuple(faults),
                        remember=key.record(created) if key else None,
                        events=(
                            of_profile(record, created, "created", at=now, detail=sent(created)),
                            *self._starts(record, created, instances),
                        ),
                    ),
                )
                record.profiles[created.id] = created
                self._take(record, instances, faults)
                self._parts.publisher.publish(record.state())
        return created, True

    async def change(
        self, record: NetworkRecord, ref: str, change: ProfileChange, *, if_match: int | None
    ) -> ShadowingProfile:
        """Change percentage, TTL, faults or the weights of a split.

        Giving a version more again, after it was taken from it because of a verdict, begins another judgement; to
        measure more of a split does not.

        Raises:
            NotFoundError, StaleError, InvalidError, ConflictError, UnavailableError, StoreError.
            UnrecordedError: it only takes away, is in effect, and the disk has not taken it.
        """
        async with record.lock:
            check_open(record)
            before = record.profile(ref)
            check_revision(before.revision, if_match, what=f'profile "{before.name or before.id}"')
            _check_free(before, change)
            same = _changed(before, change)
            if same == before:
                if before.id in record.owed.profiles:  # as it is to be, and whoever asks again is told the same again
                    await self._parts.books.settle(record)
                return before
            after = replace(same, revision=before.revision + 1)
            raised = gives_more(before, after)
            acted = self._context.verdicts.acted(before.id)
            changes = profile_changes(before, after)
            now = self._parts.clock.now()
            told = of_profile(record, after, "changed", at=now, detail=in_words(changes), changes=changes)
            if raised and acted.reason:
                await self.move(record, before, after, start=True, told=told, anew=True, acted=Acted())
            else:
                start = raised or after.percentage > before.percentage
                await self.move(record, before, after, start=start, told=told)
            return after

    async def move(
        self,
        record: NetworkRecord,
        before: ShadowingProfile,
        after: ShadowingProfile,
        *,
        start: bool,
        told: AuditEvent,
        anew: bool = False,
        acted: Acted | None = None,
    ) -> None:
        """Make a profile what it is to be, in one transaction; the caller holds the network's lock.

        Args:
            record: its network.
            before: what it is.
            after: what it is to be.
            start: it is to get an instance of each variant that has none.
            told: what the audit trail says of it.
            anew: its evidence begins anew.
            acted: what is done about its verdict; None: nothing else than before.

        Raises:
            InvalidError, ConflictError, UnavailableError, StoreError.
            UnrecordedError: it only takes away, is in effect, and the disk has not taken it.
        """
        of_it = record.instances_of(after.id)
        variants = missing(after, of_it, now=self._parts.clock.now()) if start and sends(after) else ()
        component = self._check_changed(record, after, revived=any(not after.is_control(v.name) for v in variants))
        wanted = Wanted(record.network.id, component, after.placement)
        async with self._parts.places.reserved(wanted, [v.spec for v in variants]) as nodes:
            new = self._pending(after, variants, nodes, first=first_start(after, of_it))
            if not new and not anew and only_takes(before, after):
                await self._take_away(record, before, after, told=told, acted=acted)
                return
            starts = self._starts(record, after, new)
            more = replace(self._judged(after.id, acted, anew=anew), events=(told, *starts))
            await self._write_change(record, before, after, new, more)
        if acted is not None:
            self._context.verdicts.did(after.id, acted, anew=anew)
        if anew:
            self._context.measures.restart(after.id)

    async def _take_away(
        self,
        record: NetworkRecord,
        before: ShadowingProfile,
        after: ShadowingProfile,
        *,
        told: AuditEvent,
        acted: Acted | None,
    ) -> None:
        """Make a profile less than it is: Envoys first, then the disk. Raises: UnrecordedError (it is in effect)."""
        changed = self._changes_of(record, before, after, ())
        owed = Owed(
            profiles={after.id: None},
            instances={i.id: None for i in changed.instances},
            faults=dict.fromkeys(changed.drop_faults),
            events=[told],
        )
        verdicts = self._context.verdicts
        if acted is not None:
            verdicts.did(after.id, acted)
            owed.verdicts[after.id] = lambda: verdicts.row(after.id, verdicts.acted(after.id))
        self._adopt(record, after, changed)
        self._parts.publisher.publish(record.state())
        try:
            await self._parts.books.taken(record, owed)
        finally:
            self._tell_actors(record, before, after, changed)

    def _judged(self, profile: ProfileID, acted: Acted | None, *, anew: bool) -> Changes:
        """Return what is written of the judgement."""
        verdicts = {} if acted is None else {profile: self._context.verdicts.row(profile, acted, anew=anew)}
        known = self._context.summaries.restart_evidence(profile) if anew else Changes()
        return replace(known, verdicts=verdicts)

    async def begin_deletion(self, record: NetworkRecord, ref: str, *, if_match: int | None) -> ShadowingProfile:
        """Accept a deletion; mirroring is off when this returns. Raises: NotFoundError, StaleError.

        If the disk does not take it, it is owed, and carried out.
        """
        async with record.lock:
            check_open(record)
            profile = record.profile(ref)
            check_revision(profile.revision, if_match, what=f'profile "{profile.name or profile.id}"')
            now = self._parts.clock.now()
            told = of_profile(record, profile, "deleted", at=now, detail="its shadows are ended first")
            record.ending_profiles.add(profile.id)
            self._context.summaries.linger(profile.id)
            self._context.shadows.post(record.instances_of(profile.id), Event.PROFILE_DELETED)
            self._parts.publisher.publish(record.state())
            # Before a shadow is touched: its actor records first, and waits for our lock.
            with contextlib.suppress(UnrecordedError):
                await self._parts.books.taken(record, Owed(ending_profiles={profile.id: None}, events=[told]))
            return profile

    async def finish_deletion(self, record: NetworkRecord, profile: ProfileID) -> None:
        """Wait until the shadows of an ending profile are gone, then put it away. Raises: StoreError.

        What is still on its way is taken in afterwards, in the background.
        """
        instances = record.instances_of(profile)
        await self._context.shadows.gone(instances)
        async with record.lock:
            await self._parts.books.settle(record)
            verdict = self._context.verdicts.of(profile)
            ending, now = record.profiles[profile], self._parts.clock.now()
            told = of_profile(record, ending, "gone", at=now)
            await self._context.archive.put(ending, record.instances_of(profile), verdict=verdict, told=told)
            self._context.verdicts.forget(profile)
            for instance in record.instances_of(profile):
                for fault in record.faults_of(instance.id):
                    record.faults.pop(fault.id, None)
                record.instances.pop(instance.id, None)
                self._context.shadows.sampler.drop(instance.id)
            record.profiles.pop(profile, None)
            record.ending_profiles.discard(profile)
        self._context.archive.settle(profile)

    async def _recall(self, record: NetworkRecord, key: IdempotencyKey) -> ShadowingProfile | None:
        if not 0 < len(key.key) <= MAX_KEY:
            raise InvalidError(
                "the key is empty or too long", field="Idempotency-Key", hint=f"1 to {MAX_KEY} characters"
            )
        earlier = await self._parts.store.recall(record.network.id, key.key, since=self._parts.clock.now() - KEY_LIFE)
        if earlier is None:
            return None
        if earlier.body_hash != key.body_hash:
            raise ConflictError(
                "this key was used for another request", field="Idempotency-Key", hint="a new key for a new request"
            )
        found = record.profiles.get(earlier.profile_id)
        if found is None or found.id in record.ending_profiles:
            raise ConflictError(
                f"the profile {earlier.profile_id} was created under this key and has been deleted since",
                field="Idempotency-Key",
                hint="a new key creates another one",
            )
        return found

    def _check_new(self, record: NetworkRecord, profile: ShadowingProfile) -> Component:
        if profile.id in record.profiles:
            raise ConflictError(f'there is a profile with the id "{profile.id}" already', field="id")
        names = {p.name for p in record.live_profiles()}
        others = record.living_profiles() if profile.percentage > 0 else []  # at 0 it gets no instance
        check_new_profile(record.network, others, profile, names=names)
        for index, variant in enumerate(profile.versions):
            try:
                self._parts.fleet.check(variant.spec)
            except InvalidError as error:
                of_it = CONTROL if profile.is_control(variant.name) else f"variants[{index}]"
                where = of_it + (f".{error.field}" if error.field else "")
                raise InvalidError(error.detail, field=where, hint=error.hint) from error
        return self._check_translates(record, profile)

    def _check_changed(self, record: NetworkRecord, profile: ShadowingProfile, *, revived: bool) -> Component:
        check_percentage(profile.percentage)
        check_ttl(profile.ttl)
        living = record.living_profiles()
        claims = revived or any(p.id == profile.id for p in living)
        others = [p for p in living if p.id != profile.id] if claims else []
        check_split(profile)
        component = record.network.component(profile.component_name)
        if component is not None:
            check_beside(component, others, profile)
        check_profile(record.network, others, profile)
        return self._check_translates(record, profile)

    def _check_translates(self, record: NetworkRecord, profile: ShadowingProfile) -> Component:
        """Refuse what would turn out not to be servable only once its shadows run."""
        now = record.state()
        others = tuple(p for p in now.profiles if p.profile.id != profile.id)
        self._parts.publisher.check(NetworkState(now.network, (*others, self._trial(profile))))
        component = record.network.component(profile.component_name)
        if component is None:  # a component that has profiles cannot be removed
            raise ConflictError(f'component "{profile.component_name}" is gone', field="componentName")
        return component

    def _trial(self, profile: ShadowingProfile) -> ActiveProfile:
        now = self._parts.clock.now()
        shadows = []
        for index, variant in enumerate(profile.versions):
            trial = InstanceID(f"trial-{index}")
            faults = (
                (Fault(FaultID(trial), trial, profile.faults, created_at=now, from_profile=True),)
                if profile.faults and not profile.is_control(variant.name)
                else ()
            )
            original = isinstance(variant.spec, SelfSpec)
            shadows.append(ActiveShadow(trial, variant.name, _TRIAL, faults, original=original))
        return ActiveProfile(profile, tuple(shadows))

    def _pending(
        self,
        profile: ShadowingProfile,
        variants: Sequence[Variant],
        nodes: Sequence[str],
        *,
        first: datetime | None = None,
    ) -> tuple[ShadowInstance, ...]:
        now = self._parts.clock.now()
        return tuple(
            ShadowInstance(
                id=InstanceID(str(uuid4())),
                network_id=profile.network_id,
                profile_id=profile.id,
                component_name=profile.component_name,
                variant=variant.name,
                node=node,
                status=InstanceStatus.PENDING,
                created_at=now,
                expires_at=expiry(profile, variant.name, now, first=first),
            )
            for variant, node in zip(variants, nodes, strict=True)
        )

    def _starts(
        self, record: NetworkRecord, profile: ShadowingProfile, instances: Sequence[ShadowInstance]
    ) -> list[AuditEvent]:
        now = self._parts.clock.now()
        return [created_instance(record, profile, i, str(Event.CREATED), at=now) for i in instances]

    async def _write_change(
        self,
        record: NetworkRecord,
        before: ShadowingProfile,
        after: ShadowingProfile,
        new: tuple[ShadowInstance, ...],
        more: Changes,
    ) -> None:
        changed = self._changes_of(record, before, after, new)
        await self._parts.books.apply(
            record,
            replace(
                more,
                profiles=changed.profiles,
                instances=changed.instances,
                faults=changed.faults,
                drop_faults=changed.drop_faults,
            ),
        )
        self._adopt(record, after, changed)
        self._tell_actors(record, before, after, changed)
        self._take(record, new, [f for f in changed.faults if f.instance_id not in _ended(record)])
        self._parts.publisher.publish(record.state())

    def _changes_of(
        self,
        record: NetworkRecord,
        before: ShadowingProfile,
        after: ShadowingProfile,
        new: tuple[ShadowInstance, ...],
    ) -> Changes:
        """Return the rows of a change."""
        now = self._parts.clock.now()
        live = [i for i in record.instances_of(after.id) if not i.ended]
        first = first_start(after, record.instances_of(after.id))
        moved = (
            [replace(i, expires_at=expiry(after, i.variant, i.created_at, first=first)) for i in live]
            if after.ttl != before.ttl
            else []
        )
        other_faults = after.faults != before.faults
        dropped = [f for i in live for f in record.faults_of(i.id) if f.from_profile] if other_faults else []
        added = profile_faults(after, [*live, *new] if other_faults else new, now=now)
        return Changes(
            profiles=(after,),
            instances=(*moved, *new),
            faults=tuple(added),
            drop_faults=tuple(f.id for f in dropped),
        )

    def _adopt(self, record: NetworkRecord, after: ShadowingProfile, changed: Changes) -> None:
        """Take the rows of a change into memory, but for new ones."""
        record.profiles[after.id] = after
        for fault in changed.drop_faults:
            record.faults.pop(fault, None)
        for instance in changed.instances:
            # Field by field: its status may have changed while this was written.
            if instance.id in record.instances:
                record.update(instance.id, expires_at=instance.expires_at)

    def _tell_actors(
        self, record: NetworkRecord, before: ShadowingProfile, after: ShadowingProfile, changed: Changes
    ) -> None:
        """Let a change happen to the instances that were there before it."""
        for instance in changed.instances:
            if instance.id in record.instances:
                self._context.shadows.reschedule(record.instances[instance.id])
        if after.percentage != before.percentage:
            live = [i for i in record.instances_of(after.id) if not i.ended]
            event = Event.PERCENTAGE_RAISED if after.percentage > before.percentage else Event.PERCENTAGE_LOWERED
            self._context.shadows.post(live, Event.PERCENTAGE_ZERO if after.percentage == 0 else event)

    def _take(self, record: NetworkRecord, instances: Sequence[ShadowInstance], faults: Sequence[Fault]) -> None:
        record.instances.update({i.id: i for i in instances})
        record.faults.update({f.id: f for f in faults})
        self._context.shadows.create(record, instances)


def _changed(profile: ShadowingProfile, change: ProfileChange) -> ShadowingProfile:
    return replace(
        profile,
        percentage=profile.percentage if change.percentage is None else change.percentage,
        ttl=profile.ttl if change.ttl is None else change.ttl,
        faults=profile.faults if change.faults is None else change.faults,
        split=_weighted(profile, change.weights),
    )


def _weighted(profile: ShadowingProfile, weights: Mapping[str, float] | None) -> Split | None:
    if weights is None:
        return profile.split
    check_weights_now(profile, weights)
    return None if profile.split is None else replace(profile.split, weights=dict(weights))


def _check_free(before: ShadowingProfile, change: ProfileChange) -> None:
    """Refuse to change what the steps decide. Raises: ConflictError."""
    if not under_way(before) or before.rollout is None:
        return
    weights = before.split.weights if before.split else None
    for field, wanted, now in (
        ("trafficShadowingPercentage", change.percentage, before.percentage),
        ("split.weights", change.weights, weights),
    ):
        if wanted is not None and wanted != now:
            raise ConflictError(
                f"its rollout is {before.rollout.state.value}, and decides over percentage and weights",
                field=field,
                hint="abort the rollout first; promote goes on to the next step",
            )


def _ended(record: NetworkRecord) -> set[InstanceID]:
    return {i.id for i in record.instances.values() if i.ended}
