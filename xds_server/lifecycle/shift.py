"""The shift of one manager: it takes up what the one before left, works, and hands over.

Guarantees: when `begin` returns, every network is published with the shadows that were found alive. `end` takes the
mirroring away first, then the shadows (unless they are kept), then writes what is known and closes the store, all
within its grace time and `LAST`; what it could not do by then is left as a kill would leave it, and said in the log.
Not guaranteed: that half-done work of an earlier manager is finished when `begin` returns; the actors finish it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from xds_server.lifecycle.context import Context
from xds_server.lifecycle.jobs import Jobs
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.restore import fill, restore
from xds_server.lifecycle.transitions import Event
from xds_server.lifecycle.watch import profile_ids
from xds_server.model.ids import ProfileID
from xds_server.store.base import Contents

log = structlog.get_logger(__name__)

LAST = 10.0
"""Seconds that the end has for what engines still have and for what is to be written, after the grace time."""


class Shift:
    """See the module. `open` between `begin` and `end`: changes are taken.

    Args:
        context: all parts.
        collector: the comparisons.
        jobs: what is done in the background.
        finish_network: finishes the deletion of a network.
        finish_profile: finishes the deletion of a profile.
    """

    def __init__(
        self,
        context: Context,
        *,
        jobs: Jobs,
        finish_network: Callable[[NetworkRecord], Coroutine[Any, Any, None]],
        finish_profile: Callable[[NetworkRecord, ProfileID], Coroutine[Any, Any, None]],
    ) -> None:
        self.open = False
        self._context = context
        self._parts = context.parts
        self._finish_network = finish_network
        self._finish_profile = finish_profile
        self._jobs = jobs
        self._background: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Read the state from disk, take up shadows that still run, publish every network. Raises: StoreError."""
        await self._parts.store.open()
        try:
            await self._restore()
        except BaseException:
            await self._parts.store.close()
            raise
        context = self._context
        works = (
            self._parts.deadlines.run,
            context.measures.run,
            context.summaries.run,
            context.archive.run,
            context.verdicts.run,
            context.sweeper.run,
            context.parts.unfinished.run,
            self._parts.store.run,
        )
        for work in works:
            self._background.append(asyncio.create_task(work(), name=f"lifecycle {work.__qualname__}"))
        context.archive.resume()
        self.open = True

    async def _restore(self) -> None:
        parts, shadows = self._parts, self._context.shadows
        contents = await parts.store.load()
        fill(contents, parts)
        await self._remember(contents)
        actors = await restore(parts, shadows)
        await self._context.sweeper.sweep(at_start=True)
        for record in parts.registry:
            for fault in record.faults.values():
                self._context.faults.schedule(fault)
            parts.publisher.publish(record.state())
            await asyncio.sleep(0)  # a thousand networks are no reason to let everything else wait
        for actor in actors:
            shadows.launch(actor)
        for record in parts.registry:
            if record.ending:
                self._jobs.later(self._finish_network(record))
            else:
                for ending in tuple(record.ending_profiles):
                    self._jobs.later(self._finish_profile(record, ending))

    async def _remember(self, contents: Contents) -> None:
        """Take up what was known of profiles, also of those that end or have just ended."""
        context = self._context
        for profile, data in contents.summaries.items():
            context.summaries.load(profile, data)
        for profile, data in contents.verdicts.items():
            context.verdicts.load(profile, data)
        for record in self._parts.registry:
            for profile in record.ending_profiles:
                context.summaries.linger(profile)
        context.archive.load(contents.archive)
        await context.archive.sweep()
        await context.archive.take_up(there=profile_ids(self._parts.registry))

    async def end(
        self,
        *,
        keep_shadows: bool = False,
        keep_mirroring: bool = False,
        grace: float,
        drain: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Mirroring off, wait (bounded) for Envoys, end the shadows unless they are kept, write the rest, close.

        Args:
            keep_shadows: leave them running for the manager that comes next; it finds them again.
            keep_mirroring: that one comes at once, so kept shadows go on being mirrored to.
            grace: seconds for all of it but the writing; an image that is pulled or a shadow that does not end takes no
                longer.
            drain: brings in what the engines have not sent yet; awaited when no copy is under way any more and before
                the summaries are written.
        """
        if not self.open:
            return
        self.open = False
        try:
            try:
                async with asyncio.timeout(grace):
                    await self._let_go(keep_shadows=keep_shadows, keep_mirroring=keep_mirroring)
            except TimeoutError:
                await self._leave_undone(grace)
            self._parts.publisher.close()
            try:
                async with asyncio.timeout(LAST):
                    await self._write_down(drain)
            except TimeoutError:
                log.warning("the end took too long: what is not written yet is lost", seconds=LAST)
        finally:
            for task in self._background:
                task.cancel()
            await self._parts.store.close()

    async def _let_go(self, *, keep_shadows: bool, keep_mirroring: bool) -> None:
        shadows = self._context.shadows
        if keep_shadows and not keep_mirroring:
            await self._silence()
        await self._jobs.finish()  # a step under way may still create instances
        shadows.post_all(Event.MANAGER_LEAVING if keep_shadows else Event.MANAGER_STOPPING)
        await shadows.gone()
        await self._jobs.finish()

    async def _leave_undone(self, grace: float) -> None:
        """What is under way goes where a kill would leave it: its intent is on disk."""
        shadows = self._context.shadows
        left = sorted(shadows.alive())
        log.warning(
            "left to the next manager, as the grace time is over", grace=grace, shadows=left, jobs=len(self._jobs)
        )
        await self._jobs.abandon()
        await shadows.abandon()

    async def _write_down(self, drain: Callable[[], Awaitable[None]] | None) -> None:
        if drain is not None:
            # Summaries are still written meanwhile: an engine waits until what it sent is.
            await drain()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._context.archive.finish()
        await self._context.verdicts.save()
        await self._parts.unfinished.try_all()
        await self._parts.store.flush()

    async def _silence(self) -> None:
        parts = self._parts
        for record in parts.registry:
            parts.publisher.publish(record.state(silent=True))
        await asyncio.gather(*(parts.settled(record.network.id) for record in parts.registry))
