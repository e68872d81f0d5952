"""Comparisons of deleted profiles: kept for a day, then gone.

A deletion writes what is known at that moment in the same step that drops the profile, so a crash loses neither. What
is still on its way (copies under way, windows of the engines) is taken in for a while (`settle`), and written (`late`)
before an engine is told that it is kept: after a crash the next manager goes on where this one was (`take_up`).

Guarantees: at most `MOST` comparisons and `MOST_BYTES` on disk, but for those that still grow; the oldest go first,
which is logged and counted in what the API lists. What is older than `LIFE` is not found, and swept away at the start
and every `SWEEP` seconds. A profile that was put away cannot come back to life by a late window. Comparisons are read
from disk when they are asked for; the last `CACHED` stay in memory.
Not guaranteed: what came in after the deletion, when the next manager is not there within `RESUME`, or more than
`MOST_RESUMED` were deleted by then; what an engine had not handed over when it was killed.
"""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from xds_server.lifecycle.summaries import Late, Summaries
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
AGAIN = 5.0
"""Seconds until what the disk has not taken is written again, for as long as `RESUME`."""
RESUMED_PATIENCE = 60.0
"""Seconds that the next manager waits for engines to find it, at least."""
LEAST_PATIENCE = 15.0
"""Seconds that late pairs are waited for, at least: an engine that is started again needs some."""
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
        summaries: writes what has come in, of living profiles and of these, in one step.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        collector: Collected,
        patience: float,
        summaries: Summaries,
    ) -> None:
        self._clock = clock
        self._store = store
        self._collector = collector
        self._patience = max(patience, LEAST_PATIENCE)
        self._summaries = summaries
        summaries.take_along(self.late)
        self._records: OrderedDict[ProfileID, ArchiveRecord] = OrderedDict()
        self._settling: dict[ProfileID, _Settling] = {}
        self._read: OrderedDict[ProfileID, list[Tally]] = OrderedDict()
        self.dropped = 0
        """Comparisons that were dropped before their time since the start, because there were too many."""

    # Putting away.

    def load(self, records: Iterable[ArchiveRecord]) -> None:
        """Take over what is on disk."""
        self._records.update((record.profile_id, record) for record in records)

    async def take_up(self, *, there: Collection[ProfileID]) -> None:
        """Read what was put away just before this manager began, to add what still comes (`resume`); of nothing else.

        What cannot be read stays as it is on disk.

        Args:
            there: profiles that are still there: one that could not be put away in the end.
        """
        records = [record for record in self._records.values() if record.profile_id not in there]
        newest = sorted(records, key=lambda record: record.ended_at, reverse=True)
        for number, record in enumerate(newest):
            profile = record.profile_id
            if number < MOST_RESUMED and self._clock.now() < record.ended_at + RESUME and await self._taken_up(profile):
                patience = max(self._patience, RESUMED_PATIENCE)
                self._settling[profile] = _Settling(record, patience, self._collector.revision(profile))
                self._summaries.linger(profile)
            else:  # an engine that outlived the last manager may still have something of it
                self._summaries.forget(profile)

    async def _taken_up(self, profile: ProfileID) -> bool:
        try:
            data = await self._store.archived(profile)
            if data is not None:
                self._collector.load(profile, await asyncio.to_thread(zlib.decompress, data))
        except Exception as error:
            log.exception("a comparison of a deleted profile is not added to", profile=profile, error=str(error))
            return False
        return data is not None

    def resume(self) -> None:
        """Begin to wait for what comes of the profiles that were taken up."""
        for profile in self._settling:
            self.settle(profile)

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
        self._settling[profile.id] = _Settling(record, self._patience)
        try:
            await self._summaries.write(Changes(drop_profiles=(profile.id,), events=(told,) if told else ()))
        except Exception:
            del self._settling[profile.id]
            raise

    def settle(self, profile: ProfileID) -> None:
        """Take in what still comes of a profile that was put away, in the background; then forget it."""
        settling = self._settling[profile]
        settling.task = asyncio.create_task(self._settle(settling), name=f"archive {profile}")

    async def _settle(self, settling: "_Settling") -> None:
        profile = settling.record.profile_id
        seen, quiet = self._collector.revision(profile), 0.0
        for _ in range(round(settling.patience / LOOK)):
            if quiet >= QUIET:
                break
            await self._clock.sleep(LOOK)
            now = self._collector.revision(profile)
            quiet = quiet + LOOK if now == seen and not self._collector.awaits(profile) else 0.0
            seen = now
        await self._finish(settling)

    async def finish(self) -> None:
        """Wait no longer: write what has come in, of living profiles too, and forget those that are settling."""
        tasks = [settling.task for settling in self._settling.values() if settling.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._summaries.save()
        for profile in list(self._settling):
            self._let_go(profile)

    async def _finish(self, settling: "_Settling") -> None:
        profile = settling.record.profile_id
        while self._collector.revision(profile) != settling.written:
            try:
                await self._summaries.write()
                break
            except StoreError as error:
                log.warning("the last pairs of a profile are not put away yet", profile=profile, error=str(error))
                if self._clock.now() > settling.record.ended_at + RESUME:
                    break
                await self._clock.sleep(AGAIN)
            except Exception:
                log.exception("the last pairs of a profile could not be put away", profile=profile)
                break
        self._let_go(profile)

    def _let_go(self, profile: ProfileID) -> None:
        """Take in nothing more of it."""
        self._settling.pop(profile, None)
        self._summaries.forget(profile)

    def late(self) -> Late:
        """Return what has come in since it was last written; nothing is waited for."""
        rows: list[tuple[ArchiveRecord, bytes]] = []
        written: list[tuple[_Settling, ArchiveRecord, int]] = []
        for settling in self._settling.values():
            known = self._collector.revision(settling.record.profile_id)
            if known == settling.written or not known:
                continue
            try:
                row = self._row(settling.record)
            except Exception:  # a comparison that cannot be written is no reason to keep a profile for ever
                log.exception("a comparison could not be put away", profile=settling.record.profile_id)
            else:
                rows.append(row)
                written.append((settling, row[0], known))
        surplus = self._surplus([record for record, _ in rows])

        def done() -> None:
            if surplus:
                self.dropped += len(surplus)
                log.warning("comparisons of deleted profiles dropped: too many", profiles=surplus, most=MOST)
            self._drop(surplus)
            for settling, record, known in written:
                profile = record.profile_id
                if self._settling.get(profile) is settling:  # else its network was deleted meanwhile
                    settling.written = known
                    self._drop((profile,))
                    self._records[profile] = record

        return Late(Changes(archive=tuple(rows), drop_archive=surplus), done)

    def _row(self, record: ArchiveRecord) -> tuple[ArchiveRecord, bytes]:
        seen = _compared(self._collector.tallies(record.profile_id), record)
        # Fast rather than small: the loop waits for it.
        data = zlib.compress(self._collector.dump(record.profile_id), 1)
        return replace(record, pairs=seen.pairs, discrepancies=seen.discrepancies, size=len(data)), data

    def _surplus(self, new: Sequence[ArchiveRecord]) -> tuple[ProfileID, ...]:
        """Return the oldest that must go so that these fit in."""
        ours = {record.profile_id for record in new}
        others = [record for record in self._records.values() if record.profile_id not in ours]
        count = len(others) + len(new)
        size, gone = sum(record.size for record in (*others, *new)), []
        for record in others:
            if count <= MOST and size <= MOST_BYTES:
                break
            if record.profile_id not in self._settling:
                count, size = count - 1, size - record.size
                gone.append(record.profile_id)
        return tuple(gone)

    def drop_network(self, network: NetworkID) -> None:
        """Forget what belonged to a network that is gone from the store."""
        for settling in [s for s in self._settling.values() if s.record.network_id == network]:
            if settling.task is not None:
                settling.task.cancel()
            self._let_go(settling.record.profile_id)
        self._drop([r.profile_id for r in self._records.values() if r.network_id == network])

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
    patience: float
    """Seconds that it is waited for, at most."""
    written: int | None = None
    """Revision of what was written; None: nothing was."""
    task: asyncio.Task[None] | None = None


def _compared(tallies: Iterable[Tally], record: ArchiveRecord) -> Comparison:
    variants = {str(instance): variant for instance, variant in record.variants.items()}
    return comparison_of(*versions_of(tallies, variants))


def _unpacked(data: bytes) -> list[Tally]:
    try:
        return read_dump(zlib.decompress(data))[1]
    except (zlib.error, ValueError) as error:
        raise StoreError(f"an archived comparison cannot be read: {error}") from error
