"""How changes of a network get to the disk: what adds is written before it is done, what takes away is done anyway.

A change that only takes away (mirroring off, a smaller share, a fault lifted, a deletion) is in effect at once. If the
disk does not take it, its network owes it (`owed`): it is tried again about every second, and goes along with whatever
else of the network is written, before that. So nothing newer is ever on record without it, and it clashes with nothing.

Guarantees: after `apply` all that was owed is on record too. `taken` raises when what is in effect is not on record.
Not guaranteed: that what is owed survives the end of the manager. The next one has what was on record before.
"""

from functools import partial

import structlog

from xds_server.errors import StoreError, UnrecordedError
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.registry import NetworkRecord, Registry
from xds_server.lifecycle.unfinished import Unfinished
from xds_server.store.base import Changes, Store

log = structlog.get_logger(__name__)

_NEXT = (
    "it is recorded within seconds once the disk takes it; if the manager ends before, the next one has what was before"
)


class Books:
    """See the module. Whoever calls holds the lock of the network.

    Args:
        store: the disk.
        registry: the networks that there are.
        unfinished: tries again.
    """

    def __init__(self, store: Store, registry: Registry, unfinished: Unfinished) -> None:
        self._store = store
        self._registry = registry
        self._unfinished = unfinished

    async def apply(self, record: NetworkRecord, changes: Changes) -> None:
        """Write a change, and before it what is owed, in one transaction. Raises: StoreError (nothing was written)."""
        if not record.owed:
            await self._store.apply(changes)
            return
        owed, record.owed = record.owed, Owed()  # what is told meanwhile comes afterwards
        try:
            await self._store.apply(owed.before(changes, profiles=record.profiles, instances=record.instances))
        except BaseException:
            owed.add(record.owed)
            record.owed = owed
            raise
        record.trouble = ""
        log.info("what was in effect already is on record now", network=record.network.name)

    async def taken(self, record: NetworkRecord, owed: Owed) -> None:
        """Write what is in effect already. Raises: UnrecordedError (it is owed)."""
        record.owed.add(owed)
        await self.settle(record)

    async def settle(self, record: NetworkRecord) -> None:
        """Write what is owed, if anything is. Raises: UnrecordedError."""
        if not record.owed:
            return
        try:
            await self.apply(record, Changes())
        except StoreError as error:
            told = UnrecordedError(f"in effect now, but not on record: {error.detail}", hint=_hint(error))
            record.trouble = str(told)
            self._unfinished.note(f"owed by network {record.network.id}", partial(self._again, record))
            log.warning("in effect, but not on record", network=record.network.name, error=str(error))
            raise told from error

    async def _again(self, record: NetworkRecord) -> None:
        async with record.lock:
            if self._registry.get(record.network.id) is record:
                await self.settle(record)


def unfinished(error: StoreError) -> UnrecordedError:
    """Return what is said of a deletion that was carried out, and of which the disk does not take the end."""
    if isinstance(error, UnrecordedError):
        return error
    told = "mirroring is off and the shadows are ended, but that it is gone is not on record"
    hint = f"{error.hint}; " if error.hint else ""
    return UnrecordedError(
        f"{told}: {error.detail}",
        hint=f"{hint}that it was deleted is on record, and is finished once the disk takes it, by the next manager too",
    )


def _hint(error: StoreError) -> str:
    return f"{error.hint}; {_NEXT}" if error.hint else _NEXT
