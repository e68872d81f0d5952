"""Work that is done to its end, also when nobody waits for it.

Guarantees: an error that is none of ours is said in the log. Not guaranteed: any order among jobs.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from xds_server.errors import ShadowmeshError

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Jobs:
    """See the module. All methods belong on one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Begin it; who wants to know how it ended may wait for the task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it; nobody waits for it."""
        self.begin(work)

    async def finish(self) -> None:
        """Wait for all that was begun by now."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def abandon(self) -> None:
        """Leave what was begun where it is."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ShadowmeshError):
            log.error("an unexpected error", exc_info=error)
