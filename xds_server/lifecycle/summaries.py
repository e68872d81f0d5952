"""Comparisons on disk: what the collector knows of each profile, written every few seconds and at the end.

Guarantees: only what has changed is written. Engines keep what was not written yet and send it again after a crash.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog

from xds_server.errors import StoreError
from xds_server.lifecycle.clock import Clock
from xds_server.model.ids import ProfileID
from xds_server.store.base import Changes, Store

log = structlog.get_logger(__name__)

INTERVAL = 5.0
"""Seconds between two writes."""


class Summarised(Protocol):
    """The part of the collector that is meant here."""

    hurry: asyncio.Event
    """Set when an engine waits for what it sent to be written."""

    def mark(self) -> Any:
        """Return how far it got with each engine."""
        ...

    def kept(self, mark: Any) -> None:
        """Take note that everything up to `mark` has been written."""

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
        self._written: dict[ProfileID, bytes] = {}

    def load(self, profile: ProfileID, data: bytes) -> None:
        """Hand over what was on disk; what cannot be read (an older form) is left out and said."""
        try:
            self._collector.load(profile, data)
        except Exception as error:
            log.exception("a comparison could not be read and begins anew", profile=profile, error=str(error))
        else:
            self._written[profile] = _digest(data)

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
        mark = self._collector.mark()
        changed: dict[ProfileID, bytes] = {}
        for profile in list(self._profiles()):
            try:
                data = self._collector.dump(profile)
            except Exception:
                log.exception("a comparison could not be written", profile=profile)
                continue
            if self._written.get(profile) != _digest(data):
                changed[profile] = data
        try:
            if changed:
                await self._store.apply(Changes(summaries=changed))
        except StoreError as error:
            log.warning("comparisons could not be written", error=str(error))
        else:
            self._written.update({profile: _digest(data) for profile, data in changed.items()})
            self._collector.kept(mark)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
