"""Comparisons on disk: what the collector knows of each profile, written every few seconds and at the end.

Guarantees: only what has changed is put together and written, all of it in one step, of one moment: how far the manager
got with an engine is never on disk without what it got. Engines keep what was not written yet and send it again after a
crash.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import structlog

from xds_server.errors import StoreError
from xds_server.lifecycle.clock import Clock
from xds_server.model.ids import ProfileID
from xds_server.store.base import Changes, Store

log = structlog.get_logger(__name__)

_NO_CHANGES = Changes()
INTERVAL = 5.0
"""Seconds between two writes."""


class Late(NamedTuple):
    """What has come in of deleted profiles, and who is told when it is on disk."""

    changes: Changes
    written: Callable[[], None]


def _nothing() -> Late:
    return Late(Changes(), lambda: None)


class Summarised(Protocol):
    """The part of the collector that is meant here."""

    hurry: asyncio.Event
    """Set when an engine waits for what it sent to be written."""

    def mark(self) -> Any:
        """Return how far it got with each engine."""
        ...

    def kept(self, mark: Any) -> None:
        """Take note that everything up to `mark` has been written."""

    def revision(self, profile_id: ProfileID) -> int:
        """Return a number that changes with what is known of a profile."""
        ...

    def linger(self, profile_id: ProfileID) -> None:
        """Go on judging by the rules of a profile that is being deleted."""

    def restart_evidence(self, profile_id: ProfileID) -> None:
        """Let what was seen so far be evidence no more; the comparison stays."""

    def dump(self, profile_id: ProfileID) -> bytes:
        """Return everything known of a profile."""
        ...

    def load(self, profile_id: ProfileID, data: bytes) -> None:
        """Take up what an earlier manager knew."""

    def forget(self, profile_id: ProfileID) -> None:
        """Drop a profile."""


class Summaries:
    """Keeps them.

    Args:
        clock: when to write.
        store: where to.
        collector: what.
        profiles: which profiles there are.
    """

    def __init__(
        self, *, clock: Clock, store: Store, collector: Summarised, profiles: Callable[[], Iterable[ProfileID]]
    ) -> None:
        self._clock = clock
        self._store = store
        self._collector = collector
        self._profiles = profiles
        self._late: Callable[[], Late] = _nothing
        self._written: dict[ProfileID, int] = {}
        """The revision that is on disk."""

    def take_along(self, late: Callable[[], Late]) -> None:
        """Write what this returns too, each time: what has come in of profiles that are there no more."""
        self._late = late

    def load(self, profile: ProfileID, data: bytes) -> None:
        """Hand over what was on disk; what cannot be read (an older form) is left out and said."""
        try:
            self._collector.load(profile, data)
        except Exception as error:
            log.exception("a comparison could not be read and begins anew", profile=profile, error=str(error))
        else:
            self._written[profile] = self._collector.revision(profile)

    def restart_evidence(self, profile: ProfileID) -> Changes:
        """Let the evidence on a profile begin anew; return what is to be written, of all profiles, in the same step."""
        self._collector.restart_evidence(profile)
        return self._gathered(Changes())[0]

    def linger(self, profile: ProfileID) -> None:
        """Let what is still on its way of a profile that is being deleted be judged by its own rules."""
        self._collector.linger(profile)

    def forget(self, profile: ProfileID) -> None:
        """Drop a profile."""
        self._written.pop(profile, None)
        self._collector.forget(profile)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            waits = [
                asyncio.ensure_future(each) for each in (self._clock.sleep(INTERVAL), self._collector.hurry.wait())
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
            await self.save()

    async def save(self) -> None:
        """Write what has changed; a failure is logged, and tried again next time."""
        try:
            await self.write()
        except StoreError as error:
            log.warning("comparisons could not be written", error=str(error))

    async def write(self, more: Changes = _NO_CHANGES) -> None:
        """Write what has changed, and `more` in the same step. Raises: StoreError."""
        # From here to the call of the store nothing is waited for, so what is written later is newer.
        mark = self._collector.mark()
        changes, revisions, late = self._gathered(more)
        if changes != _NO_CHANGES:
            await self._store.apply(changes)
        self._written.update(revisions)
        late.written()
        self._collector.kept(mark)

    def _gathered(self, more: Changes) -> tuple[Changes, Mapping[ProfileID, int], Late]:
        """Return what has changed, with `more`; the revisions that it is of; what has come in of deleted profiles."""
        late = self._late()
        changed: dict[ProfileID, bytes] = {}
        revisions: dict[ProfileID, int] = {}
        for profile in list(self._profiles()):
            revision = self._collector.revision(profile)
            if self._written.get(profile, 0) == revision:
                continue
            try:
                changed[profile] = self._collector.dump(profile)
            except Exception:
                log.exception("a comparison could not be written", profile=profile)
            else:
                revisions[profile] = revision
        changes = replace(
            more,
            summaries=changed,
            archive=late.changes.archive,
            drop_archive=(*more.drop_archive, *late.changes.drop_archive),
        )
        return changes, revisions, late
