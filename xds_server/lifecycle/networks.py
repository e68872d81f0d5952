"""Create, replace and delete virtual networks.

Guarantees: everything is checked before anything is stored; a deletion is on disk before a shadow is touched, so
a crash in the middle of it is finished by the next start. A disk that does not take it keeps no shadow mirrored to.
Not guaranteed: that Envoys have let go of a deleted network when `finish` returns; they are told.
"""

import asyncio
import contextlib
from dataclasses import replace
from uuid import uuid4

from xds_server.errors import ConflictError, InvalidError, UnrecordedError
from xds_server.lifecycle.context import Context, check_open, check_revision
from xds_server.lifecycle.entries import in_words, network_changes, of_network
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.transitions import Event
from xds_server.lifecycle.validation import check_network, check_replacement
from xds_server.model.ids import NetworkID
from xds_server.model.network import VirtualNetwork
from xds_server.model.state import NetworkState
from xds_server.store.base import Changes


class Networks:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._parts = context.parts
        self._naming = asyncio.Lock()

    async def create(self, network: VirtualNetwork) -> VirtualNetwork:
        """Create one. Raises: InvalidError, ConflictError, StoreError."""
        created = replace(
            network,
            id=network.id or NetworkID(str(uuid4())),
            revision=1,
            created_at=self._parts.clock.now(),
        )
        check_network(created)
        self._check_versions(created)
        async with self._naming:
            self._check_free(created)
            self._parts.publisher.check(NetworkState(created))
            names = ", ".join(component.name for component in created.components)
            told = of_network(created, "created", at=self._parts.clock.now(), detail=names)
            await self._parts.store.apply(Changes(networks=(created,), events=(told,)))
            record = NetworkRecord(created)
            self._parts.registry.add(record)
        self._parts.publisher.publish(record.state())
        return created

    def _check_versions(self, network: VirtualNetwork) -> None:
        """Refuse a component's own version that cannot be run here."""
        for index, component in enumerate(network.components):
            version = component.version
            if version is None:
                continue
            try:
                self._parts.fleet.check(version)
            except InvalidError as error:
                where = f"components[{index}].version" + (f".{error.field}" if error.field else "")
                raise InvalidError(error.detail, field=where, hint=error.hint) from error

    def _check_free(self, network: VirtualNetwork) -> None:
        registry = self._parts.registry
        if registry.taken(network.name):
            raise ConflictError(
                f'there is a network "{network.name}" already', field="name", hint="another name, or replace that one"
            )
        if registry.taken(network.id):
            raise ConflictError(f'there is a network with the id "{network.id}" already', field="id")

    async def replace(self, record: NetworkRecord, network: VirtualNetwork, *, if_match: int | None) -> VirtualNetwork:
        """Replace the definition. Raises: StaleError, InvalidError, ConflictError, StoreError."""
        async with record.lock:
            check_open(record)
            before = record.network
            check_revision(before.revision, if_match, what=f'network "{before.name}"')
            same = replace(network, id=before.id, revision=before.revision, created_at=before.created_at)
            if same == before:
                return before
            after = replace(same, revision=before.revision + 1)
            check_network(after)
            self._check_versions(after)
            check_replacement(before, after, record.live_profiles(), living=record.living_profiles())
            self._parts.publisher.check(replace(record.state(), network=after))
            changes = network_changes(before, after)
            now = self._parts.clock.now()
            told = of_network(after, "replaced", at=now, detail=in_words(changes), changes=changes)
            await self._parts.books.apply(record, Changes(networks=(after,), events=(told,)))
            record.network = after
            self._context.shadows.post(
                [i for i in record.instances.values() if _changed(before, after, i.component_name)],
                Event.COMPONENT_CHANGED,
            )
            self._parts.publisher.publish(record.state())
            return after

    async def begin_deletion(self, record: NetworkRecord, *, if_match: int | None) -> None:
        """Accept a deletion; from now on nobody finds the network, and nothing is mirrored. Raises: StaleError.

        If the disk does not take it, it is owed, and carried out.
        """
        async with record.lock:
            check_open(record)
            check_revision(record.network.revision, if_match, what=f'network "{record.network.name}"')
            now = self._parts.clock.now()
            told = of_network(record.network, "deleted", at=now, detail="its shadows are ended first")
            record.ending = True
            record.ending_profiles.update(record.profiles)
            self._context.shadows.post(list(record.instances.values()), Event.NETWORK_DELETED)
            self._parts.publisher.publish(record.state())
            # Before a shadow is touched: its actor records first, and waits for our lock.
            with contextlib.suppress(UnrecordedError):
                await self._parts.books.taken(record, Owed(network=record.network.id, events=[told]))

    async def finish_deletion(self, record: NetworkRecord) -> None:
        """Wait until the shadows of an ending network are gone, then forget it. Raises: StoreError.

        Envoys have the original as long as the deletion is not on record: the next manager may serve it again.
        """
        await self._context.shadows.gone(list(record.instances.values()))
        async with record.lock:
            await self._parts.books.settle(record)
            self._parts.publisher.withdraw(record.network.id)
            told = of_network(record.network, "gone", at=self._parts.clock.now())
            await self._parts.books.apply(record, Changes(drop_networks=(record.network.id,), events=(told,)))
            self._parts.registry.remove(record)
        for instance in record.instances:
            self._context.shadows.sampler.drop(instance)
        for profile in record.profiles:
            self._context.summaries.forget(profile)
            self._context.verdicts.forget(profile)
        self._context.archive.drop_network(record.network.id)


def _changed(before: VirtualNetwork, after: VirtualNetwork, component: str) -> bool:
    return before.component(component) != after.component(component)
