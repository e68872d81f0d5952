"""Comparisons of deleted profiles: kept for a day, then gone.

A deletion writes what is known at that moment in the same step that drops the profile, so a crash loses neither. What
is still on its way (copies under way, windows of the engines) is taken in for a while (`settle`), and written again
before an engine is told that it is kept (`save`): after a crash the next manager goes on where this one was (`resume`).

Guarantees: at most `MOST` comparisons and `MOST_BYTES` on disk; the oldest go first, which is logged and counted in
what the API lists. What is older than `LIFE` is not found, and swept away at the start and every `SWEEP` seconds. A
profile that was put away cannot come back to life by a late window. Comparisons are read from disk when they are asked
for; the last `CACHED` stay in memory.
Not guaranteed: what came in after the deletion, when the next manager is not there within `RESUME`, or more than
`MOST_RESUMED` were deleted by then; what an engine had not handed over when it was killed.
"""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import structlog

from xds_server.analysis.query.diff_query import Source, sources_of
from xds_server.analysis.windows.comparison import Comparison, comparison_of
from xds_server.analysis.windows.dump import read_dump
from xds_server.analysis.windows.tally import Tally, versions_of
from xds_server.errors import NotFoundError, StoreError
from xds_server.lifecycle.clock import Clock
from xds_server.model.audit import AuditEvent
from xds_server.model.ids import NetworkID, ProfileID
from xds_server.model.profile import ShadowingProfile
from xds_server.model.shadow import ShadowInstance
from xds_server.store.base import ArchiveRecord, Changes, Store

log = structlog.get_logger(__name__)

LIFE = timedelta(hours=24)
"""How long a comparison is kept after its profile."""
MOST = 200
"""Comparisons kept."""
MOST_BYTES = 256 * 1024 * 1024
"""Bytes kept, compressed."""
SWEEP = 300.0
"""Seconds between two looks for what is too old."""
LOOK = 0.5
"""Seconds between two looks for what still comes in."""
QUIET = 6.0
"""Seconds without anything new after which nothing more is expected: longer than it takes an engine that has just been
started to hear Envoy's counters, and to hold them against what came."""
RESUME = timedelta(minutes=5)
"""How long after a deletion the next manager still takes in what an engine has kept of the profile."""
MOST_RESUMED = 16
"""Comparisons, the newest, that are taken up by the next manager: each is read at its start."""
CACHED = 4
"""Comparisons kept in memory after they were read."""


class Collected(Protocol):
    """The part of the collector that is meant here."""

    def dump(self, profile_id: ProfileID) -> bytes:
        """Return everything known of a profile."""
        ...

    def load(self, profile_id: ProfileID, data: bytes) -> None:
        """Take up what `dump` returned. Raises: ValueError."""
        ...

    def revision(self, profile_id: ProfileID) -> int:
        """Return a number that changes with what is known of a profile; 0: nothing is."""
        ...

    def awaits(self, profile_id: ProfileID) -> bool:
        """Tell whether an engine that has seen something of a profile is not attached."""
        ...

    def tallies(self, profile_id: ProfileID) -> list[Tally]:
        """Return what is known of each of its instances."""
        ...


class Archive:
    """See the module.

    Args:
        clock: what is old.
        store: where to.
        collector: what.
        patience: longest that late pairs are waited for, in seconds.
        forget: told of each profile that nothing more is taken in of.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        collector: Collected,
        patience: float,
        forget: Callable[[ProfileID], None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._collector = collector
        self._patience = patience
        self._forget_profile = forget
        self._records: OrderedDict[ProfileID, ArchiveRecord] = OrderedDict()
        self._settling: dict[ProfileID, _Settling] = {}
        self._read: OrderedDict[ProfileID, list[Tally]] = OrderedDict()
        self.dropped = 0
        """Comparisons that were dropped before their time since the start, because there were too many."""

    # Putting away.

    def load(self, records: Iterable[ArchiveRecord]) -> None:
        """Take over what is on disk."""
        self._records.update((record.profile_id, record) for record in records)

    async def resume(self) -> None:
        """Go on taking in what still comes of profiles that were put away just before this manager began; of no other.

        What cannot be read stays as it is on disk.
        """
        newest = sorted(self._records.values(), key=lambda record: record.ended_at, reverse=True)
        for number, record in enumerate(newest):
            profile = record.profile_id
            if number < MOST_RESUMED and self._clock.now() < record.ended_at + RESUME and await self._taken_up(profile):
                self._settling[profile] = _Settling(record, self._collector.revision(profile))
                self.settle(profile)
            else:  # an engine that outlived the last manager may still have something of it
                self._forget_profile(profile)

    async def _taken_up(self, profile: ProfileID) -> bool:
        try:
            data = await self._store.archived(profile)
            if data is not None:
                self._collector.load(profile, zlib.decompress(data))
        except (StoreError, ValueError, zlib.error) as error:
            log.warning("a comparison of a deleted profile is not added to", profile=profile, error=str(error))
            return False
        return data is not None

    async def save(self) -> None:
        """Write what has come in of the profiles that are settling. Raises: StoreError."""
        for settling in list(self._settling.values()):
            await self._rewrite(settling)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self.sweep()
            await self._clock.sleep(SWEEP)

    async def sweep(self) -> None:
        """Drop what is too old; a failure is logged, and tried again next time."""
        old = tuple(r.profile_id for r in self._records.values() if r.expires_at <= self._clock.now())
        if not old:
            return
        try:
            await self._store.apply(Changes(drop_archive=old))
        except StoreError as error:
            log.warning("old comparisons could not be dropped", error=str(error))
        else:
            self._drop(old)

    async def put(
        self,
        profile: ShadowingProfile,
        instances: Sequence[ShadowInstance],
        *,
        verdict: Mapping[str, Any] | None = None,
        told: AuditEvent | None = None,
    ) -> None:
        """Drop a profile from the store and write what is known of it, in one step. `settle` must follow.

        Args:
            profile: whose.
            instances: all of its instances that are known.
            verdict: the last one.
            told: what the audit trail says of it.

        Raises:
            StoreError: nothing of it was done.
        """
        ended_at = self._clock.now()
        record = ArchiveRecord(
            profile_id=profile.id,
            network_id=profile.network_id,
            name=profile.name,
            component_name=profile.component_name,
            variants={i.id: i.variant for i in instances},
            created_at=profile.created_at,
            ended_at=ended_at,
            expires_at=ended_at + LIFE,
            pairs=0,
            discrepancies=0,
            size=0,
            verdict=verdict,
        )
        known = self._collector.revision(profile.id)
        await self._write(record, Changes(drop_profiles=(profile.id,), events=(told,) if told else ()))
        self._settling[profile.id] = _Settling(record, known)

    def settle(self, profile: ProfileID) -> None:
        """Take in what still comes of a profile that was put away, in the background; then forget it."""
        settling = self._settling[profile]
        settling.task = asyncio.create_task(self._settle(settling), name=f"archive {profile}")

    async def _settle(self, settling: "_Settling") -> None:
        profile = settling.record.profile_id
        seen, quiet = self._collector.revision(profile), 0.0
        for _ in range(round(self._patience / LOOK)):
            if quiet >= QUIET:
                break
            await self._clock.sleep(LOOK)
            now = self._collector.revision(profile)
            quiet = quiet + LOOK if now == seen and not self._collector.awaits(profile) else 0.0
            seen = now
        await self._finish(settling)

    async def finish(self) -> None:
        """Wait no longer: write what has come in of the profiles that are settling, and forget them."""
        for settling in list(self._settling.values()):
            if settling.task is not None:
                settling.task.cancel()
                await asyncio.wait((settling.task,))
            if settling.record.profile_id in self._settling:
                await self._finish(settling)

    async def _finish(self, settling: "_Settling") -> None:
        profile = settling.record.profile_id
        try:
            await self._rewrite(settling)
        except Exception:
            log.exception("the last pairs of a profile could not be put away", profile=profile)
        self._settling.pop(profile, None)
        self._forget_profile(profile)

    async def _rewrite(self, settling: "_Settling") -> None:
        known = self._collector.revision(settling.record.profile_id)
        if known != settling.written:
            await self._write(settling.record, Changes())
            settling.written = known

    def drop_network(self, network: NetworkID) -> None:
        """Forget what belonged to a network that is gone from the store."""
        for settling in [s for s in self._settling.values() if s.record.network_id == network]:
            if settling.task is not None:
                settling.task.cancel()
            del self._settling[settling.record.profile_id]
            self._forget_profile(settling.record.profile_id)
        self._drop([r.profile_id for r in self._records.values() if r.network_id == network])

    async def _write(self, record: ArchiveRecord, changes: Changes) -> None:
        """Write what is known of a profile, if anything, with room made for it, in one step with `changes`."""
        profile = record.profile_id
        if not self._collector.revision(profile):
            await self._store.apply(changes)
            return
        try:
            seen = _compared(self._collector.tallies(profile), record)
            data = await asyncio.to_thread(zlib.compress, self._collector.dump(profile), 6)
        except Exception:  # a comparison that cannot be written is no reason to keep a profile for ever
            log.exception("a comparison could not be put away", profile=profile)
            await self._store.apply(changes)
            return
        record = replace(record, pairs=seen.pairs, discrepancies=seen.discrepancies, size=len(data))
        surplus = self._surplus(record)
        await self._store.apply(replace(changes, archive=((record, data),), drop_archive=surplus))
        if surplus:
            self.dropped += len(surplus)
            log.warning("comparisons of deleted profiles dropped: too many", profiles=surplus, most=MOST)
        self._drop(surplus)
        self._drop((profile,))
        self._records[profile] = record

    def _surplus(self, record: ArchiveRecord) -> tuple[ProfileID, ...]:
        """Return the oldest that must go so that this one fits in."""
        others = [r for r in self._records.values() if r.profile_id != record.profile_id]
        size, gone = record.size + sum(r.size for r in others), []
        while others and (len(others) >= MOST or size > MOST_BYTES):
            oldest = others.pop(0)
            size -= oldest.size
            gone.append(oldest.profile_id)
        return tuple(gone)

    def _drop(self, profiles: Iterable[ProfileID]) -> None:
        for profile in profiles:
            self._records.pop(profile, None)
            self._read.pop(profile, None)

    # Reading.

    def records(self, network: NetworkID) -> list[ArchiveRecord]:
        """Return what is there of a network, newest first."""
        now = self._clock.now()
        found = [r for r in self._records.values() if r.network_id == network and r.expires_at > now]
        return sorted(found, key=lambda record: record.ended_at, reverse=True)

    def record(self, network: NetworkID, ref: str) -> ArchiveRecord:
        """Return one by the profile's id or name; of several of one name, the newest. Raises: NotFoundError."""
        records = self.records(network)
        found = next((r for r in records if ref in {r.profile_id, r.name} and ref), None)
        if found is None:
            names = ", ".join(r.name or r.profile_id for r in records[:10])
            raise NotFoundError(
                f'there is no archived comparison of a profile "{ref}"',
                hint=f"archived are {names}" if names else "a comparison is kept for a day after its profile",
            )
        return found

    async def tallies(self, record: ArchiveRecord) -> list[Tally]:
        """Return what was compared. Raises: NotFoundError, StoreError."""
        profile = record.profile_id
        if profile in self._settling and self._collector.revision(profile):
            return self._collector.tallies(profile)
        known = self._read.get(profile)
        if known is None:
            data = await self._store.archived(profile)
            if data is None:
                raise NotFoundError(f'the comparison of "{record.name or profile}" is gone')
            known = await asyncio.to_thread(_unpacked, data)
            if self._records.get(profile) is record:
                self._read[profile] = known
        else:
            self._read.move_to_end(profile)
        while len(self._read) > CACHED:
            self._read.popitem(last=False)
        return known

    async def sources(self, record: ArchiveRecord, version: str | None = None) -> list[Source]:
        """Return what was seen of its versions. Raises: NotFoundError, StoreError."""
        return sources_of(
            await self.tallies(record),
            {str(instance): variant for instance, variant in record.variants.items()},
            profile_id=record.profile_id,
            profile=record.name,
            component=record.component_name,
            version=version,
            archived=True,
        )

    async def comparison(self, record: ArchiveRecord) -> Comparison:
        """Return the comparison as it was in the end. Raises: NotFoundError, StoreError."""
        return _compared(await self.tallies(record), record)


@dataclass(slots=True)
class _Settling:
    """A profile that was put away and of which something may still come."""

    record: ArchiveRecord
    written: int
    """Revision of what was written."""
    task: asyncio.Task[None] | None = None


def _compared(tallies: Iterable[Tally], record: ArchiveRecord) -> Comparison:
    variants = {str(instance): variant for instance, variant in record.variants.items()}
    return comparison_of(*versions_of(tallies, variants))


def _unpacked(data: bytes) -> list[Tally]:
    try:
        return read_dump(zlib.decompress(data))[1]
    except (zlib.error, ValueError) as error:
        raise StoreError(f"an archived comparison cannot be read: {error}") from error
